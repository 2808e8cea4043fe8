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

/// The function of one frame, for each frame.
template <class Function>
Frames for_each_frame(const Frames& frames, const Function& function) {
  Frames results;
  for (const std::vector<double>& frame : frames) results.push_back(function(frame));
  return results;
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
