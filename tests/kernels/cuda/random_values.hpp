#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace genretree::test {

/// Uniform in -1 … 1.
inline std::vector<float> random_values(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> values(size);
  for (float& value : values) value = static_cast<float>(random() >> 40) / (1 << 23) - 1;
  return values;
}

}  // namespace genretree::test
