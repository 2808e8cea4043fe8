// The fused LSTM through the backend, in each precision: shapes that have a kernel of their own and shapes that have
// not, batches that do not fill their blocks of rows, groups, and long sequences. What it computes is held to the
// definition; how bf16 rounds, in tests/kernels/test_lstm_bf16.cpp.
#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/reference/backend.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/cuda_libraries/device.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using test::Problem;

namespace {

/// How far h and gradients may be from the definition's: as tests/kernels/test_lstm_stack.cpp has it, and a little more
/// for the sums of 256 units.
struct Precision {
  std::string name;
  double h, gradients;
};
const Precision precisions[] = {{"fp32", 2e-6, 5e-6}, {"bf16", 1.5e-2, 3e-2}};

std::unique_ptr<Backend> fused(const std::string& precision) {
  return cuda::make_backend({.device = "cuda", .lstm = "fused", .precision = precision});
}

/// Calls check(precision) for each, in each order of threads or, where accesses are checked, in one.
void in_all_orders(const std::function<void(const Precision&)>& check) {
  using emulator::Order;
  std::vector<Order> orders{Order::random};
  if (!emulator::checks_accesses()) orders = {Order::random, Order::first_to_last, Order::last_to_first};
  for (const Precision& precision : precisions)
    for (const Order order : orders) {
      cuda::emulate(order, 1);
      INFO(precision.name << ", order " << static_cast<int>(order));
      check(precision);
    }
}

void check_against_definition(const Problem& p, const test::StackResult& expected, const Precision& precision) {
  const test::StackResult result = test::run_stack(*fused(precision.name), p);
  CHECK(test::relative_difference<float, float>(test::counted_rows(result.h, p.group),
                                                test::counted_rows(expected.h, p.group)) <= precision.h);
  const ParameterLayout layout(p.stack, p.group.classes);
  for (const ParameterLayout::Layer& layer : layout.layers)
    for (const ParameterLayout::Tensor& tensor : {layer.kernel, layer.recurrent, layer.bias})
      CHECK(test::relative_difference<float, float>(
                std::span(result.gradients).subspan(tensor.offset, tensor.size()),
                std::span(expected.gradients).subspan(tensor.offset, tensor.size())) <= precision.gradients);
}

void check_against_definition(const Problem& p) {
  const test::StackResult expected = test::run_stack(*reference::make_backend(), p);
  in_all_orders([&](const Precision& precision) { check_against_definition(p, expected, precision); });
}

/// Numbers of the run's part.
std::span<const float> part_of(const std::vector<float>& values, std::size_t run, std::size_t runs) {
  const std::size_t size = values.size() / runs;
  return std::span(values).subspan(run * size, size);
}

}  // namespace

TEST_CASE("fused LSTM: batches of any size and sequences of 1, 2 and 16 frames are the definition's", "[fused]") {
  const std::size_t batch = GENERATE(1, 7, 15, 25, 35, 40), frames = GENERATE(1, 2, 16);
  if (emulator::checks_accesses() && batch > 15 && frames != 2) return;
  INFO(batch << " rows, " << frames << " frames");
  check_against_definition(Problem({.inputs = 5, .units = {32, 16}}, 1, batch, frames, 2));
}

TEST_CASE("fused LSTM: every width has a kernel, with weights in registers, shared memory or beyond", "[fused]") {
  const auto [inputs, units] = GENERATE(table<std::size_t, std::vector<std::size_t>>({
      {20, {16}},      // two tiles of inputs
      {40, {16, 16}},  // projected
      {13, {64}},
      {20, {64, 64}},
      {13, {128, 32}},  // the paper's
      {17, {128}},
      {40, {128}},  // projected
      {100, {48}},  // no kernel of its own
      {60, {128, 128}},
      {3, {112, 48}},
      {13, {256}},  // more weights than a multiprocessor holds
  }));
  const std::size_t frames = units[0] > 100 ? 2 : 4;
  INFO(inputs << " inputs, " << units[0] << " units");
  const Problem p({.inputs = inputs, .units = units}, 1, 9, frames, 2);
  const test::StackResult expected = test::run_stack(*reference::make_backend(), p);
  cuda::emulate(emulator::Order::random, 1);
  for (const Precision& precision : precisions) {
    INFO(precision.name);
    check_against_definition(p, expected, precision);
  }
}

