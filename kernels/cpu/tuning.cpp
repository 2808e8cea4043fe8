#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/cpu/tuning.hpp"
#include "kernels/ops.hpp"

namespace genretree::cpu {
namespace {

bool is_weaker(const Peak& a, const Peak& b) { return a.power < b.power; }

/// The median power: of an even number of peaks the mean of the two in the middle.
double median_power(std::vector<Peak>& peaks) {
  const auto middle = peaks.begin() + static_cast<std::ptrdiff_t>(peaks.size() / 2);
  std::nth_element(peaks.begin(), middle, peaks.end(), is_weaker);
  if (peaks.size() % 2 == 1) return middle->power;
  return (std::max_element(peaks.begin(), middle, is_weaker)->power + middle->power) / 2;
}

}  // namespace

Peak peak_at(std::size_t bin, double before, double here, double after, double bin_hz) {
  const double slope = (after - before) / 2, shift = slope / (2 * here - before - after);
  return {(static_cast<double>(bin) + shift) * bin_hz, here + slope * shift / 2};
}

std::size_t tuning_of(std::vector<Peak>& peaks) {
  if (peaks.empty()) return SpectralTables::tunings / 2;  // in tune
  const double median = median_power(peaks);
  std::array<std::size_t, SpectralTables::tunings> counts{};
  for (const Peak& peak : peaks) {
    if (peak.power < median) continue;
    const double semitones = 12 * std::log2(peak.hz / 440) + 0.5;  // half a semitone below a note is 0
    const double place = (semitones - std::floor(semitones)) * static_cast<double>(counts.size());
    ++counts[std::min(static_cast<std::size_t>(place), counts.size() - 1)];
  }
  return static_cast<std::size_t>(std::max_element(counts.begin(), counts.end()) - counts.begin());
}

}  // namespace genretree::cpu
