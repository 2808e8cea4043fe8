// How a stack of LSTM layers runs through its sequences on one core. The runs of a group go one after another.
//
// Forward, for each time step, for each layer (so that all layers' weights stay in the second-level cache):
//   operand [B, H + in + 1] = [h_{t-1}, input, 1], one row for each clip
//   z [B, 4H] = operand · [recurrent kernel; kernel; bias], one vector of units at a time
//   The cell activates the gates and writes h into the layer's own next operand and into that of the layer above.
// Training keeps operands, activated gates and cells of all steps.
//
// Backward, from the last step to the first, for each layer from the top:
//   The cell turns dh and dc into dz [B, 4H], one vector of units at a time.
//   doperand [B, H + in] = dz · transposed weights: dh of step t - 1, and dh of the layer below at step t
//   gradient [H + in + 1, 4H] += operandᵀ · dz, once in a few steps, while their dz are in the first-level cache. The
//   operand's last number, 1, makes the bias's gradient too.
// The first layer has the gradient with respect to its input only where that is asked for. Outputs, and their gradients,
// are those of the last frames: of all, or of one.
#include <algorithm>

#include "kernels/cpu/lstm_kernels.hpp"
#include "kernels/cpu/lstm_stack.hpp"

namespace genretree::cpu {
namespace {

/// dz of this many bytes of one vector of units are collected before they are multiplied into the weights' gradient:
/// they and the operands share a first-level cache of 32 KiB or more.
constexpr std::size_t block_bytes = 32 * 1024;
/// Widest register tile, in vectors.
constexpr std::size_t max_panel_vectors = 4;

/// Length of one row of operands: a whole number of cache lines, and an odd one, so that a column of rows spreads over
/// all sets of the cache.
std::size_t operand_row(std::size_t depth) {
  constexpr std::size_t line = 16;
  return (round_up(depth, line) / line | 1) * line;
}

/// Steps whose dz are collected, for a batch of `rows`.
std::size_t block_steps(std::size_t rows, std::size_t lanes) {
  return std::max<std::size_t>(1, block_bytes / (rows * 4 * lanes * sizeof(float)));
}

/// Unit vectors whose dz are multiplied together: their rows of a panel of transposed weights fill that cache likewise.
std::size_t vectors_together(std::size_t lanes) {
  return std::max<std::size_t>(1, block_bytes / (4 * lanes * max_panel_vectors * lanes * sizeof(float)));
}

/// A panel of transposed weights: `vectors` columns of [4 · padded units, vectors · lanes].
struct Panel {
  std::size_t first_vector, vectors;
};

/// `vectors` columns shared out evenly over panels.
std::vector<Panel> split_into_panels(std::size_t vectors) {
  const std::size_t count = (vectors + max_panel_vectors - 1) / max_panel_vectors;
  std::vector<Panel> panels;
  for (std::size_t p = 0; p < count; ++p) {
    const std::size_t first = p * vectors / count;
    panels.push_back({first, (p + 1) * vectors / count - first});
  }
  return panels;
}

/// One layer of one run: sizes, packed weights, what training keeps, and scratch.
struct Layer {
  std::size_t inputs, units, lanes;
  std::size_t vectors;        // of units
  std::size_t depth;          // units + inputs + 1
  std::size_t row;            // length of an operand's row ≥ depth
  std::size_t doperand_row;   // [padded units][padded inputs]; the first layer's second part only for dx
  std::vector<Panel> panels;  // of the transposed weights

  Buffer<float> weights;  // [vectors][depth][4][lanes]
  // One record for each step and one after the last; two for inference. A record is
  // [B][row] operands, [vectors][B][lanes] c_{t-1}, [vectors][B][4][lanes] gates.
  Buffer<float> records;

  Buffer<float> transposed;    // panels of [vectors · 4 · lanes][panel vectors · lanes]
  Buffer<float> dz;            // [vectors][block's rows][4][lanes]
  Buffer<float> doperands[2];  // [B][doperand_row] of this step and of the one after it
  Buffer<float> dcells;        // [vectors][B][lanes]
  Buffer<float> gradient;      // like weights