TEST_CASE("fused LSTM: with less shared memory, more weights lie beyond it, and the bits are the same", "[fused]") {
  const double dropout = GENERATE(0.0, 0.3);
  const Problem p({.inputs = 300, .units = {256, 256}, .dropout = dropout}, 1, 2, 2, 2);
  cuda::emulate(emulator::Order::random, 1);
  for (const Precision& precision : precisions) {
    const test::StackResult expected = test::run_stack(*fused(precision.name), p);
    for (const std::size_t kilobytes : {163, 99}) {  // compute capability 8.0 and 8.6
      const cuda::SmallerGpu gpu(kilobytes * 1024);
      INFO(precision.name << ", " << kilobytes << " KB, dropout " << dropout);
      const auto backend = fused(precision.name);
      if (const std::string reason = backend->refusal(p.stack); !reason.empty()) {
        CHECK((precision.name == "fp32" && dropout > 0 && kilobytes == 99));
        CHECK_THAT(reason, Catch::Contains("shared memory") && Catch::Contains("device: cpu"));
        continue;
      }
      const test::StackResult result = test::run_stack(*backend, p);
      CHECK(result.h == expected.h);
      CHECK(result.gradients == expected.gradients);
    }
  }
}

TEST_CASE("fused LSTM: hard sigmoids and dropout are the definition's", "[fused]") {
  const Gate gate = GENERATE(Gate::sigmoid, Gate::hard_sigmoid, Gate::hard_sigmoid_keras3);
  const double dropout = GENERATE(0.0, 0.3);
  INFO("gate " << static_cast<int>(gate) << ", dropout " << dropout);
  check_against_definition(Problem(
      {.inputs = 5, .units = {32, 16}, .gate = gate, .dropout = dropout, .recurrent_dropout = dropout}, 1, 9, 4, 2));
}

TEST_CASE("fused LSTM: a run has the same bits in a group, whatever lies beside it, and in every order", "[fused]") {
  const double dropout = GENERATE(0.0, 0.3);
  Problem p({.inputs = 5, .units = {32, 16}, .dropout = dropout, .recurrent_dropout = dropout}, 4, 17, 5, 3);
  p.group.rows = {17, 3, 0, 9};
  for (const Precision& precision : precisions) {
    cuda::emulate(emulator::Order::random, 1);
    const test::StackResult together = test::run_stack(*fused(precision.name), p);
    for (std::size_t r = 0; r < p.group.runs; ++r) {
      const Problem one = p.alone(r);
      cuda::emulate(emulator::Order::last_to_first, 1);
      const test::StackResult alone = test::run_stack(*fused(precision.name), one);
      INFO(precision.name << ", run " << r);
      const auto counted = [&](std::span<const float> h) {
        return std::vector<float>(h.begin(),
                                  h.begin() + static_cast<std::ptrdiff_t>(p.group.rows[r] * p.stack.outputs()));
      };
      CHECK(counted(part_of(together.h, r, p.group.runs)) == counted(alone.h));
      const auto own = part_of(together.gradients, r, p.group.runs);
      CHECK(std::vector<float>(own.begin(), own.end()) == alone.gradients);
    }
  }
}

TEST_CASE("fused LSTM: what stands in rows that do not count reaches nothing, also where all frames have a gradient",
          "[fused]") {
  const double dropout = GENERATE(0.0, 0.3);
  Problem p({.inputs = 5,
             .units = {32, 16},
             .dropout = dropout,
             .recurrent_dropout = dropout,
             .sequences = true,
             .input_gradient = true},
            2, 19, 5, 2);
  p.group.rows = {10, 3};
  const auto results_of = [&](const std::string& precision) {
    const test::StackResult result = test::run_stack(*fused(precision), p);
    return std::vector{test::counted_rows(result.h, p.group, 5), test::counted_rows(result.dx, p.group, 5),
                       result.gradients};
  };
  cuda::emulate(emulator::Order::random, 1);
  for (const Precision& precision : precisions) {
    INFO(precision.name << ", dropout " << dropout);
    const Problem before = p;
    const auto expected = results_of(precision.name);
    const auto spoil = [&](std::vector<float>& values, std::size_t width) {
      for (std::size_t e = 0; e < values.size(); ++e)
        if (e / width % 19 >= p.group.rows[e / (values.size() / 2)])
          values[e] = std::numeric_limits<float>::quiet_NaN();
    };
    spoil(p.x, 5), spoil(p.dh, 16);
    CHECK(results_of(precision.name) == expected);
    p = before;
  }
}

