// The LSTM stack of every backend against the definition, and the definition against finite differences and cases
// worked by hand.
#include <bit>
#include <cmath>

#include "kernels/cpu/bf16.hpp"
#include "kernels/reference/backend.hpp"
#include "kernels/reference/lstm_stack.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using test::Problem;

namespace {

/// max |a - b| / max |b| of each of the stack's tensors is at most `tolerance`; what lies before and after them in the
/// runs' parameters is untouched.
void check_gradients(const Problem& p, std::span<const float> a, std::span<const float> b, double tolerance) {
  const ParameterLayout layout(p.stack);
  for (std::size_t r = 0; r < p.group.runs; ++r) {
    const std::span<const float> run = a.subspan(r * p.parameter_count(), p.parameter_count());
    const auto is_untouched = [](std::span<const float> part) {
      return std::ranges::all_of(part, [](float value) { return value == test::untouched; });
    };
    CHECK(is_untouched(run.first(p.stack.first_parameter)));
    CHECK(is_untouched(run.subspan(layout.size)));
    for (const ParameterLayout::Layer& layer : layout.layers)
      for (const ParameterLayout::Tensor& tensor : {layer.kernel, layer.recurrent, layer.bias})
        CHECK(test::relative_difference(run.subspan(tensor.offset, tensor.size()),
                                        b.subspan(r * p.parameter_count() + tensor.offset, tensor.size())) <=
              tolerance);
  }
}

/// What the precision of a backend may cost, of h and of gradients. In bf16 an operand is off by 2^-8 of itself at
/// most, in tf32 by 2^-11; the errors of a product's terms average out, those of the steps of a sequence and of its
/// layers add up.
struct Tolerance {
  double h, gradients;
  explicit Tolerance(Backend& backend) : h(2e-6), gradients(5e-6) {
    if (backend.info().precision == "bf16") h = 1e-2, gradients = 3e-2;
    if (backend.info().precision == "tf32") h = 2e-3, gradients = 5e-3;
  }
};

void check_against_reference(const Problem& problem) {
  const auto definition = reference::make_backend();
  const test::StackResult expected = test::run_stack(*definition, problem);
  const auto counted = [&](const std::vector<float>& h) {
    return test::counted_rows(h, problem.group, problem.output_frames());
  };
  test::for_each_backend(problem.stack, [&](Backend& backend) {
    const test::StackResult result = test::run_stack(backend, problem);
    const Tolerance tolerance(backend);
    CHECK(test::relative_difference<float, float>(counted(result.h), counted(expected.h)) <= tolerance.h);
    check_gradients(problem, result.gradients, expected.gradients, tolerance.gradients);
    if (problem.stack.input_gradient) {
      const auto counted_inputs = [&](const std::vector<float>& dx) {
        return test::counted_rows(dx, problem.group, problem.group.frames);
      };
      CHECK(test::relative_difference<float, float>(counted_inputs(result.dx), counted_inputs(expected.dx)) <=
            tolerance.gradients);
    }
    if (!problem.masks.empty()) return;
    // of our own kernels inference has the same bits; cuDNN may take others
    const std::vector<float> inferred = counted(test::run_inference(backend, problem));
    CHECK(test::relative_difference<float, float>(inferred, counted(result.h)) <=
          (backend.info().algorithm.starts_with("cudnn") ? tolerance.h : 0));
  });
}

/// One unit and one input: kernel 0, so that all of z is the bias, except for the gate `q`, whose kernel is 1 and whose
/// bias is 0.
Problem one_gate(std::size_t q, std::span<const float> z, std::span<const float> biases, Gate gate) {
  Problem p({.inputs = 1, .units = {1}, .gate = gate}, 1, z.size(), 1, 2);
  std::fill(p.parameters.begin(), p.parameters.end(), 0.0f);
  const ParameterLayout layout(p.stack, 2);
  for (std::size_t other = 0; other < 4; ++other)
    p.parameters[layout.layers[0].bias.offset + other] = other == q ? 0 : biases[other];
  p.parameters[layout.layers[0].kernel.offset + q] = 1;
  p.x.assign(z.begin(), z.end());
  return p;
}

}  // namespace

