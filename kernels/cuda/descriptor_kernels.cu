// Centroid, chroma and contrast of one clip, from power spectra [T][bins] whose transform was done in double precision:
// beside loud bins the smallest ones, which contrast looks for, would be nothing but the rounding of floats.
//
//   hann_powers        a block per frame: window and |X|², rounded to float once, as librosa's are
//   find_centroids     a warp per frame
//   find_peaks         a block per frame; its peaks go to slots of its own, in any order
//   find_tuning        one block for the clip: the median of the peaks' powers digit by digit, then a histogram; with
//                      digits as wide as shared memory allows, for each is a pass over all peaks.
//                      Nothing here depends on the order of the peaks: counting is exact
//   find_chroma        a block per frame: 12 sums in each thread
//   find_extremes      a warp per frame and band: the power of the wanted rank bit by bit, then the sum beyond it.
//                      Linear in the band's size, without sorting and without memory of its own
//   subtract_extremes  a thread per number, after find_maxima of spectral_kernels.cu
#include <cstring>

#include "kernels/cuda/descriptor_kernels.hpp"
#include "kernels/cuda/hann.hpp"
#include "kernels/cuda/warp.hpp"

namespace genretree::cuda {
namespace {

constexpr int frame_threads = 128, frame_warps = frame_threads / 32;
constexpr int tuning_threads = 1024;
constexpr int tunings = SpectralTables::tunings, pitch_classes = SpectralTables::pitch_classes;

__device__ std::uint32_t bits_of(float value) {
  std::uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
__device__ std::uint64_t bits_of(double value) {
  std::uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
__device__ double double_of(std::uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// --------------------------------------------------------------------------------------------------- power, centroid

__global__ void __launch_bounds__(frame_threads) power_kernel(const Complex<double>* spectra, int bins, float* power) {
  const std::size_t frame = blockIdx.x;
  for (int bin = threadIdx.x; bin < bins; bin += frame_threads)
    power[frame * bins + bin] = static_cast<float>(hann_power(spectra + frame * bins, bin, bins - 1));
}

__global__ void __launch_bounds__(frame_threads)
    centroid_kernel(const float* power, std::size_t frames, int bins, float bin_hz, FeatureRows centroid) {
  const int lane = threadIdx.x % 32;
  const std::size_t frame = std::size_t{blockIdx.x} * frame_warps + threadIdx.x / 32;
  if (frame >= frames) return;
  float sum = 0, weighted = 0;
  for (int bin = lane; bin < bins; bin += 32) {
    const float magnitude = sqrtf(power[frame * bins + bin]);
    sum += magnitude;
    weighted += bin * magnitude;
  }
  sum = warp_sum(sum);
  weighted = warp_sum(weighted);
  if (lane == 0) centroid.first[frame * centroid.stride] = sum > 0 ? bin_hz * (weighted / sum) : 0;
}

// -------------------------------------------------------------------------------------------------------------- tuning

struct PeakShared {
  float warps[frame_warps];
  int count;
};

/// How far a frequency is above the middle between two semitones, in `tunings` steps.
__device__ int tuning_of(double hz) {
  const double semitones = 12 * log2(hz / 440) + 0.5;
  return min(static_cast<int>((semitones - floor(semitones)) * tunings), tunings - 1);
}

__global__ void __launch_bounds__(frame_threads)
    peak_kernel(const float* power, int bins, PeakSearch search, PeakTable peaks) {
  auto& shared = dynamic_shared<PeakShared>();
  const int thread = threadIdx.x;
  const std::size_t frame = blockIdx.x;
  const float* own = power + frame * bins;
  float maximum = 0;
  for (int bin = thread; bin < bins; bin += frame_threads) maximum = fmaxf(maximum, own[bin]);
  maximum = warp_maximum(maximum);
  if (thread % 32 == 0) shared.warps[thread / 32] = maximum;
  if (thread == 0) shared.count = 0;
  __syncthreads();

  for (const float other : shared.warps) maximum = fmaxf(maximum, other);
  const double least = search.threshold * maximum;
  for (int bin = search.first_bin + thread; bin < search.end_bin; bin += frame_threads) {
    const double before = own[bin - 1], here = own[bin], after = own[bin + 1];
    if (here <= least || here <= before || here < after) continue;
    const double slope = (after - before) / 2, shift = slope / (2 * here - before - after);
    const std::size_t slot = frame * peaks.slots + atomicAdd(&shared.count, 1);
    peaks.powers[slot] = bits_of(here + slope * shift / 2);
    peaks.tunings[slot] = static_cast<std::uint8_t>(tuning_of((bin + shift) * search.bin_hz));
  }
  __syncthreads();
  if (thread == 0) peaks.counts[frame] = shared.count;
}

// A power's sign and exponent are its first digit, the 52 bits of its mantissa four more.
constexpr int mantissa_bits = 52, digit_bits = 13, digits = 1 << digit_bits;
static_assert(mantissa_bits % digit_bits == 0);

struct TuningShared {
  int counts[digits];
  int warps[tuning_threads / 32];
  std::uint64_t prefix;     ///< the digits of the wanted power that are known
  int rank;                 ///< of the wanted one among those that begin so
  int equals_after;         ///< how many of them are beyond it, once all digits are known
  unsigned long long next;  ///< the weakest power above, of the type that atomicMin takes
};

/// Calls use(power, tuning) for each peak of the clip, every thread for its share.
template <class Use>
__device__ void for_each_peak(const PeakTable& peaks, std::size_t frames, Use use) {
  for (std::size_t frame = threadIdx.x / 32; frame < frames; frame += tuning_threads / 32)
    for (int i = threadIdx.x % 32; i < peaks.counts[frame]; i += 32)
      use(peaks.powers[frame * peaks.slots + i], peaks.tunings[frame * peaks.slots + i]);
}

/// Which digit the peak of rank shared.rank has, from how many have each: eight digits a thread.
__device__ void choose_digit(TuningShared& shared) {
  constexpr int per_thread = digits / tuning_threads;
  const int thread = threadIdx.x, lane = thread % 32, rank = shared.rank;
  const int* counts = shared.counts + thread * per_thread;
  int own = 0;
  for (int i = 0; i < per_thread; ++i) own += counts[i];
  int below = own;  // with those of the threads before
  for (int distance = 1; distance < 32; distance *= 2) {
    const int others = __shfl_up_sync(0xffffffff, below, distance);
    if (lane >= distance) below += others;
  }
  if (lane == 31) shared.warps[thread / 32] = below;
  __syncthreads();
  for (int warp = 0; warp < thread / 32; ++warp) below += shared.warps[warp];
  below -= own;
  if (rank < below || rank >= below + own) return;
  int digit = 0;
  for (; rank >= below + counts[digit]; ++digit) below += counts[digit];
  shared.prefix = shared.prefix << digit_bits | static_cast<unsigned>(thread * per_thread + digit);
  shared.rank = rank - below;
  shared.equals_after = below + counts[digit] - 1 - rank;
}

/// The power of that rank (0: the weakest), from its highest digit to its lowest. All threads call and get it.
__device__ std::uint64_t power_of_rank(const PeakTable& peaks, std::size_t frames, int rank, TuningShared& shared) {
  if (threadIdx.x == 0) shared.prefix = 0, shared.rank = rank;
  for (int shift = mantissa_bits; shift >= 0; shift -= digit_bits) {
    for (int digit = threadIdx.x; digit < digits; digit += tuning_threads) shared.counts[digit] = 0;
    __syncthreads();
    const std::uint64_t prefix = shared.prefix;
    for_each_peak(peaks, frames, [&](std::uint64_t power, int) {
      if (power >> shift >> digit_bits == prefix) atomicAdd(&shared.counts[power >> shift & (digits - 1)], 1);
    });
    __syncthreads();
    choose_digit(shared);
    __syncthreads();
  }
  return shared.prefix;
}

/// The power that comes after `power`, which power_of_rank has just found. All threads call and get it.
__device__ std::uint64_t power_after(const PeakTable& peaks, std::size_t frames, std::uint64_t power,
                                     TuningShared& shared) {
  if (shared.equals_after > 0) return power;
  if (threadIdx.x == 0) shared.next = ~0ull;
  __syncthreads();
  unsigned long long next = ~0ull;
  for_each_peak(peaks, frames, [&](std::uint64_t other, int) {
    if (other > power && other < next) next = other;
  });
  atomicMin(&shared.next, next);
  __syncthreads();
  return shared.next;
}

__device__ int count_peaks(const PeakTable& peaks, std::size_t frames, TuningShared& shared) {
  if (threadIdx.x == 0) shared.counts[0] = 0;
  __syncthreads();
  int own = 0;
  for (std::size_t frame = threadIdx.x; frame < frames; frame += tuning_threads) own += peaks.counts[frame];
  atomicAdd(&shared.counts[0], own);
  __syncthreads();
  const int count = shared.counts[0];
  __syncthreads();
  return count;
}

__global__ void __launch_bounds__(tuning_threads) tuning_kernel(PeakTable peaks, std::size_t frames, int* tuning) {
  auto& shared = dynamic_shared<TuningShared>();
  const int thread = threadIdx.x, count = count_peaks(peaks, frames, shared);
  if (count == 0) {
    if (thread == 0) *tuning = tunings / 2;  // in tune
    return;
  }
  const std::uint64_t lower = power_of_rank(peaks, frames, (count - 1) / 2, shared),
                      upper = count % 2 == 1 ? lower : power_after(peaks, frames, lower, shared);
  const std::uint64_t median = bits_of((double_of(lower) + double_of(upper)) / 2);

  if (thread < tunings) shared.counts[thread] = 0;
  __syncthreads();
  for_each_peak(peaks, frames, [&](std::uint64_t power, int place) {
    if (power >= median) atomicAdd(&shared.counts[place], 1);
  });
  __syncthreads();
  if (thread != 0) return;
  int fullest = 0;
  for (int i = 1; i < tunings; ++i)
    if (shared.counts[i] > shared.counts[fullest]) fullest = i;
  *tuning = fullest;
}

// -------------------------------------------------------------------------------------------------------------- chroma

struct ChromaShared {
  float warps[frame_warps][pitch_classes];
};

__global__ void __launch_bounds__(frame_threads)
    chroma_kernel(const float* power, int bins, const float4* banks, const int* tuning, FeatureRows chroma) {
  auto& shared = dynamic_shared<ChromaShared>();
  constexpr int quarters = pitch_classes / 4;
  const int thread = threadIdx.x, lane = thread % 32;
  const std::size_t frame = blockIdx.x;
  const float4* bank = banks + static_cast<std::size_t>(*tuning) * bins * quarters;
  float sums[pitch_classes] = {};
  for (int bin = thread; bin < bins; bin += frame_threads) {
    const float value = power[frame * bins + bin];
    for (int quarter = 0; quarter < quarters; ++quarter) {
      const float4 weights = bank[bin * quarters + quarter];
      sums[4 * quarter] += weights.x * value;
      sums[4 * quarter + 1] += weights.y * value;
      sums[4 * quarter + 2] += weights.z * value;
      sums[4 * quarter + 3] += weights.w * value;
    }
  }
  for (int c = 0; c < pitch_classes; ++c) {
    const float sum = warp_sum(sums[c]);
    if (lane == 0) shared.warps[thread / 32][c] = sum;
  }
  __syncthreads();
  if (thread >= 32) return;
  float sum = 0;
  if (lane < pitch_classes)
    for (int warp = 0; warp < frame_warps; ++warp) sum += shared.warps[warp][lane];
  const float maximum = warp_maximum(sum);
  if (lane < pitch_classes) chroma.first[frame * chroma.stride + lane] = maximum > 0 ? sum / maximum : 0;
}

// ------------------------------------------------------------------------------------------------------------ contrast

/// The bits of the value of that rank (0: the smallest) among n that are not negative. All lanes call and get it.
__device__ std::uint32_t value_of_rank(const float* values, int n, int rank) {
  std::uint32_t found = 0;
  for (std::uint32_t bit = 1u << 30; bit > 0; bit >>= 1) {
    const std::uint32_t candidate = found | bit;
    int below = 0;
    for (int i = threadIdx.x % 32; i < n; i += 32) below += bits_of(values[i]) < candidate;
    if (warp_sum(below) <= rank) found = candidate;
  }
  return found;
}

/// 10·log10(max(amin, mean of the roots)) of the `count` values that lie below (or above) all others. Values equal to
/// the limit, the innermost of them, are taken as often as is needed.
__device__ float decibels_of_extremes(const float* values, int n, int count, bool largest, float amin) {
  const std::uint32_t limit = value_of_rank(values, n, largest ? n - count : count - 1);
  float sum = 0, root_of_limit = 0;
  int beyond = 0;
  for (int i = threadIdx.x % 32; i < n; i += 32) {
    const std::uint32_t bits = bits_of(values[i]);
    if (bits == limit) root_of_limit = sqrtf(values[i]);
    if (largest ? bits <= limit : bits >= limit) continue;
    sum += sqrtf(values[i]);
    ++beyond;
  }
  root_of_limit = warp_maximum(root_of_limit);
  const float mean = (warp_sum(sum) + (count - warp_sum(beyond)) * root_of_limit) / count;
  return 10 * log10f(fmaxf(amin, mean));
}

__global__ void __launch_bounds__(frame_threads)
    extremes_kernel(const float* power, std::size_t frames, int bins, const ContrastRange* ranges, int bands,
                    float amin, float* decibels) {
  const std::size_t item = std::size_t{blockIdx.x} * frame_warps + threadIdx.x / 32;
  if (item >= frames * bands) return;
  const ContrastRange range = ranges[item % bands];
  const float* values = power + item / bands * bins + range.first_bin;
  const int n = range.end_bin - range.first_bin;
  const float largest = decibels_of_extremes(values, n, range.extremes, true, amin);
  const float smallest = decibels_of_extremes(values, n, range.extremes, false, amin);
  if (threadIdx.x % 32 != 0) return;
  decibels[item] = largest;
  decibels[frames * bands + item] = smallest;
}

__global__ void __launch_bounds__(frame_threads)
    subtract_kernel(const float* decibels, std::size_t frames, int bands, const float* maxima, float top_db,
                    FeatureRows contrast) {
  const std::size_t item = std::size_t{blockIdx.x} * frame_threads + threadIdx.x;
  if (item >= frames * bands) return;
  const float largest = fmaxf(maxima[0] - top_db, decibels[item]);
  const float smallest = fmaxf(maxima[1] - top_db, decibels[frames * bands + item]);
  contrast.first[item / bands * contrast.stride + item % bands] = largest - smallest;
}

}  // namespace

// ----------------------------------------------------------------------------------------------------------- launchers

void hann_powers(const Complex<double>* spectra, std::size_t frames, std::size_t n_fft, float* power, Stream stream) {
  launch(power_kernel, frames, frame_threads, 0, stream, spectra, static_cast<int>(n_fft / 2 + 1), power);
}

void find_centroids(const float* power, std::size_t frames, std::size_t bins, double bin_hz, FeatureRows centroid,
                    Stream stream) {
  launch(centroid_kernel, blocks_of(frames, frame_warps), frame_threads, 0, stream, power, frames,
         static_cast<int>(bins), static_cast<float>(bin_hz), centroid);
}

void find_peaks(const float* power, std::size_t frames, std::size_t bins, const PeakSearch& search,
                const PeakTable& peaks, Stream stream) {
  launch(peak_kernel, frames, frame_threads, sizeof(PeakShared), stream, power, static_cast<int>(bins), search, peaks);
}

void find_tuning(const PeakTable& peaks, std::size_t frames, int* tuning, Stream stream) {
  launch(tuning_kernel, 1, tuning_threads, sizeof(TuningShared), stream, peaks, frames, tuning);
}

void find_chroma(const float* power, std::size_t frames, std::size_t bins, const float* banks, const int* tuning,
                 FeatureRows chroma, Stream stream) {
  launch(chroma_kernel, frames, frame_threads, sizeof(ChromaShared), stream, power, static_cast<int>(bins),
         reinterpret_cast<const float4*>(banks), tuning, chroma);
}

void find_extremes(const float* power, std::size_t frames, std::size_t bins, const ContrastRange* ranges,
                   std::size_t bands, double amin, float* decibels, Stream stream) {
  launch(extremes_kernel, blocks_of(frames * bands, frame_warps), frame_threads, 0, stream, power, frames,
         static_cast<int>(bins), ranges, static_cast<int>(bands), static_cast<float>(amin), decibels);
}

void subtract_extremes(const float* decibels, std::size_t frames, std::size_t bands, const float* maxima, double top_db,
                       FeatureRows contrast, Stream stream) {
  launch(subtract_kernel, blocks_of(frames * bands, frame_threads), frame_threads, 0, stream, decibels, frames,
         static_cast<int>(bands), maxima, static_cast<float>(top_db), contrast);
}

}  // namespace genretree::cuda
