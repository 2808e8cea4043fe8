// The steps of one clip's mel power, its decibels and MFCCs. All pointers are to memory of the device, no two arguments
// overlap, and nothing is allocated or waited for.
//
// Shapes: T frames of the clip, N samples of a frame (n_fft), N / 2 + 1 bins, M mel bands, K coefficients.
#pragma once

#include "kernels/cuda/feature_rows.hpp"
#include "kernels/cuda/libraries/fft.hpp"
#include "kernels/cuda/platform.hpp"

namespace genretree::cuda {

/// How the samples of a clip become frames.
struct Framing {
  std::size_t n_fft, hop;
  std::size_t step;  ///< from one frame to the next in memory: hop, or n_fft if no sample is to be shared
  bool mirror;       ///< how the clip is continued beyond its ends: EdgePadding::reflect, else zero
};

/// Frame f is centred on sample f · hop; beyond its last frame a clip goes on with zeros.
///   samples   [length] of the clip
///   laid_out  [(frames - 1) · step + n_fft]: frame f begins at f · step
template <class Real>
void lay_out_frames(const float* samples, std::size_t length, const Framing& framing, std::size_t frames,
                    Real* laid_out, Stream stream);

/// The triangular filters of all bands, back to back.
struct MelTables {
  const int* first_bins;  ///< [M]
  const int* offsets;     ///< [M + 1] where each band's weights begin and end
  const float* weights;   ///< for first_bin, first_bin + 1, …
  int bands;              ///< M
};

/// Power in the mel bands under the Hann window, and its decibels 10·log10(max(amin, power)).
///   spectra   [frames][N / 2 + 1] without a window; N / 2 + 1 ≤ most_bins
///   mel       the power, if wanted
///   decibels  [frames][M]
///   maxima    [frames] of decibels
void mel_decibels(const Complex<float>* spectra, std::size_t frames, std::size_t n_fft, const MelTables& tables,
                  double amin, FeatureRows mel, float* decibels, float* maxima, Stream stream);
constexpr std::size_t most_bins = (1 << 16) / 2 + 1;

/// maxima[a] = the largest of values[a][0 … size - 1], size ≥ 1.
void find_maxima(const float* values, std::size_t arrays, std::size_t size, float* maxima, Stream stream);

/// The floor top_db below the clip's maximum, and the DCT-II of what is above it, summed in double precision.
///   decibels  [T][M]
///   maximum   [1] of decibels
///   dct       [K][M]
///   log_mel, mfcc   either or both
void floor_and_transform(const float* decibels, std::size_t frames, std::size_t bands, const float* maximum,
                         double top_db, const double* dct, std::size_t coefficients, FeatureRows log_mel,
                         FeatureRows mfcc, Stream stream);

}  // namespace genretree::cuda
