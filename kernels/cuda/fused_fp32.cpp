// Where the weights of the fused LSTM in single precision lie. Registers hold as many rows of weights as their kernels
// have instances for and a multiprocessor's 65,536 registers allow; shared memory holds what fits of the rest. How a
// sum is cut into parts depends on the layer's shape alone, so that results do not depend on the device.
#include <algorithm>

#include "core/error.hpp"
#include "kernels/cuda/fused_fp32.hpp"

namespace genretree::cuda::fused_fp32 {
namespace {

/// Fills shared memory with the rows that registers leave.
void place_weights(const LayerShape& shape, std::size_t shared_limit, BlockPlan& plan) {
  if (plan.sequence_bytes > shared_limit)
    reject(
        "the fused LSTM in single precision cannot compute a layer with {} inputs and {} units: a time step needs {} "
        "bytes of shared memory, and a block may have {}",
        shape.inputs, shape.units, plan.sequence_bytes, shared_limit);
  const std::size_t fitting = (shared_limit - plan.sequence_bytes) / (plan.threads * 2 * sizeof(float));
  plan.shared_rows = static_cast<unsigned>(
      std::min<std::size_t>(fitting / rows_at_once * rows_at_once, plan.weight_rows - plan.register_rows));
}

}  // namespace

BlockPlan plan_forward(const LayerShape& shape, bool dropout, std::size_t shared_limit) {
  // few units: four threads split each sum, so that all four parts of a multiprocessor have warps
  const unsigned splits = shape.units <= 64 ? 4 : 1;
  BlockPlan plan;
  plan.lanes = 2 * splits;
  plan.threads = plan.lanes * shape.units;
  plan.weight_rows =
      std::max(blocks_of(shape.depth(), splits * rows_at_once) * rows_at_once, forward_register_rows(dropout).back());
  for (const unsigned rows : forward_register_rows(dropout))
    if (rows <= plan.weight_rows && plan.threads <= forward_threads(rows, dropout))
      plan.register_rows = std::max(plan.register_rows, rows);
  plan.sequence_bytes = 2 * sizeof(float) * plan.weight_rows * splits * (dropout ? 4 : 1) * block_rows;
  place_weights(shape, shared_limit, plan);
  return plan;
}

BlockPlan plan_backward(const LayerShape& shape, bool wants_dx, std::size_t shared_limit) {
  const unsigned units = shape.units, sets = 1 + (wants_dx ? blocks_of(shape.inputs, units) : 0);
  BlockPlan plan;
  plan.lanes = 2;
  plan.groups = std::clamp(backward_threads(32) / (2 * units), 1u, sets);
  plan.threads = 2 * units * plan.groups;
  plan.weight_rows = blocks_of(sets, plan.groups) * units;
  for (const unsigned rows : backward_register_rows)  // of the first set alone
    if (rows <= units && plan.threads <= backward_threads(rows))
      plan.register_rows = std::max(plan.register_rows, rows);
  plan.sequence_bytes = 2 * sizeof(float) * 4 * (units + 1) * block_rows;
  place_weights(shape, shared_limit, plan);
  return plan;
}

}  // namespace genretree::cuda::fused_fp32
