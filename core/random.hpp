// Counter-based random numbers: a number is a pure function of its key and its index, so results never depend on who
// asks first, on how many workers there are, or on where a run was resumed. Philox4x32-10 of Salmon et al., "Parallel
// random numbers: as easy as 1, 2, 3" (SC 2011).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace genretree {

using PhiloxBlock = std::array<std::uint32_t, 4>;

/// Ten rounds of Philox4x32: four random words for each (counter, key).
constexpr PhiloxBlock philox(PhiloxBlock counter, std::uint64_t key) {
  std::uint32_t key0 = static_cast<std::uint32_t>(key), key1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = 0xD2511F53ull * counter[0], product1 = 0xCD9E8D57ull * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key0, static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key1, static_cast<std::uint32_t>(product0)};
    key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;  // the Weyl sequence of the paper: golden ratio and sqrt(3) - 1
  }
  return counter;
}

/// What a random number is for. Two uses never share numbers.
enum class RandomUse : std::uint32_t {
  split,
  corpus,
  initial_weights,
  shuffle,
  dropout,
  bootstrap,
  augmentation,
  search
};

/// Names one stream of random numbers.
struct RandomKey {
  std::uint64_t seed = 0;
  std::uint32_t point = 0;  ///< grid point, e.g. its number of epochs
  std::uint32_t trial = 0;
  std::uint32_t node = 0;  ///< node of the tree, 0 for a single classifier
  std::uint32_t epoch = 0;
  std::uint32_t batch = 0;
  RandomUse use = RandomUse::split;
};

/// A stream as Philox has it: word 4·i + j is word j of philox({lower, upper half of i, epoch_and_use, batch}, key).
struct PhiloxStream {
  std::uint64_t key = 0;
  std::uint32_t epoch_and_use = 0, batch = 0;
};

/// The numbers of one stream, by index or one after another.
class Random {
 public:
  explicit Random(const RandomKey& key);

  /// For a generator on other hardware, which makes the same words.
  const PhiloxStream& stream() const { return stream_; }

  /// Number `index` of the stream, without regard to what was drawn before.
  std::uint32_t word(std::uint64_t index) const;
  /// Uniform in [0, 1), 24 random bits, exact in float.
  float uniform_at(std::uint64_t index) const { return static_cast<float>(word(index) >> 8) * 0x1p-24f; }

  /// uniform_at of 4·block … 4·block + 3, which cost as much as one of them.
  std::array<float, 4> uniform_block(std::uint64_t block) const;

  std::uint32_t next() { return word(position_++); }
  /// Uniform in [0, 1).
  double uniform() { return next() * 0x1p-32; }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Standard normal (Box-Muller; two words each).
  double normal();
  /// Uniform in 0 … bound - 1, without bias; InputError if bound is 0.
  std::uint32_t below(std::uint32_t bound);
  /// A permutation of `items`, uniform over all (Fisher-Yates).
  template <class T>
  void shuffle(std::span<T> items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(static_cast<std::uint32_t>(i))]);
  }

 private:
  PhiloxBlock words_of(std::uint64_t block) const;

  PhiloxStream stream_;
  std::uint64_t position_ = 0;
};

}  // namespace genretree
