// The LSTM stack in precision bf16 against the definition with numbers rounded where that precision rounds them: much
// closer than the definition itself can be.
#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/backends.hpp"
#include "kernels/cpu/bf16.hpp"
#include "kernels/cpu/target.hpp"
#include "kernels/reference/gates.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using test::Problem;

namespace {

/// Which of two bf16 that are equally near a backend takes: the cpu the one away from zero, a GPU the even one.
enum class Ties { away, even };
double bf16(double value, Ties ties) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  if (ties == Ties::even && (bits & 0x1ffff) == 0x8000) return std::bit_cast<float>(bits - 0x8000);
  return cpu::from_bf16(cpu::to_bf16(static_cast<float>(value)));
}
/// A gate as it is kept for the backward pass.
double kept(double gate) { return std::nearbyint(gate * (1 << 14)) / (1 << 14); }

/// One layer of run 0 with all its rows, and what its forward pass leaves. Rows of an operand are h, then the input.
struct RoundedLayer {
  const Problem& p;
  const Ties ties;
  std::size_t inputs, units, batch, frames;
  const ParameterLayout::Layer place;
  const float* masks[2] = {};                 // recurrent, input
  std::vector<double> operands;               // [T + 1, B, units + inputs]
  std::vector<double> gates, cells, outputs;  // [T, B, 4, units], [T + 1, B, units], [T, B, units]

  RoundedLayer(const Problem& problem, std::size_t layer, Ties to)
      : p(problem),
        ties(to),
        inputs(p.stack.layer_inputs(layer)),
        units(p.stack.units[layer]),
        batch(p.group.batch),
        frames(p.group.frames),
        place(ParameterLayout(p.stack).layers[layer]),
        operands((frames + 1) * batch * (units + inputs)),
        gates(frames * batch * 4 * units),
        cells((frames + 1) * batch * units),
        outputs(frames * batch * units) {
    if (p.masks.empty()) return;
    const MaskLayout::Layer offsets = MaskLayout(p.stack, batch).layers[layer];
    masks[0] = p.masks.data() + offsets.recurrent_offset, masks[1] = p.masks.data() + offsets.input_offset;
  }
  double bf16(double value) const { return ::bf16(value, ties); }
  std::size_t depth() const { return units + inputs; }
  double& operand(std::size_t t, std::size_t b, std::size_t k) { return operands[(t * batch + b) * depth() + k]; }
  double mask(std::size_t q, std::size_t b, std::size_t k) const {
    if (!masks[0]) return 1;
    return k < units ? masks[0][(q * batch + b) * units + k] : masks[1][(q * batch + b) * inputs + k - units];
  }
  double masked_operand(std::size_t t, std::size_t b, std::size_t q, std::size_t k) {
    return bf16(operand(t, b, k) * mask(q, b, k));
  }
  std::size_t weight_place(std::size_t k, std::size_t column) const {
    return k < units ? place.recurrent.offset + k * 4 * units + column
                     : place.kernel.offset + (k - units) * 4 * units + column;
  }
  double weight(std::size_t k, std::size_t column) const { return bf16(p.parameters[weight_place(k, column)]); }

  void forward(const std::function<double(std::size_t t, std::size_t b, std::size_t i)>& input) {
    std::vector<double> c(batch * units);
    for (std::size_t t = 0; t < frames; ++t)
      for (std::size_t b = 0; b < batch; ++b) {
        for (std::size_t i = 0; i < inputs; ++i) operand(t, b, units + i) = bf16(input(t, b, i));
        for (std::size_t u = 0; u < units; ++u) {
          double gate[4];
          for (std::size_t q = 0; q < 4; ++q) {
            double z = p.parameters[place.bias.offset + q * units + u];
            for (std::size_t k = 0; k < depth(); ++k) z += masked_operand(t, b, q, k) * weight(k, q * units + u);
            gate[q] = q == 2 ? std::tanh(z) : reference::activate(p.stack.gate, z);
            gates[((t * batch + b) * 4 + q) * units + u] = kept(gate[q]);
          }
          double& cell = c[b * units + u];
          cell = gate[1] * cell + gate[0] * gate[2];
          cells[((t + 1) * batch + b) * units + u] = bf16(cell);
          double& output = outputs[(t * batch + b) * units + u];
          output = gate[3] * std::tanh(cell);
          operand(t + 1, b, u) = bf16(output);
        }
      }
  }

