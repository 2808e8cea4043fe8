#include "kernels/cpu/dropout_masks.hpp"

namespace genretree::cpu {

void dropout_masks(const StackConfig& config, const Group& group, std::span<const RandomKey> keys,
                   View<float, 2> masks) {
  const MaskLayout layout(config, group.batch);
  for (std::size_t r = 0; r < group.runs; ++r) {
    if (group.rows[r] == 0) continue;
    const Random random(keys[r]);
    const auto draw = [&](std::size_t begin, std::size_t size, double rate) {
      const float kept = static_cast<float>(1 / (1 - rate));
      for (std::size_t e = begin; e < begin + size; ++e) masks(r, e) = random.uniform_at(e) >= rate ? kept : 0.0f;
    };
    for (std::size_t l = 0; l < config.layers(); ++l) {
      draw(layout.layers[l].input_offset, 4 * group.batch * config.layer_inputs(l), config.dropout);
      draw(layout.layers[l].recurrent_offset, 4 * group.batch * config.units[l], config.recurrent_dropout);
    }
  }
}

}  // namespace genretree::cpu
