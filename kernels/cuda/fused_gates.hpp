// How the fused LSTM in bf16 keeps activated gates for its backward pass: two of them in 32 bits, each as a whole number of
// 2^-14, as kernels/cpu/lstm_bf16_kernels.hpp does. 0 and 1 are exact, so that hard gates know their slope.
#pragma once

#include "kernels/cuda/platform.hpp"

namespace genretree::cuda::fused_bf16 {

/// 1.5 · 2^23: a float beside which numbers below 2^22 are whole, in two's complement in the low bits.
inline constexpr float whole_numbers = 12582912;
inline constexpr float gate_scale = 1 << 14;

__device__ inline std::uint32_t kept_gates(float low, float high) {
  const std::uint32_t a = bits_of(fmaf(low, gate_scale, whole_numbers)),
                      b = bits_of(fmaf(high, gate_scale, whole_numbers));
  return (a & 0xffff) | b << 16;
}

/// Of gate 0 or 1 of a pair.
__device__ inline float gate_of_pair(std::uint32_t pair, int index) {
  const std::uint32_t number = index == 0 ? pair & 0xffff : pair >> 16;
  // 2^23 + 2^15 + the number: its lowest bits, with the sign bit turned around
  const float shifted = float_of((number ^ 0x8000) | 0x4b000000);
  return (shifted - (8388608.0f + 32768.0f)) * (1 / gate_scale);
}

}  // namespace genretree::cuda::fused_bf16