  Buffer<float> operand_masks;    // [4][B][row]
  Buffer<float> doperand_masks;   // [4][B][doperand_row]
  Buffer<float> masked_operands;  // [4][block's rows][row]
  Buffer<float> products;         // [4][B][doperand_row]

  std::size_t vector_columns() const { return 4 * lanes; }
  std::size_t padded_units() const { return vectors * lanes; }
  std::size_t record_size(std::size_t rows) const { return rows * (row + 5 * padded_units()); }
};

/// Memory of one run, laid out anew by each forward pass for the rows of its batch.
struct Run {
  std::vector<Layer> layers;
  Buffer<float> output_gradient;  // [B][padded units of the last layer] of one step
};

struct Fp32StackState final : CpuStackState {
  using CpuStackState::CpuStackState;
  LstmKernels kernels;
  std::vector<Run> runs;

  void forward(const StackConfig& config, const Group& group, std::size_t run, const float* parameters,
               View<const float, 3> x, const float* masks, Mode mode, View<float, 3> h) override;
  void backward(const StackConfig& config, const Group& group, std::size_t run, const float* parameters,
                View<const float, 3> dh, bool masked, float* gradients, View<float, 3> dx) override;
};

Layer make_layer(Fp32StackState& state, const StackConfig& config, std::size_t index, const Group& largest) {
  Layer layer;
  const std::size_t lanes = layer.lanes = state.kernels.lanes, batch = largest.batch;
  layer.inputs = config.layer_inputs(index), layer.units = config.units[index];
  layer.vectors = (layer.units + lanes - 1) / lanes;
  layer.depth = layer.units + layer.inputs + 1;
  const std::size_t input_vectors = index == 0 && !config.input_gradient ? 0 : (layer.inputs + lanes - 1) / lanes;
  // h is written in whole vectors: the last one may reach beyond its part of the operand, into what is written after it
  // or beyond the end
  layer.row = operand_row(std::max({layer.depth, layer.padded_units(), layer.units + input_vectors * lanes}));
  layer.doperand_row = (layer.vectors + input_vectors) * lanes;
  layer.panels = split_into_panels(layer.vectors);
  for (const Panel& panel : split_into_panels(input_vectors))
    layer.panels.push_back({layer.vectors + panel.first_vector, panel.vectors});

  const bool training = state.mode() == Mode::training;
  const std::size_t packed = layer.vectors * layer.depth * layer.vector_columns();
  layer.weights = state.zeros(packed);
  layer.records = state.zeros(((training ? largest.frames : 1) + 1) * layer.record_size(batch));
  if (!training) return layer;

  // a smaller batch collects more steps, but never more bytes than the block's or than one step of the largest batch
  const std::size_t block_rows = std::max(batch, block_bytes / (layer.vector_columns() * sizeof(float)));
  layer.transposed = state.zeros(layer.vectors * layer.vector_columns() * layer.doperand_row);
  layer.dz = state.zeros(layer.vectors * block_rows * layer.vector_columns());
  for (Buffer<float>& doperand : layer.doperands) doperand = state.zeros(batch * layer.doperand_row);
  layer.dcells = state.zeros(layer.vectors * batch * lanes);
  layer.gradient = state.zeros(packed);
  if (!state.takes_masks()) return layer;

  layer.operand_masks = state.zeros(4 * batch * layer.row);
  layer.doperand_masks = state.zeros(4 * batch * layer.doperand_row);
  layer.masked_operands = state.zeros(4 * block_rows * layer.row);
  layer.products = state.zeros(4 * batch * layer.doperand_row);
  return layer;
}

// ------------------------------------------------------------------------------------------------------------- packing

/// Row k of the packed weights in Keras's layout: recurrent kernel, kernel, bias; [4 · units].
template <class T>
T* canonical_row(const Layer& layer, const ParameterLayout::Layer& place, T* parameters, std::size_t k) {
  if (k < layer.units) return parameters + place.recurrent.offset + k * 4 * layer.units;
  if (k < layer.units + layer.inputs) return parameters + place.kernel.offset + (k - layer.units) * 4 * layer.units;
  return parameters + place.bias.offset;
}

/// Calls copy(packed offset, row k, first canonical column, columns) for every run of neighbours in both layouts.
template <class Copy>
void for_each_piece(const Layer& layer, Copy copy) {
  for (std::size_t v = 0; v < layer.vectors; ++v) {
    const std::size_t first = v * layer.lanes, count = std::min(layer.lanes, layer.units - first);
    for (std::size_t k = 0; k < layer.depth; ++k)
      for (std::size_t q = 0; q < 4; ++q)
        copy(((v * layer.depth + k) * 4 + q) * layer.lanes, k, q * layer.units + first, count);
  }
}

void pack_weights(Layer& layer, const ParameterLayout::Layer& place, const float* parameters) {
  for_each_piece(layer, [&](std::size_t packed, std::size_t k, std::size_t column, std::size_t count) {
    std::copy_n(canonical_row(layer, place, parameters, k) + column, count, layer.weights.data() + packed);
  });
}

void unpack_gradient(const Layer& layer, const ParameterLayout::Layer& place, float* gradients) {
  for_each_piece(layer, [&](std::size_t packed, std::size_t k, std::size_t column, std::size_t count) {
    std::copy_n(layer.gradient.data() + packed, count, canonical_row(layer, place, gradients, k) + column);
  });
}

/// Start of a panel within the transposed weights.
float* panel_of(Layer& layer, const Panel& panel) {
  return layer.transposed.data() + panel.first_vector * layer.lanes * layer.vectors * layer.vector_columns();
}

void pack_transposed(Layer& layer, const ParameterLayout::Layer& place, const float* parameters) {
  const std::size_t lanes = layer.lanes, padded = layer.padded_units();
  for (const Panel& panel : layer.panels) {
    const bool recurrent = panel.first_vector < layer.vectors;
    // among the units, or among the inputs
    const std::size_t first = panel.first_vector * lanes - (recurrent ? 0 : padded);
    const std::size_t width = panel.vectors * lanes, limit = recurrent ? layer.units : layer.inputs;
    for (std::size_t c = 0; c < width && first + c < limit; ++c) {
      const float* row = canonical_row(layer, place, parameters, (recurrent ? 0 : layer.units) + first + c);
      for (std::size_t u = 0; u < layer.units; ++u)
        for (std::size_t q = 0; q < 4; ++q)
          panel_of(layer, panel)[((u / lanes * 4 + q) * lanes + u % lanes) * width + c] = row[q * layer.units + u];
    }
  }
}

/// The masks of the first `rows` rows in the shapes of operands and of their gradients.
void pack_masks(Layer& layer, const StackConfig& config, std::size_t index, const float* masks, std::size_t batch,
                std::size_t rows) {
  pack_mask_rows(config, index, masks, batch, rows, {layer.row, layer.units}, layer.operand_masks.data());
  for (std::size_t b = 0; b < 4 * rows; ++b) layer.operand_masks.data()[b * layer.row + layer.depth - 1] = 1;
  pack_mask_rows(config, index, masks, batch, rows,
                 {layer.doperand_row, layer.padded_units(), layer.doperand_row > layer.padded_units()},
                 layer.doperand_masks.data());
}

// ------------------------------------------------------------------------------------------------------------- forward

/// One run's sequences in one call: what all its loops need to know.
struct Pass {
  const LstmKernels& kernels;
  const StackConfig& config;
  Run& run;
  std::size_t frames, rows;
  bool masked;
  Mode mode;

