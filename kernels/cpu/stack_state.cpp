#include "core/error.hpp"
#include "kernels/cpu/stack_state.hpp"

namespace genretree::cpu {

void stack_forward(const StackConfig& config, const Group& group, View<const float, 2> parameters,
                   View<const float, 4> x, View<const float, 2> masks, Mode mode, StackState& state, View<float, 4> h) {
  CpuStackState& own = static_cast<CpuStackState&>(state);
  if (own.mode() == Mode::inference && mode == Mode::training)
    fail("a stack state made for inference cannot train. Make it with Mode::training");
  if (!masks.empty() && !own.takes_masks())
    fail(
        "dropout masks were given to a stack state without room for them. Make it for training with the dropout rates");
  for (std::size_t r = 0; r < group.runs; ++r)
    if (group.rows[r] > 0)
      own.forward(config, group, r, parameters[r].data, x[r], masks.empty() ? nullptr : masks[r].data, mode, h[r]);
}

void stack_backward(const StackConfig& config, const Group& group, View<const float, 2> parameters,
                    View<const float, 2> masks, View<const float, 4> dh, StackState& state, View<float, 2> gradients,
                    View<float, 4> dx) {
  CpuStackState& own = static_cast<CpuStackState&>(state);
  for (std::size_t r = 0; r < group.runs; ++r)
    if (group.rows[r] > 0)
      own.backward(config, group, r, parameters[r].data, dh[r], !masks.empty(), gradients[r].data, dx[r]);
}

void pack_mask_rows(const StackConfig& config, std::size_t layer, const float* masks, std::size_t batch,
                    std::size_t rows, const MaskedRow& row, float* out) {
  const std::size_t units = config.units[layer], inputs = config.layer_inputs(layer);
  const MaskLayout layout(config, batch);
  const float* input = masks + layout.layers[layer].input_offset;
  const float* recurrent = masks + layout.layers[layer].recurrent_offset;
  for (std::size_t q = 0; q < 4; ++q)
    for (std::size_t b = 0; b < rows; ++b, out += row.size) {
      std::copy_n(recurrent + (q * batch + b) * units, units, out);
      if (row.has_inputs) std::copy_n(input + (q * batch + b) * inputs, inputs, out + row.first_input);
    }
}

}  // namespace genretree::cpu
