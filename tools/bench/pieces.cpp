// What the parts of a training step take, each alone: seconds for all time steps of one batch of the paper's, both
// layers together. The kernels are called as kernels/cpu/lstm_stack.cpp calls them, with the same layouts, in the same
// order of steps. So the weights, a step's dz and its neighbours are in the first two caches, and the records of all
// steps (200 MB) stream through the processor, as they do in training. Only fetching ahead is left out where a part
// would fetch what another one needs.
#include <algorithm>
#include <fmt/format.h>

#include "kernels/cpu/lstm_kernels.hpp"
#include "models/trainer.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/training.hpp"

namespace genretree::bench {
namespace {

/// Vectors of a register tile's columns: the four gates of a vector of units, or four vectors of the transposed weights.
constexpr std::size_t tile_vectors = 4;

Buffer<float> filled(std::size_t size, float scale) {
  Buffer<float> buffer(host_device(), size);
  std::vector<float> values = made_up(std::min<std::size_t>(size, 1 << 20));
  for (std::size_t k = 0; k < size; ++k) buffer.data()[k] = scale * values[k % values.size()];
  return buffer;
}

/// One layer with the arrays of lstm_stack.cpp.
struct Layer {
  std::size_t lanes, rows, units, inputs;
  std::size_t vectors = units / lanes, columns = 4 * lanes;
  std::size_t depth = 1 + units + inputs;  ///< of an operand: 1, h, input
  std::size_t row = (depth + 15) / 16 * 16 + 16;
  std::size_t doperand_row;
  std::size_t record = rows * (row + 5 * units);  ///< operands, cells, gates of one time step
  static constexpr std::size_t block_bytes = 32 << 10;
  std::size_t block_steps = std::max<std::size_t>(1, block_bytes / (rows * columns * sizeof(float)));
  std::size_t together = std::max<std::size_t>(1, block_bytes / (columns * tile_vectors * lanes * sizeof(float)));

  Buffer<float> records, weights, transposed, dz, doperands, dcells, gradient;

  Layer(std::size_t vector_lanes, const Shape& shape, std::size_t index)
      : lanes(vector_lanes),
        rows(shape.batch),
        units(shape.stack.units[index]),
        inputs(shape.stack.layer_inputs(index)),
        doperand_row(units + (index == 0 ? 0 : inputs)),
        records(filled((shape.frames + 1) * record, 0.1f)),
        weights(filled(vectors * depth * columns, 0.05f)),
        transposed(filled(vectors * columns * doperand_row, 0.05f)),
        dz(filled(vectors * block_steps * rows * columns, 0.1f)),
        doperands(filled(rows * doperand_row, 0.1f)),
        dcells(filled(vectors * rows * lanes, 0.1f)),
        gradient(filled(vectors * depth * columns, 0.1f)) {}

