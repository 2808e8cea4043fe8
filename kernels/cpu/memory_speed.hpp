// The memory's limit, for bench: long reads, and the triad of STREAM (McCalpin 1995), in vectors of `target`.
#pragma once

#include <cstddef>
#include <cstdint>

namespace genretree::cpu {

/// Floats that one round of the loops takes: the sizes below are multiples of it.
constexpr std::size_t memory_speed_round = 512;

/// The sum of `size` floats: `size` · 4 bytes are read.
float read_all(std::int64_t target, const float* data, std::size_t size);

/// a = b + factor · c: `size` · 12 bytes go between memory and processor, and 4 more for each line of `a` that is
/// fetched before it is written, which, as in STREAM, nobody counts.
void triad(std::int64_t target, const float* b, const float* c, float factor, float* a, std::size_t size);

}  // namespace genretree::cpu