  /// Adds to `gradients` and returns the gradient of the inputs [T, B, in]. dh [T, B, units] comes from above.
  std::vector<double> backward(const std::vector<double>& dh, std::vector<double>& gradients) {
    std::vector<double> dinputs(frames * batch * inputs), dcells(batch * units), doperand(batch * depth());
    for (std::size_t t = frames; t-- > 0;)
      for (std::size_t b = 0; b < batch; ++b) {
        std::vector<double> dz(4 * units);
        for (std::size_t u = 0; u < units; ++u) {
          const double* gate = &gates[(t * batch + b) * 4 * units + u];
          const double i = gate[0], f = gate[units], g = gate[2 * units], o = gate[3 * units];
          const double tanh_c = std::tanh(cells[((t + 1) * batch + b) * units + u]);
          const double dy = dh[(t * batch + b) * units + u] + doperand[b * depth() + u];
          double& dc = dcells[b * units + u];
          dc += dy * o * (1 - tanh_c * tanh_c);
          dz[u] = dc * g * reference::activation_slope(p.stack.gate, i);
          dz[units + u] = dc * cells[(t * batch + b) * units + u] * reference::activation_slope(p.stack.gate, f);
          dz[2 * units + u] = dc * i * (1 - g * g);
          dz[3 * units + u] = dy * tanh_c * reference::activation_slope(p.stack.gate, o);
          dc *= f;
        }
        for (std::size_t k = 0; k < depth(); ++k) doperand[b * depth() + k] = 0;
        for (std::size_t column = 0; column < 4 * units; ++column) {
          gradients[place.bias.offset + column] += dz[column];
          for (std::size_t k = 0; k < depth(); ++k) {
            gradients[weight_place(k, column)] += masked_operand(t, b, column / units, k) * bf16(dz[column]);
            doperand[b * depth() + k] += weight(k, column) * mask(column / units, b, k) * bf16(dz[column]);
          }
        }
        for (std::size_t i = 0; i < inputs; ++i)
          dinputs[(t * batch + b) * inputs + i] = doperand[b * depth() + units + i];
      }
    return dinputs;
  }
};

/// h, gradients and dx of the whole stack.
struct Rounded {
  std::vector<double> h, gradients, dx;

  Rounded(const Problem& p, Ties ties) : gradients(p.parameters.size()) {
    std::vector<RoundedLayer> layers;
    for (std::size_t l = 0; l < p.stack.layers(); ++l) layers.emplace_back(p, l, ties);
    for (std::size_t l = 0; l < layers.size(); ++l)
      layers[l].forward([&](std::size_t t, std::size_t b, std::size_t i) {
        return l == 0 ? static_cast<double>(p.x[(t * p.group.batch + b) * p.stack.inputs + i])
                      : layers[l - 1].operand(t + 1, b, i);
      });
    const std::vector<double>& outputs = layers.back().outputs;
    h.assign(outputs.end() - std::ssize(p.dh), outputs.end());
    dx.resize(outputs.size());
    std::copy(p.dh.begin(), p.dh.end(), dx.end() - std::ssize(p.dh));
    for (std::size_t l = layers.size(); l-- > 0;) dx = layers[l].backward(dx, gradients);
  }
};

/// sqrt(Σ (a - b)² / Σ b²)
double distance(std::span<const float> a, std::span<const double> b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference += std::pow(a[i] - b[i], 2), size += b[i] * b[i];
  return std::sqrt(difference / size);
}

}  // namespace

