// Random inputs on which operations are tried.
#pragma once

#include <vector>

#include "core/random.hpp"

namespace genretree {

/// `size` numbers of a normal distribution around 0, the same on every call.
inline std::vector<float> normal_numbers(std::size_t size, std::uint64_t seed, double deviation = 1) {
  Random random({.seed = seed});
  std::vector<float> numbers(size);
  for (float& number : numbers) number = static_cast<float>(deviation * random.normal());
  return numbers;
}

}  // namespace genretree
