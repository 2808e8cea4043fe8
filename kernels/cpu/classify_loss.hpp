// Dense layer, softmax and cross-entropy. A batch has a few thousand products, so this is plain code, and its
// exponentials and sums are in double precision.
#pragma once

#include "kernels/ops.hpp"

namespace genretree::cpu {

/// Backend::classify_loss.
void classify_loss(const StackConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                   View<const float, 3> h, View<const std::int32_t, 2> labels, View<float, 3> probabilities,
                   View<double, 1> loss, View<std::int32_t, 1> correct, View<float, 3> dh, View<float, 2> gradients);

}  // namespace genretree::cpu
