// How a stack of LSTM layers runs through its sequences in precision bf16, on one core. Operands of products are bf16;
// sums, gates, cells, gradients and the weights that Adam keeps are single precision. It goes as lstm_stack.cpp does,
// with other shapes:
//
// Forward, for each time step, for each layer:
//   operand [B, units + in] = [h_{t-1}, input], one row for each clip, both parts padded with zeros
//   z [B, 4, 16] = bias + operand · [recurrent kernel; kernel] for each group of 16 units, and then the cell
// Training keeps of all steps, in 16 bits each: operands, activated gates and cells.
//
// Backward, from the last step to the first, for each layer from the top:
//   The cell turns dh and dc into dz [B, 4, units], and sums dz into the bias's gradient.
//   doperand [B, units + in] = dz · transposed weights: dh of step t - 1, and dh of the layer below at step t
//   gradient [units + in, 4, 16] += operandᵀ · dz for each group of units, once in a few steps. Its depth is the rows
//   of these steps, so operands are transposed and pairs of dz's rows laid side by side just before.
//
// With dropout each gate has an operand of its own, and each gate's part of doperand has a mask of its own.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/cpu/bf16.hpp"
#include "kernels/cpu/lstm_bf16.hpp"
#include "kernels/cpu/lstm_bf16_kernels.hpp"

namespace genretree::cpu::bf16 {
namespace {

constexpr std::size_t group = bf16_group, group_columns = 4 * group;
/// A product's depth is a multiple of this.
constexpr std::size_t depth_unit = 32;
/// Rows whose dz are multiplied into the weights' gradient together: they and the operands lie in the second-level
/// cache.
constexpr std::size_t block_rows = 288;
/// Columns of a panel of transposed weights.
constexpr std::size_t panel_columns = 64;

/// Steps whose dz are collected, for a batch of `rows`.
std::size_t block_steps(std::size_t rows) { return std::max<std::size_t>(1, block_rows / rows); }

/// One layer of one run: sizes, packed weights, what training keeps, and scratch.
struct Layer {
  std::size_t inputs, units;
  std::size_t groups;            // of units
  std::size_t depth;             // of an operand
  std::size_t gate_depth;        // of one gate's part of a row of dz
  std::size_t doperand_columns;  // [padded units][padded inputs]; the first layer's second part only for dx

  Buffer<std::uint32_t> weights;  // [groups][depth / 2][4][16] pairs of rows
  Buffer<float> bias;             // [groups][4][16]
  // Of each step and one after the last; two for inference.
  Buffer<std::uint16_t> operands;  // [B][depth]
  Buffer<std::int16_t> gates;      // [groups][B][4][16]; training only
  Buffer<std::uint16_t> cells;     // [groups][B][16] c_{t-1}; training only
  Buffer<float> cell;              // [groups][B][16] as of now
  Buffer<float> z;                 // [groups][B][4][16]

  Buffer<std::uint32_t> transposed;           // panels of [4 · gate depth / 2][panel columns] pairs of rows
  Buffer<std::uint16_t> dz;                   // [block's rows][4][gate depth]
  Buffer<std::uint32_t> dz_pairs;             // [block's rows / 2][4][16]
  Buffer<std::uint16_t> operands_transposed;  // [depth][block's rows], with dropout for each gate
  Buffer<float> doperands[2];                 // [B][doperand columns] of this step and of the one after it
  Buffer<float> dcell;                        // [groups][B][16]
  Buffer<float> gradient;                     // [groups][depth][4][16]
  Buffer<float> dbias;                        // [groups][4][16]

  Buffer<float> operand_masks;            // [4][B][depth]
  Buffer<float> doperand_masks;           // [4][B][doperand columns]
  Buffer<std::uint16_t> masked_operands;  // [4][B][depth]; of the block's rows one gate after another
  Buffer<float> product;                  // [B][doperand columns]

  std::size_t padded_units() const { return groups * group; }
  std::size_t dz_row() const { return 4 * gate_depth; }
};

/// Memory of one run, used anew by each forward pass for the rows of its batch.
struct Run {
  std::vector<Layer> layers;
  Buffer<float> output;  // [B][padded units of the last layer] of one step; in the backward pass its gradient
};

struct Bf16StackState final : CpuStackState {
  using CpuStackState::CpuStackState;
  Bf16Multiply multiply;
  LstmBf16Kernels kernels;
  std::vector<Run> runs;

