// core/random.hpp's numbers on the device, bit for bit, and dropout by them. For .cu files, and host code that fills in
// a Dropout.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/random.hpp"
#include "kernels/cuda/platform.hpp"

namespace genretree::cuda {

#if defined(__CUDACC__) || defined(GENRETREE_CUDA_EMULATED)

/// philox() of core/random.hpp, whose std::array has no functions on the device.
__device__ inline uint4 device_philox(uint4 counter, std::uint64_t key) {
  std::uint32_t key0 = static_cast<std::uint32_t>(key), key1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = 0xD2511F53ull * counter.x, product1 = 0xCD9E8D57ull * counter.z;
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter.y ^ key0, static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter.w ^ key1, static_cast<std::uint32_t>(product0)};
    key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
  }
  return counter;
}

/// Words 4·block … 4·block + 3 of a stream, as Random::word has them.
__device__ inline uint4 device_words(const PhiloxStream& stream, std::uint64_t block) {
  return device_philox(
      {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), stream.epoch_and_use, stream.batch},
      stream.key);
}

#endif

/// Inverted dropout: number `index` is multiplied by 1 / (1 - rate) iff uniform_at(index) ≥ rate, else by 0.
struct Dropout {
  PhiloxStream stream{};
  std::uint32_t threshold = 0;  ///< the least of uniform_at's 24 bits with which a number is kept
  float scale = 1;

  Dropout() = default;  ///< keeps everything as it is
  Dropout(const RandomKey& key, double rate)
      : stream(Random(key).stream()),
        threshold(static_cast<std::uint32_t>(std::ceil(rate * 0x1p24))),
        scale(static_cast<float>(1 / (1 - rate))) {}

#if defined(__CUDACC__) || defined(GENRETREE_CUDA_EMULATED)
  __device__ float of_word(std::uint32_t word) const { return word >> 8 >= threshold ? scale : 0; }

  __device__ float at(std::uint64_t index) const {
    if (threshold == 0) return scale;
    const uint4 words = device_words(stream, index / 4);
    const std::uint32_t word = index % 4 == 0 ? words.x : index % 4 == 1 ? words.y : index % 4 == 2 ? words.z : words.w;
    return of_word(word);
  }
#endif
};

}  // namespace genretree::cuda
