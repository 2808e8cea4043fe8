#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.hpp"
#include "core/random.hpp"

namespace genretree {

// The 64-bit key is itself a Philox word of (seed; point, trial, node); the 128-bit counter is (block index, epoch,
// batch) with the use in the top bits of the epoch.
Random::Random(const RandomKey& key) {
  constexpr std::uint32_t epoch_limit = 1u << 28;
  if (key.epoch >= epoch_limit)
    reject("epoch {} is beyond the {} that the random number generator has room for", key.epoch, epoch_limit - 1);
  const PhiloxBlock mixed = philox({key.point, key.trial, key.node, 0x67656e72u}, key.seed);
  stream_ = {mixed[0] | static_cast<std::uint64_t>(mixed[1]) << 32,
             key.epoch | static_cast<std::uint32_t>(key.use) << 28, key.batch};
}

PhiloxBlock Random::words_of(std::uint64_t block) const {
  return philox({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), stream_.epoch_and_use,
                 stream_.batch},
                stream_.key);
}

std::uint32_t Random::word(std::uint64_t index) const { return words_of(index / 4)[index % 4]; }

std::array<float, 4> Random::uniform_block(std::uint64_t block) const {
  std::array<float, 4> numbers;
  std::ranges::transform(words_of(block), numbers.begin(),
                         [](std::uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; });
  return numbers;
}

double Random::normal() {
  const double radius = std::sqrt(-2 * std::log(1 - uniform()));  // 1 - u is in (0, 1]
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

std::uint32_t Random::below(std::uint32_t bound) {
  if (bound == 0) reject("a random number below 0 was asked for, but the bound must be at least 1");
  // Lemire's multiply-and-reject
  const std::uint32_t threshold = -bound % bound;
  for (;;) {
    const std::uint64_t product = static_cast<std::uint64_t>(next()) * bound;
    if (static_cast<std::uint32_t>(product) >= threshold) return static_cast<std::uint32_t>(product >> 32);
  }
}

}  // namespace genretree