  void forward(const StackConfig& config, const Group& shape, std::size_t run, const float* parameters,
               View<const float, 3> x, const float* masks, Mode mode, View<float, 3> h) override;
  void backward(const StackConfig& config, const Group& shape, std::size_t run, const float* parameters,
                View<const float, 3> dh, bool masked, float* gradients, View<float, 3> dx) override;
};

Layer make_layer(Bf16StackState& state, const StackConfig& config, std::size_t index, const Group& largest) {
  Layer layer;
  const std::size_t batch = largest.batch;
  layer.inputs = config.layer_inputs(index), layer.units = config.units[index];
  layer.groups = (layer.units + group - 1) / group;
  // h of the layer below is written in whole groups
  const std::size_t padded_inputs = round_up(layer.inputs, group);
  layer.depth = round_up(layer.padded_units() + padded_inputs, depth_unit);
  layer.gate_depth = round_up(layer.units, depth_unit);
  layer.doperand_columns = layer.padded_units() + (index == 0 && !config.input_gradient ? 0 : padded_inputs);

  const bool training = state.mode() == Mode::training;
  const std::size_t packed = layer.groups * layer.depth * group_columns;
  layer.weights = state.zeros<std::uint32_t>(packed / 2);
  layer.bias = state.zeros(layer.groups * group_columns);
  layer.operands = state.zeros<std::uint16_t>((training ? largest.frames + 1 : 2) * batch * layer.depth);
  layer.cell = state.zeros(batch * layer.padded_units());
  layer.z = state.zeros(batch * layer.groups * group_columns);
  if (!training) return layer;

  const std::size_t rows = round_up(std::max(batch, block_rows), depth_unit);
  layer.gates = state.zeros<std::int16_t>(largest.frames * batch * layer.groups * group_columns);
  layer.cells = state.zeros<std::uint16_t>((largest.frames + 1) * batch * layer.padded_units());
  layer.transposed = state.zeros<std::uint32_t>(layer.dz_row() / 2 * layer.doperand_columns);
  layer.dz = state.zeros<std::uint16_t>(rows * layer.dz_row());
  layer.dz_pairs = state.zeros<std::uint32_t>(rows / 2 * group_columns);
  layer.operands_transposed = state.zeros<std::uint16_t>((config.has_dropout() ? 4 : 1) * layer.depth * rows);
  for (Buffer<float>& doperand : layer.doperands) doperand = state.zeros(batch * layer.doperand_columns);
  layer.dcell = state.zeros(batch * layer.padded_units());
  layer.gradient = state.zeros(packed);
  layer.dbias = state.zeros(layer.groups * group_columns);
  if (!state.takes_masks()) return layer;

  layer.operand_masks = state.zeros(4 * batch * layer.depth);
  layer.doperand_masks = state.zeros(4 * batch * layer.doperand_columns);
  layer.masked_operands = state.zeros<std::uint16_t>(std::max(4 * batch, rows) * layer.depth);
  layer.product = state.zeros(batch * layer.doperand_columns);
  return layer;
}

// ------------------------------------------------------------------------------------------------------------- packing

/// A layer's rows of weights in Keras's layout, and where each belongs in an operand.
template <class T>
struct WeightRow {
  T* canonical;       // [4 · units]
  std::size_t place;  // in an operand
};

template <class T>
std::vector<WeightRow<T>> weight_rows(const Layer& layer, const ParameterLayout::Layer& place, T* parameters) {
  std::vector<WeightRow<T>> rows;
  for (std::size_t u = 0; u < layer.units; ++u)
    rows.push_back({parameters + place.recurrent.offset + u * place.recurrent.columns, u});
  for (std::size_t i = 0; i < layer.inputs; ++i)
    rows.push_back({parameters + place.kernel.offset + i * place.kernel.columns, layer.padded_units() + i});
  return rows;
}

/// Calls visit(group, gate, first canonical column, columns) for all columns of the gates.
template <class Visit>
void for_each_gate(const Layer& layer, Visit visit) {
  for (std::size_t g = 0; g < layer.groups; ++g)
    for (std::size_t q = 0; q < 4; ++q)
      visit(g, q, q * layer.units + g * group, std::min(group, layer.units - g * group));
}

/// One half of a pair.
void put(std::uint32_t& pair, std::size_t half, float value) {
  const std::uint32_t shift = half % 2 * 16;
  pair = (pair & 0xFFFF0000u >> shift) | std::uint32_t{to_bf16(value)} << shift;
}

void pack_weights(Layer& layer, const ParameterLayout::Layer& place, const float* parameters) {
  for (const auto& [row, k] : weight_rows(layer, place, parameters))
    for_each_gate(layer, [&, row = row, k = k](std::size_t g, std::size_t q, std::size_t column, std::size_t count) {
      std::uint32_t* pairs = layer.weights.data() + ((g * layer.depth + k) / 2 * 4 + q) * group;
      for (std::size_t c = 0; c < count; ++c) put(pairs[c], k, row[column + c]);
    });
  for_each_gate(layer, [&](std::size_t g, std::size_t q, std::size_t column, std::size_t count) {
    const float* bias = parameters + place.bias.offset + column;
    std::transform(bias, bias + count, layer.bias.data() + g * group_columns + q * group, [](float value) {
      return std::isnan(value) ? std::numeric_limits<float>::quiet_NaN() : value;  // low bits of 0, as store_bf16 asks
    });
  });
}

void unpack_gradient(const Layer& layer, const ParameterLayout::Layer& place, float* gradients) {
  for (const auto& [row, k] : weight_rows(layer, place, gradients))
    for_each_gate(layer, [&, row = row, k = k](std::size_t g, std::size_t q, std::size_t column, std::size_t count) {
      std::copy_n(layer.gradient.data() + ((g * layer.depth + k) * 4 + q) * group, count, row + column);
    });
  for_each_gate(layer, [&](std::size_t g, std::size_t q, std::size_t column, std::size_t count) {
    std::copy_n(layer.dbias.data() + g * group_columns + q * group, count, gradients + place.bias.offset + column);
  });
}

/// The panel that begins with column `first` of the transposed weights, and its columns.
std::uint32_t* panel_of(Layer& layer, std::size_t first) {
  return layer.transposed.data() + first * layer.dz_row() / 2;
}
std::size_t panel_width(const Layer& layer, std::size_t first) {
  return std::min(panel_columns, layer.doperand_columns - first);
}

void pack_transposed(Layer& layer, const ParameterLayout::Layer& place, const float* parameters) {
  for (const auto& [row, column] : weight_rows(layer, place, parameters)) {
    if (column >= layer.doperand_columns) break;
    const std::size_t first = column / panel_columns * panel_columns, width = panel_width(layer, first);
    std::uint32_t* const pairs = panel_of(layer, first) + column - first;
    for (std::size_t q = 0; q < 4; ++q)
      for (std::size_t u = 0; u < layer.units; ++u)
        put(pairs[(q * layer.gate_depth + u) / 2 * width], u, row[q * layer.units + u]);
  }
}

/// The masks of the first `rows` rows in the shapes of operands and of their gradients.
void pack_masks(Layer& layer, const StackConfig& config, std::size_t index, const float* masks, std::size_t batch,
                std::size_t rows) {
  const std::size_t units = layer.padded_units();
  pack_mask_rows(config, index, masks, batch, rows, {layer.depth, units}, layer.operand_masks.data());
  pack_mask_rows(config, index, masks, batch, rows, {layer.doperand_columns, units, layer.doperand_columns > units},
                 layer.doperand_masks.data());
}

// ------------------------------------------------------------------------------------------------------------- forward

/// One run's sequences in one call: what all its loops need to know.
struct Pass {
  const Bf16Multiply multiply;
  const LstmBf16Kernels& kernels;
  const StackConfig& config;
  Run& run;
  std::size_t frames, rows;
  bool masked;
  Mode mode;

