#include <algorithm>
#include <fmt/format.h>

#include "core/error.hpp"
#include "core/rounding.hpp"
#include "kernels/cuda/fused_bf16.hpp"
#include "kernels/cuda/fused_fp32.hpp"
#include "kernels/cuda/group_rows.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/lstm_fused.hpp"

namespace genretree::cuda {
namespace {

/// Why a layer's sequences do not fit the shared memory of a block, or "".
std::string memory_refusal(const std::string& precision, unsigned inputs, unsigned units, bool dropout) {
  const std::size_t limit = gpu_properties().shared_bytes;
  try {
    if (precision == "fp32") {
      const fused_fp32::LayerShape shape{1, 1, 1, inputs, units};
      fused_fp32::plan_forward(shape, dropout, limit);
      fused_fp32::plan_backward(shape, true, limit);
    } else {
      fused_bf16::check_shared_memory(inputs, units, dropout, limit);
    }
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

std::string fused_refusal(const std::string& precision, const StackConfig& config) {
  if (config.inputs > most_fused_inputs)
    return fmt::format("the fused LSTM takes at most {} inputs, but the features have {}", most_fused_inputs,
                       config.inputs);
  for (std::size_t l = 0; l < config.layers(); ++l) {
    const std::size_t units = config.units[l];
    if (units % fused_unit_step != 0 || units == 0 || units > most_fused_units)
      return fmt::format("the fused LSTM has layers of {0}, {1} … {2} units, but one of this model has {3}",
                         fused_unit_step, 2 * fused_unit_step, most_fused_units, units);
    const std::string reason = memory_refusal(precision, static_cast<unsigned>(config.layer_inputs(l)),
                                              static_cast<unsigned>(units), config.has_dropout());
    if (!reason.empty()) return reason;
  }
  return "";
}

std::size_t fused_runs_together(const Group& training) {
  const std::size_t blocks = blocks_of(training.batch, fused_bf16::block_rows);
  return std::clamp<std::size_t>(gpu_properties().multiprocessors / blocks, 1, most_grouped_runs);
}

}  // namespace genretree::cuda
