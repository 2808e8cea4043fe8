#include "core/rounding.hpp"
#include "kernels/ops.hpp"

namespace genretree {

std::vector<StackConfig> NetworkConfig::passes() const {
  StackConfig pass = *this;
  pass.first_parameter = constants(), pass.first_mask = 0;
  pass.sequences = readout != Readout::last, pass.input_gradient = false;
  if (!bidirectional && layer_dropout == 0) return {pass};
  std::vector<StackConfig> passes;
  for (std::size_t layer = 0; layer < layers(); ++layer)
    for (std::size_t direction = 0; direction < directions(); ++direction) {
      pass.inputs = layer == 0 ? inputs : layer_outputs(layer - 1);
      pass.units = {units[layer]};
      pass.sequences = layer + 1 < layers() || readout != Readout::last;
      pass.input_gradient = layer > 0;
      passes.push_back(pass);
      pass.first_parameter = ParameterLayout(pass).size;
      pass.first_mask += 4 * (pass.inputs + units[layer]);
    }
  return passes;
}

ParameterLayout::ParameterLayout(const StackConfig& pass) : size(pass.first_parameter) {
  for (std::size_t layer = 0; layer < pass.layers(); ++layer) {
    const std::size_t gates = 4 * pass.units[layer];
    const Tensor kernel = place(pass.layer_inputs(layer), gates);
    const Tensor recurrent = place(pass.units[layer], gates);
    const Tensor bias = place(1, gates);
    layers.push_back({kernel, recurrent, bias});
  }
}

ParameterLayout::ParameterLayout(const NetworkConfig& network, std::size_t classes) {
  mean = place(1, network.standardise ? network.inputs : 0);
  scale = place(1, network.standardise ? network.inputs : 0);
  for (const StackConfig& pass : network.passes()) {
    const ParameterLayout own(pass);
    layers.insert(layers.end(), own.layers.begin(), own.layers.end());
    size = own.size;
  }
  dense_kernel = place(network.dense_inputs(), classes);
  dense_bias = place(1, classes);
}

ParameterLayout::Tensor ParameterLayout::place(std::size_t rows, std::size_t columns) {
  const Tensor tensor{size, rows, columns};
  size += tensor.size();
  return tensor;
}

MaskLayout::MaskLayout(const StackConfig& pass, std::size_t batch) : size(pass.first_mask * batch) {
  for (std::size_t layer = 0; layer < pass.layers(); ++layer) {
    const std::size_t input = place(4 * batch * pass.layer_inputs(layer), pass.dropout);
    layers.push_back({input, place(4 * batch * pass.units[layer], pass.recurrent_dropout)});
  }
}

MaskLayout::MaskLayout(const NetworkConfig& network, std::size_t batch) {
  if (network.has_dropout())
    for (const StackConfig& pass : network.passes()) {
      const MaskLayout own(pass, batch);
      layers.insert(layers.end(), own.layers.begin(), own.layers.end());
      parts.insert(parts.end(), own.parts.begin(), own.parts.end());
      size = own.size;
    }
  if (network.layer_dropout == 0) return;
  for (std::size_t layer = 0; layer < network.layers(); ++layer) {
    const std::size_t width = layer + 1 < network.layers() ? network.layer_outputs(layer) : network.dense_inputs();
    layer_outputs.push_back(place(round_up(batch * width, 4), network.layer_dropout));
  }
}

std::size_t MaskLayout::place(std::size_t numbers, double rate) {
  parts.push_back({numbers, rate});
  size += numbers;
  return size - numbers;
}

CnnConfig::Image CnnConfig::image(std::size_t s) const {
  if (s == 0) return {frames, bands, channels};
  const Image before = image(s - 1);
  const auto [filters, pool] = stages[s - 1];
  return {(before.rows + pool - 1) / pool, (before.columns + pool - 1) / pool, filters};
}

std::size_t CnnConfig::dropout_size() const {
  std::size_t size = units;
  for (std::size_t s = 1; s <= stages.size(); ++s) size += image(s).size();
  return size;
}

CnnLayout::CnnLayout(const CnnConfig& cnn, std::size_t classes) {
  const auto place = [this](std::size_t rows, std::size_t columns) {
    const Tensor tensor{size, rows, columns};
    size += tensor.size();
    return tensor;
  };
  const auto place_layer = [&](std::size_t rows, std::size_t columns) {
    const Tensor kernel = place(rows, columns);
    return Layer{kernel, place(1, columns)};
  };
  mean = place(1, cnn.standardise ? cnn.bands : 0);
  scale = place(1, cnn.standardise ? cnn.bands : 0);
  for (std::size_t s = 0; s < cnn.stages.size(); ++s)
    stages.push_back(place_layer(CnnConfig::kernel * CnnConfig::kernel * cnn.image(s).channels, cnn.stages[s].filters));
  hidden = place_layer(cnn.image(cnn.stages.size()).size(), cnn.units);
  output = place_layer(cnn.units, classes);
}

}  // namespace genretree
