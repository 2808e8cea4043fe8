#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/text.hpp"
#include "experiments/bootstrap.hpp"
#include "experiments/comparison.hpp"
#include "experiments/paper.hpp"
#include "experiments/report_content.hpp"
#include "experiments/summary.hpp"
#include "experiments/tree_summary.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

constexpr const char* names_file = "comparison.json";
constexpr Spread none = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};

constexpr Interval nowhere = {none.mean, none.mean};

/// One variant in the table.
struct Row {
  const ComparedVariant& variant;
  std::string shown;  ///< "50 epochs, best of 7", "tree of 7 nodes"
  std::size_t trials = 0;
  Spread validation = none, test = none;  ///< accuracy; of a tree by hard routing
  Spread soft = none;                     ///< of a tree by soft routing
  std::vector<TrackCount> counts = {};    ///< of the test accuracy, over all trials
  Interval interval = nowhere;            ///< of the test accuracy
  Interval beyond_first = nowhere;        ///< of its difference from the first row's, where both have the same clips
  PaperResult paper = {none.mean, ""};
};

Row tree_row(const ComparedVariant& variant) {
  const GenreTree& tree = variant.runs.spec.tree;
  const std::vector<TreeTrial> trials = decode_trials(tree, variant.runs.results);
  Row row{variant, fmt::format("tree of {}", count_of(tree.nodes().size(), "node")), trials.size()};
  row.test = spread_of(values_of(tree_metrics[0], tree, trials));
  row.soft = spread_of(values_of(tree_metrics[1], tree, trials));
  for (const TreeTrial& trial : trials)
    for (const DecodedClip& clip : trial.clips) row.counts.push_back({clip.track, clip.hard == clip.genre, 1});
  row.counts = merged(std::move(row.counts));
  row.interval = accuracy_interval(row.counts, variant.runs.spec.seed);
  row.paper = paper_result(tree.genres(), tree, 0);
  return row;
}

Row grid_row(const ComparedVariant& variant) {
  const std::vector<GridPoint> points = summarise(variant.runs.spec, variant.runs.results);
  const GridPoint* best = best_by_validation(points);
  const GridPoint& point = best ? *best : points.back();
  Row row{variant, count_of(point.epochs, "epoch"), point.trials.size()};
  if (points.size() > 1) row.shown += fmt::format(", {} of {}", best ? "best" : "last", points.size());
  row.validation = point.spread(metrics[0]);
  row.test = point.spread(metrics[2]);
  row.counts = track_counts(variant.runs.spec, point.trials);
  row.interval = point.test_interval;
  row.paper = paper_result(variant.runs.dataset.genres, {}, point.epochs);
  return row;
}

/// True if both were asked for the same test clips, each as often.
bool same_clips(const Row& a, const Row& b) {
  return std::ranges::equal(a.counts, b.counts, [](const TrackCount& x, const TrackCount& y) {
    return x.track == y.track && x.total == y.total;
  });
}

std::vector<Row> rows_of(const Comparison& comparison) {
  std::vector<Row> rows;
  for (const ComparedVariant& variant : comparison.variants) {
    rows.push_back(variant.runs.spec.tree.empty() ? grid_row(variant) : tree_row(variant));
    Row &row = rows.back(), &first = rows.front();
    if (!is_gtzan(variant.runs.dataset)) row.paper = {none.mean, ""};
    if (rows.size() > 1 && same_clips(row, first))
      row.beyond_first = difference_interval(row.counts, first.counts, first.variant.runs.spec.seed);
  }
  return rows;
}

// -------------------------------------------------------------------------------------------------------------- table

struct Column {
  std::string heading;
  std::function<std::string(const Row&)> cell;
};

std::string cell_of(const Spread& spread) { return std::isnan(spread.mean) ? "" : shown_percent(spread); }

/// "+3.5 [-1.0, 8.0]"
std::string difference_cell(const Row& row, double first) {
  if (std::isnan(row.beyond_first.low)) return "";
  return fmt::format("{:+.1f} {}", 100 * (row.test.mean - first), shown_percent(row.beyond_first));
}

std::string test_cell(const Row& row) {
  const std::string mean = cell_of(row.test), interval = shown_percent(row.interval);
  return interval.empty() ? mean : fmt::format("{} {}", mean, interval);
}

std::string paper_cell(const Row& row) {
  return std::isnan(row.paper.accuracy) ? "" : fmt::format("{:.6g} ({})", 100 * row.paper.accuracy, row.paper.what);
}

