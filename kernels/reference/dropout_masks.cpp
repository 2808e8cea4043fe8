#include "kernels/reference/dropout_masks.hpp"

namespace genretree::reference {

void dropout_masks(const StackConfig& config, std::size_t batch, const RandomKey& key, std::span<double> masks) {
  const Random random(key);
  const auto draw = [&](std::size_t begin, std::size_t size, double rate) {
    for (std::size_t e = begin; e < begin + size; ++e) masks[e] = random.uniform_at(e) >= rate ? 1 / (1 - rate) : 0;
  };
  const MaskLayout layout(config, batch);
  for (std::size_t layer = 0; layer < config.layers(); ++layer) {
    draw(layout.layers[layer].input_offset, 4 * batch * config.layer_inputs(layer), config.dropout);
    draw(layout.layers[layer].recurrent_offset, 4 * batch * config.units[layer], config.recurrent_dropout);
  }
}

}  // namespace genretree::reference