TEST_CASE("the definition's gradient is the slope of its outputs, for every parameter and input, gate and masks") {
  for (const Gate gate : {Gate::sigmoid, Gate::hard_sigmoid, Gate::hard_sigmoid_keras3})
    for (const auto& [dropout, sequences] : {std::pair{0.0, false}, {0.3, false}, {0.0, true}, {0.3, true}}) {
      const Problem p({.inputs = 2,
                       .units = {3, 2},
                       .gate = gate,
                       .dropout = dropout,
                       .recurrent_dropout = dropout,
                       .first_parameter = sequences ? 5u : 0u,
                       .first_mask = sequences ? 3u : 0u,
                       .sequences = sequences,
                       .input_gradient = true},
                      1, 2, 4, 2);
      std::vector<double> x(p.x.begin(), p.x.end());
      const std::vector<double> masks(p.masks.begin(), p.masks.end());
      std::vector<double> parameters(p.parameters.begin(), p.parameters.end()), gradient(parameters.size());
      const std::vector<double> dh(p.dh.begin(), p.dh.end());
      const View<const double, 3> inputs = view_of(x.data(), 4, 2, 2);
      // the loss is Σ h · dh
      const auto loss = [&] {
        const reference::StackTrace trace = reference::stack_forward(p.stack, parameters, inputs, masks);
        double sum = 0;
        for (std::size_t e = 0; e < dh.size(); ++e) sum += trace.outputs(sequences)[e] * dh[e];
        return sum;
      };
      const auto check_slope = [&](double& value, double expected) {
        const double saved = value, step = 1e-5;
        value = saved + step;
        const double above = loss();
        value = saved - step;
        const double slope = (above - loss()) / (2 * step);
        value = saved;
        CHECK(expected == Approx(slope).margin(1e-8).epsilon(1e-6));
      };
      const std::vector<double> dx = reference::stack_backward(
          p.stack, parameters, masks, reference::stack_forward(p.stack, parameters, inputs, masks), dh, gradient);
      for (std::size_t k = 0; k < ParameterLayout(p.stack).size; ++k) {
        INFO("gate " << static_cast<int>(gate) << ", dropout " << dropout << ", parameter " << k);
        check_slope(parameters[k], gradient[k]);
      }
      for (std::size_t e = 0; e < x.size(); ++e) {
        INFO("gate " << static_cast<int>(gate) << ", dropout " << dropout << ", input " << e);
        check_slope(x[e], dx[e]);
      }
    }
}

TEST_CASE("one gate at a time, worked by hand") {
  constexpr float open = 200, shut = -200;  // gates are 1 or 0 there, tanh 1 or -1, to 3e-7
  const std::vector<float> z{-80, -20, -3.5f, -2.6f, -2.5f, -1, -1e-3f, 0, 1e-4f, 0.3f, 1, 2.4f, 2.6f, 3.5f, 9, 30, 90};
  const auto check = [&](std::size_t q, std::vector<float> biases, Gate gate, auto expected) {
    const Problem p = one_gate(q, z, biases, gate);
    test::for_each_backend(p.stack, [&](Backend& backend) {
      const std::vector<float> h = test::run_inference(backend, p);
      for (std::size_t k = 0; k < z.size(); ++k) {
        INFO("gate " << q << " at z = " << z[k]);
        // z is an input by 1, the one rounding on its way
        const std::string precision = backend.info().precision;
        const float rounded = precision == "bf16" ? cpu::from_bf16(cpu::to_bf16(z[k])) : z[k];
        // cuDNN promises no digits of numbers near 0, nor does NVIDIA say how tf32 rounds an operand
        const bool cuda = backend.info().backend == "cuda";
        const double epsilon = precision == "tf32" ? 1e-3 : 1e-6, margin = cuda ? epsilon : 1e-37;
        CHECK(h[k] == Approx(expected(static_cast<double>(rounded))).epsilon(epsilon).margin(margin));
      }
    });
  };
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  // c = i·g with i = g = 1; h = o·tanh(1)
  check(3, {open, shut, open, 0}, Gate::sigmoid, [&](double v) { return sigmoid(v) * std::tanh(1.0); });
  check(3, {open, shut, open, 0}, Gate::hard_sigmoid,
        [](double v) { return std::clamp(0.2 * v + 0.5, 0.0, 1.0) * std::tanh(1.0); });
  check(3, {open, shut, open, 0}, Gate::hard_sigmoid_keras3,
        [](double v) { return std::clamp(v + 3, 0.0, 6.0) / 6 * std::tanh(1.0); });
  // the candidate alone: h = tanh(tanh(z)), to a few units in the last place also near 0
  check(2, {open, shut, 0, open}, Gate::sigmoid, [](double v) { return std::tanh(std::tanh(v)); });
  // the input gate alone, of a candidate of -1
  check(0, {0, shut, shut, open}, Gate::sigmoid, [&](double v) { return std::tanh(-sigmoid(v)); });
}

