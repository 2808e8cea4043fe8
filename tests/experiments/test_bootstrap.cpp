// Bootstrap intervals against exact distributions and simulated classifiers of which the true accuracy is known.
#include <cmath>

#include "core/error.hpp"
#include "core/random.hpp"
#include "experiments/bootstrap.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

/// `right` of `tracks` tracks with one answer each are right.
std::vector<TrackCount> simple(std::uint32_t right, std::uint32_t tracks) {
  std::vector<TrackCount> counts;
  for (std::uint32_t i = 0; i < tracks; ++i) counts.push_back({fmt::format("t.{:05}", i), i < right ? 1u : 0u, 1});
  return counts;
}

/// The smallest k with P(X <= k) >= probability, for a binomial X.
int binomial_quantile(int n, double p, double probability) {
  double sum = 0;
  for (int k = 0; k <= n; ++k) {
    sum += std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) + k * std::log(p) +
                    (n - k) * std::log(1 - p));
    if (sum >= probability) return k;
  }
  return n;
}

TEST_CASE("one answer a track: the interval is that of the binomial distribution", "[bootstrap]") {
  for (const auto& [right, tracks] : {std::pair(36, 60), {60, 100}, {125, 250}, {290, 300}}) {
    const Interval interval =
        accuracy_interval(simple(static_cast<std::uint32_t>(right), static_cast<std::uint32_t>(tracks)), 2018);
    const double p = static_cast<double>(right) / tracks;
    INFO(right << " of " << tracks);  // a resample is off by one clip at most
    CHECK(std::abs(interval.low * tracks - binomial_quantile(tracks, p, 0.025)) < 1.01);
    CHECK(std::abs(interval.high * tracks - binomial_quantile(tracks, p, 0.975)) < 1.01);
  }
}

TEST_CASE("many tracks: the interval is that of the normal distribution", "[bootstrap]") {
  const Interval interval = accuracy_interval(simple(1000, 2000), 1, 4000);
  const double half = 1.96 * std::sqrt(0.25 / 2000);
  CHECK(interval.low == Approx(0.5 - half).margin(0.1 * half));
  CHECK(interval.high == Approx(0.5 + half).margin(0.1 * half));
}

TEST_CASE("nothing to draw from has no interval", "[bootstrap]") {
  CHECK(std::isnan(accuracy_interval({}, 1).low));
  CHECK(std::isnan(accuracy_interval({{"a", 0, 0}}, 1).high));
}

TEST_CASE("all right, or none: few tracks leave much to doubt, by Wilson's interval", "[bootstrap]") {
  for (const auto& [tracks, low] : {std::pair(7u, 0.6457), {10u, 0.7225}, {60u, 0.9398}}) {
    INFO(tracks);
    const Interval all = accuracy_interval(simple(tracks, tracks), 1), none = accuracy_interval(simple(0, tracks), 1);
    CHECK(all.low == Approx(low).margin(5e-5));
    CHECK(all.high == 1);
    CHECK(none.low == 0);
    CHECK(none.high == Approx(1 - low).margin(5e-5));
  }
  // its end is where the normal approximation just does not reject: (1 - p) / sqrt(p (1 - p) / n) = 1.96
  const double p = accuracy_interval(simple(7, 7), 1).low;
  CHECK((1 - p) / std::sqrt(p * (1 - p) / 7) == Approx(1.959964).epsilon(1e-5));
  // of tracks, not of their answers in several trials
  std::vector<TrackCount> twice = simple(7, 7);
  for (TrackCount& count : twice) count.right = count.total = 2;
  CHECK(accuracy_interval(twice, 1).low == p);
}

