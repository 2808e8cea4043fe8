#include "kernels/reference/dropout_masks.hpp"

namespace genretree::reference {

void dropout_masks(const NetworkConfig& config, std::size_t batch, const RandomKey& key, std::span<double> masks) {
  const Random random(key);
  std::size_t e = 0;
  for (const auto& [size, rate] : MaskLayout(config, batch).parts)
    for (const std::size_t end = e + size; e < end; ++e) masks[e] = random.uniform_at(e) >= rate ? 1 / (1 - rate) : 0;
}

}  // namespace genretree::reference
