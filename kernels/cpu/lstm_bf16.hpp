// The LSTM stack of the CPU backend in precision bf16, forward and backward through time.
#pragma once

#include <memory>

#include "kernels/cpu/bf16_product.hpp"
#include "kernels/ops.hpp"

namespace genretree::cpu::bf16 {

/// Backend::make_stack_state for a target of supported_bf16_targets().
std::unique_ptr<StackState> make_stack_state(const Bf16Target& target, const StackConfig& config, const Group& largest,
                                             Mode mode);

/// Backend::stack_forward.
void stack_forward(const StackConfig& config, const Group& runs, View<const float, 2> parameters,
                   View<const float, 4> x, View<const float, 2> masks, Mode mode, StackState& state, View<float, 3> h);

/// Backend::stack_backward.
void stack_backward(const StackConfig& config, const Group& runs, View<const float, 2> parameters,
                    View<const float, 2> masks, View<const float, 3> dh, StackState& state, View<float, 2> gradients);

}  // namespace genretree::cpu::bf16
