// Where a training step's time goes, in fp32. The LSTM stack runs on kernels of ours that read the clock, call the real
// ones and read it again, so that all data lie where they lie in training. All pieces are of one and the same step.
#include <array>
#include <fmt/format.h>
#include <numeric>
#include <optional>

#include "core/clock.hpp"
#include "kernels/backends.hpp"
#include "kernels/cpu/lstm_kernels.hpp"
#include "kernels/cpu/lstm_stack.hpp"
#include "kernels/cpu/target.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/training.hpp"

namespace genretree::bench {
namespace {

enum Piece {
  forward_product,
  forward_cell,
  backward_cell,
  transposed_product,
  weight_gradient,
  dense_and_loss,
  adam,
  rest,
  whole_step,
  pieces
};
constexpr std::array<const char*, pieces> piece_names{
    "forward_product", "forward_cell", "backward_cell", "transposed_product", "weight_gradient",
    "dense_and_loss",  "adam",         "rest",          "whole_step"};
using Seconds = std::array<double, pieces>;

/// What the kernels below call and note. Kernels are plain functions, so this is the only place for it; bench has one
/// thread here.
struct {
  cpu::LstmKernels kernels;
  bool backward;
  Seconds seconds;
} timed;

/// By the wall clock, which is read in a tenth of the time that the processor's takes. A call lasts some µs: if it took
/// more than a millisecond, another program had the core meanwhile, and the call is left out.
template <class Work>
void note(Piece piece, const Work& work) {
  const Clock::time_point start = Clock::now();
  work();
  const double seconds = seconds_since(start);
  if (seconds < 1e-3) timed.seconds[piece] += seconds;
}

/// The product serves three pieces; only that of the weights' gradient takes the columns of its operand as rows.
void multiply(const cpu::Product& product) {
  const Piece piece = !timed.backward ? forward_product : product.a_row == 1 ? weight_gradient : transposed_product;
  note(piece, [&] { timed.kernels.multiply(product); });
}
void cell_forward(const cpu::CellForward& cell) {
  note(forward_cell, [&] { timed.kernels.cell_forward(cell); });
}
void cell_backward(const cpu::CellBackward& cell) {
  note(backward_cell, [&] { timed.kernels.cell_backward(cell); });
}

/// A training step; the whole of it in processor time.
Seconds timed_step(Training& training) {
  timed.seconds.fill(0);
  const double whole = seconds_of(1, [&] {
    timed.backward = false;
    training.forward();
    note(dense_and_loss, [&] { training.classify(); });
    timed.backward = true;
    training.backward();
    note(adam, [&] { training.update(); });
  });
  timed.seconds[rest] = whole - std::accumulate(timed.seconds.begin(), timed.seconds.end(), 0.0);
  timed.seconds[whole_step] = whole;
  return timed.seconds;
}

/// A step's seconds, and the FMA peak just before and after it.
struct Step {
  Seconds seconds;
  double peak;
};

/// The paper's step on the interleaved kernels: of some, the shortest one, which other programs disturbed least.
Step shortest_step(const Setup& setup) {
  const Precision fp32{"fp32",
                       make_backend({.device = "cpu", .lstm = "interleaved", .target = cpu::target_name(setup.target)}),
                       setup.fp32().tolerance};
  check_training(fp32, paper_shape);
  timed.kernels = cpu::lstm_kernels(setup.target);
  cpu::LstmKernels kernels = timed.kernels;
  kernels.multiply = multiply, kernels.cell_forward = cell_forward, kernels.cell_backward = cell_backward;
  Training training(*fp32.backend, paper_shape);
  training.use_state(cpu::make_stack_state(kernels, paper_shape.stack, training.group(), Mode::training));

  training.step();  // touches all memory
  std::optional<Step> shortest;
  for (int i = 0; i < 15; ++i) {
    const double before = peak_gflops(setup.target, 1);
    const Seconds seconds = timed_step(training);
    const double peak = (before + peak_gflops(setup.target, 1)) / 2;
    if (!shortest || seconds[whole_step] < shortest->seconds[whole_step]) shortest = Step{seconds, peak};
  }
  return *shortest;
}

Record record_of(const Step& step, std::size_t piece) {
  const Operations operations(paper_shape);
  const Seconds counts{operations.forward, 0, 0, operations.transposed, operations.weights};
  Record record{.unit = "s", .values = {step.seconds[piece]}};
  if (counts[piece] > 0) record.shares_of_peak = {counts[piece] / step.seconds[piece] / 1e9 / step.peak};
  return record;
}

}  // namespace

std::vector<Benchmark> piece_benchmarks(const Setup& setup) {
  const auto step = std::make_shared<std::optional<Step>>();  // measured by the first that is asked for
  std::vector<Benchmark> all;
  for (std::size_t p = 0; p < pieces; ++p)
    all.push_back({fmt::format("pieces/{}/fp32/1core", piece_names[p]), [&setup, step, p] {
                     if (!*step) *step = shortest_step(setup);
                     return record_of(**step, p);
                   }});
  return all;
}

}  // namespace genretree::bench