TEST_CASE("the forget gate keeps the cell over time, worked by hand") {
  // g and o are open, f is 1/2, i follows the input
  Problem p({.inputs = 1, .units = {1}}, 1, 1, 3, 2);
  std::fill(p.parameters.begin(), p.parameters.end(), 0.0f);
  const ParameterLayout layout(p.stack, 2);
  float* kernel = &p.parameters[layout.layers[0].kernel.offset];
  float* bias = &p.parameters[layout.layers[0].bias.offset];
  kernel[0] = 1, bias[2] = 200, bias[3] = 200;
  p.x = {200, -200, -200};  // i = 1, then 0: c = 1, 1/2, 1/4 with f = 1/2
  test::for_each_backend(p.stack, [&](Backend& backend) {
    CHECK(test::run_inference(backend, p)[0] == Approx(std::tanh(0.25)).epsilon(1e-6));
  });
}

TEST_CASE("every backend runs stacks of any shape as the definition does") {
  for (const std::size_t batch : {1, 7, 15, 25, 35, 40})
    check_against_reference(Problem({.inputs = 5, .units = {9, 4}}, 1, batch, 3, 3));
  for (const std::size_t frames : {1, 2, 16})
    check_against_reference(Problem({.inputs = 13, .units = {16, 8}}, 1, 5, frames, 3));
  for (const std::size_t units : {4, 8, 16, 24, 32, 128})
    check_against_reference(Problem({.inputs = 3, .units = {units}}, 1, 3, 2, 3));
  check_against_reference(Problem({.inputs = 1, .units = {1, 33, 17, 2}}, 1, 4, 5, 2));
  check_against_reference(Problem({.inputs = 200, .units = {32, 128}}, 1, 9, 3, 2));
}

TEST_CASE("every backend has all gates and dropout") {
  for (const Gate gate : {Gate::sigmoid, Gate::hard_sigmoid, Gate::hard_sigmoid_keras3})
    check_against_reference(Problem({.inputs = 6, .units = {20, 5}, .gate = gate}, 1, 8, 6, 3));
  for (const std::size_t batch : {1, 7, 35})
    check_against_reference(
        Problem({.inputs = 6, .units = {20, 5, 16}, .dropout = 0.1, .recurrent_dropout = 0.3}, 1, batch, 5, 3));
}

/// A pass in the midst of a network: outputs of every frame, the gradient of its inputs, and others' parameters and
/// masks before its own.
StackConfig midst(StackConfig pass) {
  pass.first_parameter = 37, pass.first_mask = 8;
  pass.sequences = pass.input_gradient = true;
  return pass;
}

TEST_CASE("every backend runs a pass of a network as the definition does") {
  const auto check_tame = [](Problem p) {
    for (float& parameter : p.parameters) parameter *= 0.4f;  // else roundings grow from step to step
    check_against_reference(p);
  };
  for (const std::vector<std::size_t>& units : {std::vector<std::size_t>{9}, {20, 7}, {32}, {48, 32}, {128}})
    for (const std::size_t inputs : {5, 40})
      for (const double dropout : {0.0, 0.3}) {
        INFO(units.size() << " layers, the first of " << units[0] << ", " << inputs << " inputs, dropout " << dropout);
        Problem p(midst({.inputs = inputs, .units = units, .dropout = dropout, .recurrent_dropout = dropout}), 2, 9, 11,
                  3);
        p.group.rows = {9, 4};
        check_tame(p);
      }
  // each by itself
  StackConfig sequences{.inputs = 13, .units = {32, 16}, .sequences = true};
  check_tame(Problem(sequences, 1, 35, 20, 3));
  StackConfig with_input_gradient{.inputs = 64, .units = {32}, .input_gradient = true};
  check_tame(Problem(with_input_gradient, 1, 35, 20, 3));
}