std::vector<Column> columns(const Row& first) {
  const auto difference = [mean = first.test.mean](const Row& row) { return difference_cell(row, mean); };
  return {
      {"variant", [](const Row& row) { return row.variant.name; }},
      {"what differs", [](const Row& row) { return row.variant.difference; }},
      {"shown", [](const Row& row) { return row.shown; }},
      {"trials", [](const Row& row) { return std::to_string(row.trials); }},
      {"validation, %", [](const Row& row) { return cell_of(row.validation); }},
      {"test accuracy, %", test_cell},
      {fmt::format("above {}, points", first.variant.name), difference},
      {"soft, %", [](const Row& row) { return cell_of(row.soft); }},
      {"paper, %", paper_cell},
  };
}

std::vector<std::string> table_notes(const std::vector<Row>& rows) {
  const bool same = std::ranges::all_of(rows, [&](const Row& row) { return same_clips(row, rows.front()); });
  std::vector<std::string> notes = {
      "Mean ± standard deviation over trials (n − 1), accuracies in percent. Each variant has a report of its own in "
      "the folder of its name. Of several numbers of epochs the best by validation accuracy is shown, or the last "
      "without a validation set.",
      interval_note(),
      same ? fmt::format("All variants have the same test clips. A difference from {} whose interval holds 0 may be "
                         "owed to the choice of these clips alone.",
                         rows.front().variant.name)
           : "Not all variants have the same test clips: where they differ, accuracies answer different questions."};
  if (std::ranges::any_of(rows, [](const Row& row) { return !row.variant.runs.spec.tree.empty(); }))
    notes.push_back(
        "The test accuracy of a tree is that of hard routing, end to end over all genres; soft routing takes the "
        "product of probabilities down each path.");
  if (std::ranges::any_of(rows, [](const Row& row) { return row.paper.what == "product estimate"; }))
    notes.push_back(fmt::format(
        "The paper did not measure its tree end to end: {:.6g} % is a mean of products of its nodes' accuracies "
        "(its abstract says {:.2f} %).",
        100 * paper_mean_of_products, 100 * paper_abstract_accuracy));
  if (!is_gtzan(rows.front().variant.runs.dataset))
    notes.push_back("The paper's values are for GTZAN, which is other data than these, and are not shown.");
  else if (std::ranges::all_of(rows, [](const Row& row) { return paper_cell(row).empty(); }))
    notes.push_back("The paper has no values for these rows, or they are not known to this version.");
  return notes;
}

/// Columns that are empty in every row are left out.
ReportTable comparison_table(const Comparison& comparison) {
  const std::vector<Row> rows = rows_of(comparison);
  ReportTable table{
      "The variants side by side", {}, std::vector<std::vector<std::string>>(rows.size()), table_notes(rows), 3};
  for (const Column& column : columns(rows.front())) {
    if (std::ranges::all_of(rows, [&](const Row& row) { return column.cell(row).empty(); })) continue;
    table.heading.push_back(column.heading);
    for (std::size_t i = 0; i < rows.size(); ++i) table.rows[i].push_back(column.cell(rows[i]));
  }
  return table;
}

std::string comparison_csv(const Comparison& comparison) {
  const auto number = [](double value) { return std::isnan(value) ? std::string() : fmt::format("{}", value); };
  std::string text =
      "variant,difference,shown,trials,validation_accuracy_mean,validation_accuracy_sd,test_accuracy_mean,"
      "test_accuracy_sd,soft_accuracy_mean,soft_accuracy_sd,paper,test_accuracy_low,test_accuracy_high,"
      "above_first_low,above_first_high\n";
  for (const Row& row : rows_of(comparison)) {
    text += fmt::format("{},{},{},{}", row.variant.name, csv_field(row.variant.difference), csv_field(row.shown),
                        row.trials);
    for (const Spread& spread : {row.validation, row.test, row.soft})
      text += fmt::format(",{},{}", number(spread.mean), number(spread.sd));
    text += fmt::format(",{}", number(row.paper.accuracy));
    for (const Interval& interval : {row.interval, row.beyond_first})
      text += fmt::format(",{},{}", number(interval.low), number(interval.high));
    text += '\n';
  }
  return text;
}

// ------------------------------------------------------------------------------------------------------------- content

void add_once(std::vector<std::string>& texts, const std::string& text) {
  if (std::ranges::find(texts, text) == texts.end()) texts.push_back(text);
}

/// Facts that hold for all variants.
std::vector<std::pair<std::string, std::string>> common_facts(const std::vector<ReportContent>& contents) {
  std::vector<std::pair<std::string, std::string>> facts = contents.front().facts;
  std::erase_if(facts, [&](const auto& fact) {
    return std::ranges::any_of(contents, [&](const ReportContent& content) {
      return std::ranges::find(content.facts, fact) == content.facts.end();
    });
  });
  return facts;
}

