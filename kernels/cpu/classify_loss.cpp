#include <algorithm>
#include <cmath>

#include "kernels/cpu/classify_loss.hpp"

namespace genretree::cpu {
namespace {

/// probabilities = softmax(z), z = h · kernel + bias, over the first `classes` columns, 0 in the others.
/// Returns log Σ exp(z) - z[label].
double classify_row(View<const float, 1> h, View<const float, 2> kernel, const float* bias, std::size_t classes,
                    std::size_t label, View<float, 1> probabilities) {
  const auto logit = [&](std::size_t c) {
    double z = bias[c];
    for (std::size_t u = 0; u < h.shape[0]; ++u) z += static_cast<double>(h[u]) * kernel(u, c);
    return z;
  };
  // the logits pass through the probabilities' memory: a launcher takes none
  double largest = -HUGE_VAL;
  for (std::size_t c = 0; c < classes; ++c)
    largest = std::max<double>(largest, probabilities[c] = static_cast<float>(logit(c)));
  double sum = 0;
  for (std::size_t c = 0; c < classes; ++c) sum += std::exp(probabilities[c] - largest);
  const double loss = std::log(sum) + largest - probabilities[label];
  for (std::size_t c = 0; c < classes; ++c)
    probabilities[c] = static_cast<float>(std::exp(probabilities[c] - largest) / sum);
  std::fill(&probabilities[0] + classes, &probabilities[0] + probabilities.shape[0], 0.0f);
  return loss;
}

}  // namespace

void classify_loss(const StackConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                   View<const float, 3> h, View<const std::int32_t, 2> labels, View<float, 3> probabilities,
                   View<double, 1> loss, View<std::int32_t, 1> correct, View<float, 3> dh, View<float, 2> gradients) {
  const std::size_t units = config.outputs();
  const ParameterLayout layout(config, group.classes);
  for (std::size_t r = 0; r < group.runs; ++r) {
    const std::size_t rows = group.rows[r], classes = group.class_counts[r];
    loss[r] = 0, correct[r] = 0;
    if (rows == 0) continue;
    const auto kernel = view_of(parameters[r].data + layout.dense_kernel.offset, units, group.classes);
    const float* bias = parameters[r].data + layout.dense_bias.offset;
    float* dkernel = dh.empty() ? nullptr : gradients[r].data + layout.dense_kernel.offset;
    float* dbias = dh.empty() ? nullptr : gradients[r].data + layout.dense_bias.offset;
    if (dkernel) std::fill_n(dkernel, layout.dense_kernel.size(), 0.0f), std::fill_n(dbias, group.classes, 0.0f);

    for (std::size_t b = 0; b < rows; ++b) {
      const View<const float, 1> row = h[r][b];
      const View<float, 1> p = probabilities[r][b];
      const std::size_t label = static_cast<std::size_t>(labels(r, b));
      const double exact_loss = classify_row(row, kernel, bias, classes, label, p);
      correct[r] += static_cast<std::size_t>(std::max_element(p.data, p.data + classes) - p.data) == label;
      // Keras 2 (tensorflow_backend.categorical_crossentropy) clips the probability: no gradient outside the limits
      constexpr double epsilon = 1e-7;
      const double lowest = -std::log(1 - epsilon), highest = -std::log(epsilon);
      const bool clipped = kind == Loss::clipped && (exact_loss < lowest || exact_loss > highest);
      loss[r] += clipped ? std::clamp(exact_loss, lowest, highest) : exact_loss;
      if (!dkernel) continue;

      std::fill_n(dh[r][b].data, units, 0.0f);
      if (clipped) continue;
      for (std::size_t c = 0; c < classes; ++c) {
        const float dz = (p[c] - (c == label ? 1.0f : 0.0f)) / static_cast<float>(rows);
        dbias[c] += dz;
        for (std::size_t u = 0; u < units; ++u) {
          dkernel[u * group.classes + c] += row[u] * dz;
          dh(r, b, u) += kernel(u, c) * dz;
        }
      }
    }
  }
}

}  // namespace genretree::cpu
