#include "kernels/cpu/dropout_masks.hpp"

namespace genretree::cpu {

void dropout_masks(const NetworkConfig& config, const Group& group, std::span<const RandomKey> keys,
                   View<float, 2> masks) {
  const MaskLayout layout(config, group.batch);
  for (std::size_t r = 0; r < group.runs; ++r) {
    if (group.rows[r] == 0) continue;
    const Random random(keys[r]);
    std::size_t e = 0;
    for (const auto& [size, rate] : layout.parts) {
      const float kept = static_cast<float>(1 / (1 - rate));
      for (const std::size_t end = e + size; e < end; ++e) masks(r, e) = random.uniform_at(e) >= rate ? kept : 0.0f;
    }
  }
}

}  // namespace genretree::cpu