  // The record of step t and its parts: operand, c_{t-1}, gates. Inference alternates between two.
  float* operand(Layer& layer, std::size_t t) const {
    return layer.records.data() + (mode == Mode::training ? t : t % 2) * layer.record_size(rows);
  }
  float* cells(Layer& layer, std::size_t t, std::size_t v) const {
    return operand(layer, t) + rows * (layer.row + v * layer.lanes);
  }
  float* gates(Layer& layer, std::size_t t, std::size_t v) const {
    return operand(layer, t) + rows * (layer.row + layer.padded_units() + v * layer.vector_columns());
  }
};

void forward_step(const Pass& pass, std::size_t index, std::size_t t) {
  Layer& layer = pass.run.layers[index];
  Layer* const above = index + 1 < pass.run.layers.size() ? &pass.run.layers[index + 1] : nullptr;
  float* const operand = pass.operand(layer, t);
  for (std::size_t b = 0; b < pass.rows; ++b) operand[b * layer.row + layer.depth - 1] = 1;
  const float* a = operand;
  std::size_t a_gate = 0;
  if (pass.masked) {
    a_gate = pass.rows * layer.row;
    pass.kernels.mask_gates(
        {pass.rows, pass.rows, layer.row, a, layer.operand_masks.data(), layer.masked_operands.data(), a_gate});
    a = layer.masked_operands.data();
  }
  // meanwhile each product fetches its share of the next record, which is written soon
  const std::size_t record = pass.mode == Mode::training ? layer.record_size(pass.rows) : 0;
  for (std::size_t v = 0; v < layer.vectors; ++v) {
    const float* panel = layer.weights.data() + v * layer.depth * layer.vector_columns();
    float* z = pass.gates(layer, t, v);
    pass.kernels.multiply({.rows = pass.rows,
                           .depth = layer.depth - 1,
                           .vectors = 4,
                           .a = a,
                           .a_row = layer.row,
                           .a_depth = 1,
                           .panel = panel,
                           .start = panel + (layer.depth - 1) * layer.vector_columns(),  // bias
                           .start_row = 0,
                           .out = z,
                           .out_row = layer.vector_columns(),
                           .a_gate = a_gate,
                           .ahead = pass.operand(layer, t + 1) + v * record / layer.vectors,
                           .ahead_size = record / layer.vectors});
    float* h = pass.operand(layer, t + 1) + v * layer.lanes;
    float* h_above = above ? pass.operand(*above, t) + above->units + v * layer.lanes : nullptr;
    pass.kernels.cell_forward({pass.config.gate, pass.rows, z, pass.cells(layer, t, v), pass.cells(layer, t + 1, v), h,
                               layer.row, h_above, above ? above->row : 0});
  }
}

void forward_run(const Pass& pass, const ParameterLayout& layout, const float* parameters, View<const float, 3> x,
                 View<float, 3> h) {
  for (std::size_t l = 0; l < pass.run.layers.size(); ++l) {
    Layer& layer = pass.run.layers[l];
    pack_weights(layer, layout.layers[l], parameters);
    for (std::size_t b = 0; b < pass.rows; ++b) std::fill_n(pass.operand(layer, 0) + b * layer.row, layer.units, 0.0f);
    std::fill_n(pass.cells(layer, 0, 0), layer.vectors * pass.rows * layer.lanes, 0.0f);
  }
  Layer &first = pass.run.layers.front(), &last = pass.run.layers.back();
  const std::size_t first_output = pass.frames - h.shape[0];
  for (std::size_t t = 0; t < pass.frames; ++t) {
    for (std::size_t b = 0; b < pass.rows; ++b)
      std::copy_n(&x(t, b, 0), first.inputs, pass.operand(first, t) + b * first.row + first.units);
    for (std::size_t l = 0; l < pass.run.layers.size(); ++l) forward_step(pass, l, t);
    if (t >= first_output) copy_rows(pass.operand(last, t + 1), last.row, pass.rows, h[t - first_output]);
  }
}

// ------------------------------------------------------------------------------------------------------------ backward

/// doperand += dz · transposed weights at step t, for the unit vectors first … first + count - 1.
/// dz_vector: from one vector's dz to the next.
void multiply_transposed(const Pass& pass, Layer& layer, std::size_t t, std::size_t first, std::size_t count,
                         const float* dz, std::size_t dz_vector, float* doperand) {
  const std::size_t columns = layer.vector_columns();
  // meanwhile each product fetches its share of the record of step t - 1
  const std::size_t record = t > 0 ? layer.record_size(pass.rows) : 0;
  const std::size_t share = count * record / (layer.vectors * layer.panels.size());
  const float* ahead = pass.operand(layer, t > 0 ? t - 1 : 0) + first * record / layer.vectors;
  for (const Panel& panel : layer.panels) {
    const std::size_t width = panel.vectors * layer.lanes;
    const auto product = [&](std::size_t first_column, std::size_t depth, float* out) {
      out += panel.first_vector * layer.lanes;
      pass.kernels.multiply({.rows = pass.rows,
                             .depth = depth,
                             .vectors = panel.vectors,
                             .a = dz + first_column,
                             .a_row = columns,
                             .a_depth = 1,
                             .panel = panel_of(layer, panel) + (first * columns + first_column) * width,
                             .start = first == 0 ? nullptr : out,
                             .start_row = first == 0 ? 0 : layer.doperand_row,
                             .out = out,
                             .out_row = layer.doperand_row,
                             .segments = count,
                             .a_segment = dz_vector,
                             .panel_segment = columns * width,
                             .ahead = ahead,
                             .ahead_size = share});
    };
    if (!pass.masked) {
      product(0, columns, doperand);
    } else {  // each gate has a mask of its own, so its products are kept apart until the last unit
      for (std::size_t q = 0; q < 4; ++q)
        product(q * layer.lanes, layer.lanes, layer.products.data() + q * pass.rows * layer.doperand_row);
    }
    ahead += share;
  }
}

/// has_output: the run's output_gradient is that of this step.
void backward_step(const Pass& pass, std::size_t index, std::size_t t, std::size_t steps, bool has_output) {
  Layer& layer = pass.run.layers[index];
  const std::size_t columns = layer.vector_columns();
  const float* from_next = layer.doperands[(t + 1) % 2].data();
  float* doperand = layer.doperands[t % 2].data();
  // from above: the layer above at this step, or what the outputs are used for
  const float* from_above = nullptr;
  std::size_t above_row = 0;
  if (index + 1 < pass.run.layers.size()) {
    const Layer& above = pass.run.layers[index + 1];
    from_above = above.doperands[t % 2].data() + above.padded_units(), above_row = above.doperand_row;
  } else if (has_output) {
    from_above = pass.run.output_gradient.data(), above_row = layer.padded_units();
  }
  const std::size_t dz_vector = steps * pass.rows * columns, together = vectors_together(layer.lanes);
  float* dz = layer.dz.data() + t % steps * pass.rows * columns;
  for (std::size_t first = 0; first < layer.vectors; first += together) {
    const std::size_t end = std::min(layer.vectors, first + together);
    for (std::size_t v = first; v < end; ++v)
      pass.kernels.cell_backward({pass.config.gate, pass.rows, pass.gates(layer, t, v), pass.cells(layer, t, v),
                                  pass.operand(layer, t + 1) + v * layer.lanes, layer.row, from_next + v * layer.lanes,
                                  layer.doperand_row, from_above ? from_above + v * layer.lanes : nullptr, above_row,
                                  layer.dcells.data() + v * pass.rows * layer.lanes, dz + v * dz_vector});
    multiply_transposed(pass, layer, t, first, end - first, dz + first * dz_vector, dz_vector, doperand);
  }
  if (pass.masked)
    pass.kernels.mask_sum(
        {pass.rows * layer.doperand_row, layer.products.data(), layer.doperand_masks.data(), doperand});
}

/// gradient += operandᵀ · dz over the block of steps that begins with t.
void add_weight_gradient(const Pass& pass, Layer& layer, std::size_t t, std::size_t steps) {
  const std::size_t columns = layer.vector_columns(), count = std::min(steps, pass.frames - t);
  const float* a = pass.operand(layer, t);
  std::size_t a_gate = 0, a_segment = layer.record_size(pass.rows);
  if (pass.masked) {
    a_segment = pass.rows * layer.row, a_gate = count * a_segment;
    for (std::size_t step = 0; step < count; ++step)
      pass.kernels.mask_gates({pass.rows, pass.rows, layer.row, pass.operand(layer, t + step),
                               layer.operand_masks.data(), layer.masked_operands.data() + step * a_segment, a_gate});
    a = layer.masked_operands.data();
  }
  for (std::size_t v = 0; v < layer.vectors; ++v) {
    float* gradient = layer.gradient.data() + v * layer.depth * columns;
    pass.kernels.multiply({.rows = layer.depth,
                           .depth = pass.rows,
                           .vectors = 4,
                           .a = a,
                           .a_row = 1,
                           .a_depth = layer.row,
                           .panel = layer.dz.data() + v * steps * pass.rows * columns,
                           .start = gradient,
                           .start_row = columns,
                           .out = gradient,
                           .out_row = columns,
                           .a_gate = a_gate,
                           .segments = count,
                           .a_segment = a_segment,
                           .panel_segment = pass.rows * columns,
                           .ahead = gradient});
  }
}

void backward_run(const Pass& pass, const ParameterLayout& layout, const float* parameters, View<const float, 3> dh,
                  float* gradients, View<float, 3> dx) {
  for (std::size_t l = 0; l < pass.run.layers.size(); ++l) {
    Layer& layer = pass.run.layers[l];
    pack_transposed(layer, layout.layers[l], parameters);
    std::fill_n(layer.doperands[pass.frames % 2].data(), pass.rows * layer.doperand_row, 0.0f);
    std::fill_n(layer.dcells.data(), layer.vectors * pass.rows * layer.lanes, 0.0f);
    std::fill_n(layer.gradient.data(), layer.gradient.size(), 0.0f);
  }
  const Layer &first = pass.run.layers.front(), &last = pass.run.layers.back();
  const std::size_t steps = block_steps(pass.rows, last.lanes), first_output = pass.frames - dh.shape[0];
  for (std::size_t t = pass.frames; t-- > 0;) {
    const bool has_output = t >= first_output;
    if (has_output) copy_rows(dh[t - first_output], pass.rows, pass.run.output_gradient.data(), last.padded_units());
    for (std::size_t l = pass.run.layers.size(); l-- > 0;) backward_step(pass, l, t, steps, has_output);
    if (pass.config.input_gradient)
      copy_rows(first.doperands[t % 2].data() + first.padded_units(), first.doperand_row, pass.rows, dx[t]);
    if (t % steps == 0)
      for (Layer& layer : pass.run.layers) add_weight_gradient(pass, layer, t, steps);
  }
  for (std::size_t l = 0; l < pass.run.layers.size(); ++l)
    unpack_gradient(pass.run.layers[l], layout.layers[l], gradients);
}

void Fp32StackState::forward(const StackConfig& config, const Group& group, std::size_t run, const float* parameters,
                             View<const float, 3> x, const float* masks, Mode mode, View<float, 3> h) {
  const std::size_t rows = group.rows[run];
  const Pass pass{kernels, config, runs[run], group.frames, rows, masks != nullptr, mode};
  for (std::size_t l = 0; pass.masked && l < config.layers(); ++l)
    pack_masks(pass.run.layers[l], config, l, masks, group.batch, rows);
  forward_run(pass, ParameterLayout(config), parameters, x, h);
}

void Fp32StackState::backward(const StackConfig& config, const Group& group, std::size_t run, const float* parameters,
                              View<const float, 3> dh, bool masked, float* gradients, View<float, 3> dx) {
  const Pass pass{kernels, config, runs[run], group.frames, group.rows[run], masked, Mode::training};
  backward_run(pass, ParameterLayout(config), parameters, dh, gradients, dx);
}

}  // namespace

std::unique_ptr<StackState> make_stack_state(std::int64_t target, const StackConfig& config, const Group& largest,
                                             Mode mode) {
  return make_stack_state(lstm_kernels(target), config, largest, mode);
}

std::unique_ptr<StackState> make_stack_state(const LstmKernels& kernels, const StackConfig& config,
                                             const Group& largest, Mode mode) {
  auto state = std::make_unique<Fp32StackState>(config, mode);
  state->kernels = kernels;
  state->runs.resize(largest.runs);
  for (Run& run : state->runs) {
    for (std::size_t l = 0; l < config.layers(); ++l) run.layers.push_back(make_layer(*state, config, l, largest));
    if (mode == Mode::training) run.output_gradient = state->zeros(largest.batch * run.layers.back().padded_units());
  }
  return state;
}

}  // namespace genretree::cpu
