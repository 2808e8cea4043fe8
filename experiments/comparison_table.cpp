#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <limits>

#include "core/text.hpp"
#include "experiments/bootstrap.hpp"
#include "experiments/comparison_table.hpp"
#include "experiments/paper.hpp"
#include "experiments/summary.hpp"
#include "experiments/tree_summary.hpp"

namespace genretree {
namespace {

constexpr Spread none = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};

/// What a classifier is worth on the test clips.
struct Accuracy {
  Spread spread = none;                        ///< over trials
  std::vector<TrackCount> counts = {};         ///< over all trials
  Interval interval = {none.mean, none.mean};  ///< of the accuracy over all trials
};

/// One variant in the tables.
struct Row {
  const ComparedVariant& variant;
  std::string shown;  ///< "50 epochs, best of 7", "tree of 7 nodes"
  std::size_t trials = 0;
  Spread validation = none;
  Accuracy test;  ///< of a tree by hard routing
  Accuracy soft;  ///< of a tree by soft routing
  PaperResult paper = {none.mean, ""};

  bool is_tree() const { return !variant.runs.spec.tree.empty(); }
};

// ---------------------------------------------------------------------------------------------------------------- rows

Accuracy tree_accuracy(const Row& row, const std::vector<TreeTrial>& trials, bool soft) {
  const Spec& spec = row.variant.runs.spec;
  Accuracy accuracy{spread_of(values_of(tree_metrics[soft ? 1 : 0], spec.tree, trials))};
  for (const TreeTrial& trial : trials)
    for (const DecodedClip& clip : trial.clips)
      accuracy.counts.push_back({clip.track, (soft ? clip.soft : clip.hard) == clip.genre, 1});
  accuracy.counts = merged(std::move(accuracy.counts));
  accuracy.interval = accuracy_interval(accuracy.counts, spec.seed);
  return accuracy;
}

Row tree_row(const ComparedVariant& variant) {
  const GenreTree& tree = variant.runs.spec.tree;
  const std::vector<TreeTrial> trials = decode_trials(tree, variant.runs.results);
  Row row{variant, fmt::format("tree of {}", count_of(tree.nodes().size(), "node")), trials.size()};
  row.test = tree_accuracy(row, trials, false);
  row.soft = tree_accuracy(row, trials, true);
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
  row.test = {point.spread(metrics[2]), track_counts(variant.runs.spec, point.trials), point.test_interval};
  row.paper = paper_result(variant.runs.dataset.genres, {}, point.epochs);
  return row;
}

std::vector<Row> rows_of(const Comparison& comparison) {
  std::vector<Row> rows;
  for (const ComparedVariant& variant : comparison.variants) {
    rows.push_back(variant.runs.spec.tree.empty() ? grid_row(variant) : tree_row(variant));
    if (!is_gtzan(variant.runs.dataset)) rows.back().paper = {none.mean, ""};
  }
  return rows;
}

/// True if both were asked for the same test clips, each in the same share of the trials.
bool same_clips(const Row& a, const Row& b) {
  return std::ranges::equal(a.test.counts, b.test.counts, [&](const TrackCount& x, const TrackCount& y) {
    return x.track == y.track && x.total * b.trials == y.total * a.trials;
  });
}

template <class Value>
bool all_equal(const std::vector<Row>& rows, Value value) {
  return std::ranges::all_of(rows, [&](const Row& row) { return value(row) == value(rows.front()); });
}

// --------------------------------------------------------------------------------------------------------- differences

/// How much more one variant is right than another on the same test clips.
struct Difference {
  const Row &minuend, &subtrahend;
  double test, standard_error;  ///< of the means over trials; the latter NaN with one trial
  Interval test_interval;
  double soft;  ///< the same with soft routing, where a tree is among the two
  Interval soft_interval;
};

/// With soft routing: the accuracy of a variant that is no tree is always the same.
const Accuracy& soft_or_only(const Row& row) { return row.is_tree() ? row.soft : row.test; }

Difference difference(const Row& a, const Row& b) {
  const auto interval = [seed = b.variant.runs.spec.seed](const Accuracy& x, const Accuracy& y) {
    return difference_interval(x.counts, y.counts, seed);
  };
  const auto variance_of_mean = [](const Row& row) {
    return row.test.spread.sd * row.test.spread.sd / static_cast<double>(row.trials);
  };
  const Accuracy &soft_a = soft_or_only(a), &soft_b = soft_or_only(b);
  return {a,
          b,
          a.test.spread.mean - b.test.spread.mean,
          std::sqrt(variance_of_mean(a) + variance_of_mean(b)),
          interval(a.test, b.test),
          soft_a.spread.mean - soft_b.spread.mean,
          interval(soft_a, soft_b)};
}

/// Between every two variants with the same test clips; of many variants from the first only.
std::vector<Difference> differences_of(const std::vector<Row>& rows) {
  constexpr std::size_t many = 6;
  std::vector<Difference> differences;
  for (std::size_t i = 0; i < rows.size() && (i == 0 || rows.size() < many); ++i)
    for (std::size_t j = i + 1; j < rows.size(); ++j)
      if (same_clips(rows[j], rows[i])) differences.push_back(difference(rows[j], rows[i]));
  return differences;
}

// -------------------------------------------------------------------------------------------------------------- tables

template <class Item>
struct Column {
  std::string heading;
  std::function<std::string(const Item&)> cell;
};

/// Columns that are empty in every row are left out.
template <class Item>
ReportTable table_of(const std::string& title, const std::vector<Item>& items, const std::vector<Column<Item>>& columns,
                     const std::vector<std::string>& notes, std::size_t words) {
  ReportTable table{title, {}, std::vector<std::vector<std::string>>(items.size()), notes, words};
  for (const Column<Item>& column : columns) {
    if (std::ranges::all_of(items, [&](const Item& item) { return column.cell(item).empty(); })) continue;
    table.heading.push_back(column.heading);
    for (std::size_t i = 0; i < items.size(); ++i) table.rows[i].push_back(column.cell(items[i]));
  }
  return table;
}

std::string cell_of(const Spread& spread) { return std::isnan(spread.mean) ? "" : shown_percent(spread); }

/// "50.8 ± 7.3 [44.0, 57.5]"
std::string cell_of(const Accuracy& accuracy) {
  const std::string mean = cell_of(accuracy.spread), interval = shown_percent(accuracy.interval);
  return mean.empty() || interval.empty() ? mean : fmt::format("{} {}", mean, interval);
}

/// "+3.5 [-1.0, 8.0]", in points
std::string cell_of(double difference, const Interval& interval) {
  return fmt::format("{:+.1f} {}", 100 * difference, shown_percent(interval));
}

constexpr const char* estimate = "product estimate";  ///< PaperResult::what of the paper's tree

std::string paper_cell(const Row& row) {
  if (std::isnan(row.paper.accuracy)) return "";
  const std::string value = fmt::format("{:.6g}", 100 * row.paper.accuracy);
  return row.paper.what == estimate ? value + "¹" : fmt::format("{} ({})", value, row.paper.what);
}

ReportTable variants_table(const std::vector<Row>& rows) {
  return table_of<Row>("The variants", rows,
                       {{"variant", [](const Row& row) { return row.variant.name; }},
                        {"what differs", [](const Row& row) { return row.variant.difference; }},
                        {"trials", [](const Row& row) { return std::to_string(row.trials); }}},
                       {"Each variant has a report of its own in the folder of its name."}, 2);
}

std::vector<std::string> accuracy_notes(const std::vector<Row>& rows) {
  std::vector<std::string> notes = {
      "Mean ± standard deviation over trials (n − 1), accuracies in percent. Of several numbers of epochs the best by "
      "validation accuracy is shown, or the last without a validation set.",
      interval_note()};
  if (!std::ranges::all_of(rows, [&](const Row& row) { return same_clips(row, rows.front()); }))
    notes.push_back(
        "Not all variants have the same test clips: where they differ, accuracies answer different questions, and no "
        "difference is shown.");
  if (!all_equal(rows, [](const Row& row) { return row.trials; }))
    notes.push_back("Not all variants have the same number of trials: the mean of fewer is less sure.");
  if (!all_equal(rows, [](const Row& row) { return row.variant.runs.dataset.train; }))
    notes.push_back(
        "Not all variants are trained on the same number of clips (shown for the first trial): more music to learn "
        "from is an advantage of its own.");
  if (std::ranges::any_of(rows, &Row::is_tree))
    notes.push_back(
        "The test accuracy of a tree is that of hard routing, end to end over all genres; soft routing takes the "
        "product of probabilities down each path.");
  if (std::ranges::any_of(rows, [](const Row& row) { return row.paper.what == estimate; }))
    notes.push_back(fmt::format(
        "¹ The paper did not measure its tree end to end: {:.6g} % is a mean of products of its nodes' accuracies "
        "(its abstract says {:.2f} %).",
        100 * paper_mean_of_products, 100 * paper_abstract_accuracy));
  if (!is_gtzan(rows.front().variant.runs.dataset))
    notes.push_back("The paper's values are for GTZAN, which is other data than these, and are not shown.");
  else if (std::ranges::all_of(rows, [](const Row& row) { return paper_cell(row).empty(); }))
    notes.push_back("The paper has no values for these rows, or they are not known to this version.");
  return notes;
}

ReportTable accuracy_table(const std::vector<Row>& rows) {
  /// A number of clips, shown if the variants differ in it.
  const auto clips = [&](std::size_t DatasetSummary::*set) {
    const auto number = [set](const Row& row) { return row.variant.runs.dataset.*set; };
    return [number, same = all_equal(rows, number)](const Row& row) {
      return same ? std::string() : std::to_string(number(row));
    };
  };
  return table_of<Row>("The variants side by side", rows,
                       {{"variant", [](const Row& row) { return row.variant.name; }},
                        {"shown", [](const Row& row) { return row.shown; }},
                        {"training clips", clips(&DatasetSummary::train)},
                        {"test clips", clips(&DatasetSummary::test)},
                        {"validation, %", [](const Row& row) { return cell_of(row.validation); }},
                        {"test accuracy, %", [](const Row& row) { return cell_of(row.test); }},
                        {"soft routing, %", [](const Row& row) { return cell_of(row.soft); }},
                        {"paper, %", paper_cell}},
                       accuracy_notes(rows), 2);
}

ReportTable differences_table(const std::vector<Difference>& differences) {
  const auto standard_error = [](const Difference& d) {
    return std::isnan(d.standard_error) ? std::string() : fmt::format("{:.1f}", 100 * d.standard_error);
  };
  const auto soft = [](const Difference& d) {
    return d.minuend.is_tree() || d.subtrahend.is_tree() ? cell_of(d.soft, d.soft_interval) : "";
  };
  return table_of<Difference>(
      "Differences on the same test clips", differences,
      {{"difference",
        [](const Difference& d) {
          return fmt::format("{} minus {}", d.minuend.variant.name, d.subtrahend.variant.name);
        }},
       {"test accuracy, points", [](const Difference& d) { return cell_of(d.test, d.test_interval); }},
       {"standard error over trials", standard_error},
       {"soft routing, points", soft}},
      {"In brackets: the 95 % bootstrap interval, both variants on the same draws of test tracks. One that holds 0 may "
       "be owed to the choice of these tracks alone. One without 0 is no proof: it leaves out the chance of training, "
       "by which trainings of one variant differ as well. How far is the standard error of the difference over trials, "
       "√(s₁²/n₁ + s₂²/n₂) of the standard deviations and numbers of trials. A difference that counts is large beside "
       "both."},
      1);
}

}  // namespace

