// The results of a grid, brought into the order and the numbers that its tables and plots show.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "experiments/ledger.hpp"
#include "experiments/spec.hpp"

namespace genretree {

/// What is reported of each training.
struct Metric {
  const char* key;    ///< "validation_accuracy": column of the CSV files
  const char* title;  ///< "validation accuracy"
  bool is_accuracy;   ///< a share of 1, shown in percent
  double (*of)(const EpochScores&);
};
inline constexpr std::array<Metric, 6> metrics = {{
    {"validation_accuracy", "validation accuracy", true, [](const EpochScores& s) { return s.validation.accuracy; }},
    {"validation_loss", "validation loss", false, [](const EpochScores& s) { return s.validation.loss; }},
    {"test_accuracy", "test accuracy", true, [](const EpochScores& s) { return s.test.accuracy; }},
    {"test_loss", "test loss", false, [](const EpochScores& s) { return s.test.loss; }},
    {"train_accuracy", "training accuracy", true, [](const EpochScores& s) { return s.train.accuracy; }},
    {"train_loss", "training loss", false, [](const EpochScores& s) { return s.train.loss; }},
}};

inline EpochScores scores_of(const Result& result) { return {result.train, result.validation, result.test}; }

/// Mean and sample standard deviation (n - 1). NaN where there is none: no value, or for `sd` fewer than two.
struct Spread {
  double mean, sd;
};
Spread spread_of(const std::vector<double>& values);

/// One row of Figure 10: a number of epochs with its trials in order.
struct GridPoint {
  std::uint32_t epochs = 0;
  std::vector<Result> trials;

  Spread spread(const Metric& metric) const;
  /// Sum of the trials' confusion matrices, [classes, classes].
  std::vector<std::uint32_t> confusion(std::size_t classes) const;
};

/// The results that belong to the spec's grid, in the order of its points; points without any result are left out.
std::vector<GridPoint> summarise(const Spec& spec, std::vector<Result> results);

/// The point with the highest mean validation accuracy (the first of equals), or nullptr if there is no validation set.
const GridPoint* best_by_validation(const std::vector<GridPoint>& points);

/// Mean and spread over trials after each epoch of the longest trainings.
struct EpochSpread {
  std::vector<double> epochs, mean, sd;
};
EpochSpread training_curve(const GridPoint& point, const Metric& metric);

/// For tables: accuracies in percent, "42.5" or "42.5 ± 4.0"; losses "1.886" or "1.886 ± 0.044"; "" for NaN.
std::string shown(const Metric& metric, double value);
std::string shown(const Metric& metric, const Spread& spread);

}  // namespace genretree
