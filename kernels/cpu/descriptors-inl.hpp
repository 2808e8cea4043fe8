// Centroid, chroma and contrast of power spectra that lie side by side, a frame in each lane of a vector. Highway
// includes this file once per instruction set.

#if defined(GENRETREE_KERNELS_CPU_DESCRIPTORS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef GENRETREE_KERNELS_CPU_DESCRIPTORS_INL_HPP
#undef GENRETREE_KERNELS_CPU_DESCRIPTORS_INL_HPP
#else
#define GENRETREE_KERNELS_CPU_DESCRIPTORS_INL_HPP
#endif

#include <algorithm>
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>
#include <limits>
#include <numbers>
#include <span>
#include <vector>

#include "core/grow.hpp"
#include "kernels/cpu/fft-inl.hpp"
#include "kernels/cpu/tuning.hpp"

HWY_BEFORE_NAMESPACE();
namespace genretree::cpu::HWY_NAMESPACE {

/// Of one clip after the other: begin, then spectrum and take_block for each block of frames, then finish_clip; then
/// values for each block. All arrays are [numbers][lanes].
class LaneDescriptors {
 public:
  /// The tables must live as long as this does.
  explicit LaneDescriptors(const SpectralTables& tables)
      : tables_(tables),
        bins_(tables.n_fft / 2 + 1),
        centroid_(tables.wants(SpectralFeature::centroid)),
        chroma_(tables.wants(SpectralFeature::chroma)),
        contrast_(tables.wants(SpectralFeature::contrast)),
        results_(host_device(), std::max(SpectralTables::pitch_classes, tables.contrast.size()) * lanes()) {
    std::size_t most = 0;
    for (const SpectralTables::ContrastBand& band : tables.contrast) most = std::max(most, band.extremes);
    extremes_ = Buffer<float>(host_device(), 2 * most * lanes());
  }

  bool wanted() const { return centroid_ || chroma_ || contrast_; }

  /// Makes room for a clip of as many blocks.
  void begin(std::size_t blocks) {
    const std::size_t bands = tables_.contrast.size();
    grow(spectra_, host_device(), blocks * bins_ * lanes());
    grow(centroids_, host_device(), blocks * lanes());
    grow(largest_, host_device(), blocks * bands * lanes());
    grow(smallest_, host_device(), blocks * bands * lanes());
    most_of_largest_ = most_of_smallest_ = std::numeric_limits<float>::lowest();
    peaks_.clear();
  }

  /// Where the block's power spectrum [bins][lanes] belongs.
  float* spectrum(std::size_t block) { return spectra_.data() + block * bins_ * lanes(); }

  /// What can be said before the whole clip is known. Lanes beyond the first `count` are no frames of the clip.
  void take_block(std::size_t block, std::size_t count) {
    const float* power = spectrum(block);
    const std::size_t bands = tables_.contrast.size();
    if (centroid_) find_centroid(power, centroids_.data() + block * lanes());
    if (chroma_) find_peaks(power, count);
    for (std::size_t band = 0; contrast_ && band < bands; ++band) {
      const std::size_t place = (block * bands + band) * lanes();
      find_extremes(power, tables_.contrast[band], largest_.data() + place, smallest_.data() + place);
      most_of_largest_ = std::max(most_of_largest_, maximum_of(largest_.data() + place, count));
      most_of_smallest_ = std::max(most_of_smallest_, maximum_of(smallest_.data() + place, count));
    }
  }

  void finish_clip() {
    if (chroma_) bank_ = tables_.chroma.data() + tuning_of(peaks_) * bins_ * SpectralTables::pitch_classes;
  }

  /// The feature of the block's frames, valid until the next call.
  std::span<const float> values(SpectralFeature feature, std::size_t block) {
    if (feature == SpectralFeature::centroid) return {centroids_.data() + block * lanes(), lanes()};
    if (feature == SpectralFeature::chroma) return find_chroma(spectrum(block));
    return find_contrast(block);
  }

 private:
  static std::size_t lanes() { return hn::Lanes(FloatTag()); }

  static float maximum_of(const float* values, std::size_t count) { return *std::max_element(values, values + count); }

  /// Σ f·|X| / Σ |X|, 0 where all is 0.
  void find_centroid(const float* HWY_RESTRICT power, float* HWY_RESTRICT centroid) const {
    const FloatTag d;
    auto sum = hn::Zero(d), weighted = hn::Zero(d);
    for (std::size_t bin = 0; bin < bins_; ++bin) {
      const auto magnitude = hn::Sqrt(hn::Load(d, power + bin * lanes()));
      sum = hn::Add(sum, magnitude);
      weighted = hn::MulAdd(hn::Set(d, static_cast<float>(bin)), magnitude, weighted);
    }
    const auto divisor = hn::IfThenElse(hn::Gt(sum, hn::Zero(d)), sum, hn::Set(d, 1.0f));
    hn::Store(hn::Mul(hn::Set(d, static_cast<float>(tables_.bin_hz)), hn::Div(weighted, divisor)), d, centroid);
  }

