// The LSTM stack by kernels of our own that keep the weights on the multiprocessor through all frames, for many runs at
// once: a block of threads takes eight rows of one run's batch, and blocks never wait for each other.
#pragma once

#include <memory>
#include <string>

#include "kernels/cuda/lstm_stack.hpp"

namespace genretree::cuda {

/// Layers that have kernels: 16, 32, … 256 units; and the widest input.
inline constexpr std::size_t fused_unit_step = 16, most_fused_units = 256, most_fused_inputs = 1024;

/// Why the fused kernels cannot compute such a stack in this precision on this GPU; or "".
std::string fused_refusal(const std::string& precision, const StackConfig& config);

/// Products of bf16, sums and cell states in fp32. The state is for groups of exactly this batch and these frames, and
/// at most these runs. `config` is not refused.
std::unique_ptr<LstmState> make_fused_bf16_state(const StackConfig& config, const Group& largest, Mode mode,
                                                 Queue& queue);
/// The same in fp32 throughout.
std::unique_ptr<LstmState> make_fused_fp32_state(const StackConfig& config, const Group& largest, Mode mode,
                                                 Queue& queue);

/// Runs whose blocks of rows fill the multiprocessors of this GPU; at least 1.
std::size_t fused_runs_together(const Group& training);

}  // namespace genretree::cuda
