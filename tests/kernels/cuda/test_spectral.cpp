// Each kernel of spectral_kernels.cu and descriptor_kernels.cu against a plain definition of its step, in all orders of
// blocks, warps and lanes: the results must have the same bits in each. tests/kernels/test_spectral_features.cpp tests
// them together.
#include <algorithm>
#include <cmath>
#include <complex>
#include <cstring>
#include <numbers>
#include <vector>

#include "features/spectral.hpp"
#include "kernels/cpu/tuning.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/descriptor_kernels.hpp"
#include "kernels/cuda/spectral_kernels.hpp"
#include "tests/kernels/cuda/random_values.hpp"
#include "tests/support/cuda_libraries/device.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using cuda::Complex;
using test::random_values;

namespace {

/// As many orders of magnitude as spectra of music have.
std::vector<float> random_powers(std::size_t size, std::uint64_t seed) {
  std::vector<float> values = random_values(size, seed);
  for (float& value : values) value = std::exp(10 * value);
  return values;
}

/// Runs `kernel(result, stream)` in all orders, from NaN; the results must have the same bits.
template <class Value = float, class Kernel>
std::vector<Value> same_in_all_orders(std::size_t size, Kernel kernel) {
  std::vector<Value> first;
  for (emulator::Emulator& emulator : emulator::all_orders()) {
    std::vector<Value> result(size);
    std::memset(result.data(), 0xff, size * sizeof(Value));
    kernel(result.data(), &emulator);
    if (first.empty()) first = result;
    REQUIRE(std::memcmp(result.data(), first.data(), size * sizeof(Value)) == 0);
  }
  return first;
}

std::complex<double> transformed(const float* frame, std::size_t n, std::size_t bin, bool hann) {
  std::complex<double> sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double turn = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n);
    const double window = hann ? 0.5 - 0.5 * std::cos(turn) : 1;
    sum += window * frame[i] * std::polar(1.0, -turn * static_cast<double>(bin));
  }
  return sum;
}

/// Frames of n samples, their spectra without a window, and their power with it.
struct Frames {
  std::size_t n, bins, frames;
  std::vector<Complex<double>> spectra;
  std::vector<double> power;

  Frames(std::size_t length, std::size_t count) : n(length), bins(length / 2 + 1), frames(count) {
    const std::vector<float> samples = random_values(n * frames, n);
    for (std::size_t frame = 0; frame < frames; ++frame)
      for (std::size_t bin = 0; bin < bins; ++bin) {
        const std::complex<double> plain = transformed(&samples[frame * n], n, bin, false);
        spectra.push_back({plain.real(), plain.imag()});
        power.push_back(std::norm(transformed(&samples[frame * n], n, bin, true)));
      }
  }
  std::vector<Complex<float>> rounded() const {
    std::vector<Complex<float>> result;
    for (const auto& [re, im] : spectra) result.push_back({static_cast<float>(re), static_cast<float>(im)});
    return result;
  }
};

template <class Real>
void check_laid_out(std::size_t length, std::size_t n_fft, std::size_t hop, std::size_t step, bool mirror) {
  const std::vector<float> samples = random_values(length, 1);
  const std::size_t frames = 1 + length / hop, more = 2;  // more: frames that only fill a chunk
  const std::size_t size = (frames + more - 1) * step + n_fft;
  const std::vector<Real> laid_out = same_in_all_orders<Real>(size, [&](Real* out, cuda::Stream stream) {
    cuda::lay_out_frames(samples.data(), length, {n_fft, hop, step, mirror}, frames + more, out, stream);
  });
  for (const Real value : laid_out) REQUIRE(std::isfinite(value));
  for (std::size_t frame = 0; frame < frames; ++frame)
    for (std::size_t i = 0; i < n_fft; ++i) {
      auto position = static_cast<std::ptrdiff_t>(frame * hop + i) - static_cast<std::ptrdiff_t>(n_fft / 2);
      const auto end = static_cast<std::ptrdiff_t>(length);
      if (mirror && position < 0) position = -position;
      if (mirror && position >= end) position = 2 * (end - 1) - position;
      const float expected = position < 0 || position >= end ? 0 : samples[static_cast<std::size_t>(position)];
      REQUIRE(laid_out[frame * step + i] == expected);
    }
}

}  // namespace

