// Dropout masks of one batch, from counter-based random numbers.
#pragma once

#include <span>

#include "kernels/ops.hpp"

namespace genretree::reference {

/// masks [D] in MaskLayout: element e is 1 / (1 - rate) if Random(key).uniform_at(e) ≥ rate, else 0, with the rate of
/// its layer's input or recurrent part. Sources: Keras, DropoutRNNCell.get_dropout_mask and backend.random.dropout.
void dropout_masks(const NetworkConfig& config, std::size_t batch, const RandomKey& key, std::span<double> masks);

}  // namespace genretree::reference
