// Mel power, its decibels and MFCCs of one clip.
//
//   lay_out_frames       the clip continued beyond its ends, so that frame f begins at f · step
//   cuFFT                (libraries/fft.hpp) all frames of a chunk, overlapping where they lie: no frame is copied out
//   mel_decibels         a block per frame: window and |X|² of each bin once, into shared memory, with coalesced reads
//                        of the spectrum; then four lanes per band, for most bands have few bins
//   find_maxima          of the frames' maxima: the clip's. In two stages and without atomics: the same bits every time
//   floor_and_transform  a block per frame; a warp sums one coefficient, its lanes along the bands, which are read
//                        coalesced as the table of the cosines is
//
// Sums are in a fixed order, and no frame sees another but for the clip's maximum: the results of a clip are the same
// to the bit whatever lies beside it. Sources: librosa.stft, librosa.feature.melspectrogram, librosa.power_to_db,
// librosa.feature.mfcc.
#include "kernels/cuda/hann.hpp"
#include "kernels/cuda/spectral_kernels.hpp"
#include "kernels/cuda/warp.hpp"

namespace genretree::cuda {
namespace {

constexpr int frame_threads = 128, frame_warps = frame_threads / 32;
constexpr int maximum_threads = 1024;
constexpr int lanes_per_band = 4;

/// The clip continued beyond its ends; silence where even the mirror has nothing.
__device__ float padded_sample(const float* samples, std::ptrdiff_t length, std::ptrdiff_t position, bool mirror) {
  if (mirror && position < 0) position = -position;
  if (mirror && position >= length) position = 2 * (length - 1) - position;
  return position >= 0 && position < length ? samples[position] : 0;
}

template <class Real>
__global__ void __launch_bounds__(frame_threads)
    lay_out_kernel(const float* samples, std::size_t length, Framing framing, Real* laid_out) {
  const std::size_t frame = blockIdx.x;
  const bool is_last = frame + 1 == gridDim.x;
  const std::ptrdiff_t begin =
      static_cast<std::ptrdiff_t>(frame * framing.hop) - static_cast<std::ptrdiff_t>(framing.n_fft / 2);
  for (std::size_t i = threadIdx.x; i < (is_last ? framing.n_fft : framing.step); i += frame_threads)
    laid_out[frame * framing.step + i] =
        padded_sample(samples, length, begin + static_cast<std::ptrdiff_t>(i), framing.mirror);
}

template <int capacity>
struct MelShared {
  float power[capacity];
  float warps[frame_warps];
};

template <int capacity>
__global__ void __launch_bounds__(frame_threads)
    mel_kernel(const Complex<float>* spectra, int bins, MelTables tables, float amin, FeatureRows mel, float* decibels,
               float* maxima) {
  auto& shared = dynamic_shared<MelShared<capacity>>();
  const int thread = threadIdx.x, lane = thread % 32, part = thread % lanes_per_band;
  const std::size_t frame = blockIdx.x;
  for (int bin = thread; bin < bins; bin += frame_threads)
    shared.power[bin] = hann_power(spectra + frame * bins, bin, bins - 1);
  __syncthreads();

  float maximum = -INFINITY;
  for (int first = 0; first < tables.bands; first += frame_threads / lanes_per_band) {
    const int band = first + thread / lanes_per_band;
    const bool is_band = band < tables.bands;
    const int begin = is_band ? tables.offsets[band] : 0, end = is_band ? tables.offsets[band + 1] : 0;
    const int first_bin = is_band ? tables.first_bins[band] : 0;
    float energy = 0;
    for (int i = begin + part; i < end; i += lanes_per_band)
      energy += tables.weights[i] * shared.power[first_bin + i - begin];
    for (int distance = 1; distance < lanes_per_band; distance *= 2)
      energy += __shfl_xor_sync(0xffffffff, energy, distance);
    if (!is_band || part != 0) continue;
    if (mel.first) mel.first[frame * mel.stride + band] = energy;
    const float value = 10 * log10f(fmaxf(amin, energy));
    decibels[frame * tables.bands + band] = value;
    maximum = fmaxf(maximum, value);
  }
  maximum = warp_maximum(maximum);
  if (lane == 0) shared.warps[thread / 32] = maximum;
  __syncthreads();
  if (thread == 0) {
    for (const float other : shared.warps) maximum = fmaxf(maximum, other);
    maxima[frame] = maximum;
  }
}

struct MaximumShared {
  float warps[maximum_threads / 32];
};

__global__ void __launch_bounds__(maximum_threads)
    maximum_kernel(const float* values, std::size_t size, float* maxima) {
  auto& shared = dynamic_shared<MaximumShared>();
  const int thread = threadIdx.x, lane = thread % 32;
  const float* own = values + blockIdx.x * size;
  float maximum = -INFINITY;
  for (std::size_t i = thread; i < size; i += maximum_threads) maximum = fmaxf(maximum, own[i]);
  maximum = warp_maximum(maximum);
  if (lane == 0) shared.warps[thread / 32] = maximum;
  __syncthreads();
  if (thread >= 32) return;
  maximum = warp_maximum(shared.warps[lane]);
  if (lane == 0) maxima[blockIdx.x] = maximum;
}

__global__ void __launch_bounds__(frame_threads)
    transform_kernel(const float* decibels, int bands, const float* maximum, float top_db, const double* dct,
                     int coefficients, FeatureRows log_mel, FeatureRows mfcc) {
  const int thread = threadIdx.x, lane = thread % 32;
  const std::size_t frame = blockIdx.x;
  const float* own = decibels + frame * bands;
  const float lowest = *maximum - top_db;
  if (log_mel.first)
    for (int band = thread; band < bands; band += frame_threads)
      log_mel.first[frame * log_mel.stride + band] = fmaxf(lowest, own[band]);
  if (!mfcc.first) return;
  for (int k = thread / 32; k < coefficients; k += frame_warps) {
    double sum = 0;
    for (int band = lane; band < bands; band += 32) sum += dct[k * bands + band] * fmaxf(lowest, own[band]);
    sum = warp_sum(sum);
    if (lane == 0) mfcc.first[frame * mfcc.stride + k] = static_cast<float>(sum);
  }
}

}  // namespace

template <class Real>
void lay_out_frames(const float* samples, std::size_t length, const Framing& framing, std::size_t frames,
                    Real* laid_out, Stream stream) {
  launch(lay_out_kernel<Real>, frames, frame_threads, 0, stream, samples, length, framing, laid_out);
}
template void lay_out_frames(const float*, std::size_t, const Framing&, std::size_t, float*, Stream);
template void lay_out_frames(const float*, std::size_t, const Framing&, std::size_t, double*, Stream);

void mel_decibels(const Complex<float>* spectra, std::size_t frames, std::size_t n_fft, const MelTables& tables,
                  double amin, FeatureRows mel, float* decibels, float* maxima, Stream stream) {
  const int bins = static_cast<int>(n_fft / 2 + 1);
  // as much shared memory as the usual sizes need, so that many blocks share a multiprocessor
  const auto run = [&](auto capacity) {
    launch(mel_kernel<capacity()>, frames, frame_threads, sizeof(MelShared<capacity()>), stream, spectra, bins, tables,
           static_cast<float>(amin), mel, decibels, maxima);
  };
  if (bins <= 1025)
    run(std::integral_constant<int, 1025>());
  else if (bins <= 8193)
    run(std::integral_constant<int, 8193>());
  else
    run(std::integral_constant<int, static_cast<int>(most_bins)>());
}

void find_maxima(const float* values, std::size_t arrays, std::size_t size, float* maxima, Stream stream) {
  launch(maximum_kernel, arrays, maximum_threads, sizeof(MaximumShared), stream, values, size, maxima);
}

void floor_and_transform(const float* decibels, std::size_t frames, std::size_t bands, const float* maximum,
                         double top_db, const double* dct, std::size_t coefficients, FeatureRows log_mel,
                         FeatureRows mfcc, Stream stream) {
  launch(transform_kernel, frames, frame_threads, 0, stream, decibels, static_cast<int>(bands), maximum,
         static_cast<float>(top_db), dct, static_cast<int>(coefficients), log_mel, mfcc);
}

}  // namespace genretree::cuda