TEST_CASE("Clips are laid out as frames that overlap or not, with zeros or mirrored ends") {
  for (const bool mirror : {false, true}) {
    INFO("mirror " << mirror);
    check_laid_out<float>(1000, 256, 64, 64, mirror);   // overlapping
    check_laid_out<double>(1000, 256, 64, 64, mirror);  // for the exact spectrum
    check_laid_out<float>(1000, 256, 63, 256, mirror);  // each by itself
    check_laid_out<float>(129, 256, 300, 300, mirror);  // one frame; hops that leave gaps
    check_laid_out<double>(999, 64, 100, 100, mirror);
  }
  check_laid_out<float>(1, 256, 64, 64, false);
}

TEST_CASE("Three taps in the spectrum are the Hann window, at every bin") {
  for (const std::size_t n : {4, 16, 64, 512}) {
    const Frames problem(n, 3);
    const std::vector<float> power = same_in_all_orders(problem.power.size(), [&](float* out, cuda::Stream stream) {
      cuda::hann_powers(problem.spectra.data(), problem.frames, n, out, stream);
    });
    CHECK(test::relative_difference<float, double>(power, problem.power) < 1e-7);
  }
}

TEST_CASE("Mel power, its decibels and the frames' maxima") {
  // the last size needs more shared memory than the usual ones
  for (const auto& [n, frames] : {std::pair{16, 3}, std::pair{256, 2}, std::pair{4096, 1}}) {
    const Frames problem(static_cast<std::size_t>(n), static_cast<std::size_t>(frames));
    // more bands than a block takes at a time; an empty one; one of the whole spectrum; the rest of one to seven bins
    const int bands = 70, bins = static_cast<int>(problem.bins);
    std::vector<int> first_bins, offsets = {0};
    for (int band = 0; band < bands; ++band) {
      first_bins.push_back(band == 1 ? 0 : band * bins / bands);
      const int width = band == 0 ? 0 : band == 1 ? bins : std::min(1 + band % 7, bins - first_bins.back());
      offsets.push_back(offsets.back() + width);
    }
    const std::vector<float> weights = random_powers(static_cast<std::size_t>(offsets.back()), 2);
    const cuda::MelTables tables{first_bins.data(), offsets.data(), weights.data(), bands};

    const std::size_t size = problem.frames * bands, stride = bands + 2;
    const std::vector<Complex<float>> spectra = problem.rounded();
    const std::vector<float> all =
        same_in_all_orders(problem.frames * (stride + bands + 1), [&](float* out, cuda::Stream stream) {
          float* decibels = out + problem.frames * stride;
          cuda::mel_decibels(spectra.data(), problem.frames, problem.n, tables, 1e-10, {out + 1, stride}, decibels,
                             decibels + size, stream);
        });
    for (std::size_t frame = 0; frame < problem.frames; ++frame) {
      const float *mel = &all[frame * stride + 1], *decibels = &all[problem.frames * stride + frame * bands];
      CHECK(std::isnan(mel[-1]));  // columns beside it are left alone
      CHECK(std::isnan(mel[bands]));
      float largest = -HUGE_VALF;
      for (int band = 0; band < bands; ++band) {
        double energy = 0;
        for (int i = offsets[band]; i < offsets[band + 1]; ++i)
          energy += weights[i] * problem.power[frame * problem.bins + first_bins[band] + i - offsets[band]];
        REQUIRE(mel[band] == Approx(energy).epsilon(3e-4));
        REQUIRE(decibels[band] == Approx(10 * std::log10(std::max(1e-10, energy))).margin(2e-3));
        largest = std::max(largest, decibels[band]);
      }
      CHECK(all[problem.frames * (stride + bands) + frame] == largest);
    }
  }
}

