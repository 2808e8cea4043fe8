#pragma once

#include "kernels/ops.hpp"

namespace genretree::cuda {

/// Backend::dropout_masks: a launch for each of MaskLayout::parts. At most most_grouped_runs runs.
void dropout_masks(const NetworkConfig& config, const Group& group, std::span<const RandomKey> keys,
                   View<float, 2> masks, Queue& queue);

}  // namespace genretree::cuda
