// The steps of one clip's centroid, chroma and contrast. All pointers are to memory of the device, no two arguments
// overlap, and nothing is allocated or waited for.
//
// Shapes: T frames of the clip, N samples of a frame (n_fft), N / 2 + 1 bins, Q bands of contrast.
#pragma once

#include "kernels/cuda/feature_rows.hpp"
#include "kernels/cuda/libraries/fft.hpp"
#include "kernels/cuda/platform.hpp"

namespace genretree::cuda {

/// |X|² under the Hann window.
///   spectra  [frames][N / 2 + 1] without a window
///   power    [frames][N / 2 + 1]
void hann_powers(const Complex<double>* spectra, std::size_t frames, std::size_t n_fft, float* power, Stream stream);

/// Σ f·|X| / Σ |X| in Hz, 0 in a frame of zeros.
///   power  [T][bins]
void find_centroids(const float* power, std::size_t frames, std::size_t bins, double bin_hz, FeatureRows centroid,
                    Stream stream);

/// What of the peaks of a clip tells its tuning. Two bins side by side cannot both be peaks, so that a frame needs at
/// most half as many slots, rounded up, as bins are looked at.
struct PeakTable {
  std::uint64_t* powers;  ///< [T][slots] the bits of the power, a double: as it is positive, their order is its order
  std::uint8_t* tunings;  ///< [T][slots] how far the peak is from the nearest semitone, one of SpectralTables::tunings
  int* counts;            ///< [T] peaks of the frame, in no certain order
  std::size_t slots;
};
struct PeakSearch {
  int first_bin, end_bin;  ///< 1 ≤ first_bin, end_bin < bins
  double threshold;        ///< a peak's least share of the frame's maximum
  double bin_hz;
};
constexpr std::size_t peak_slots(int first_bin, int end_bin) {
  return end_bin > first_bin ? static_cast<std::size_t>(end_bin - first_bin + 1) / 2 : 0;
}

/// The peaks of every frame, at the top of the parabola through them and their neighbours. Source: librosa.piptrack.
///   power  [T][bins]
void find_peaks(const float* power, std::size_t frames, std::size_t bins, const PeakSearch& search,
                const PeakTable& peaks, Stream stream);

/// Which of SpectralTables::tunings the clip has: the fullest, the first of equals, among the peaks that are no weaker
/// than the median; the middle one if there is no peak. Sources: librosa.estimate_tuning and librosa.pitch_tuning.
///   tuning  [1]
void find_tuning(const PeakTable& peaks, std::size_t frames, int* tuning, Stream stream);

/// The bank of the clip's tuning times the power, over the frame's largest; zeros in a frame of zeros.
///   banks  [tunings][bins][12], 16-byte aligned
void find_chroma(const float* power, std::size_t frames, std::size_t bins, const float* banks, const int* tuning,
                 FeatureRows chroma, Stream stream);

struct ContrastRange {
  int first_bin, end_bin, extremes;
};

/// Decibels of the mean |X| of each band's `extremes` largest, and smallest, bins.
///   power     [T][bins]
///   ranges    [Q]
///   decibels  [2][T][Q]: of the largest, of the smallest
void find_extremes(const float* power, std::size_t frames, std::size_t bins, const ContrastRange* ranges,
                   std::size_t bands, double amin, float* decibels, Stream stream);

/// Largest less smallest, each with its own floor top_db below its maximum in the clip.
///   decibels  [2][T][Q];  maxima [2]
void subtract_extremes(const float* decibels, std::size_t frames, std::size_t bands, const float* maxima, double top_db,
                       FeatureRows contrast, Stream stream);

}  // namespace genretree::cuda
