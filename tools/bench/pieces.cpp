// Where a training step's time goes. The LSTM stack runs on kernels of ours that read the clock, call the real ones and
// read it again (25 ns each; a call takes some µs), so that all data lie where they lie in training.
#include <array>
#include <chrono>
#include <fmt/format.h>

#include "kernels/cpu/lstm_kernels.hpp"
#include "kernels/cpu/lstm_stack.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/training.hpp"

namespace genretree::bench {
namespace {

enum Piece { forward_product, forward_cell, backward_cell, transposed_product, weight_gradient, pieces };
constexpr std::array<const char*, pieces> piece_names{"forward_product", "forward_cell", "backward_cell",
                                                      "transposed_product", "weight_gradient"};

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// What the kernels below call and note. Kernels are plain functions, so this is the only place for it; bench has one
/// thread here.
struct {
  cpu::LstmKernels kernels;
  bool backward;
  std::array<double, pieces> seconds;
} timed;

template <class Argument>
void call(Piece piece, void (*kernel)(const Argument&), const Argument& argument) {
  const Clock::time_point start = Clock::now();
  kernel(argument);
  timed.seconds[piece] += seconds_since(start);
}

/// The product serves three pieces; only that of the weights' gradient takes the columns of its operand as rows.
void multiply(const cpu::Product& product) {
  const Piece piece = !timed.backward ? forward_product : product.a_row == 1 ? weight_gradient : transposed_product;
  call(piece, timed.kernels.multiply, product);
}
void cell_forward(const cpu::CellForward& cell) { call(forward_cell, timed.kernels.cell_forward, cell); }
void cell_backward(const cpu::CellBackward& cell) { call(backward_cell, timed.kernels.cell_backward, cell); }

/// A training step; returns what part of its time `piece` took.
double timed_step(Training& training, Piece piece) {
  timed.seconds.fill(0);
  const Clock::time_point start = Clock::now();
  timed.backward = false;
  training.forward();
  training.classify();
  timed.backward = true;
  training.backward();
  training.update();
  return timed.seconds[piece] / seconds_since(start);
}

/// Seconds of one piece: its part, by the wall clock, of the step's processor time.
Record measure_piece(const Setup& setup, Piece piece) {
  check_training(setup.fp32(), paper_shape);
  const Operations operations(paper_shape);
  const std::array<double, pieces> counts{operations.forward, 0, 0, operations.transposed, operations.weights};
  timed.kernels = cpu::lstm_kernels(setup.target);
  cpu::LstmKernels kernels = timed.kernels;
  kernels.multiply = multiply, kernels.cell_forward = cell_forward, kernels.cell_backward = cell_backward;
  Training training(*setup.fp32().backend, paper_shape);
  training.use_state(cpu::make_stack_state(kernels, paper_shape.stack, training.group(), Mode::training));

  std::vector<double> parts;
  Record record = time_work(setup, 1, {7}, counts[piece], [&] { parts.push_back(timed_step(training, piece)); });
  parts.erase(parts.begin());  // of the step that only touched all memory
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