TEST_CASE("Maxima of arrays of any size, also of negative numbers") {
  for (const std::size_t size : {1, 31, 1024, 2500}) {
    std::vector<float> values = random_values(2 * size, size);
    for (float& value : values) value -= 2;
    const std::vector<float> maxima = same_in_all_orders(
        2, [&](float* out, cuda::Stream stream) { cuda::find_maxima(values.data(), 2, size, out, stream); });
    CHECK(maxima[0] == *std::max_element(&values[0], &values[0] + size));
    CHECK(maxima[1] == *std::max_element(&values[0] + size, &values[0] + 2 * size));
  }
}

TEST_CASE("The floor below the clip's maximum, and the cosine transform") {
  const std::size_t frames = 3;
  for (const auto& [bands, coefficients] : {std::pair<std::size_t, std::size_t>{1, 1}, {40, 13}, {150, 20}}) {
    std::vector<float> decibels = random_values(frames * bands, bands);
    for (float& value : decibels) value *= 100;
    const float maximum = *std::max_element(decibels.begin(), decibels.end());
    std::vector<double> dct;
    for (const float value : random_values(coefficients * bands, 3)) dct.push_back(value);
    const std::size_t width = bands + coefficients;
    const std::vector<float> out = same_in_all_orders(frames * width, [&](float* rows, cuda::Stream stream) {
      cuda::floor_and_transform(decibels.data(), frames, bands, &maximum, 80, dct.data(), coefficients,
                                {rows + coefficients, width}, {rows, width}, stream);
    });
    for (std::size_t frame = 0; frame < frames; ++frame) {
      const float *mfcc = &out[frame * width], *log_mel = mfcc + coefficients;
      for (std::size_t band = 0; band < bands; ++band)
        REQUIRE(log_mel[band] == std::max(maximum - 80, decibels[frame * bands + band]));
      for (std::size_t k = 0; k < coefficients; ++k) {
        double sum = 0;
        for (std::size_t band = 0; band < bands; ++band) sum += dct[k * bands + band] * log_mel[band];
        REQUIRE(mfcc[k] == Approx(sum).epsilon(1e-6).margin(1e-6));
      }
    }
  }
}

TEST_CASE("Centroids, also of a frame of zeros") {
  const std::size_t frames = 6, bins = 129;
  std::vector<float> power = random_powers(frames * bins, 4);
  std::fill_n(power.begin() + 2 * bins, bins, 0.0f);
  const std::vector<float> centroids = same_in_all_orders(2 * frames, [&](float* out, cuda::Stream stream) {
    cuda::find_centroids(power.data(), frames, bins, 10.5, {out, 2}, stream);
  });
  for (std::size_t frame = 0; frame < frames; ++frame) {
    double sum = 0, weighted = 0;
    for (std::size_t bin = 0; bin < bins; ++bin) {
      const double magnitude = std::sqrt(power[frame * bins + bin]);
      sum += magnitude;
      weighted += static_cast<double>(bin) * 10.5 * magnitude;
    }
    CHECK(centroids[2 * frame] == Approx(frame == 2 ? 0 : weighted / sum).epsilon(1e-6));
  }
}

