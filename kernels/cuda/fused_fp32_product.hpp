// What the forward and the backward kernel of the fused LSTM share: the product of a step.
//
// A thread has two outputs of 8 rows each, 16 sums in registers. For each row of the weights it reads two of them, a
// pair of its own, and the 8 rows of one number that many threads share (one broadcast from shared memory), and
// multiplies each with each. Threads that split a sum between them fold their parts by shuffles afterwards.
#pragma once

#include "kernels/cuda/fused_fp32.hpp"

namespace genretree::cuda::fused_fp32 {

/// Some of the 8 rows of one number, side by side.
template <int count>
struct Rows {
  float at[count];
};

/// One rows' number, or four in one access, aligned to 16 bytes.
template <int count>
__device__ inline Rows<count> load_rows(const float* from) {
  static_assert(count == 1 || count == 4);
  if constexpr (count == 1)
    return {*from};
  else {
    const float4 four = *reinterpret_cast<const float4*>(from);
    return {four.x, four.y, four.z, four.w};
  }
}
template <int count>
__device__ inline void store_rows(float* to, const Rows<count>& rows) {
  static_assert(count == 1 || count == 4);
  if constexpr (count == 1)
    *to = rows.at[0];
  else
    *reinterpret_cast<float4*>(to) = make_float4(rows.at[0], rows.at[1], rows.at[2], rows.at[3]);
}

/// a · b + c, rounded once. The emulator rounds twice: its processor may not have the instruction, and then the
/// library's function takes ten times as long as all else.
__device__ inline float multiply_add(float a, float b, float c) {
#ifdef GENRETREE_CUDA_EMULATED
  return a * b + c;
#else
  return fmaf(a, b, c);
#endif
}

/// body(0), …, body(count - 1), one after another without a loop: so that arrays that it indexes can be registers.
template <int count, class Body>
__device__ inline void unrolled(Body body) {
  [&]<int... i>(std::integer_sequence<int, i...>) { (body(i), ...); }
  (std::make_integer_sequence<int, count>());
}

/// Adds a row's part: for one number (forward without dropout, backward: both outputs multiply the same), or for one of
/// each output (forward with dropout: gates have masks of their own).
template <bool own_numbers>
__device__ inline void add_products(float (&sums)[2][8], float2 weights, const float* numbers) {
  unrolled<2>([&](int half) {
    const Rows<4> first = load_rows<4>(numbers + 4 * half);
    const Rows<4> second = own_numbers ? load_rows<4>(numbers + block_rows + 4 * half) : first;
    unrolled<4>([&](int i) {
      sums[0][4 * half + i] = multiply_add(weights.x, first.at[i], sums[0][4 * half + i]);
      sums[1][4 * half + i] = multiply_add(weights.y, second.at[i], sums[1][4 * half + i]);
    });
  });
}

/// A thread's weights, wherever they lie; neighbouring threads' lie side by side.
template <int register_rows>
struct ThreadWeights {
  float2 held[register_rows];
  const float2* near;  ///< the thread's pair of the first row in shared memory
  const float2* far;   ///< the thread's pair of the first row of all, in global memory
  int near_end;        ///< the first row that is in neither registers nor shared memory

  /// Fetches what is to lie in registers and in shared memory, which is there for the thread itself at once.
  __device__ ThreadWeights(const float* packed, float2* shared, int shared_rows)
      : near(shared + threadIdx.x),
        far(reinterpret_cast<const float2*>(packed) + threadIdx.x),
        near_end(register_rows + shared_rows) {
    const int threads = static_cast<int>(blockDim.x);
    unrolled<register_rows>([&](int row) { held[row] = far[row * threads]; });
    for (int row = 0; row < shared_rows; ++row)
      shared[threadIdx.x + row * threads] = far[(register_rows + row) * threads];
  }

  /// Adds the products of rows first … end - 1 with `numbers`, those of a row `stride` floats after those of the
  /// last. first: 0, or no row of the range lies in registers.
  template <bool own_numbers, int stride>
  __device__ void multiply(float (&sums)[2][8], int first, int end, const float* numbers) const {
    const int threads = static_cast<int>(blockDim.x);
    if (first == 0)
      unrolled<register_rows>([&](int row) { add_products<own_numbers>(sums, held[row], numbers + row * stride); });
    int row = first == 0 ? register_rows : first;
    for (; row < min(end, near_end); row += rows_at_once)
      unrolled<rows_at_once>([&](int i) {
        add_products<own_numbers>(sums, near[(row + i - register_rows) * threads],
                                  numbers + (row + i - first) * stride);
      });
    for (; row < end; row += rows_at_once) {
      float2 fetched[rows_at_once];
      unrolled<rows_at_once>([&](int i) { fetched[i] = __ldg(&far[(row + i) * threads]); });
      unrolled<rows_at_once>(
          [&](int i) { add_products<own_numbers>(sums, fetched[i], numbers + (row + i - first) * stride); });
    }
  }
};

/// The sum of two lanes' parts, of which the lower lane gets `lower`'s and the upper lane `upper`'s. The two lanes are
/// `distance`, a power of two, apart.
__device__ inline float fold(float lower, float upper, int distance) {
  const bool is_upper = threadIdx.x & distance;
  return (is_upper ? upper : lower) + __shfl_xor_sync(0xffffffff, is_upper ? lower : upper, distance);
}

}  // namespace genretree::cuda::fused_fp32
