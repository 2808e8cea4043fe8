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

RowsLoss classify_rows(const DenseSoftmax& layer, Loss kind, View<const float, 2> h, const std::int32_t* labels,
                       std::size_t batch_rows, View<float, 2> probabilities, View<float, 2> dh) {
  const auto [rows, units] = h.shape;
  const std::size_t classes = layer.classes, stride = layer.kernel.shape[1];
  RowsLoss result;
  for (std::size_t b = 0; b < rows; ++b) {
    const View<const float, 1> row = h[b];
    const View<float, 1> p = probabilities[b];
    const std::size_t label = static_cast<std::size_t>(labels[b]);
    const double exact_loss = classify_row(row, layer.kernel, layer.bias, classes, label, p);
    result.correct += static_cast<std::size_t>(std::max_element(p.data, p.data + classes) - p.data) == label;
    // Keras 2 (tensorflow_backend.categorical_crossentropy) clips the probability: no gradient outside the limits
    constexpr double epsilon = 1e-7;
    const double lowest = -std::log(1 - epsilon), highest = -std::log(epsilon);
    const bool clipped = kind == Loss::clipped && (exact_loss < lowest || exact_loss > highest);
    result.loss += clipped ? std::clamp(exact_loss, lowest, highest) : exact_loss;
    if (dh.empty()) continue;

    std::fill_n(dh[b].data, units, 0.0f);
    if (clipped) continue;
    for (std::size_t c = 0; c < classes; ++c) {
      const float dz = (p[c] - (c == label ? 1.0f : 0.0f)) / static_cast<float>(batch_rows);
      layer.dbias[c] += dz;
      for (std::size_t u = 0; u < units; ++u) {
        layer.dkernel[u * stride + c] += row[u] * dz;
        dh(b, u) += layer.kernel(u, c) * dz;
      }
    }
  }
  return result;
}

void classify_loss(const StackConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                   View<const float, 3> h, View<const std::int32_t, 2> labels, View<float, 3> probabilities,
                   View<double, 1> loss, View<std::int32_t, 1> correct, View<float, 3> dh, View<float, 2> gradients) {
  const std::size_t units = config.outputs();
  const ParameterLayout layout(config, group.classes);
  for (std::size_t r = 0; r < group.runs; ++r) {
    const std::size_t rows = group.rows[r];
    loss[r] = 0, correct[r] = 0;
    if (rows == 0) continue;
    DenseSoftmax layer{view_of(parameters[r].data + layout.dense_kernel.offset, units, group.classes),
                       parameters[r].data + layout.dense_bias.offset, nullptr, nullptr, group.class_counts[r]};
    if (!dh.empty()) {
      layer.dkernel = gradients[r].data + layout.dense_kernel.offset;
      layer.dbias = gradients[r].data + layout.dense_bias.offset;
      std::fill_n(layer.dkernel, layout.dense_kernel.size(), 0.0f);
      std::fill_n(layer.dbias, group.classes, 0.0f);
    }
    const RowsLoss result = classify_rows(layer, kind, view_of(h[r].data, rows, units), labels[r].data, rows,
                                          view_of(probabilities[r].data, rows, group.classes),
                                          dh.empty() ? View<float, 2>{} : view_of(dh[r].data, rows, units));
    loss[r] = result.loss, correct[r] = result.correct;
  }
}

}  // namespace genretree::cpu