TEST_CASE("the last of a sequence of outputs is the output, bit for bit, and so are gradients of its gradient alone") {
  const auto units = GENERATE(std::vector<std::size_t>{12, 6}, std::vector<std::size_t>{32, 16});
  Problem last({.inputs = 4, .units = units}, 1, 9, 5, 2), all = last;
  all.stack.sequences = true;
  all.dh.insert(all.dh.begin(), 4 * last.dh.size(), 0.0f);
  test::for_each_backend(last.stack, [&](Backend& backend) {
    const test::StackResult expected = test::run_stack(backend, last), result = test::run_stack(backend, all);
    CHECK(std::equal(expected.h.begin(), expected.h.end(), result.h.end() - std::ssize(expected.h)));
    CHECK(result.gradients == expected.gradients);
  });
}

TEST_CASE("the runs of a group do not see each other, and a run without rows is left alone") {
  const auto units = GENERATE(std::vector<std::size_t>{12, 6}, std::vector<std::size_t>{32, 16});
  const bool in_midst = GENERATE(false, true);
  for (const double dropout : {0.0, 0.3}) {
    const StackConfig stack{.inputs = 4, .units = units, .dropout = dropout};
    Problem p(in_midst ? midst(stack) : stack, 3, 9, 5, 5);
    p.group.rows = {9, 0, 4};
    p.group.class_counts = {5, 3, 2};
    test::for_each_backend(p.stack, [&](Backend& backend) {
      const test::StackResult together = test::run_stack(backend, p);
      const std::size_t gradient_size = together.gradients.size() / 3;
      std::vector<float> h, dx;
      for (std::size_t r = 0; r < 3; ++r) {
        const Problem one = p.alone(r);
        const test::StackResult alone = test::run_stack(backend, one);
        const auto append = [&](const std::vector<float>& values, std::size_t frames, std::vector<float>& all) {
          const std::vector<float> counted = test::counted_rows(values, one.group, frames);
          all.insert(all.end(), counted.begin(), counted.end());
        };
        append(alone.h, p.output_frames(), h), append(alone.dx, p.group.frames, dx);
        CHECK(std::equal(alone.gradients.begin(), alone.gradients.end(),
                         together.gradients.begin() + static_cast<std::ptrdiff_t>(r * gradient_size)));
      }
      CHECK(h == test::counted_rows(together.h, p.group, p.output_frames()));
      CHECK(dx == test::counted_rows(together.dx, p.group, p.group.frames));
      CHECK(together.gradients[gradient_size] == test::untouched);
    });
  }
}

TEST_CASE("a row's result does not depend on the rows beside it, nor on what the state held before") {
  const auto units = GENERATE(std::vector<std::size_t>{24, 10}, std::vector<std::size_t>{32, 16});
  const Problem large({.inputs = 7, .units = units}, 1, 20, 6, 3);
  test::for_each_backend(large.stack, [&](Backend& backend) {
    const std::vector<float> expected = test::run_inference(backend, large);
    const auto state = backend.make_stack_state(large.stack, large.group, Mode::training);
    for (const std::uint32_t rows : {20u, 1u, 13u, 20u}) {
      Problem fewer = large;
      fewer.group.rows = {rows};
      const std::vector<float> h = test::run_forward(backend, fewer, *state, Mode::training);
      CHECK(std::equal(h.begin(), h.begin() + static_cast<std::ptrdiff_t>(rows * units.back()), expected.begin()));
    }
  });
}

TEST_CASE("a partial batch has the gradient of its rows alone") {
  const auto units = GENERATE(std::vector<std::size_t>{10, 6}, std::vector<std::size_t>{32, 16});
  Problem partial({.inputs = 4, .units = units}, 1, 12, 7, 2);
  partial.group.rows = {5};
  check_against_reference(partial);
}

