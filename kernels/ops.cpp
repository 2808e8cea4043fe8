#include "kernels/ops.hpp"

namespace genretree {

ParameterLayout::ParameterLayout(const StackConfig& stack, std::size_t classes) {
  const auto place = [this](std::size_t rows, std::size_t columns) {
    const Tensor tensor{size, rows, columns};
    size += tensor.size();
    return tensor;
  };
  for (std::size_t layer = 0; layer < stack.layers(); ++layer) {
    const std::size_t gates = 4 * stack.units[layer];
    const Tensor kernel = place(stack.layer_inputs(layer), gates);
    const Tensor recurrent = place(stack.units[layer], gates);
    const Tensor bias = place(1, gates);
    layers.push_back({kernel, recurrent, bias});
  }
  dense_kernel = place(stack.outputs(), classes);
  dense_bias = place(1, classes);
}

MaskLayout::MaskLayout(const StackConfig& stack, std::size_t batch) {
  for (std::size_t layer = 0; layer < stack.layers(); ++layer) {
    const std::size_t input = size, recurrent = input + 4 * batch * stack.layer_inputs(layer);
    layers.push_back({input, recurrent});
    size = recurrent + 4 * batch * stack.units[layer];
  }
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