// Single precision instead of double moves a number to another side of a rounding's limit now and then (one in some
// thousands), and then by up to 2^-7 of itself: far less, over a tensor, than the 2^-9 or so by which each is off the
// definition.
TEST_CASE("in bf16 the stack is the definition with operands, kept gates and cells rounded, and nothing else") {
  std::vector<Problem> problems;
  for (const Gate gate : {Gate::sigmoid, Gate::hard_sigmoid, Gate::hard_sigmoid_keras3})
    for (const double dropout : {0.0, 0.3})
      problems.push_back(Problem({.inputs = 5, .units = {20, 9}, .gate = gate, .dropout = dropout}, 1, 7, 6, 2));
  problems.push_back(Problem({.inputs = 13, .units = {40, 16}}, 1, 35, 12, 2));
  // whole tiles, which a GPU's fused kernels take
  for (const Gate gate : {Gate::sigmoid, Gate::hard_sigmoid, Gate::hard_sigmoid_keras3})
    for (const double dropout : {0.0, 0.3})
      problems.push_back(Problem({.inputs = 5, .units = {48, 16}, .gate = gate, .dropout = dropout}, 1, 9, 6, 2));
  problems.push_back(Problem({.inputs = 13, .units = {128, 32}}, 1, 9, 3, 2));
  problems.push_back(Problem({.inputs = 13, .units = {256}}, 1, 9, 2, 2));
  // gradients over several of the fused kernels' chunks of frames: forget gates that keep the cells
  Problem& keeping = problems.emplace_back(StackConfig{.inputs = 40, .units = {48, 32}}, 1, 9, 262, 2);
  for (float& parameter : keeping.parameters) parameter *= 0.1f;
  for (std::size_t l = 0; l < 2; ++l)
    std::fill_n(&keeping.parameters[ParameterLayout(keeping.stack, 2).layers[l].bias.offset + keeping.stack.units[l]],
                keeping.stack.units[l], 6.0f);
  // a pass of a network
  for (const std::vector<std::size_t>& units : {std::vector<std::size_t>{20, 9}, {32}, {48, 16}})
    for (const double dropout : {0.0, 0.3})
      problems.push_back(Problem({.inputs = 40,
                                  .units = units,
                                  .dropout = dropout,
                                  .first_parameter = 12,
                                  .first_mask = 8,
                                  .sequences = true,
                                  .input_gradient = true},
                                 1, 9, 6, 2));
  for (const Problem& p : problems) {
    const Rounded away(p, Ties::away), even(p, Ties::even);
    const std::size_t first = p.stack.first_parameter, count = ParameterLayout(p.stack).size - first;
    test::for_each_backend("bf16", p.stack, [&](Backend& backend) {
      const test::StackResult result = test::run_stack(backend, p);
      const Rounded& expected = backend.info().backend == "cpu" ? away : even;
      INFO("gate " << static_cast<int>(p.stack.gate) << ", dropout " << p.stack.dropout);
      CHECK(distance(result.h, expected.h) <= 5e-4);
      const double tolerance = p.group.frames > 100 ? 5e-3 : 1e-3;  // what was rounded otherwise adds up
      CHECK(distance(std::span(result.gradients).subspan(first, count),
                     std::span(expected.gradients).subspan(first, count)) <= tolerance);
      if (p.stack.input_gradient) CHECK(distance(result.dx, expected.dx) <= tolerance);
    });
  }
}

TEST_CASE("emulated bf16 is the dot product's instruction to the bit") {
  const std::string best = cpu::target_name(cpu::supported_targets().front()), native = best + "+avx512_bf16";
  const std::vector<std::string> targets = backend_targets("cpu", "bf16");
  if (std::find(targets.begin(), targets.end(), native) == targets.end())
    SKIP_TEST("this processor has no instruction for bf16 dot products");
  const Problem p({.inputs = 13, .units = {40, 24}, .dropout = 0.2, .recurrent_dropout = 0.2}, 1, 35, 20, 3);
  const auto emulated = make_backend({.precision = "bf16", .target = best});
  const auto instruction = make_backend({.precision = "bf16", .target = native});
  const test::StackResult a = test::run_stack(*emulated, p), b = test::run_stack(*instruction, p);
  CHECK(a.h == b.h);
  CHECK(a.gradients == b.gradients);
}
