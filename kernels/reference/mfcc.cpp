#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

#include "kernels/reference/mfcc.hpp"

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

/// Decibels of the mel bands of all frames, [frames][M].
/// Sources: librosa.feature.melspectrogram, librosa.power_to_db with ref=1.
std::vector<double> mel_decibels(const SpectralTables& tables, std::span<const float> samples) {
  std::vector<double> decibels;
  for (std::size_t frame = 0; frame < tables.frames(samples.size()); ++frame) {
    const std::vector<double> power = power_spectrum(tables, samples, frame);
    for (const SpectralTables::Band& band : tables.mel) {
      double energy = 0;
      for (std::size_t i = 0; i < band.weights.size(); ++i) energy += band.weights[i] * power[band.first_bin + i];
      decibels.push_back(10 * std::log10(std::max(tables.amin, energy)));
    }
  }
  const double floor = *std::max_element(decibels.begin(), decibels.end()) - tables.top_db;
  for (double& value : decibels) value = std::max(value, floor);
  return decibels;
}

}  // namespace

void mfcc(const SpectralTables& tables, std::span<const float> samples, std::span<double> out) {
  const std::size_t bands = tables.mel.size(), coefficients = tables.coefficients;
  const std::vector<double> decibels = mel_decibels(tables, samples);
  for (std::size_t frame = 0; frame < tables.frames(samples.size()); ++frame)
    for (std::size_t k = 0; k < coefficients; ++k) {
      double sum = 0;
      for (std::size_t m = 0; m < bands; ++m) sum += tables.dct[k * bands + m] * decibels[frame * bands + m];
      out[frame * coefficients + k] = sum;
    }
}

}  // namespace genretree::reference
