// The LSTM stack on a CPU: Backend::make_stack_state, stack_forward and stack_backward for one instruction set.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/ops.hpp"

namespace genretree::cpu {

struct LstmKernels;

std::unique_ptr<StackState> make_stack_state(std::int64_t target, const StackConfig& config, const Group& largest,
                                             Mode mode);
/// The same on kernels that the caller chooses: bench's read the clock and call those of lstm_kernels.
std::unique_ptr<StackState> make_stack_state(const LstmKernels& kernels, const StackConfig& config,
                                             const Group& largest, Mode mode);

void stack_forward(const StackConfig& config, const Group& group, View<const float, 2> parameters,
                   View<const float, 4> x, View<const float, 2> masks, Mode mode, StackState& state, View<float, 3> h);

void stack_backward(const StackConfig& config, const Group& group, View<const float, 2> parameters,
                    View<const float, 2> masks, View<const float, 3> dh, StackState& state, View<float, 2> gradients);

}  // namespace genretree::cpu
