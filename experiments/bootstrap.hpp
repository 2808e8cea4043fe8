// How sure an accuracy is, as far as the choice of the test clips goes: bootstrap percentile intervals. Efron and
// Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13; tracks as clusters: Field and Welsh,
// "Bootstrapping clustered data" (2007).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace genretree {

/// What a classifier made of one track: in several trials, if it was a test clip in several. The track is what is drawn
/// again, with all of its answers: answers about one track are much alike, and to count them as independent would make
/// an accuracy look surer than it is.
struct TrackCount {
  std::string track;
  std::uint32_t right = 0, total = 0;

  bool operator==(const TrackCount&) const = default;
};

/// Ends of an interval; NaN where there is none.
struct Interval {
  double low, high;
};

/// With 10,000 resamples the ends of a 95 % interval are known to about 1/30 of its width.
inline constexpr std::size_t bootstrap_resamples = 10'000;

/// One count for each track, sorted by name, in which all that were added for the track are summed.
std::vector<TrackCount> merged(std::vector<TrackCount> counts);

/// The 95 % interval of the accuracy, right answers / answers: the middle 95 % of its values on so many draws, with
/// repetition, of as many tracks as there are. Where all answers are right, or none is, every draw says the same and
/// such an interval would have no width: it is Wilson's score interval for so many tracks then (Wilson, "Probable
/// inference, the law of succession, and statistical inference", 1927; Brown, Cai and DasGupta, "Interval estimation
/// for a binomial proportion", 2001). A pure function of its arguments, whatever the order of the counts. NaN without
/// any answer.
Interval accuracy_interval(const std::vector<TrackCount>& counts, std::uint64_t seed,
                           std::size_t resamples = bootstrap_resamples);

/// The same for the difference of the accuracies of two classifiers on the same tracks, a - b: both are counted on the
/// same draws, so that tracks that are hard for both do not make the difference uncertain. If 0 lies outside, the test
/// clips alone do not explain the difference. InputError if a track is in one of them only.
Interval difference_interval(const std::vector<TrackCount>& a, const std::vector<TrackCount>& b, std::uint64_t seed,
                             std::size_t resamples = bootstrap_resamples);

}  // namespace genretree