TEST_CASE("fused LSTM: gradients are sums over all chunks of frames, of every run", "[fused]") {
  if (emulator::checks_accesses()) return;                     // minutes; shorter sequences run there
  Problem p({.inputs = 40, .units = {48, 32}}, 2, 9, 262, 2);  // the third chunk has six
  // forget gates that keep the cells over all frames, so that every chunk has its part in the gradient; weights small
  // enough that small differences do not grow
  for (float& parameter : p.parameters) parameter *= 0.1f;
  const ParameterLayout layout(p.stack, p.group.classes);
  for (std::size_t r = 0; r < p.group.runs; ++r)
    for (std::size_t l = 0; l < p.stack.layers(); ++l)
      std::fill_n(&p.parameters[r * layout.size + layout.layers[l].bias.offset + p.stack.units[l]], p.stack.units[l],
                  6.0f);
  cuda::emulate(emulator::Order::random, 1);
  for (std::size_t r = 0; r < p.group.runs; ++r) {
    const Problem one = p.alone(r);
    const test::StackResult expected = test::run_stack(*reference::make_backend(), one);
    INFO("run " << r);  // how bf16 rounds such gates, tests/kernels/test_lstm_bf16.cpp says
    check_against_definition(one, expected, {"fp32", 3e-5, 3e-5});
  }
  for (const Precision& precision : precisions) {
    const std::vector<float> together = test::run_stack(*fused(precision.name), p).gradients;
    for (std::size_t r = 0; r < p.group.runs; ++r) {
      const auto own = part_of(together, r, p.group.runs);
      CHECK(std::vector<float>(own.begin(), own.end()) ==
            test::run_stack(*fused(precision.name), p.alone(r)).gradients);
    }
  }
}

TEST_CASE("fused LSTM: as many runs advance together as fill the multiprocessors with blocks of eight rows",
          "[fused]") {
  const StackConfig stack{.inputs = 13, .units = {128, 32}};
  const auto together = [&](std::size_t batch, const std::string& lstm) {
    return cuda::make_backend({.device = "cuda", .lstm = lstm})->runs_together(stack, {1, batch, 8, 2, {1}, {2}});
  };
  NetworkConfig network = stack;
  network.bidirectional = true;
  const auto backend = cuda::make_backend({.device = "cuda"});
  CHECK(backend->runs_together(network, {1, 25, 8, 2, {1}, {2}}) == 3);
  network.units = {128, 24};  // all by cuDNN
  CHECK(backend->runs_together(network, {1, 25, 8, 2, {1}, {2}}) == 1);
  CHECK(together(25, "auto") == 3);  // the emulated GPU has twelve
  CHECK(together(32, "fused") == 3);
  CHECK(together(35, "fused") == 2);
  CHECK(together(100, "fused") == 1);
  CHECK(together(35, "cudnn") == 1);
}

TEST_CASE("fused LSTM: the paper's sequence of 1293 frames, through one block of rows", "[fused]") {
  if (emulator::checks_accesses()) return;
  const Problem p({.inputs = 13, .units = {32, 16}}, 1, 8, 1293, 2);
  const test::StackResult expected = test::run_stack(*reference::make_backend(), p);
  cuda::emulate(emulator::Order::random, 1);
  for (const Precision& precision : precisions) {
    INFO(precision.name);
    check_against_definition(p, expected, {precision.name, 2 * precision.h, 10 * precision.gradients});
  }
}

TEST_CASE("fused LSTM: what it has no kernels for is refused, naming what can", "[fused]") {
  const auto refusal = [](const std::string& precision, const StackConfig& stack) {
    return fused(precision)->refusal(stack);
  };
  CHECK(refusal("bf16", {.inputs = 13, .units = {128, 32}, .gate = Gate::hard_sigmoid, .dropout = 0.5}) == "");
  using Catch::Contains;
  CHECK_THAT(refusal("bf16", {.inputs = 13, .units = {128, 24}}), Contains("16, 32 … 256") && Contains("24"));
  CHECK_THAT(refusal("bf16", {.inputs = 13, .units = {128, 24}}), !Contains("cudnn") && Contains("device: cpu"));
  CHECK_THAT(refusal("fp32", {.inputs = 13, .units = {272}}), Contains("272") && Contains("lstm: cudnn:standard"));
  CHECK_THAT(refusal("fp32", {.inputs = 13, .units = {272}, .dropout = 0.1}),
             !Contains("cudnn") && Contains("device: cpu"));
  CHECK_THAT(refusal("fp32", {.inputs = 2000, .units = {16}}), Contains("2000") && Contains("1024"));
  CHECK(refusal("fp32", {.inputs = 1000, .units = {64}}) == "");
  NetworkConfig network = StackConfig{.inputs = 13, .units = {128, 32}};
  network.bidirectional = true, network.readout = Readout::mean_max, network.layer_dropout = 0.4;
  CHECK(fused("bf16")->refusal(network) == "");
  network.units = {32, 24};
  CHECK_THAT(fused("bf16")->refusal(network), Contains("16, 32 … 256") && Contains("24"));
  CHECK_THAT(refusal("fp32", {.inputs = 1000, .units = {64}, .dropout = 0.1}),
             Contains("shared memory") && Contains("1000"));
  CHECK_THAT(test::error_of([] { fused("tf32"); }), Contains("'tf32'") && Contains("cudnn"));
}
