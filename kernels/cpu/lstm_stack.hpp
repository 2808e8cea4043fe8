// The LSTM stack of the CPU backend in precision fp32, for one instruction set; stack_state.hpp runs it.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cpu/stack_state.hpp"

namespace genretree::cpu {

struct LstmKernels;

std::unique_ptr<StackState> make_stack_state(std::int64_t target, const StackConfig& config, const Group& largest,
                                             Mode mode);
/// The same on kernels that the caller chooses: bench's read the clock and call those of lstm_kernels.
std::unique_ptr<StackState> make_stack_state(const LstmKernels& kernels, const StackConfig& config,
                                             const Group& largest, Mode mode);

}  // namespace genretree::cpu