std::vector<ReportTable> comparison_tables(const Comparison& comparison) {
  const std::vector<Row> rows = rows_of(comparison);
  std::vector<ReportTable> tables = {variants_table(rows), accuracy_table(rows)};
  if (const std::vector<Difference> differences = differences_of(rows); !differences.empty())
    tables.push_back(differences_table(differences));
  return tables;
}

std::string comparison_csv(const Comparison& comparison) {
  const std::vector<Row> rows = rows_of(comparison);
  std::string text =
      "variant,difference,shown,trials,training_clips,test_clips,validation_accuracy_mean,validation_accuracy_sd,"
      "test_accuracy_mean,test_accuracy_sd,soft_accuracy_mean,soft_accuracy_sd,paper,test_accuracy_low,"
      "test_accuracy_high,soft_accuracy_low,soft_accuracy_high,above_first,above_first_low,above_first_high\n";
  for (const Row& row : rows) {
    const DatasetSummary& data = row.variant.runs.dataset;
    text += fmt::format("{},{},{},{},{},{}", row.variant.name, csv_field(row.variant.difference), csv_field(row.shown),
                        row.trials, data.train, data.test);
    std::vector<double> numbers = {row.validation.mean,   row.validation.sd,     row.test.spread.mean,
                                   row.test.spread.sd,    row.soft.spread.mean,  row.soft.spread.sd,
                                   row.paper.accuracy,    row.test.interval.low, row.test.interval.high,
                                   row.soft.interval.low, row.soft.interval.high};
    if (&row != &rows.front() && same_clips(row, rows.front())) {
      const Difference from_first = difference(row, rows.front());
      numbers.insert(numbers.end(), {from_first.test, from_first.test_interval.low, from_first.test_interval.high});
    } else {
      numbers.insert(numbers.end(), 3, none.mean);
    }
    for (const double number : numbers) text += std::isnan(number) ? "," : fmt::format(",{}", number);
    text += '\n';
  }
  return text;
}

}  // namespace genretree
