// Dropout masks of one batch.
#pragma once

#include "kernels/ops.hpp"

namespace genretree::cpu {

/// Backend::dropout_masks.
void dropout_masks(const NetworkConfig& config, const Group& group, std::span<const RandomKey> keys,
                   View<float, 2> masks);

}  // namespace genretree::cpu