TEST_CASE("NaN in a clip comes out as NaN") {
  const std::size_t units = GENERATE(6, 16);
  Problem p({.inputs = 2, .units = {units}}, 1, 3, 2, 2);
  p.x[2] = std::nanf("");  // frame 0, row 1
  test::for_each_backend(p.stack, [&](Backend& backend) {
    const std::vector<float> h = test::run_inference(backend, p);
    CHECK(std::isfinite(h[0]));
    CHECK(std::isnan(h[units]));
    CHECK(std::isfinite(h[2 * units]));
  });
}

TEST_CASE("NaN in a weight comes out as NaN, whatever its bits") {
  const std::size_t units = GENERATE(6, 16);
  for (const std::uint32_t bits : {0x7FC00000u, 0x7FFFFFFFu, 0xFFFFFFFFu})
    for (std::size_t q = 0; q < 4; ++q) {
      Problem p({.inputs = 2, .units = {units, units == 6 ? 5 : units}}, 1, 3, 2, 2);
      const ParameterLayout::Tensor bias = ParameterLayout(p.stack, 2).layers[0].bias;
      std::fill_n(p.parameters.begin() + static_cast<std::ptrdiff_t>(bias.offset + q * units), units,
                  std::bit_cast<float>(bits));
      test::for_each_backend(p.stack, [&](Backend& backend) {
        INFO("gate " << q << ", bits " << bits);
        for (const float h : test::run_inference(backend, p)) CHECK(std::isnan(h));
      });
    }
}

TEST_CASE("huge and infinite inputs shut or open gates and make no NaN, also where units do not fill a vector") {
  const auto units = GENERATE(std::vector<std::size_t>{20, 7}, std::vector<std::size_t>{32, 16});
  for (const float factor : {1e20f, 1e37f, std::numeric_limits<float>::infinity()}) {
    Problem p({.inputs = 13, .units = units}, 1, 3, 4, 2);
    for (float& x : p.x) x = std::copysign(std::min(std::abs(x) * factor, factor), x);
    if (std::isinf(factor))  // ∞ - ∞ is NaN by right: one input alone may be infinite
      for (std::size_t i = 0; i < p.x.size(); ++i)
        if (i % 13 != 0) p.x[i] = 0;
    test::for_each_backend(p.stack, [&](Backend& backend) {
      INFO("inputs up to " << factor);
      for (const float h : test::run_inference(backend, p)) CHECK(std::isfinite(h));
      if (std::isinf(factor)) return;  // ∞ · 0 makes the kernel's gradient NaN by right
      const test::StackResult result = test::run_stack(backend, p);
      CHECK(std::none_of(result.gradients.begin(), result.gradients.end(), [](float g) { return std::isnan(g); }));
    });
  }
}

TEST_CASE("batches beyond all blocks of rows that are collected") {
  for (const double dropout : {0.0, 0.3})
    check_against_reference(Problem({.inputs = 3, .units = {10, 6}, .dropout = dropout}, 1, 300, 3, 2));
}

TEST_CASE("a state for inference is small and refuses to train") {
  const Problem p({.inputs = 4, .units = {16, 8}}, 1, 6, 200, 2);
  test::for_each_backend(p.stack, [&](Backend& backend) {
    const auto training = backend.make_stack_state(p.stack, p.group, Mode::training);
    const auto inference = backend.make_stack_state(p.stack, p.group, Mode::inference);
    // at the least, training keeps four gates, a cell and an output for each unit and step
    const std::size_t number = backend.info().precision == "bf16" ? 2 : sizeof(float);
    CHECK(training->bytes() >= 200 * 6 * (16 + 8) * 6 * number);
    // cuDNN wants room for the outputs of all frames, also in inference
    const std::size_t times_smaller = backend.info().backend == "cuda" ? 2 : 20;
    CHECK(inference->bytes() * times_smaller < training->bytes());
    CHECK_THROWS_WITH(test::run_forward(backend, p, *inference, Mode::training), Catch::Contains("inference"));
  });
}
