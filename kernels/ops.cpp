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

}  // namespace genretree