  float* operand(std::size_t t) { return records.data() + t * record; }
  float* cells(std::size_t t, std::size_t v) { return operand(t) + rows * (row + v * lanes); }
  float* gates(std::size_t t, std::size_t v) { return operand(t) + rows * (row + units + v * columns); }
  /// dz of one vector of units at step t
  float* dz_of(std::size_t t, std::size_t v) {
    return dz.data() + (v * block_steps + t % block_steps) * rows * columns;
  }
};

using Kernel = void (*)(const cpu::LstmKernels& kernels, Layer& layer, std::size_t t);

/// z = operand · weights
void forward_product(const cpu::LstmKernels& kernels, Layer& layer, std::size_t t) {
  for (std::size_t v = 0; v < layer.vectors; ++v) {
    const float* bias = layer.weights.data() + v * layer.depth * layer.columns;
    kernels.multiply({.rows = layer.rows,
                      .depth = layer.depth - 1,
                      .vectors = tile_vectors,
                      .a = layer.operand(t) + 1,
                      .a_row = layer.row,
                      .a_depth = 1,
                      .panel = bias + layer.columns,
                      .start = bias,
                      .start_row = 0,
                      .out = layer.gates(t, v),
                      .out_row = layer.columns,
                      .ahead = layer.operand(t + 1) + v * layer.record / layer.vectors,
                      .ahead_size = layer.record / layer.vectors});
  }
}

/// From z to activated gates, c and h
void forward_cell(const cpu::LstmKernels& kernels, Layer& layer, std::size_t t) {
  for (std::size_t v = 0; v < layer.vectors; ++v)
    kernels.cell_forward({Gate::sigmoid, layer.rows, layer.gates(t, v), layer.cells(t, v), layer.cells(t + 1, v),
                          layer.operand(t + 1) + 1 + v * layer.lanes, layer.row, nullptr, 0});
}

/// From dh and dc to dz
void backward_cell(const cpu::LstmKernels& kernels, Layer& layer, std::size_t t) {
  for (std::size_t v = 0; v < layer.vectors; ++v)
    kernels.cell_backward({Gate::sigmoid, layer.rows, layer.gates(t, v), layer.cells(t, v), layer.cells(t + 1, v),
                           layer.doperands.data() + v * layer.lanes, layer.doperand_row, nullptr, 0,
                           layer.dcells.data() + v * layer.rows * layer.lanes, layer.dz_of(t, v)});
}

/// doperand = dz · transposed weights, for panels of four vectors of columns, some unit vectors together
void transposed_product(const cpu::LstmKernels& kernels, Layer& layer, std::size_t t) {
  const std::size_t output_vectors = layer.doperand_row / layer.lanes;
  for (std::size_t first = 0; first < layer.vectors; first += layer.together) {
    for (std::size_t panel = 0; panel < output_vectors; panel += tile_vectors) {
      const std::size_t width = std::min(tile_vectors, output_vectors - panel), panel_row = width * layer.lanes;
      float* out = layer.doperands.data() + panel * layer.lanes;
      kernels.multiply({.rows = layer.rows,
                        .depth = layer.columns,
                        .vectors = width,
                        .a = layer.dz_of(t, first),
                        .a_row = layer.columns,
                        .a_depth = 1,
                        .panel = layer.transposed.data() + panel * layer.lanes * layer.vectors * layer.columns +
                                 first * layer.columns * panel_row,
                        .start = first == 0 ? nullptr : out,
                        .start_row = first == 0 ? 0 : layer.doperand_row,
                        .out = out,
                        .out_row = layer.doperand_row,
                        .segments = std::min(layer.together, layer.vectors - first),
                        .a_segment = layer.block_steps * layer.rows * layer.columns,
                        .panel_segment = layer.columns * panel_row,
                        .ahead = out});
    }
  }
}

/// gradient += operandᵀ · dz, once for each block of steps
void weight_gradient(const cpu::LstmKernels& kernels, Layer& layer, std::size_t t) {
  if (t % layer.block_steps != 0) return;
  for (std::size_t v = 0; v < layer.vectors; ++v) {
    float* gradient = layer.gradient.data() + v * layer.depth * layer.columns;
    kernels.multiply({.rows = layer.depth,
                      .depth = layer.rows,
                      .vectors = tile_vectors,
                      .a = layer.operand(t),
                      .a_row = 1,
                      .a_depth = layer.row,
                      .panel = layer.dz_of(t, v),
                      .start = gradient,
                      .start_row = layer.columns,
                      .out = gradient,
                      .out_row = layer.columns,
                      .segments = layer.block_steps,
                      .a_segment = layer.record,
                      .panel_segment = layer.rows * layer.columns,
                      .ahead = gradient});
  }
}

enum class Direction { forward, backward };

Record kernel(const Setup& setup, Kernel part, Direction direction, double operations) {
  check_training(setup.fp32(), paper_shape);
  const cpu::LstmKernels kernels = cpu::lstm_kernels(setup.target);
  std::vector<Layer> layers;
  for (std::size_t l = 0; l < paper_shape.stack.layers(); ++l) layers.emplace_back(kernels.lanes, paper_shape, l);
  // whole blocks of steps only
  const std::size_t steps = paper_shape.frames / layers[0].block_steps * layers[0].block_steps;
  return time_work(setup, 1, {5}, operations, [&] {
    for (std::size_t step = 0; step < steps; ++step)
      for (Layer& layer : layers) part(kernels, layer, direction == Direction::forward ? step : steps - 1 - step);
  });
}

/// A part of the step that the backend offers by itself.
Record operation(const Setup& setup, void (Training::*part)()) {
  Training training(*setup.fp32().backend, {paper_shape.stack, paper_shape.batch, 8});
  training.step();
  return time_work(setup, 1, {5, 200}, 0, [&] { (training.*part)(); });
}

/// Making a batch of 35 clips out of the data set, which lies in memory.
Record gather(const Setup& setup) {
  Backend& backend = *setup.fp32().backend;
  constexpr std::size_t clips = 420;
  const std::size_t batch = paper_shape.batch, frames = paper_shape.frames, inputs = paper_shape.stack.inputs;
  const std::vector<float> features = made_up(clips * frames * inputs);
  const std::vector<std::int32_t> labels(clips);
  std::vector<std::int32_t> chosen(batch), y(batch);
  std::vector<float> x(frames * batch * inputs);
  const Group group{1, batch, frames, paper_classes, {static_cast<std::uint32_t>(batch)}, {paper_classes}};
  const auto queue = backend.device().make_queue();
  std::size_t next = 0;
  return time_work(setup, 1, {5, 12}, 0, [&] {
    for (std::int32_t& clip : chosen) clip = static_cast<std::int32_t>(next = (next + 97) % clips);
    backend.gather(group, view_of(features.data(), clips, frames, inputs), view_of(labels.data(), clips),
                   view_of(std::as_const(chosen).data(), 1, batch), view_of(x.data(), 1, frames, batch, inputs),
                   view_of(y.data(), 1, batch), *queue);
    queue->synchronize();
  });
}

}  // namespace

std::vector<Benchmark> piece_benchmarks(const Setup& setup) {
  const Operations operations(paper_shape);
  const auto of_kernel = [&](const char* name, Kernel part, Direction direction, double count) {
    return Benchmark{fmt::format("pieces/{}/fp32/1core", name),
                     [&setup, part, direction, count] { return kernel(setup, part, direction, count); }};
  };
  return {of_kernel("forward_product", forward_product, Direction::forward, operations.forward),
          of_kernel("forward_cell", forward_cell, Direction::forward, 0),
          of_kernel("backward_cell", backward_cell, Direction::backward, 0),
          of_kernel("transposed_product", transposed_product, Direction::backward, operations.transposed),
          of_kernel("weight_gradient", weight_gradient, Direction::backward, operations.weights),
          {"pieces/dense_and_loss/fp32/1core", [&] { return operation(setup, &Training::classify); }},
          {"pieces/adam/fp32/1core", [&] { return operation(setup, &Training::update); }},
          {"pieces/gather/fp32/1core", [&] { return gather(setup); }}};
}

}  // namespace genretree::bench
