#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <numeric>
#include <vector>

#include "kernels/reference/spectral.hpp"

namespace genretree::reference {
namespace {

using Complex = std::complex<double>;

/// The discrete Fourier transform by halves (Cooley and Tukey 1965): even and odd samples, then one butterfly for each
/// pair of results.
std::vector<Complex> fourier_transform(const std::vector<Complex>& x) {
  const std::size_t n = x.size();
  if (n == 1) return x;
  std::vector<Complex> even(n / 2), odd(n / 2), result(n);
  for (std::size_t i = 0; i < n / 2; ++i) even[i] = x[2 * i], odd[i] = x[2 * i + 1];
  even = fourier_transform(even);
  odd = fourier_transform(odd);
  for (std::size_t k = 0; k < n / 2; ++k) {
    const double angle = -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n);
    const Complex turned = Complex(std::cos(angle), std::sin(angle)) * odd[k];
    result[k] = even[k] + turned;
    result[k + n / 2] = even[k] - turned;
  }
  return result;
}

/// The clip continued beyond its ends.
double padded_sample(std::span<const float> samples, std::ptrdiff_t position, EdgePadding padding) {
  const auto n = static_cast<std::ptrdiff_t>(samples.size());
  if (position >= 0 && position < n) return samples[static_cast<std::size_t>(position)];
  if (padding == EdgePadding::zero) return 0;
  return samples[static_cast<std::size_t>(position < 0 ? -position : 2 * (n - 1) - position)];
}

/// |FFT|² of the windowed frame that is centred on sample `frame` · hop: bins 0 … n_fft / 2.
/// Source: librosa.stft with center=True.
std::vector<double> power_spectrum(const SpectralTables& tables, std::span<const float> samples, std::size_t frame) {
  const auto begin = static_cast<std::ptrdiff_t>(frame * tables.hop) - static_cast<std::ptrdiff_t>(tables.n_fft / 2);
  std::vector<Complex> windowed(tables.n_fft);
  for (std::size_t i = 0; i < tables.n_fft; ++i)
    windowed[i] = tables.window[i] * padded_sample(samples, begin + static_cast<std::ptrdiff_t>(i), tables.padding);
  const std::vector<Complex> spectrum = fourier_transform(windowed);
  std::vector<double> power(tables.n_fft / 2 + 1);
  for (std::size_t k = 0; k < power.size(); ++k) power[k] = std::norm(spectrum[k]);
  return power;
}

using Frames = std::vector<std::vector<double>>;  ///< [frames][numbers of a frame]

/// Source: librosa.feature.melspectrogram.
std::vector<double> mel_power(const SpectralTables& tables, const std::vector<double>& power) {
  std::vector<double> energies;
  for (const SpectralTables::Band& band : tables.mel) {
    double energy = 0;
    for (std::size_t i = 0; i < band.weights.size(); ++i) energy += band.weights[i] * power[band.first_bin + i];
    energies.push_back(energy);
  }
  return energies;
}

/// Decibels of a whole clip, with the floor below its maximum. Source: librosa.power_to_db with ref=1.
Frames decibels(const SpectralTables& tables, Frames values) {
  double maximum = -HUGE_VAL;
  for (std::vector<double>& frame : values)
    for (double& value : frame) {
      value = 10 * std::log10(std::max(tables.amin, value));
      maximum = std::max(maximum, value);
    }
  for (std::vector<double>& frame : values)
    for (double& value : frame) value = std::max(value, maximum - tables.top_db);
  return values;
}

/// Source: scipy.fft.dct(type=2, norm="ortho"), as librosa.feature.mfcc calls it.
std::vector<double> cosine_transform(const SpectralTables& tables, const std::vector<double>& log_mel) {
  std::vector<double> coefficients;
  for (std::size_t k = 0; k < tables.coefficients; ++k)
    coefficients.push_back(std::inner_product(
        log_mel.begin(), log_mel.end(), tables.dct.begin() + static_cast<std::ptrdiff_t>(k * log_mel.size()), 0.0));
  return coefficients;
}

/// Source: librosa.feature.spectral_centroid.
std::vector<double> centroid(const SpectralTables& tables, const std::vector<double>& power) {
  double sum = 0, weighted = 0;
  for (std::size_t bin = 0; bin < power.size(); ++bin) {
    sum += std::sqrt(power[bin]);
    weighted += static_cast<double>(bin) * tables.bin_hz * std::sqrt(power[bin]);
  }
  return {sum > 0 ? weighted / sum : 0};
}

/// A peak of the power spectrum, at the top of the parabola through it and its neighbours.
struct Peak {
  double hz, power;
};

/// Source: librosa.piptrack.
std::vector<Peak> peaks_of(const SpectralTables& tables, const std::vector<double>& power) {
  const double least = tables.pitch_threshold * *std::max_element(power.begin(), power.end());
  std::vector<Peak> peaks;
  for (std::size_t bin = tables.first_pitch_bin; bin < tables.end_pitch_bin; ++bin) {
    const double before = power[bin - 1], here = power[bin], after = power[bin + 1];
    if (here <= least || here <= before || here < after) continue;
    const double slope = (after - before) / 2, shift = slope / (2 * here - before - after);
    peaks.push_back({(static_cast<double>(bin) + shift) * tables.bin_hz, here + slope * shift / 2});
  }
  return peaks;
}

/// Which of SpectralTables::tunings the clip has. Sources: librosa.estimate_tuning and librosa.pitch_tuning.
std::size_t tuning_of(const SpectralTables& tables, const Frames& power) {
  std::vector<Peak> peaks;
  for (const std::vector<double>& frame : power)
    for (const Peak& peak : peaks_of(tables, frame)) peaks.push_back(peak);
  if (peaks.empty()) return SpectralTables::tunings / 2;  // in tune

  std::sort(peaks.begin(), peaks.end(), [](const Peak& a, const Peak& b) { return a.power < b.power; });
  const double median = (peaks[(peaks.size() - 1) / 2].power + peaks[peaks.size() / 2].power) / 2;
  std::vector<std::size_t> counts(SpectralTables::tunings);
  for (const Peak& peak : peaks) {
    if (peak.power < median) continue;
    const double semitones = 12 * std::log2(peak.hz / 440) + 0.5;  // half a semitone below the note is 0
    const double place = (semitones - std::floor(semitones)) * static_cast<double>(counts.size());
    ++counts[std::min(static_cast<std::size_t>(place), counts.size() - 1)];
  }
  return static_cast<std::size_t>(std::max_element(counts.begin(), counts.end()) - counts.begin());
}

/// Source: librosa.feature.chroma_stft.
std::vector<double> chroma(std::span<const float> bank, const std::vector<double>& power) {
  std::vector<double> classes(SpectralTables::pitch_classes);
  for (std::size_t bin = 0; bin < power.size(); ++bin)
    for (std::size_t c = 0; c < classes.size(); ++c) classes[c] += bank[bin * classes.size() + c] * power[bin];
  const double maximum = *std::max_element(classes.begin(), classes.end());
  for (double& value : classes) value = maximum > 0 ? value / maximum : 0;
  return classes;
}

/// Mean magnitude of each band's smallest, or largest, bins.
std::vector<double> extremes(const SpectralTables& tables, const std::vector<double>& power, bool largest) {
  std::vector<double> means;
  for (const SpectralTables::ContrastBand& band : tables.contrast) {
    std::vector<double> sorted(power.begin() + static_cast<std::ptrdiff_t>(band.first_bin),
                               power.begin() + static_cast<std::ptrdiff_t>(band.end_bin));
    std::sort(sorted.begin(), sorted.end());
    if (largest) std::reverse(sorted.begin(), sorted.end());
    double sum = 0;
    for (std::size_t i = 0; i < band.extremes; ++i) sum += std::sqrt(sorted[i]);
    means.push_back(sum / static_cast<double>(band.extremes));
  }
  return means;
}

/// The function of one frame, for each frame.
template <class Function>
Frames for_each_frame(const Frames& frames, const Function& function) {
  Frames results;
  for (const std::vector<double>& frame : frames) results.push_back(function(frame));
  return results;
}

/// Source: librosa.feature.spectral_contrast.
Frames contrast(const SpectralTables& tables, const Frames& power) {
  const auto decibels_of = [&](bool largest) {
    return decibels(tables, for_each_frame(power, [&](const auto& frame) { return extremes(tables, frame, largest); }));
  };
  Frames peaks = decibels_of(true);
  const Frames valleys = decibels_of(false);
  for (std::size_t frame = 0; frame < peaks.size(); ++frame)
    for (std::size_t band = 0; band < tables.contrast.size(); ++band) peaks[frame][band] -= valleys[frame][band];
  return peaks;
}

/// `feature` of all frames, from their power spectra.
Frames feature_of(SpectralFeature feature, const SpectralTables& tables, const Frames& power) {
  switch (feature) {
    case SpectralFeature::mel:
      return for_each_frame(power, [&](const auto& frame) { return mel_power(tables, frame); });
    case SpectralFeature::log_mel:
      return decibels(tables, feature_of(SpectralFeature::mel, tables, power));
    case SpectralFeature::mfcc:
      return for_each_frame(feature_of(SpectralFeature::log_mel, tables, power),
                            [&](const auto& frame) { return cosine_transform(tables, frame); });
    case SpectralFeature::centroid:
      return for_each_frame(power, [&](const auto& frame) { return centroid(tables, frame); });
    case SpectralFeature::chroma: {
      const std::size_t size = power[0].size() * SpectralTables::pitch_classes;
      const auto bank = std::span(tables.chroma).subspan(tuning_of(tables, power) * size, size);
      return for_each_frame(power, [&](const auto& frame) { return chroma(bank, frame); });
    }
    case SpectralFeature::contrast:
      return contrast(tables, power);
  }
  return {};
}

}  // namespace

void spectral_features(const SpectralTables& tables, std::span<const float> samples, std::span<double> out) {
  Frames power;
  for (std::size_t frame = 0; frame < tables.frames(samples.size()); ++frame)
    power.push_back(power_spectrum(tables, samples, frame));
  std::size_t column = 0;
  for (const SpectralFeature feature : tables.wanted) {
    const Frames values = feature_of(feature, tables, power);
    for (std::size_t frame = 0; frame < values.size(); ++frame)
      std::copy(values[frame].begin(), values[frame].end(),
                out.begin() + static_cast<std::ptrdiff_t>(frame * tables.width() + column));
    column += tables.width(feature);
  }
}

}  // namespace genretree::reference