  /// The peaks of each frame that may tell the clip's tuning. Source: librosa.piptrack.
  void find_peaks(const float* HWY_RESTRICT power, std::size_t count) {
    const FloatTag d;
    auto maximum = hn::Zero(d);
    for (std::size_t bin = 0; bin < bins_; ++bin) maximum = hn::Max(maximum, hn::Load(d, power + bin * lanes()));
    const auto least = hn::Mul(maximum, hn::Set(d, static_cast<float>(tables_.pitch_threshold)));
    HWY_ALIGN float found[HWY_MAX_BYTES / sizeof(float)];
    for (std::size_t bin = tables_.first_pitch_bin; bin < tables_.end_pitch_bin; ++bin) {
      const float* HWY_RESTRICT here = power + bin * lanes();
      const auto value = hn::Load(d, here), before = hn::Load(d, here - lanes()), after = hn::Load(d, here + lanes());
      const auto is_peak = hn::And(hn::Gt(value, least), hn::And(hn::Gt(value, before), hn::Ge(value, after)));
      if (hn::AllFalse(d, is_peak)) continue;
      hn::Store(hn::IfThenElseZero(is_peak, value), d, found);
      for (std::size_t lane = 0; lane < count; ++lane)
        if (found[lane] > 0)
          peaks_.push_back(peak_at(bin, (here - lanes())[lane], here[lane], (here + lanes())[lane], tables_.bin_hz));
    }
  }

  /// Decibels of the mean magnitude of the band's largest and smallest bins: each bin sinks into a row of the largest,
  /// and one of the smallest, as far as it belongs.
  void find_extremes(const float* HWY_RESTRICT power, const SpectralTables::ContrastBand& band,
                     float* HWY_RESTRICT largest, float* HWY_RESTRICT smallest) {
    const FloatTag d;
    const std::size_t size = band.extremes * lanes();
    float *HWY_RESTRICT high = extremes_.data(), *HWY_RESTRICT low = high + size;
    std::fill(high, high + size, 0.0f);
    std::fill(low, low + size, std::numeric_limits<float>::max());
    for (std::size_t bin = band.first_bin; bin < band.end_bin; ++bin) {
      auto falling = hn::Load(d, power + bin * lanes()), rising = falling;
      for (std::size_t i = 0; i < size; i += lanes()) {
        const auto h = hn::Load(d, high + i), l = hn::Load(d, low + i);
        hn::Store(hn::Max(h, falling), d, high + i);
        hn::Store(hn::Min(l, rising), d, low + i);
        falling = hn::Min(h, falling), rising = hn::Max(l, rising);
      }
    }
    store_decibels(high, band.extremes, largest);
    store_decibels(low, band.extremes, smallest);
  }

  /// 10·log10(max(amin, mean of the roots))
  void store_decibels(const float* HWY_RESTRICT powers, std::size_t count, float* HWY_RESTRICT decibels) const {
    const FloatTag d;
    auto sum = hn::Zero(d);
    for (std::size_t i = 0; i < count; ++i) sum = hn::Add(sum, hn::Sqrt(hn::Load(d, powers + i * lanes())));
    const auto mean = hn::Mul(sum, hn::Set(d, 1.0f / static_cast<float>(count)));
    const auto amin = hn::Set(d, static_cast<float>(tables_.amin));
    const auto ten_per_ln10 = hn::Set(d, static_cast<float>(10 / std::numbers::ln10));
    hn::Store(hn::Mul(ten_per_ln10, hn::Log(d, hn::Max(amin, mean))), d, decibels);
  }

  /// The tuned bank times the spectrum, over the largest of the pitch classes.
  std::span<const float> find_chroma(const float* HWY_RESTRICT power) {
    const FloatTag d;
    constexpr std::size_t classes = SpectralTables::pitch_classes;
    FloatVector sums[classes];
    for (FloatVector& sum : sums) sum = hn::Zero(d);
    const float* HWY_RESTRICT weights = bank_;
    for (std::size_t bin = 0; bin < bins_; ++bin, weights += classes) {
      const auto value = hn::Load(d, power + bin * lanes());
      for (std::size_t c = 0; c < classes; ++c) sums[c] = hn::MulAdd(hn::Set(d, weights[c]), value, sums[c]);
    }
    auto maximum = sums[0];
    for (std::size_t c = 1; c < classes; ++c) maximum = hn::Max(maximum, sums[c]);
    const auto divisor = hn::IfThenElse(hn::Gt(maximum, hn::Zero(d)), maximum, hn::Set(d, 1.0f));
    for (std::size_t c = 0; c < classes; ++c) hn::Store(hn::Div(sums[c], divisor), d, results_.data() + c * lanes());
    return {results_.data(), classes * lanes()};
  }

  /// Largest less smallest, each with its own floor below the clip's maximum.
  std::span<const float> find_contrast(std::size_t block) {
    const FloatTag d;
    const std::size_t size = tables_.contrast.size() * lanes(), first = block * size;
    const auto top_db = static_cast<float>(tables_.top_db);
    const auto floor_of_largest = hn::Set(d, most_of_largest_ - top_db);
    const auto floor_of_smallest = hn::Set(d, most_of_smallest_ - top_db);
    for (std::size_t i = 0; i < size; i += lanes()) {
      const auto largest = hn::Max(floor_of_largest, hn::Load(d, largest_.data() + first + i));
      const auto smallest = hn::Max(floor_of_smallest, hn::Load(d, smallest_.data() + first + i));
      hn::Store(hn::Sub(largest, smallest), d, results_.data() + i);
    }
    return {results_.data(), size};
  }

  const SpectralTables& tables_;
  std::size_t bins_;
  bool centroid_, chroma_, contrast_;                 ///< what is wanted
  Buffer<float> results_;                             ///< of one feature of one block
  Buffer<float> extremes_;                            ///< [2][extremes][lanes] of one band
  Buffer<float> spectra_;                             ///< [blocks][bins][lanes]
  Buffer<float> centroids_;                           ///< [blocks][lanes]
  Buffer<float> largest_, smallest_;                  ///< [blocks][Q][lanes] decibels
  float most_of_largest_ = 0, most_of_smallest_ = 0;  ///< in the clip
  std::vector<Peak> peaks_;                           ///< of the clip
  const float* bank_ = nullptr;                       ///< [bins][pitch classes] of the clip's tuning
};

}  // namespace genretree::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
