// Sums and extremes over the 32 lanes of a warp, in a fixed order. All lanes call together, and all get the result.
#pragma once

#include "kernels/cuda/platform.hpp"

namespace genretree::cuda {

template <class Value>
__device__ inline Value warp_sum(Value value) {
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffff, value, distance);
  return value;
}

__device__ inline float warp_maximum(float value) {
  for (int distance = 16; distance > 0; distance /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xffffffff, value, distance));
  return value;
}

__device__ inline int warp_minimum(int value) {
  for (int distance = 16; distance > 0; distance /= 2) value = min(value, __shfl_xor_sync(0xffffffff, value, distance));
  return value;
}

}  // namespace genretree::cuda
