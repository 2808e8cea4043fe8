// bfloat16: the upper half of a float. Rounded to nearest, ties away from zero, which takes vectors two instructions
// where ties to even take five, and differs in one number of 131,072.
#pragma once

#include <bit>
#include <cstdint>

namespace genretree::cpu {

/// A NaN stays one.
inline std::uint16_t to_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((value == value ? bits + 0x8000 : bits | 0x400000) >> 16);
}

inline float from_bf16(std::uint16_t value) { return std::bit_cast<float>(std::uint32_t{value} << 16); }

}  // namespace genretree::cpu
