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

RowLoss row_loss(Loss kind, std::span<const double> logits, std::span<const double> targets) {
  const std::vector<double> p = softmax(logits);
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const double z : logits) sum += std::exp(z - largest);
  // Keras 2, tensorflow_backend.categorical_crossentropy: outside the limits the clip has no gradient. Its
  // renormalisation adds nothing, for Σp is 1 already.
  constexpr double epsilon = 1e-7;
  RowLoss result{0, std::vector<double>(p.size())};
  for (std::size_t c = 0; c < p.size(); ++c) {
    const double clipped = std::clamp(p[c], epsilon, 1 - epsilon);
    result.loss += targets[c] * (kind == Loss::logits ? std::log(sum) + largest - logits[c] : -std::log(clipped));
    if (kind == Loss::clipped && clipped != p[c]) continue;
    // d(-log softmax_c)/dz_k = p_k - [k = c]
    for (std::size_t k = 0; k < p.size(); ++k) result.dlogits[k] += targets[c] * (p[k] - (k == c ? 1 : 0));
  }
  return result;
}

Classification classify_loss(Loss kind, View<const double, 2> h, View<const double, 2> kernel,
                             std::span<const double> bias, std::span<const std::int32_t> labels,
                             View<const double, 2> targets) {
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
    std::vector<double> target(classes);
    if (targets.empty())
      target[label] = 1;
    else
      std::ranges::copy(targets[b].flat(), target.begin());
    const auto [loss, dlogits] = row_loss(kind, logits, target);
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
