// The processor's limit, for bench: nothing but multiply-adds in registers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace genretree::cpu {

/// Runs `rounds` rounds of independent multiply-adds in vectors of `target` and returns how many floating-point
/// operations that were (two for each multiply-add and lane).
double run_multiply_adds(std::int64_t target, std::size_t rounds);

}  // namespace genretree::cpu