/// Variants whose last bits may differ from those of the first with such a network for another reason than the keys
/// that they set.
std::vector<std::string> computed_differently(const Comparison& comparison) {
  std::vector<std::string> warnings;
  for (const auto& [name, difference, runs] : comparison.variants) {
    const auto same_network = [cnn = runs.spec.cnn.has_value()](const auto& other) {
      return other.runs.spec.cnn.has_value() == cnn;  // a CNN has libraries of its own
    };
    const auto& of = *std::ranges::find_if(comparison.variants, same_network);
    const Result &first = of.runs.results.front(), &result = runs.results.front();
    const std::string how = differences(first.backend, first.commit, result.backend, result.commit);
    if (!how.empty()) warnings.push_back(fmt::format("{} was not computed as {} was ({}).", name, of.name, how));
  }
  return warnings;
}

ReportContent make_comparison(const Comparison& comparison) {
  std::vector<ReportContent> contents;
  for (const auto& [name, difference, runs] : comparison.variants)
    contents.push_back(make_content(runs.spec, runs.dataset, runs.results));
  ReportContent content;
  content.title = comparison.experiment;
  content.facts = common_facts(contents);
  content.tables = {comparison_table(comparison)};
  content.figures_title = "The trees";
  content.warnings = computed_differently(comparison);
  if (!comparison.without_results.empty()) content.warnings.push_back(without_results_text(comparison));
  std::vector<std::string> first_lines;
  for (std::size_t i = 0; i < contents.size(); ++i) {
    const std::string& name = comparison.variants[i].name;
    content.synthetic = content.synthetic || contents[i].synthetic;
    add_once(first_lines, contents[i].first_line);
    for (const std::string& note : contents[i].notes) add_once(content.notes, note);
    for (const std::string& text : contents[i].warnings) content.warnings.push_back(fmt::format("{}: {}", name, text));
    if (!comparison.variants[i].runs.spec.tree.empty())
      for (ReportFigure figure : contents[i].figures) {
        figure.file = fmt::format("{}/{}", name, figure.file);
        figure.title = fmt::format("{}: the tree", name);
        figure.wide = true;
        content.figures.push_back(std::move(figure));
      }
    content.confusions.push_back(contents[i].confusions.front());  // of the point that the table shows
    content.confusions.back().title = fmt::format("{}: {}", name, content.confusions.back().title);
  }
  content.first_line = join(first_lines, " ");
  return content;
}

}  // namespace

std::string without_results_text(const Comparison& comparison) {
  return fmt::format("not compared, for they have no results yet: {}", join(comparison.without_results));
}

Comparison read_comparison(const std::vector<fs::path>& folders, bool allow_mixed) {
  const auto [experiment, variants] = read_variant_names(folders.front());
  Comparison comparison{experiment, {}, {}};
  for (const auto& [name, difference] : variants)
    if (const std::vector<fs::path> own = folders_of_variant(folders, name); has_results(own))
      comparison.variants.push_back({name, difference, merge_runs(own, allow_mixed)});
    else
      comparison.without_results.push_back(name);
  if (comparison.variants.empty()) reject("no variant in {} has results yet", folders.front().string());
  return comparison;
}

void write_comparison(const fs::path& folder, const Comparison& comparison) {
  const ReportContent content = make_comparison(comparison);
  make_writable_folder(folder);
  write_whole_text(folder / "comparison.csv", comparison_csv(comparison));
  write_whole_text(folder / "report.md", to_markdown(content));
  write_whole_text(folder / "report.html", to_html(content));
}

std::string comparison_as_text(const Comparison& comparison) {
  return fmt::format("{}\nIn brackets, {}\n", tables_text({comparison_table(comparison)}), short_interval_note());
}

std::vector<fs::path> folders_of_variant(const std::vector<fs::path>& folders, const std::string& name) {
  std::vector<fs::path> found;
  for (const fs::path& folder : folders)
    if (fs::exists(folder / name / "spec.yaml")) found.push_back(folder / name);
  return found;
}

bool has_results(const std::vector<fs::path>& folders) { return !read_results(folders, true).empty(); }

bool holds_variants(const fs::path& folder) { return fs::exists(folder / names_file); }

void write_variant_names(const fs::path& folder, const VariantNames& names) {
  make_writable_folder(folder);
  write_whole_text(
      folder / names_file,
      nlohmann::ordered_json{{"experiment", names.experiment}, {"variants", names.variants}}.dump(2) + "\n");
}

VariantNames read_variant_names(const fs::path& folder) {
  const fs::path file = folder / names_file;
  try {
    const nlohmann::json json = nlohmann::json::parse(read_text(file));
    return {json.at("experiment"), json.at("variants")};
  } catch (const nlohmann::json::exception& error) {
    reject("{}, which names the variants, is damaged: {}. Run the experiment again with --resume", file.string(),
           error.what());
  }
}

}  // namespace genretree
