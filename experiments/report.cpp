#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "experiments/paper.hpp"
#include "experiments/report.hpp"
#include "experiments/report_content.hpp"
#include "experiments/summary.hpp"
#include "experiments/tree_learning.hpp"
#include "experiments/tree_report.hpp"

namespace genretree {
namespace {

// ------------------------------------------------------------------------------------------------------------- tables

/// The shortest text that reads back to the same number: "nan" if the training diverged.
std::string csv(double value) { return fmt::format("{}", value); }

/// ResultTables::csv_rows of a point.
std::string csv_name(const GridPoint& point) {
  return point.node.empty() ? point.name() : fmt::format("{},{}", point.node, point.epochs);
}

std::string trials_csv(const ResultTables& names, const std::vector<GridPoint>& points) {
  std::string table = names.csv_rows + ",trial";
  for (const Metric& metric : metrics) table += fmt::format(",{}", metric.key);
  table += '\n';
  for (const GridPoint& point : points)
    for (const Result& result : point.trials) {
      const EpochScores scores = scores_of(result);
      table += fmt::format("{},{}", csv_name(point), result.trial);
      for (const Metric& metric : metrics)
        table += fmt::format(",{}", metric.is_absent(scores) ? "" : csv(metric.of(scores)));
      table += '\n';
    }
  return table;
}

/// The columns of which the paper's value is known for some point.
std::vector<std::size_t> paper_columns(const std::vector<PaperRow>& paper) {
  std::vector<std::size_t> columns;
  for (std::size_t i = 0; i < metrics.size(); ++i)
    if (std::ranges::any_of(paper, [&](const PaperRow& row) { return !row[i].text.empty(); })) columns.push_back(i);
  return columns;
}

std::string means_csv(const ResultTables& names, const std::vector<GridPoint>& points,
                      const std::vector<PaperRow>& paper) {
  std::string table = names.csv_rows + ",trials";
  for (const Metric& metric : metrics) table += fmt::format(",{0}_mean,{0}_sd", metric.key);
  table += ",test_accuracy_low,test_accuracy_high";  // ends of the 95 % interval
  if (names.of_tree) table += ",test_clips,largest_class_accuracy";
  for (std::size_t column : paper_columns(paper)) table += fmt::format(",paper_{}", metrics[column].key);
  table += '\n';
  for (std::size_t i = 0; i < points.size(); ++i) {
    const GridPoint& point = points[i];
    table += fmt::format("{},{}", csv_name(point), point.trials.size());
    for (const Metric& metric : metrics) {
      const auto [mean, sd] = point.spread(metric);
      const bool absent = point.is_absent(metric);
      table += fmt::format(",{},{}", absent ? "" : csv(mean), absent || point.trials.size() < 2 ? "" : csv(sd));
    }
    const auto [low, high] = point.test_interval;
    table += std::isnan(low) ? ",," : fmt::format(",{},{}", low, high);
    if (names.of_tree) table += fmt::format(",{},{}", point.test_clips(), point.largest_class());
    for (std::size_t column : paper_columns(paper))
      table += fmt::format(",{}", paper[i][column].text.empty() ? "" : csv(paper[i][column].value));
    table += '\n';
  }
  return table;
}

/// Columns on a terminal: a character of several bytes takes one.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

using TextRow = std::vector<std::string>;

/// Rows of equally many cells as lines, each column as wide as its widest cell and two spaces apart.
std::string aligned(const std::vector<TextRow>& rows) {
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const TextRow& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  std::string text;
  for (const TextRow& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line.append(i ? 2 : 0, ' ').append(widths[i] - width(row[i]), ' ').append(row[i]);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  return text;
}

std::vector<TextRow> text_heading(const std::string& first, const std::string& second) {
  TextRow kinds = {first, second};
  for (const Metric& metric : metrics) kinds.push_back(metric.is_accuracy ? "accuracy %" : "loss");
  return {{"", "", "validation", "", "test", "", "training", ""}, kinds};
}

std::string trials_text(const ResultTables& names, const std::vector<GridPoint>& points) {
  std::vector<TextRow> rows = text_heading(names.rows, "trial");
  for (const GridPoint& point : points)
    for (const Result& result : point.trials) {
      rows.push_back({point.name(), std::to_string(result.trial)});
      for (const Metric& metric : metrics) rows.back().push_back(shown(metric, result));
    }
  return fmt::format("{}\n{}", names.trials_title, aligned(rows));
}

std::string means_text(const ResultTables& names, const std::vector<GridPoint>& points,
                       const std::vector<PaperRow>& paper) {
  std::vector<TextRow> rows = text_heading(names.rows, "trials");
  std::string footnotes;
  for (std::size_t i = 0; i < points.size(); ++i) {
    rows.push_back({points[i].name(), std::to_string(points[i].trials.size())});
    for (const Metric& metric : metrics) rows.back().push_back(shown(metric, points[i]));
    if (!std::isnan(points[i].test_interval.low)) {
      rows.push_back({"", "95 %"});
      for (const Metric& metric : metrics) rows.back().push_back(shown_interval(metric, points[i]));
    }
    if (paper.empty() || std::ranges::all_of(paper[i], &std::string::empty, &PaperCell::text)) continue;
    rows.push_back({"", "paper"});
    for (const PaperCell& cell : paper[i]) {
      rows.back().push_back(cell.text);
      if (!cell.aside.empty()) footnotes += fmt::format("{}  {}\n", cell.text, cell.aside);
    }
  }
  return fmt::format("{}: mean ± standard deviation over trials; 95 % bootstrap interval{}\n{}{}",
                     names.means_title.substr(0, names.means_title.find(':')),
                     paper.empty() ? "" : "; the paper's mean", aligned(rows), footnotes);
}

}  // namespace

std::string tables_text(const std::vector<ReportTable>& tables) {
  std::string text;
  for (const ReportTable& table : tables) {
    std::vector<TextRow> rows = table.rows;
    rows.insert(rows.begin(), table.heading);
    text += fmt::format("\n{}\n{}", table.title, aligned(rows));
  }
  return text;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted.append(c == '"' ? "\"" : "").push_back(c);
  return quoted + '"';
}

std::string to_json(const DatasetSummary& s) {
  return nlohmann::ordered_json{{"name", s.name},         {"source", s.source},     {"genres", s.genres},
                                {"clips", s.clips},       {"train", s.train},       {"validation", s.validation},
                                {"test", s.test},         {"checksum", s.checksum}, {"notes", s.notes},
                                {"left_out", s.left_out}, {"warnings", s.warnings}, {"features_by", s.features_by}}
             .dump(2) +
         "\n";
}

DatasetSummary dataset_summary_from_json(const std::string& text, const std::string& source) {
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    return {json.at("name"),
            json.at("source"),
            json.at("genres"),
            json.at("clips"),
            json.at("train"),
            json.at("validation"),
            json.at("test"),
            json.at("checksum"),
            json.at("notes"),
            json.at("left_out"),
            json.value("warnings", std::vector<std::string>{}),
            json.value("features_by", "")};
  } catch (const nlohmann::json::exception& error) {
    reject(
        "{}, which describes the data of the runs, is damaged: {}. Delete it; the program writes it anew when the "
        "experiment is run again with --resume",
        source, error.what());
  }
}

std::string origin_of_features(const DatasetSummary& summary) {
  return summary.features_by.empty() ? "it is not known what computed them" : "computed by " + summary.features_by;
}

std::string differences(const DatasetSummary& there, const DatasetSummary& here) {
  const auto text = [](const DatasetSummary& summary) {
    return fmt::format("{}, {} clips, checksum {}, features: {}", summary.name, summary.clips, summary.checksum,
                       origin_of_features(summary));
  };
  const bool computed_apart =
      there.name == here.name && there.clips == here.clips && there.features_by != here.features_by;
  return fmt::format("{} there; {} here{}", text(there), text(here),
                     computed_apart ? "; for the same features on different machines, extract them once with "
                                      "extract_features and give that store to all with --dataset"
                                    : "");
}

void write_report(const std::filesystem::path& folder, const Spec& spec, const DatasetSummary& dataset,
                  const std::vector<Result>& results) {
  ReportContent content = make_content(spec, dataset, results);
  if (const auto origin = read_tree_origin(folder); origin && !spec.tree.empty()) add_tree_origin(content, *origin);
  make_writable_folder(folder);
  const ResultTables& names = content.results;
  write_whole_text(folder / names.trials_csv, trials_csv(names, content.points));
  write_whole_text(folder / names.means_csv, means_csv(names, content.points, content.paper));
  for (const auto& [name, text] : content.files) write_whole_text(folder / name, text);
  for (const auto& figures : {content.figures, content.curve_figures})
    for (const ReportFigure& figure : figures) write_whole_text(folder / figure.file, figure.svg);
  write_whole_text(folder / "report.md", to_markdown(content));
  write_whole_text(folder / "report.html", to_html(content));
}

std::string tables_as_text(const Spec& spec, const DatasetSummary& dataset, const std::vector<Result>& results) {
  const std::vector<GridPoint> points = summarise(spec, results);
  const std::vector<PaperRow> paper = paper_rows(spec, dataset, points);
  const ResultTables names = result_tables(spec, !paper.empty());
  return trials_text(names, points) + '\n' + means_text(names, points, paper) +
         tables_text(tree_tables(spec, dataset, results)) + '\n' + short_interval_note() + '\n';
}

}  // namespace genretree
