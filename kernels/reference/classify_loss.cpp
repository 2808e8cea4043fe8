#include <algorithm>
#include <cmath>

#include "kernels/reference/classify_loss.hpp"

namespace genretree::reference {

std::vector<double> softmax(std::span<const double> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> p;
  double sum = 0;
  for (const double z : logits) sum += p.emplace_back(std::exp(z - largest));
  for (double& value : p) value /= sum;
  return p;
}

RowLoss row_loss(Loss kind, std::span<const double> logits, std::size_t label) {
  std::vector<double> dlogits = softmax(logits);
  const double p = dlogits[label];
  // d(-log softmax)/dz = p - y; the renormalisation of Keras 2 adds nothing to it, for Σp is 1 already
  dlogits[label] -= 1;
  if (kind == Loss::logits) {
    const double largest = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const double z : logits) sum += std::exp(z - largest);
    return {std::log(sum) + largest - logits[label], dlogits};
  }
  // Keras 2, tensorflow_backend.categorical_crossentropy: outside the limits the clip has no gradient
  constexpr double epsilon = 1e-7;
  const double clipped = std::clamp(p, epsilon, 1 - epsilon);
  if (clipped != p) std::fill(dlogits.begin(), dlogits.end(), 0.0);
  return {-std::log(clipped), dlogits};
}

Classification classify_loss(Loss kind, View<const double, 2> h, View<const double, 2> kernel,
                             std::span<const double> bias, std::span<const std::int32_t> labels) {
  const auto [rows, units] = h.shape;
  const std::size_t classes = bias.size();
  Classification result;
  result.dh.resize(rows * units), result.dkernel.resize(units * classes), result.dbias.resize(classes);
  for (std::size_t b = 0; b < rows; ++b) {
    std::vector<double> logits(bias.begin(), bias.end());
    for (std::size_t u = 0; u < units; ++u)
      for (std::size_t c = 0; c < classes; ++c) logits[c] += h(b, u) * kernel(u, c);
    const std::vector<double> p = softmax(logits);
    result.probabilities.insert(result.probabilities.end(), p.begin(), p.end());
    const std::size_t label = static_cast<std::size_t>(labels[b]);
    const auto [loss, dlogits] = row_loss(kind, logits, label);
    result.loss += loss;
    result.correct += static_cast<std::size_t>(std::max_element(p.begin(), p.end()) - p.begin()) == label;
    for (std::size_t c = 0; c < classes; ++c) {
      const double dz = dlogits[c] / static_cast<double>(rows);
      result.dbias[c] += dz;
      for (std::size_t u = 0; u < units; ++u) {
        result.dkernel[u * classes + c] += h(b, u) * dz;
        result.dh[b * units + u] += kernel(u, c) * dz;
      }
    }
  }
  return result;
}

}  // namespace genretree::reference
