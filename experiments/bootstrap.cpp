#include <algorithm>
#include <limits>
#include <map>
#include <span>

#include "core/error.hpp"
#include "core/random.hpp"
#include "experiments/bootstrap.hpp"

namespace genretree {
namespace {

constexpr double outside = 0.025;  // of the values beyond either end

double accuracy(const std::vector<TrackCount>& counts, std::span<const std::uint32_t> drawn) {
  std::uint64_t right = 0, total = 0;
  for (const std::uint32_t track : drawn) right += counts[track].right, total += counts[track].total;
  return static_cast<double>(right) / static_cast<double>(total);
}

/// The middle 95 % of what `statistic` says of draws of `tracks` from 0 … tracks - 1.
template <class Statistic>
Interval percentile_interval(std::size_t tracks, std::uint64_t seed, std::size_t resamples, Statistic statistic) {
  Random random({.seed = seed, .use = RandomUse::bootstrap});
  std::vector<std::uint32_t> drawn(tracks);
  std::vector<double> values(resamples);
  for (double& value : values) {
    for (std::uint32_t& track : drawn) track = random.below(static_cast<std::uint32_t>(tracks));
    value = statistic(std::span<const std::uint32_t>(drawn));
  }
  std::ranges::sort(values);
  const auto beyond = static_cast<std::size_t>(outside * static_cast<double>(resamples));
  return {values[beyond], values[resamples - 1 - beyond]};
}

/// Wilson's 95 % score interval, of tracks that are all right; none right is its mirror image. With p = 1 its centre
/// and half width, (p + z²/2n ± z √(p (1 - p) / n + z²/4n²)) / (1 + z²/n), leave the ends n / (n + z²) and 1.
Interval all_right_interval(std::size_t tracks) {
  constexpr double z = 1.959963984540054;  // the normal distribution's 97.5 % quantile
  const double n = static_cast<double>(tracks);
  return {n / (n + z * z), 1};
}

std::vector<TrackCount> answered(const std::vector<TrackCount>& counts) {
  std::vector<TrackCount> tracks = merged(counts);
  std::erase_if(tracks, [](const TrackCount& count) { return count.total == 0; });
  return tracks;
}

}  // namespace

std::vector<TrackCount> merged(std::vector<TrackCount> counts) {
  std::map<std::string, TrackCount> by_track;
  for (TrackCount& count : counts) {
    TrackCount& sum = by_track[count.track];
    sum = {count.track, sum.right + count.right, sum.total + count.total};
  }
  std::vector<TrackCount> sums;
  for (auto& [track, sum] : by_track) sums.push_back(std::move(sum));
  return sums;
}

Interval accuracy_interval(const std::vector<TrackCount>& counts, std::uint64_t seed, std::size_t resamples) {
  const std::vector<TrackCount> tracks = answered(counts);
  if (tracks.empty()) return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
  const Interval certain = all_right_interval(tracks.size());
  if (std::ranges::all_of(tracks, [](const TrackCount& count) { return count.right == count.total; })) return certain;
  if (std::ranges::all_of(tracks, [](const TrackCount& count) { return count.right == 0; }))
    return {1 - certain.high, 1 - certain.low};
  return percentile_interval(tracks.size(), seed, resamples,
                             [&](std::span<const std::uint32_t> drawn) { return accuracy(tracks, drawn); });
}

Interval difference_interval(const std::vector<TrackCount>& a, const std::vector<TrackCount>& b, std::uint64_t seed,
                             std::size_t resamples) {
  const std::vector<TrackCount> first = answered(a), second = answered(b);
  const auto [in_first, in_second] = std::ranges::mismatch(first, second, {}, &TrackCount::track, &TrackCount::track);
  if (in_first != first.end() || in_second != second.end())
    reject(
        "two classifiers can only be compared track by track if they were tested on the same tracks: {} was given to "
        "one of them only. Compare experiments with the same split, seed and trials",
        in_first != first.end() ? in_first->track : in_second->track);
  if (first.empty()) return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
  return percentile_interval(first.size(), seed, resamples, [&](std::span<const std::uint32_t> drawn) {
    return accuracy(first, drawn) - accuracy(second, drawn);
  });
}

}  // namespace genretree
