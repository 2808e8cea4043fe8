#include <algorithm>
#include <cmath>

#include "kernels/cpu/classify_loss.hpp"

namespace genretree::cpu {
namespace {

/// exp(z) / Σ exp(z) of some logits z, safe from overflow.
struct Softmax {
  double largest = -HUGE_VAL, sum = 0, log_sum;

  explicit Softmax(std::span<const float> logits) {
    for (const float z : logits) largest = std::max<double>(largest, z);
    for (const float z : logits) sum += std::exp(z - largest);
    log_sum = std::log(sum) + largest;
  }
  double operator()(float z) const { return std::exp(z - largest) / sum; }
  /// The negative logarithm.
  double cost(float z) const { return log_sum - z; }
};

/// What a class costs by a kind of loss. Keras 2 (tensorflow_backend.categorical_crossentropy) clips the probability: no
/// gradient outside the limits.
struct Cost {
  double value;
  bool clipped;

  Cost(Loss kind, double exact) {
    constexpr double epsilon = 1e-7;
    const double lowest = -std::log(1 - epsilon), highest = -std::log(epsilon);
    clipped = kind == Loss::clipped && (exact < lowest || exact > highest);
    value = clipped ? std::clamp(exact, lowest, highest) : exact;
  }
};

}  // namespace

RowsLoss classify_rows(const DenseSoftmax& layer, Loss kind, View<const float, 2> h, const std::int32_t* labels,
                       View<const float, 2> targets, std::size_t batch_rows, View<float, 2> probabilities,
                       View<float, 2> dh) {
  const auto [rows, units] = h.shape;
  const std::size_t classes = layer.classes, stride = layer.kernel.shape[1];
  RowsLoss result;
  for (std::size_t b = 0; b < rows; ++b) {
    const View<const float, 1> row = h[b];
    const std::size_t label = static_cast<std::size_t>(labels[b]);
    // the logits pass through the probabilities' memory: a launcher takes none
    const std::span<float> p = probabilities[b].flat().first(classes);
    for (std::size_t c = 0; c < classes; ++c) {
      double z = layer.bias[c];
      for (std::size_t u = 0; u < units; ++u) z += static_cast<double>(row[u]) * layer.kernel(u, c);
      p[c] = static_cast<float>(z);
    }
    const Softmax softmax(p);
    const auto cost_of = [&](std::size_t c) { return Cost(kind, softmax.cost(p[c])); };
    const auto target_of = [&](std::size_t c) {
      return targets.empty() ? static_cast<float>(c == label) : targets(b, c);
    };
    double loss = 0;
    float with_gradient = 0;  // share of the targets that is not clipped
    for (std::size_t c = 0; c < classes; ++c) {
      if (target_of(c) == 0) continue;
      const Cost cost = cost_of(c);
      loss += target_of(c) * cost.value;
      if (!cost.clipped) with_gradient += target_of(c);
    }
    result.loss += loss;

    if (!dh.empty()) std::fill_n(dh[b].data, units, 0.0f);
    for (std::size_t c = 0; c < classes; ++c) {
      const float target = target_of(c) == 0 || cost_of(c).clipped ? 0 : target_of(c);
      p[c] = static_cast<float>(softmax(p[c]));
      if (dh.empty() || with_gradient == 0) continue;
      const float dz = (with_gradient * p[c] - target) / static_cast<float>(batch_rows);
      layer.dbias[c] += dz;
      for (std::size_t u = 0; u < units; ++u) {
        layer.dkernel[u * stride + c] += row[u] * dz;
        dh(b, u) += layer.kernel(u, c) * dz;
      }
    }
    std::ranges::fill(probabilities[b].flat().subspan(classes), 0.0f);
    result.correct += static_cast<std::size_t>(std::ranges::max_element(p) - p.begin()) == label;
  }
  return result;
}

void classify_loss(const NetworkConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                   View<const float, 3> h, View<const std::int32_t, 2> labels, View<const float, 3> targets,
                   View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct, View<float, 3> dh,
                   View<float, 2> gradients) {
  const std::size_t units = config.dense_inputs();
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
    const RowsLoss result = classify_rows(layer, kind, view_of(h[r].data, rows, units), labels[r].data, targets[r],
                                          rows, view_of(probabilities[r].data, rows, group.classes),
                                          dh.empty() ? View<float, 2>{} : view_of(dh[r].data, rows, units));
    loss[r] = result.loss, correct[r] = result.correct;
  }
}

}  // namespace genretree::cpu