  std::uint16_t* operand(Layer& layer, std::size_t t) const {
    return layer.operands.data() + (mode == Mode::training ? t : t % 2) * rows * layer.depth;
  }
  std::int16_t* gates(Layer& layer, std::size_t t, std::size_t g) const {
    return layer.gates.data() + (t * layer.groups + g) * rows * group_columns;
  }
  std::uint16_t* cells(Layer& layer, std::size_t t, std::size_t g) const {
    return layer.cells.data() + (t * layer.groups + g) * rows * group;
  }
  bool is_last(const Layer& layer) const { return &layer == &run.layers.back(); }
};

/// has_output: the run's output shall be that of this step.
void forward_step(const Pass& pass, std::size_t index, std::size_t t, bool has_output) {
  Layer& layer = pass.run.layers[index];
  const std::size_t rows = pass.rows, depth = layer.depth, operand_size = rows * depth;
  const std::uint16_t* a = pass.operand(layer, t);
  if (pass.masked) {
    for (std::size_t q = 0; q < 4; ++q)
      pass.kernels.mask(a, layer.operand_masks.data() + q * operand_size, operand_size,
                        layer.masked_operands.data() + q * operand_size);
    a = layer.masked_operands.data();
  }
  Layer* const above = pass.is_last(layer) ? nullptr : &pass.run.layers[index + 1];
  const bool is_output = pass.is_last(layer) && has_output, keep = pass.mode == Mode::training;
  const std::size_t gate_operand = pass.masked ? operand_size : 0, columns = pass.masked ? group : group_columns;
  for (std::size_t g = 0; g < layer.groups; ++g)
    for (std::size_t c = 0; c < group_columns; c += columns)
      pass.multiply({.rows = rows,
                     .depth = depth,
                     .columns = columns,
                     .a = a + c / group * gate_operand,
                     .a_row = depth,
                     .b = layer.weights.data() + g * depth / 2 * group_columns + c,
                     .b_row = group_columns,
                     .start = layer.bias.data() + g * group_columns + c,
                     .start_row = 0,
                     .out = layer.z.data() + g * rows * group_columns + c,
                     .out_row = group_columns});
  for (std::size_t g = 0; g < layer.groups; ++g)
    pass.kernels.cell_forward({.gate = pass.config.gate,
                               .rows = rows,
                               .z = layer.z.data() + g * rows * group_columns,
                               .cell = layer.cell.data() + g * rows * group,
                               .gates = keep ? pass.gates(layer, t, g) : nullptr,
                               .cells = keep ? pass.cells(layer, t + 1, g) : nullptr,
                               .h = pass.operand(layer, t + 1) + g * group,
                               .h_row = depth,
                               .h_above = above ? pass.operand(*above, t) + above->padded_units() + g * group : nullptr,
                               .h_above_row = above ? above->depth : 0,
                               .output = is_output ? pass.run.output.data() + g * group : nullptr,
                               .output_row = layer.padded_units()});
}

void forward_run(const Pass& pass, const ParameterLayout& layout, const float* parameters, View<const float, 3> x,
                 View<float, 3> h) {
  for (std::size_t l = 0; l < pass.run.layers.size(); ++l) {
    Layer& layer = pass.run.layers[l];
    pack_weights(layer, layout.layers[l], parameters);
    for (std::size_t b = 0; b < pass.rows; ++b)
      std::fill_n(pass.operand(layer, 0) + b * layer.depth, layer.padded_units(), std::uint16_t{0});
    std::fill_n(layer.cell.data(), pass.rows * layer.padded_units(), 0.0f);
    if (pass.mode == Mode::training)
      std::fill_n(pass.cells(layer, 0, 0), pass.rows * layer.padded_units(), std::uint16_t{0});
  }
  Layer &first = pass.run.layers.front(), &last = pass.run.layers.back();
  const std::size_t first_output = pass.frames - h.shape[0];
  for (std::size_t t = 0; t < pass.frames; ++t) {
    for (std::size_t b = 0; b < pass.rows; ++b)
      pass.kernels.round(&x(t, b, 0), first.inputs, pass.operand(first, t) + b * first.depth + first.padded_units());
    const bool has_output = t >= first_output;
    for (std::size_t l = 0; l < pass.run.layers.size(); ++l) forward_step(pass, l, t, has_output);
    if (has_output) copy_rows(pass.run.output.data(), last.padded_units(), pass.rows, h[t - first_output]);
  }
}

// ------------------------------------------------------------------------------------------------------------ backward

/// out [B, doperand columns] = dz · transposed weights, for the gates first_gate … first_gate + gates - 1.
void multiply_transposed(const Pass& pass, Layer& layer, const std::uint16_t* dz, std::size_t first_gate,
                         std::size_t gates, float* out) {
  for (std::size_t column = 0; column < layer.doperand_columns; column += panel_columns) {
    const std::size_t width = panel_width(layer, column);
    pass.multiply({.rows = pass.rows,
                   .depth = gates * layer.gate_depth,
                   .columns = width,
                   .a = dz + first_gate * layer.gate_depth,
                   .a_row = layer.dz_row(),
                   .b = panel_of(layer, column) + first_gate * layer.gate_depth / 2 * width,
                   .b_row = width,
                   .start = nullptr,
                   .start_row = 0,
                   .out = out + column,
                   .out_row = layer.doperand_columns});
  }
}

/// has_output: the run's output is the gradient of that of this step.
void backward_step(const Pass& pass, std::size_t index, std::size_t t, std::size_t steps, bool has_output) {
  Layer& layer = pass.run.layers[index];
  // from above: the layer above at this step, or what the outputs are used for
  const float* from_above = nullptr;
  std::size_t above_row = 0;
  if (!pass.is_last(layer)) {
    const Layer& above = pass.run.layers[index + 1];
    from_above = above.doperands[t % 2].data() + above.padded_units(), above_row = above.doperand_columns;
  } else if (has_output) {
    from_above = pass.run.output.data(), above_row = layer.padded_units();
  }
  std::uint16_t* const dz = layer.dz.data() + t % steps * pass.rows * layer.dz_row();
  const std::size_t ahead = t > 0 ? t - 1 : 0;
  for (std::size_t g = 0; g < layer.groups; ++g)
    pass.kernels.cell_backward({.gate = pass.config.gate,
                                .rows = pass.rows,
                                .gates = pass.gates(layer, t, g),
                                .cell_before = pass.cells(layer, t, g),
                                .cell_after = pass.cells(layer, t + 1, g),
                                .dh = layer.doperands[(t + 1) % 2].data() + g * group,
                                .dh_row = layer.doperand_columns,
                                .dh_above = from_above ? from_above + g * group : nullptr,
                                .dh_above_row = above_row,
                                .dcell = layer.dcell.data() + g * pass.rows * group,
                                .dz = dz + g * group,
                                .dz_row = layer.dz_row(),
                                .dz_gate = layer.gate_depth,
                                .dbias = layer.dbias.data() + g * group_columns,
                                .gates_ahead = pass.gates(layer, ahead, g),
                                .cells_ahead = pass.cells(layer, ahead, g)});
  float* const doperand = layer.doperands[t % 2].data();
  if (!pass.masked) return multiply_transposed(pass, layer, dz, 0, 4, doperand);

  const std::size_t size = pass.rows * layer.doperand_columns;
  std::fill_n(doperand, size, 0.0f);
  for (std::size_t q = 0; q < 4; ++q) {
    multiply_transposed(pass, layer, dz, q, 1, layer.product.data());
    pass.kernels.add_masked(layer.product.data(), layer.doperand_masks.data() + q * size, size, doperand);
  }
}

/// gradient += operandᵀ · dz over the block of steps that begins with t.
void add_weight_gradient(const Pass& pass, Layer& layer, std::size_t t, std::size_t steps) {
  const std::size_t count = std::min(steps, pass.frames - t), rows = count * pass.rows;
  const std::size_t block = round_up(rows, depth_unit), operand_size = pass.rows * layer.depth;
  std::uint16_t* const a = layer.operands_transposed.data();
  const std::size_t a_gate = pass.masked ? layer.depth * block : 0;
  if (!pass.masked) pass.kernels.transpose(pass.operand(layer, t), rows, layer.depth, a, block);
  for (std::size_t q = 0; pass.masked && q < 4; ++q) {
    for (std::size_t step = 0; step < count; ++step)
      pass.kernels.mask(pass.operand(layer, t + step), layer.operand_masks.data() + q * operand_size, operand_size,
                        layer.masked_operands.data() + step * operand_size);
    pass.kernels.transpose(layer.masked_operands.data(), rows, layer.depth, a + q * a_gate, block);
  }
  const std::size_t columns = pass.masked ? group : group_columns;
  for (std::size_t g = 0; g < layer.groups; ++g) {
    std::uint32_t* const pairs = layer.dz_pairs.data();
    for (std::size_t q = 0; q < 4; ++q)
      pass.kernels.pair_rows(layer.dz.data() + q * layer.gate_depth + g * group, layer.dz_row(), rows, block / 2,
                             pairs + q * group, group_columns);
    float* const gradient = layer.gradient.data() + g * layer.depth * group_columns;
    for (std::size_t c = 0; c < group_columns; c += columns)
      pass.multiply({.rows = layer.depth,
                     .depth = block,
                     .columns = columns,
                     .a = a + c / group * a_gate,
                     .a_row = block,
                     .b = pairs + c,
                     .b_row = group_columns,
                     .start = gradient + c,
                     .start_row = group_columns,
                     .out = gradient + c,
                     .out_row = group_columns});
  }
}

void backward_run(const Pass& pass, const ParameterLayout& layout, const float* parameters, View<const float, 3> dh,
                  float* gradients, View<float, 3> dx) {
  for (std::size_t l = 0; l < pass.run.layers.size(); ++l) {
    Layer& layer = pass.run.layers[l];
    pack_transposed(layer, layout.layers[l], parameters);
    std::fill_n(layer.doperands[pass.frames % 2].data(), pass.rows * layer.doperand_columns, 0.0f);
    std::fill_n(layer.dcell.data(), pass.rows * layer.padded_units(), 0.0f);
    std::fill_n(layer.gradient.data(), layer.gradient.size(), 0.0f);
    std::fill_n(layer.dbias.data(), layer.dbias.size(), 0.0f);
  }
  const Layer &first = pass.run.layers.front(), &last = pass.run.layers.back();
  const std::size_t steps = block_steps(pass.rows), first_output = pass.frames - dh.shape[0];
  for (std::size_t t = pass.frames; t-- > 0;) {
    const bool has_output = t >= first_output;
    if (has_output) copy_rows(dh[t - first_output], pass.rows, pass.run.output.data(), last.padded_units());
    for (std::size_t l = pass.run.layers.size(); l-- > 0;) backward_step(pass, l, t, steps, has_output);
    if (pass.config.input_gradient)
      copy_rows(first.doperands[t % 2].data() + first.padded_units(), first.doperand_columns, pass.rows, dx[t]);
    if (t % steps == 0)
      for (Layer& layer : pass.run.layers) add_weight_gradient(pass, layer, t, steps);
  }
  for (std::size_t l = 0; l < pass.run.layers.size(); ++l)
    unpack_gradient(pass.run.layers[l], layout.layers[l], gradients);
}

void Bf16StackState::forward(const StackConfig& config, const Group& shape, std::size_t run, const float* parameters,
                             View<const float, 3> x, const float* masks, Mode mode, View<float, 3> h) {
  const std::size_t rows = shape.rows[run];
  const Pass pass{multiply, kernels, config, runs[run], shape.frames, rows, masks != nullptr, mode};
  for (std::size_t l = 0; pass.masked && l < config.layers(); ++l)
    pack_masks(pass.run.layers[l], config, l, masks, shape.batch, rows);
  forward_run(pass, ParameterLayout(config), parameters, x, h);
  release_tiles();
}

void Bf16StackState::backward(const StackConfig& config, const Group& shape, std::size_t run, const float* parameters,
                              View<const float, 3> dh, bool masked, float* gradients, View<float, 3> dx) {
  const Pass pass{multiply, kernels, config, runs[run], shape.frames, shape.rows[run], masked, Mode::training};
  backward_run(pass, ParameterLayout(config), parameters, dh, gradients, dx);
  release_tiles();
}

}  // namespace

std::unique_ptr<StackState> make_stack_state(const Bf16Target& target, const StackConfig& config, const Group& largest,
                                             Mode mode) {
  auto state = std::make_unique<Bf16StackState>(config, mode);
  state->multiply = bf16_multiply(target);
  state->kernels = lstm_bf16_kernels(target.vectors);
  state->runs.resize(largest.runs);
  for (Run& run : state->runs) {
    for (std::size_t l = 0; l < config.layers(); ++l) run.layers.push_back(make_layer(*state, config, l, largest));
    run.output = state->zeros(largest.batch * run.layers.back().padded_units());
  }
  return state;
}

}  // namespace genretree::cpu::bf16
