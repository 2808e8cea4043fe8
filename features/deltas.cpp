#include <algorithm>
#include <array>

#include "features/deltas.hpp"

namespace genretree {
namespace {

constexpr int reach = delta_frames / 2;
using Weights = std::array<double, delta_frames>;

/// Least squares over k = -4 … 4: the slope is Σ k x_k / Σ k², with Σ k² = 60.
Weights slope_weights() {
  Weights weights;
  for (int k = -reach; k <= reach; ++k) weights[static_cast<std::size_t>(k + reach)] = k / 60.0;
  return weights;
}

/// Twice the quadratic coefficient, Σ (k² - 60/9) x_k / Σ (k² - 60/9)², whose denominator is 308.
Weights curvature_weights() {
  Weights weights;
  for (int k = -reach; k <= reach; ++k) weights[static_cast<std::size_t>(k + reach)] = 2 * (k * k - 60.0 / 9) / 308;
  return weights;
}

}  // namespace

void remove_mean(std::span<float> features, std::size_t width) {
  std::vector<double> mean(width, 0.0);
  for (std::size_t i = 0; i < features.size(); ++i) mean[i % width] += features[i];
  for (double& value : mean) value *= static_cast<double>(width) / static_cast<double>(features.size());
  for (std::size_t i = 0; i < features.size(); ++i) features[i] = static_cast<float>(features[i] - mean[i % width]);
}

std::vector<float> with_deltas(std::span<const float> features, std::size_t width, std::size_t orders) {
  const std::array<Weights, 2> weights = {slope_weights(), curvature_weights()};
  const std::size_t frames = features.size() / width;
  std::vector<float> result;
  result.reserve(features.size() * (1 + orders));
  for (std::size_t t = 0; t < frames; ++t) {
    const auto frame = features.subspan(t * width, width);
    result.insert(result.end(), frame.begin(), frame.end());
    const std::size_t first = std::clamp<std::size_t>(t, reach, frames - 1 - reach) - reach;
    for (std::size_t order = 0; order < orders; ++order)
      for (std::size_t i = 0; i < width; ++i) {
        double sum = 0;
        for (std::size_t k = 0; k < delta_frames; ++k) sum += weights[order][k] * features[(first + k) * width + i];
        result.push_back(static_cast<float>(sum));
      }
  }
  return result;
}

}  // namespace genretree
