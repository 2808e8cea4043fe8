// The LSTM stack of the CPU backend in precision bf16; stack_state.hpp runs it.
#pragma once

#include <memory>

#include "kernels/cpu/bf16_product.hpp"
#include "kernels/cpu/stack_state.hpp"

namespace genretree::cpu::bf16 {

/// Backend::make_stack_state for a target of supported_bf16_targets().
std::unique_ptr<StackState> make_stack_state(const Bf16Target& target, const StackConfig& config, const Group& largest,
                                             Mode mode);

}  // namespace genretree::cpu::bf16