TEST_CASE("the interval is the same always: of the seed and the counts, whatever their order", "[bootstrap]") {
  std::vector<TrackCount> counts = simple(30, 60);
  const Interval one = accuracy_interval(counts, 7);
  std::ranges::reverse(counts);
  const Interval other = accuracy_interval(counts, 7);
  CHECK(one.low == other.low);
  CHECK(one.high == other.high);
  std::vector<double> ends;  // of few resamples, so that another seed shows
  for (std::uint64_t seed = 0; seed < 20; ++seed) ends.push_back(accuracy_interval(counts, seed, 100).low);
  CHECK(std::ranges::adjacent_find(ends, std::not_equal_to()) != ends.end());
}

TEST_CASE("a track that was tested in several trials is one track: its answers do not make the accuracy surer",
          "[bootstrap]") {
  std::vector<TrackCount> four_trials, separate;
  for (const TrackCount& count : simple(30, 60))
    for (int trial = 0; trial < 4; ++trial) {
      four_trials.push_back(count);  // the same answer in each trial
      separate.push_back({fmt::format("{} {}", count.track, trial), count.right, 1});
    }
  CHECK(merged(four_trials).size() == 60);
  CHECK(merged(four_trials)[3] == TrackCount{"t.00003", 4, 4});
  const Interval once = accuracy_interval(simple(30, 60), 3), four = accuracy_interval(four_trials, 3),
                 wrong = accuracy_interval(separate, 3);
  CHECK(four.low == once.low);
  CHECK(four.high == once.high);
  CHECK(wrong.high - wrong.low == Approx((once.high - once.low) / 2).epsilon(0.1));
}

TEST_CASE("the true accuracy lies in 95 of 100 intervals, but not if a track's answers are taken for independent",
          "[bootstrap]") {
  constexpr std::size_t simulations = 400, tracks = 60, trials = 4;
  Random random({.seed = 5});
  std::size_t covered = 0, covered_separately = 0;
  for (std::size_t i = 0; i < simulations; ++i) {
    std::vector<TrackCount> counts, separate;
    for (std::size_t track = 0; track < tracks; ++track) {
      const double ease = random.uniform() < 0.5 ? 0.9 : 0.3;  // the true accuracy is 0.6
      for (std::size_t trial = 0; trial < trials; ++trial) {
        const TrackCount count{fmt::format("{}", track), random.uniform() < ease, 1};
        counts.push_back(count);
        separate.push_back({fmt::format("{} {}", track, trial), count.right, 1});
      }
    }
    const auto covers = [](const Interval& interval) { return interval.low <= 0.6 && 0.6 <= interval.high; };
    covered += covers(accuracy_interval(counts, i, 500));
    covered_separately += covers(accuracy_interval(separate, i, 500));
  }
  CHECK(covered > 0.91 * simulations);
  CHECK(covered < 0.98 * simulations);
  CHECK(covered_separately < 0.88 * simulations);
}

TEST_CASE("two classifiers on the same tracks: tracks that are hard for both do not blur the difference",
          "[bootstrap]") {
  const std::vector<TrackCount> a = simple(40, 100), b = simple(30, 100);  // all that b knows, a knows
  const Interval difference = difference_interval(a, b, 9), of_a = accuracy_interval(a, 9);
  CHECK(difference.low > 0);
  CHECK(std::abs(difference.low * 100 - binomial_quantile(100, 0.1, 0.025)) < 1.01);
  CHECK(std::abs(difference.high * 100 - binomial_quantile(100, 0.1, 0.975)) < 1.01);
  CHECK(difference.high - difference.low < of_a.high - of_a.low);
  const Interval same = difference_interval(a, a, 9), reversed = difference_interval(b, a, 9);
  CHECK(same.low == 0);
  CHECK(same.high == 0);
  CHECK(reversed.low == -difference.high);
  CHECK(reversed.high == -difference.low);

  std::vector<TrackCount> other = b;
  other.back().track = std::string("t.x");
  CHECK_THROWS_AS(difference_interval(a, other, 9), InputError);
  other = b;
  other.pop_back();
  CHECK_THROWS_WITH(difference_interval(a, other, 9), Catch::Contains("t.00099") && Catch::Contains("same split"));
}

}  // namespace
}  // namespace genretree