TEST_CASE("The tuning of a clip, from its peaks") {
  const std::size_t bins = 129;
  for (const std::size_t frames : {1, 2, 3, 40}) {
    for (const int peaked : {0, 1, 2, 40}) {  // frames that are no silence
      std::vector<float> power = random_powers(frames * bins, frames + static_cast<std::size_t>(peaked));
      for (std::size_t frame = static_cast<std::size_t>(peaked); frame < frames; ++frame)
        std::fill_n(&power[frame * bins], bins, 0.0f);
      if (peaked == 2) std::copy_n(&power[0], bins, &power[(frames - 1) * bins]);  // each power twice
      const cuda::PeakSearch search{10, 100, 1e-3, 21.5};
      const std::size_t slots = cuda::peak_slots(search.first_bin, search.end_bin);

      std::vector<cpu::Peak> expected;
      for (std::size_t frame = 0; frame < frames; ++frame) {
        const float* own = &power[frame * bins];
        const double least = search.threshold * *std::max_element(own, own + bins);
        for (int bin = search.first_bin; bin < search.end_bin; ++bin)
          if (own[bin] > least && own[bin] > own[bin - 1] && own[bin] >= own[bin + 1])
            expected.push_back(cpu::peak_at(static_cast<std::size_t>(bin), own[bin - 1], own[bin], own[bin + 1], 21.5));
      }
      int found = 0;
      const std::vector<int> tuning = same_in_all_orders<int>(1, [&](int* out, cuda::Stream stream) {
        std::vector<std::uint64_t> powers(frames * slots, ~std::uint64_t{0});
        std::vector<std::uint8_t> tunings(frames * slots, 255);
        std::vector<int> counts(frames, -1);
        const cuda::PeakTable peaks{powers.data(), tunings.data(), counts.data(), slots};
        cuda::find_peaks(power.data(), frames, bins, search, peaks, stream);
        cuda::find_tuning(peaks, frames, out, stream);
        found = 0;
        for (const int count : counts) found += count;
      });
      INFO(frames << " frames, " << peaked << " with peaks, " << expected.size() << " peaks");
      CHECK(static_cast<std::size_t>(found) == expected.size());
      CHECK(static_cast<std::size_t>(tuning[0]) == cpu::tuning_of(expected));
    }
  }
}

TEST_CASE("As many peaks as a frame can have find their slots") {
  const std::size_t bins = 12;
  for (const int end : {9, 10, 11}) {
    std::vector<float> power(bins);
    for (std::size_t bin = 1; bin < bins; bin += 2) power[bin] = 1;
    const cuda::PeakSearch search{1, end, 0.1, 21.5};
    const std::size_t slots = cuda::peak_slots(search.first_bin, search.end_bin);
    const std::vector<int> counts = same_in_all_orders<int>(1, [&](int* out, cuda::Stream stream) {
      std::vector<std::uint64_t> powers(slots);
      std::vector<std::uint8_t> tunings(slots);
      cuda::find_peaks(power.data(), 1, bins, search, {powers.data(), tunings.data(), out, slots}, stream);
    });
    CHECK(counts[0] == end / 2);
    CHECK(static_cast<int>(slots) == end / 2);
  }
}

TEST_CASE("Chroma by the bank of the tuning, also of a frame of zeros") {
  const std::size_t frames = 3, bins = 200, classes = SpectralTables::pitch_classes;
  std::vector<float> power = random_powers(frames * bins, 5);
  std::fill_n(power.begin() + bins, bins, 0.0f);
  const int tuning = 2;
  std::vector<float> banks(3 * bins * classes, std::nanf(""));
  const std::vector<float> bank = random_powers(bins * classes, 6);
  std::copy(bank.begin(), bank.end(), banks.begin() + tuning * bins * classes);
  const std::vector<float> out = same_in_all_orders(frames * classes, [&](float* rows, cuda::Stream stream) {
    cuda::find_chroma(power.data(), frames, bins, banks.data(), &tuning, {rows, classes}, stream);
  });
  for (std::size_t frame = 0; frame < frames; ++frame) {
    std::vector<double> sums(classes);
    for (std::size_t bin = 0; bin < bins; ++bin)
      for (std::size_t c = 0; c < classes; ++c) sums[c] += bank[bin * classes + c] * power[frame * bins + bin];
    const double largest = *std::max_element(sums.begin(), sums.end());
    for (std::size_t c = 0; c < classes; ++c)
      CHECK(out[frame * classes + c] == Approx(frame == 1 ? 0 : sums[c] / largest).epsilon(1e-5));
  }
}

