// bfloat16 on the host: the upper half of a float, rounded to nearest, ties to even.
#pragma once

#include <bit>
#include <cstdint>

namespace genretree::cpu {

/// A NaN stays one.
inline std::uint16_t to_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = value == value ? bits + 0x7FFF + (bits >> 16 & 1) : bits | 0x400000;
  return static_cast<std::uint16_t>(rounded >> 16);
}

inline float from_bf16(std::uint16_t value) { return std::bit_cast<float>(std::uint32_t{value} << 16); }

}  // namespace genretree::cpu
