#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "experiments/paper.hpp"
#include "experiments/report.hpp"
#include "experiments/report_content.hpp"
#include "experiments/summary.hpp"

namespace genretree {
namespace {

// ------------------------------------------------------------------------------------------------------------- tables

/// The shortest text that reads back to the same number; empty for NaN.
std::string csv(double value) { return std::isnan(value) ? "" : fmt::format("{}", value); }

std::string figure9_csv(const std::vector<GridPoint>& points) {
  std::string table = "epochs,trial";
  for (const Metric& metric : metrics) table += fmt::format(",{}", metric.key);
  table += '\n';
  for (const GridPoint& point : points)
    for (const Result& result : point.trials) {
      table += fmt::format("{},{}", point.epochs, result.trial);
      for (const Metric& metric : metrics) table += fmt::format(",{}", csv(metric.of(scores_of(result))));
      table += '\n';
    }
  return table;
}

std::string figure10_csv(const std::vector<GridPoint>& points) {
  constexpr std::size_t paper_columns = 4;
  std::string table = "epochs,trials";
  for (const Metric& metric : metrics) table += fmt::format(",{0}_mean,{0}_sd", metric.key);
  for (std::size_t i = 0; i < paper_columns; ++i) table += fmt::format(",paper_{}", metrics[i].key);
  table += '\n';
  for (const GridPoint& point : points) {
    table += fmt::format("{},{}", point.epochs, point.trials.size());
    for (const Metric& metric : metrics) {
      const auto [mean, sd] = point.spread(metric);
      table += fmt::format(",{},{}", csv(mean), csv(sd));
    }
    const PaperPoint* paper = paper_figure10(point.epochs);
    for (std::size_t i = 0; i < paper_columns; ++i) table += fmt::format(",{}", paper ? csv(paper->values()[i]) : "");
    table += '\n';
  }
  return table;
}

}  // namespace

std::string to_json(const DatasetSummary& s) {
  return nlohmann::ordered_json{{"name", s.name},   {"source", s.source},     {"genres", s.genres},
                                {"clips", s.clips}, {"train", s.train},       {"validation", s.validation},
                                {"test", s.test},   {"checksum", s.checksum}, {"notes", s.notes}}
             .dump(2) +
         "\n";
}

DatasetSummary dataset_summary_from_json(const std::string& text) {
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    return {json.at("name"),       json.at("source"), json.at("genres"),   json.at("clips"), json.at("train"),
            json.at("validation"), json.at("test"),   json.at("checksum"), json.at("notes")};
  } catch (const nlohmann::json::exception& error) {
    reject("dataset.json, which describes the data of the run, is damaged: {}. Run again with --resume", error.what());
  }
}

void write_report(const std::filesystem::path& folder, const Spec& spec, const DatasetSummary& dataset,
                  const std::vector<Result>& results) {
  const ReportContent content = make_content(spec, dataset, results);
  make_writable_folder(folder);
  write_whole_text(folder / "figure9.csv", figure9_csv(content.points));
  write_whole_text(folder / "figure10.csv", figure10_csv(content.points));
  for (const auto& figures : {content.grid_figures, content.curve_figures})
    for (const ReportFigure& figure : figures) write_whole_text(folder / figure.file, figure.svg);
  write_whole_text(folder / "report.md", to_markdown(content));
  write_whole_text(folder / "report.html", to_html(content));
}

std::string tables_as_text(const Spec& spec, const std::vector<Result>& results) {
  const std::vector<GridPoint> points = summarise(spec, results);
  // 5 + 8 columns for the point and its trials, 13 for each accuracy, 15 for each loss: 97 in all
  const auto row = [](const auto& first, const auto& second, const auto& cell) {
    std::string line = fmt::format("{:>5}  {:>6}", first, second);
    for (std::size_t i = 0; i < metrics.size(); ++i)
      line += fmt::format("{:>{}}", cell(i), metrics[i].is_accuracy ? 13 : 15);
    return line + "\n";
  };
  const auto heading = [&](const char* second) {
    const char* sets[] = {"validation", "", "test", "", "training", ""};
    return row("", "", [&](std::size_t i) { return sets[i]; }) +
           row("epoch", second, [](std::size_t i) { return metrics[i].is_accuracy ? "accuracy %" : "loss"; });
  };

  std::string text = "Figure 9: each trial\n" + heading("trial");
  for (const GridPoint& point : points)
    for (const Result& result : point.trials)
      text += row(point.epochs, result.trial,
                  [&](std::size_t i) { return shown(metrics[i], metrics[i].of(scores_of(result))); });

  text += "\nFigure 10: mean ± standard deviation over trials; below, where it is known, the paper's mean\n" +
          heading("trials");
  std::string footnote;
  for (const GridPoint& point : points) {
    text += row(point.epochs, point.trials.size(),
                [&](std::size_t i) { return shown(metrics[i], point.spread(metrics[i])); });
    std::array<PaperCell, metrics.size()> paper;
    for (std::size_t i = 0; i < metrics.size(); ++i) {
      paper[i] = paper_cell(point.epochs, i);
      if (!paper[i].aside.empty()) footnote += fmt::format("{}  {}\n", paper[i].value, paper[i].aside);
    }
    if (std::ranges::any_of(paper, [](const PaperCell& cell) { return !cell.value.empty(); }))
      text += row("", "paper", [&](std::size_t i) { return paper[i].value; });
  }
  return text + footnote;
}

}  // namespace genretree