TEST_CASE("The largest and the smallest bins of each band, with equal ones among them") {
  const std::size_t frames = 3, bins = 150;
  const std::vector<cuda::ContrastRange> ranges = {{0, 1, 1}, {1, 8, 1}, {5, 60, 3}, {50, 150, 9}, {0, 150, 150}};
  std::vector<float> power = random_powers(frames * bins, 7);
  for (std::size_t i = 0; i < bins; ++i) power[bins + i] = 1 + static_cast<float>(i % 5);  // many are equal
  for (std::size_t i = 0; i < bins; ++i) power[2 * bins + i] = i % 3 == 0 ? 1e-30f : 0;    // below amin
  const std::size_t bands = ranges.size(), size = frames * bands;
  const std::vector<float> decibels = same_in_all_orders(2 * size, [&](float* out, cuda::Stream stream) {
    cuda::find_extremes(power.data(), frames, bins, ranges.data(), bands, 1e-10, out, stream);
  });
  for (std::size_t frame = 0; frame < frames; ++frame)
    for (std::size_t band = 0; band < bands; ++band) {
      const auto [first, end, extremes] = ranges[band];
      std::vector<float> sorted(&power[frame * bins + first], &power[frame * bins] + end);
      for (const bool largest : {true, false}) {
        if (largest)
          std::sort(sorted.begin(), sorted.end(), std::greater<>());
        else
          std::sort(sorted.begin(), sorted.end());
        double sum = 0;
        for (int i = 0; i < extremes; ++i) sum += std::sqrt(sorted[i]);
        const double expected = 10 * std::log10(std::max(1e-10, sum / extremes));
        CHECK(decibels[(largest ? 0 : size) + frame * bands + band] == Approx(expected).margin(2e-5));
      }
    }

  const float maxima[] = {20, -10};
  const std::vector<float> contrast = same_in_all_orders(frames * (bands + 1), [&](float* out, cuda::Stream stream) {
    cuda::subtract_extremes(decibels.data(), frames, bands, maxima, 30, {out + 1, bands + 1}, stream);
  });
  for (std::size_t i = 0; i < size; ++i)
    CHECK(contrast[i / bands * (bands + 1) + 1 + i % bands] ==
          std::max(-10.0f, decibels[i]) - std::max(-40.0f, decibels[size + i]));
}

TEST_CASE("Only what the cuda backend can compute is accepted as tables") {
  const auto backend = cuda::make_backend({.device = "cuda"});
  SpectralTables tables{.n_fft = 8, .hop = 4};
  for (std::size_t i = 0; i < 8; ++i)
    tables.window.push_back(0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / 8));
  CHECK_NOTHROW(backend->make_spectral_state(tables));
  tables.window[3] += 0.01;
  CHECK(test::error_of([&] { backend->make_spectral_state(tables); }).find("sample 3 of the window is 0.86") !=
        std::string::npos);
  tables.n_fft = 1 << 17;
  CHECK(test::error_of([&] { backend->make_spectral_state(tables); }).find("n_fft may be 4 to 65536") !=
        std::string::npos);
}

TEST_CASE("Whole clips have the same bits in all orders of blocks, warps and lanes") {
  SpectralTables tables = make_spectral_tables({.kind = FeatureKind::spectral33});
  tables.wanted.insert(tables.wanted.end(), {SpectralFeature::mel, SpectralFeature::log_mel});
  const std::vector<std::size_t> lengths = {6000, 2500};
  const std::size_t frames = tables.frames(lengths[0]) + tables.frames(lengths[1]);
  const std::vector<float> samples = random_values(lengths[0] + lengths[1], 8);
  const auto features = [&](emulator::Order order, std::uint64_t seed) {
    cuda::emulate(order, seed);
    const auto backend = cuda::make_backend({.device = "cuda"});
    const auto queue = backend->device().make_queue();
    const auto state = backend->make_spectral_state(tables);
    Buffer<float> input(backend->device(), samples.size()), output(backend->device(), frames * tables.width());
    input.copy_in(samples, *queue);
    backend->spectral_features(*state, std::as_const(input).view(samples.size()), lengths,
                               output.view(frames, tables.width()), *queue);
    std::vector<float> out(output.size());
    output.copy_out(out, *queue);
    queue->synchronize();
    return out;
  };
  const std::vector<float> forwards = features(emulator::Order::first_to_last, 0);
  CHECK(features(emulator::Order::last_to_first, 0) == forwards);
  CHECK(features(emulator::Order::random, 1) == forwards);
  CHECK(features(emulator::Order::random, 2) == forwards);
  cuda::emulate(emulator::Order::first_to_last);
}
