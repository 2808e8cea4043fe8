#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <span>

#include "core/error.hpp"
#include "experiments/plan.hpp"
#include "experiments/summary.hpp"

namespace genretree {

Spread spread_of(const std::vector<double>& values) {
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  if (values.empty()) return {none, none};
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  const double n = static_cast<double>(values.size()), mean = sum / n;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, values.size() < 2 ? none : std::sqrt(squares / (n - 1))};
}

Spread GridPoint::spread(const Metric& metric) const {
  std::vector<double> values;
  for (const Result& result : trials) values.push_back(metric.of(scores_of(result)));
  return spread_of(values);
}

bool GridPoint::is_absent(const Metric& metric) const {
  return std::ranges::any_of(trials, [&](const Result& result) { return metric.is_absent(scores_of(result)); });
}

std::vector<std::uint32_t> GridPoint::confusion(std::size_t classes) const {
  std::vector<std::uint32_t> sum(classes * classes, 0);
  for (const Result& result : trials) {
    if (result.confusion.size() != sum.size())
      fail("the confusion matrix of run {} has {} entries, but {} genres need {}", result.run, result.confusion.size(),
           classes, sum.size());
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += result.confusion[i];
  }
  return sum;
}

std::string GridPoint::test_clips() const {
  double clips = 0;
  for (const Result& result : trials) clips = std::accumulate(result.confusion.begin(), result.confusion.end(), clips);
  return fmt::format("{:.4g}", clips / static_cast<double>(trials.size()));
}

double GridPoint::largest_class() const {
  const std::size_t classes = trials.front().classes();
  const std::vector<std::uint32_t> counts = confusion(classes);
  double largest = 0, all = 0;
  for (std::size_t truth = 0; truth < classes; ++truth) {
    double clips = 0;
    for (std::size_t answer = 0; answer < classes; ++answer) clips += counts[truth * classes + answer];
    largest = std::max(largest, clips), all += clips;
  }
  return largest / all;
}

std::vector<TrackCount> track_counts(const Spec& spec, const std::vector<Result>& trials) {
  std::vector<TrackCount> counts;
  for (const Result& result : trials) {
    const auto node = std::ranges::find(spec.tree.nodes(), result.node, &TreeNode::name) - spec.tree.nodes().begin();
    const std::size_t classes = result.classes(), genres = result.node.empty() ? classes : spec.tree.genres().size();
    for (std::size_t clip = 0; clip < result.answers.tracks.size(); ++clip) {
      const std::uint32_t genre = result.answers.genres[clip];
      if (genre >= genres) fail("the run {} has a test clip of genre {}, but there are {}", result.run, genre, genres);
      const std::optional<std::size_t> truth =
          result.node.empty() ? genre : spec.tree.child_of(static_cast<std::size_t>(node), genre);
      if (!truth) continue;
      const auto answer = std::span(result.answers.probabilities).subspan(clip * classes, classes);
      const auto best = static_cast<std::size_t>(std::ranges::max_element(answer) - answer.begin());
      counts.push_back({result.answers.tracks[clip], best == *truth, 1});
    }
  }
  return merged(std::move(counts));
}

std::vector<GridPoint> summarise(const Spec& spec, const std::vector<Result>& results) {
  std::map<Cell, const Result*> result_of;
  for (const Result& result : results) result_of[result.cell()] = &result;
  std::vector<GridPoint> points;
  for (const Cell& cell : cells_of(spec)) {
    if (cell.trial == 0) points.push_back({cell.epochs, {}, cell.node});
    if (const auto found = result_of.find(cell); found != result_of.end())
      points.back().trials.push_back(*found->second);
  }
  std::erase_if(points, [](const GridPoint& point) { return point.trials.empty(); });
  for (GridPoint& point : points) point.test_interval = accuracy_interval(track_counts(spec, point.trials), spec.seed);
  return points;
}

const GridPoint* best_by_validation(const std::vector<GridPoint>& points) {
  const GridPoint* best = nullptr;
  double highest = -1;
  for (const GridPoint& point : points) {
    const double mean = point.spread(metrics[0]).mean;
    if (mean > highest) highest = mean, best = &point;
  }
  return best;
}

EpochSpread training_curve(const GridPoint& point, const Metric& metric) {
  EpochSpread curve;
  for (std::size_t epoch = 0; epoch < point.epochs; ++epoch) {
    std::vector<double> values;
    for (const Result& result : point.trials)
      if (epoch < result.history.size()) values.push_back(metric.of(result.history[epoch]));
    if (values.size() < point.trials.size()) break;  // a trial has ended early: the mean would be the others' alone
    const Spread spread = spread_of(values);
    curve.epochs.push_back(static_cast<double>(epoch + 1));
    curve.mean.push_back(spread.mean);
    curve.sd.push_back(spread.sd);
  }
  return curve;
}

std::vector<std::string> diverged_runs(const std::vector<GridPoint>& points) {
  std::vector<std::string> runs;
  for (const GridPoint& point : points)
    for (const Result& result : point.trials)
      if (!std::isfinite(result.train.loss) || !std::isfinite(result.test.loss))
        if (std::ranges::find(runs, result.run) == runs.end()) runs.push_back(result.run);
  return runs;
}

std::string shown_percent(const Spread& spread) {
  const std::string mean = shown(metrics[0], spread.mean);
  return std::isfinite(spread.sd) ? fmt::format("{} ± {}", mean, shown(metrics[0], spread.sd)) : mean;
}

std::string shown_percent(const Interval& interval) {
  if (std::isnan(interval.low)) return "";
  return fmt::format("[{:.1f}, {:.1f}]", 100 * interval.low, 100 * interval.high);
}

std::string interval_note() {
  return fmt::format(
      "In brackets: the 95 % bootstrap interval of the accuracy over all trials ({} resamples of the test tracks, a "
      "track with its answers of all trials); where all or no answers are right, Wilson's interval for so many tracks. "
      "It says how far the accuracy depends on which tracks were tested, not how far on the training: another training "
      "set or other random numbers of a training are not in it.",
      bootstrap_resamples);
}

std::string short_interval_note() {
  return "95 %: bootstrap interval of the test accuracy; of the choice of test tracks, not of the training";
}

std::string shown(const Metric& metric, double value) {
  if (!std::isfinite(value)) return "diverged";
  return metric.is_accuracy ? fmt::format("{:.1f}", 100 * value) : fmt::format("{:.3f}", value);
}

std::string shown(const Metric& metric, const Result& result) {
  const EpochScores scores = scores_of(result);
  return metric.is_absent(scores) ? "" : shown(metric, metric.of(scores));
}

std::string shown(const Metric& metric, const GridPoint& point) {
  if (point.is_absent(metric)) return "";
  const auto [mean, sd] = point.spread(metric);
  std::string text = shown(metric, mean);
  if (point.trials.size() > 1 && std::isfinite(mean)) text += fmt::format(" ± {}", shown(metric, sd));
  return text;
}

std::string shown_interval(const Metric& metric, const GridPoint& point) {
  return metric.is_accuracy && metric.set == &EpochScores::test ? shown_percent(point.test_interval) : "";
}

}  // namespace genretree
