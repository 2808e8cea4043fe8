#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/reference/gates.hpp"
#include "kernels/reference/lstm_stack.hpp"

namespace genretree::reference {
namespace {

/// Weights, masks and sizes of one layer, by name.
template <class T>
struct LayerTensors {
  std::size_t inputs, units;
  View<T, 2> kernel, recurrent;  // [in, 4H], [H, 4H]
  T* bias;                       // [4H]
};

template <class T>
LayerTensors<T> layer_tensors(const StackConfig& config, std::size_t layer, std::span<T> parameters) {
  const auto [kernel, recurrent, bias] = ParameterLayout(config).layers[layer];
  T* const data = parameters.data();
  return {kernel.rows, recurrent.rows, view_of(data + kernel.offset, kernel.rows, kernel.columns),
          view_of(data + recurrent.offset, recurrent.rows, recurrent.columns), data + bias.offset};
}

/// m_q[b, i] of one layer; 1 where there are no masks.
struct LayerMasks {
  const double* input;      // [4, B, in] or null
  const double* recurrent;  // [4, B, H] or null
  std::size_t batch, inputs, units;

  LayerMasks(const StackConfig& config, std::size_t layer, std::size_t rows, std::span<const double> masks)
      : input(nullptr),
        recurrent(nullptr),
        batch(rows),
        inputs(config.layer_inputs(layer)),
        units(config.units[layer]) {
    if (masks.empty()) return;
    const MaskLayout layout(config, rows);
    input = masks.data() + layout.layers[layer].input_offset;
    recurrent = masks.data() + layout.layers[layer].recurrent_offset;
  }
  double of_input(std::size_t q, std::size_t b, std::size_t i) const {
    return input ? input[(q * batch + b) * inputs + i] : 1;
  }
  double of_recurrent(std::size_t q, std::size_t b, std::size_t j) const {
    return recurrent ? recurrent[(q * batch + b) * units + j] : 1;
  }
};

LayerTrace layer_forward(const LayerTensors<const double>& w, const LayerMasks& masks, Gate gate, std::size_t frames,
                         std::size_t batch, std::vector<double> inputs) {
  const std::size_t units = w.units;
  LayerTrace trace{std::move(inputs), std::vector<double>(frames * batch * 4 * units),
                   std::vector<double>((frames + 1) * batch * units),
                   std::vector<double>((frames + 1) * batch * units)};
  for (std::size_t t = 0; t < frames; ++t)
    for (std::size_t b = 0; b < batch; ++b) {
      const double* x = &trace.inputs[(t * batch + b) * w.inputs];
      const double* h = &trace.outputs[(t * batch + b) * units];
      for (std::size_t u = 0; u < units; ++u) {
        std::array<double, 4> gates;
        for (std::size_t q = 0; q < 4; ++q) {
          const std::size_t column = q * units + u;
          double z = w.bias[column];
          for (std::size_t i = 0; i < w.inputs; ++i) z += x[i] * masks.of_input(q, b, i) * w.kernel(i, column);
          for (std::size_t j = 0; j < units; ++j) z += h[j] * masks.of_recurrent(q, b, j) * w.recurrent(j, column);
          gates[q] = q == 2 ? std::tanh(z) : activate(gate, z);
          trace.gates[((t * batch + b) * 4 + q) * units + u] = gates[q];
        }
        const auto [i, f, g, o] = gates;
        const std::size_t now = (t * batch + b) * units + u, next = now + batch * units;
        trace.cells[next] = f * trace.cells[now] + i * g;
        trace.outputs[next] = o * std::tanh(trace.cells[next]);
      }
    }
  return trace;
}

/// Adds the layer's part of the gradient and returns that with respect to its inputs. doutputs [T, B, H]: what comes
/// from above.
std::vector<double> layer_backward(const LayerTensors<const double>& w, const LayerMasks& masks, Gate gate,
                                   std::size_t frames, std::size_t batch, const LayerTrace& trace,
                                   std::vector<double> doutputs, const LayerTensors<double>& gradient) {
  const std::size_t units = w.units;
  std::vector<double> dinputs(frames * batch * w.inputs), dcells(batch * units), dz(4 * units);
  for (std::size_t t = frames; t-- > 0;)
    for (std::size_t b = 0; b < batch; ++b) {
      const std::size_t row = t * batch + b;
      for (std::size_t u = 0; u < units; ++u) {
        const double* gates = &trace.gates[row * 4 * units + u];
        const double i = gates[0], f = gates[units], g = gates[2 * units], o = gates[3 * units];
        const double tanh_c = std::tanh(trace.cells[(row + batch) * units + u]);
        const double dh = doutputs[row * units + u];
        double& dc = dcells[b * units + u];
        dc += dh * o * (1 - tanh_c * tanh_c);
        dz[u] = dc * g * activation_slope(gate, i);
        dz[units + u] = dc * trace.cells[row * units + u] * activation_slope(gate, f);
        dz[2 * units + u] = dc * i * (1 - g * g);
        dz[3 * units + u] = dh * tanh_c * activation_slope(gate, o);
        dc *= f;
      }
      for (std::size_t q = 0; q < 4; ++q)
        for (std::size_t column = q * units; column < (q + 1) * units; ++column) {
          gradient.bias[column] += dz[column];
          for (std::size_t k = 0; k < w.inputs; ++k) {
            const double mask = masks.of_input(q, b, k);
            gradient.kernel(k, column) += trace.inputs[row * w.inputs + k] * mask * dz[column];
            dinputs[row * w.inputs + k] += w.kernel(k, column) * mask * dz[column];
          }
          for (std::size_t j = 0; j < units; ++j) {
            const double mask = masks.of_recurrent(q, b, j);
            gradient.recurrent(j, column) += trace.outputs[row * units + j] * mask * dz[column];
            if (t > 0) doutputs[(row - batch) * units + j] += w.recurrent(j, column) * mask * dz[column];
          }
        }
    }
  return dinputs;
}

}  // namespace

std::span<const double> StackTrace::outputs(bool sequences) const {
  const std::vector<double>& outputs = layers.back().outputs;
  const std::size_t frame = outputs.size() / (frames + 1);
  return std::span(outputs).last(sequences ? frames * frame : frame);
}

StackTrace stack_forward(const StackConfig& config, std::span<const double> parameters, View<const double, 3> x,
                         std::span<const double> masks) {
  StackTrace trace{x.shape[0], x.shape[1], {}};
  std::vector<double> inputs(x.flat().begin(), x.flat().end());
  for (std::size_t layer = 0; layer < config.layers(); ++layer) {
    trace.layers.push_back(layer_forward(layer_tensors(config, layer, parameters),
                                         LayerMasks(config, layer, trace.batch, masks), config.gate, trace.frames,
                                         trace.batch, std::move(inputs)));
    const LayerTrace& done = trace.layers.back();
    inputs.assign(done.outputs.begin() + static_cast<std::ptrdiff_t>(trace.batch * config.units[layer]),
                  done.outputs.end());
  }
  return trace;
}

std::vector<double> stack_backward(const StackConfig& config, std::span<const double> parameters,
                                   std::span<const double> masks, const StackTrace& trace, std::span<const double> dh,
                                   std::span<double> gradients) {
  const std::size_t last = config.layers() - 1, first_parameter = config.first_parameter;
  std::ranges::fill(gradients.subspan(first_parameter, ParameterLayout(config).size - first_parameter), 0.0);
  std::vector<double> doutputs(trace.frames * trace.batch * config.units[last]);
  std::copy(dh.begin(), dh.end(), doutputs.end() - static_cast<std::ptrdiff_t>(dh.size()));
  for (std::size_t layer = last + 1; layer-- > 0;)
    doutputs = layer_backward(layer_tensors(config, layer, parameters), LayerMasks(config, layer, trace.batch, masks),
                              config.gate, trace.frames, trace.batch, trace.layers[layer], std::move(doutputs),
                              layer_tensors(config, layer, gradients));
  return doutputs;
}

}  // namespace genretree::reference
