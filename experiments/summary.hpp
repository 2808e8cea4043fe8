// The results of a grid, brought into the order and the numbers that its tables and plots show.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "experiments/bootstrap.hpp"
#include "experiments/ledger.hpp"
#include "experiments/spec.hpp"

namespace genretree {

/// What is reported of each training.
struct Metric {
  const char* key;    ///< "validation_accuracy": column of the CSV files
  const char* title;  ///< "validation accuracy"
  Score EpochScores::*set;
  bool is_accuracy;  ///< a share of 1, shown in percent

  double of(const EpochScores& scores) const { return is_accuracy ? (scores.*set).accuracy : (scores.*set).loss; }
  /// Without a validation set there is no accuracy either; a training that diverged has one, but no loss.
  bool is_absent(const EpochScores& scores) const { return std::isnan((scores.*set).accuracy); }
};
inline constexpr std::array<Metric, 6> metrics = {{
    {"validation_accuracy", "validation accuracy", &EpochScores::validation, true},
    {"validation_loss", "validation loss", &EpochScores::validation, false},
    {"test_accuracy", "test accuracy", &EpochScores::test, true},
    {"test_loss", "test loss", &EpochScores::test, false},
    {"train_accuracy", "training accuracy", &EpochScores::train, true},
    {"train_loss", "training loss", &EpochScores::train, false},
}};

inline EpochScores scores_of(const Result& result) { return {result.train, result.validation, result.test}; }

/// Mean and sample standard deviation (n - 1). NaN where there is none: no value, one that is NaN, or for `sd` fewer
/// than two.
struct Spread {
  double mean, sd;
};
Spread spread_of(const std::vector<double>& values);

/// One row of Figure 10, or of Table 3: a number of epochs or a node of a tree, with its trials in order.
struct GridPoint {
  std::uint32_t epochs = 0;
  std::vector<Result> trials;
  std::string node = {};                                  ///< of a tree
  Interval test_interval = {std::nan(""), std::nan("")};  ///< of the test accuracy over all trials

  /// What the row is called: its epochs, or its node.
  std::string name() const { return node.empty() ? std::to_string(epochs) : node; }

  Spread spread(const Metric& metric) const;
  bool is_absent(const Metric& metric) const;
  /// Sum of the trials' confusion matrices, [classes, classes].
  std::vector<std::uint32_t> confusion(std::size_t classes) const;
  /// How many test clips a trial has, "60"; the mean over trials where they differ, "6.667".
  std::string test_clips() const;
  /// The accuracy of always answering the class with the most test clips, over all trials.
  double largest_class() const;
};

/// What one classifier says of its test clips in some trials, track by track: for intervals. Clips of genres that a
/// tree's node is not asked for are left out. An answer is right by the rule of all accuracies: the most probable
/// class, of equals the first.
std::vector<TrackCount> track_counts(const Spec& spec, const std::vector<Result>& trials);

/// The results that belong to the spec's grid or tree, in the order of its points or nodes; those without any result
/// are left out.
std::vector<GridPoint> summarise(const Spec& spec, const std::vector<Result>& results);

/// The point with the highest mean validation accuracy (the first of equals), or nullptr if there is no validation set.
const GridPoint* best_by_validation(const std::vector<GridPoint>& points);

/// Mean and spread over trials after each epoch of the longest trainings.
struct EpochSpread {
  std::vector<double> epochs, mean, sd;
};
EpochSpread training_curve(const GridPoint& point, const Metric& metric);

/// Runs of the points that diverged: their training or test loss is no number.
std::vector<std::string> diverged_runs(const std::vector<GridPoint>& points);

/// For tables: "42.5 ± 4.0" of shares of 1, in percent; for a single one "42.5".
std::string shown_percent(const Spread& spread);

/// For tables: "[47.1, 58.0]", in percent; "" for none.
std::string shown_percent(const Interval& interval);

/// What an interval in a table means, and what it does not.
std::string interval_note();
/// The same in one line, for a terminal.
std::string short_interval_note();

/// For tables: accuracies in percent, "42.5"; losses "1.886"; "diverged" for a value that is no finite number.
std::string shown(const Metric& metric, double value);
/// The same, or "" where there is no validation set; a point's as "42.5 ± 4.0", "1.886 ± 0.044", or for a single trial
/// as that trial's.
std::string shown(const Metric& metric, const Result& result);
std::string shown(const Metric& metric, const GridPoint& point);
/// The interval beside a point's test accuracy, "[36.7, 48.3]"; "" beside all else.
std::string shown_interval(const Metric& metric, const GridPoint& point);

}  // namespace genretree
