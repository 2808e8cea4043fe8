// Where a training step's time goes. The kernels are called as kernels/cpu/lstm_stack.cpp calls them, on the same
// arrays in the same order, so that everything lies in the caches where it lies in training; and after each call the
// clock is read (25 ns; a call takes some µs). What is left out is packing: of weights, of input and of gradients.
#include <algorithm>
#include <array>
#include <chrono>
#include <fmt/format.h>
#include <numeric>

#include "kernels/cpu/denormals.hpp"
#include "kernels/cpu/lstm_kernels.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/training.hpp"

namespace genretree::bench {
namespace {

enum Piece { forward_product, forward_cell, backward_cell, transposed_product, weight_gradient, pieces };
constexpr std::array<const char*, pieces> piece_names{"forward_product", "forward_cell", "backward_cell",
                                                      "transposed_product", "weight_gradient"};

/// Vectors of a register tile's columns: the four gates of a vector of units, or four vectors of transposed weights.
constexpr std::size_t tile_vectors = 4;
/// What dz of one vector of units, and a panel of transposed weights, take of the first-level cache.
constexpr std::size_t block_bytes = 32 << 10;

Buffer<float> filled(std::size_t size, float scale) {
  Buffer<float> buffer(host_device(), size);
  const std::vector<float> values = made_up(std::min<std::size_t>(size, 1 << 16));
  for (std::size_t k = 0; k < size; ++k) buffer.data()[k] = scale * values[k % values.size()];
  return buffer;
}

/// One layer with the arrays of lstm_stack.cpp; its units and inputs fill whole vectors, but for the first layer's
/// inputs.
struct Layer {
  std::size_t lanes, rows, units, inputs;
  std::size_t vectors = units / lanes, columns = 4 * lanes;
  std::size_t depth = 1 + units + inputs;          ///< of an operand: 1, h, input
  std::size_t row = ((depth + 15) / 16 | 1) * 16;  ///< an operand's length
  std::size_t record = rows * (row + 5 * units);   ///< operands, cells and gates of one time step
  std::size_t doperand_row;                        ///< dh, and the gradient of the input above the first layer
  std::size_t steps = std::max<std::size_t>(1, block_bytes / (rows * columns * sizeof(float)));  ///< of collected dz
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
        dz(filled(vectors * steps * rows * columns, 0.1f)),
        doperands(filled(2 * rows * doperand_row, 0.1f)),
        dcells(filled(vectors * rows * lanes, 0.1f)),
        gradient(filled(vectors * depth * columns, 0.1f)) {}

  float* operand(std::size_t t) { return records.data() + t * record; }
  float* cells(std::size_t t, std::size_t v) { return operand(t) + rows * (row + v * lanes); }
  float* gates(std::size_t t, std::size_t v) { return operand(t) + rows * (row + units + v * columns); }
  float* dz_of(std::size_t t, std::size_t v) { return dz.data() + (v * steps + t % steps) * rows * columns; }
  float* doperand(std::size_t t) { return doperands.data() + t % 2 * rows * doperand_row; }
};

/// The time steps of one training step, forward and backward.
class Walk {
 public:
  Walk(std::int64_t target, const Shape& shape) : kernels_(cpu::lstm_kernels(target)), frames_(shape.frames) {
    for (std::size_t l = 0; l < shape.stack.layers(); ++l) layers_.emplace_back(kernels_.lanes, shape, l);
  }

  /// Does them, and says what part of the time each piece took.
  std::array<double, pieces> run() {
    const cpu::FlushDenormals flush;
    seconds_.fill(0);
    last_ = Clock::now();
    for (std::size_t t = 0; t < frames_; ++t)
      for (std::size_t l = 0; l < layers_.size(); ++l) forward(l, t);
    for (std::size_t t = frames_; t-- > 0;) {
      for (std::size_t l = layers_.size(); l-- > 0;) backward(l, t);
      for (Layer& layer : layers_)
        if (t % layer.steps == 0) add_weight_gradient(layer, t);
    }
    std::array<double, pieces> parts = seconds_;
    const double all = std::accumulate(parts.begin(), parts.end(), 0.0);
    for (double& part : parts) part /= all;
    return parts;
  }

 private:
  using Clock = std::chrono::steady_clock;

  /// The time since the last reading of the clock belongs to `piece`.
  void book(Piece piece) {
    const Clock::time_point now = Clock::now();
    seconds_[piece] += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }

  void forward(std::size_t index, std::size_t t) {
    Layer& layer = layers_[index];
    Layer* const above = index + 1 < layers_.size() ? &layers_[index + 1] : nullptr;
    for (std::size_t v = 0; v < layer.vectors; ++v) {
      const float* bias = layer.weights.data() + v * layer.depth * layer.columns;
      kernels_.multiply({.rows = layer.rows,
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
      book(forward_product);
      const std::size_t place = 1 + v * layer.lanes;
      kernels_.cell_forward({Gate::sigmoid, layer.rows, layer.gates(t, v), layer.cells(t, v), layer.cells(t + 1, v),
                             layer.operand(t + 1) + place, layer.row,
                             above ? above->operand(t) + above->units + place : nullptr, above ? above->row : 0});
      book(forward_cell);
    }
  }

  void backward(std::size_t index, std::size_t t) {
    Layer& layer = layers_[index];
    Layer* const above = index + 1 < layers_.size() ? &layers_[index + 1] : nullptr;
    for (std::size_t first = 0; first < layer.vectors; first += layer.together) {
      const std::size_t end = std::min(layer.vectors, first + layer.together);
      for (std::size_t v = first; v < end; ++v)
        kernels_.cell_backward({Gate::sigmoid, layer.rows, layer.gates(t, v), layer.cells(t, v), layer.cells(t + 1, v),
                                layer.doperand(t + 1) + v * layer.lanes, layer.doperand_row,
                                above ? above->doperand(t) + above->units + v * layer.lanes : nullptr,
                                above ? above->doperand_row : 0, layer.dcells.data() + v * layer.rows * layer.lanes,
                                layer.dz_of(t, v)});
      book(backward_cell);
      multiply_transposed(layer, t, first, end - first);
      book(transposed_product);
    }
  }

  void multiply_transposed(Layer& layer, std::size_t t, std::size_t first, std::size_t count) {
    const std::size_t output_vectors = layer.doperand_row / layer.lanes;
    const std::size_t ahead_size = t > 0 ? count * layer.record / layer.vectors * tile_vectors / output_vectors : 0;
    const float* ahead = layer.operand(t > 0 ? t - 1 : 0) + first * layer.record / layer.vectors;
    for (std::size_t panel = 0; panel < output_vectors; panel += tile_vectors) {
      const std::size_t width = std::min(tile_vectors, output_vectors - panel), panel_row = width * layer.lanes;
      float* out = layer.doperand(t) + panel * layer.lanes;
      kernels_.multiply({.rows = layer.rows,
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
                         .segments = count,
                         .a_segment = layer.steps * layer.rows * layer.columns,
                         .panel_segment = layer.columns * panel_row,
                         .ahead = ahead,
                         .ahead_size = panel + tile_vectors <= output_vectors ? ahead_size : 0});
      ahead += ahead_size;
    }
  }

  void add_weight_gradient(Layer& layer, std::size_t t) {
    for (std::size_t v = 0; v < layer.vectors; ++v) {
      float* gradient = layer.gradient.data() + v * layer.depth * layer.columns;
      kernels_.multiply({.rows = layer.depth,
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
                         .segments = std::min(layer.steps, frames_ - t),
                         .a_segment = layer.record,
                         .panel_segment = layer.rows * layer.columns,
                         .ahead = gradient});
    }
    book(weight_gradient);
  }

  cpu::LstmKernels kernels_;
  std::size_t frames_;
  std::vector<Layer> layers_;
  std::array<double, pieces> seconds_{};
  Clock::time_point last_;
};

/// Seconds of one piece: its part, by the wall clock, of the processor time of all.
Record measure_piece(const Setup& setup, Piece piece) {
  check_training(setup.fp32(), paper_shape);
  const Operations operations(paper_shape);
  const std::array<double, pieces> counts{operations.forward, 0, 0, operations.transposed, operations.weights};
  Walk walk(setup.target, paper_shape);
  std::vector<double> parts;
  Record record = time_work(setup, 1, {7}, counts[piece], [&] { parts.push_back(walk.run()[piece]); });
  parts.erase(parts.begin());  // of the run that only touched all memory
  for (std::size_t i = 0; i < parts.size(); ++i) record.values[i] *= parts[i];
  for (std::size_t i = 0; i < record.shares_of_peak.size(); ++i) record.shares_of_peak[i] /= parts[i];
  return record;
}

/// A part of the step that the backend offers by itself, without its time steps.
Record measure_operation(const Setup& setup, void (Training::*part)()) {
  Training training(*setup.fp32().backend, {paper_shape.stack, paper_shape.batch, 8});
  training.step();
  return time_work(setup, 1, {5, 200}, 0, [&] { (training.*part)(); });
}

}  // namespace

std::vector<Benchmark> piece_benchmarks(const Setup& setup) {
  std::vector<Benchmark> all;
  for (std::size_t p = 0; p < pieces; ++p)
    all.push_back({fmt::format("pieces/{}/fp32/1core", piece_names[p]),
                   [&setup, p] { return measure_piece(setup, static_cast<Piece>(p)); }});
  all.push_back({"pieces/dense_and_loss/fp32/1core", [&] { return measure_operation(setup, &Training::classify); }});
  all.push_back({"pieces/adam/fp32/1core", [&] { return measure_operation(setup, &Training::update); }});
  return all;
}

}  // namespace genretree::bench
