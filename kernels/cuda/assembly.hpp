// All inline assembly of the CUDA backend: one small wrapper per instruction, each with its emulated twin below it.
// Layouts are those of the PTX ISA, "Matrix fragments for mma.m16n8k16 / mma.m16n8k8".
//
// The 32 lanes of a warp hold a matrix together. With group = lane / 4 (0 … 7) and member = lane % 4, and rows and
// columns as [row][column]:
//
//   C and D [16][8], float:  c[0], c[1] = [group][2 member, + 1]  c[2], c[3] = the same of row group + 8
//   A [16][16], bf16 pairs:  a[0] = [group][2 member, + 1]      a[1] = the same of row group + 8
//                            a[2] = [group][2 member + 8, + 9]  a[3] = the same of row group + 8
//   A [16][8], bf16 pairs:   a[0] = [group][2 member, + 1]      a[1] = the same of row group + 8
//   A [16][8], tf32:         a[0] = [group][member]             a[1] = the same of row group + 8
//                            a[2] = [group][member + 4]         a[3] = the same of row group + 8
//   B [16][8], bf16 pairs:   b[0] = [2 member, + 1][group]      b[1] = [2 member + 8, + 9][group]
//   B [8][8], bf16 pairs:    b[0] = [2 member, + 1][group]
//   B [8][8], tf32:          b[0] = [member][group]             b[1] = [member + 4][group]
//
// A pair is two bf16 in 32 bits, the one of lower index in the lower half. All 32 lanes must call together; memory is
// not ordered by it. The twins add all products and c in double and round once; the hardware aligns the terms and cuts
// what falls below, so that the two differ by some 2^-22 of the largest term.
#pragma once

#include "kernels/cuda/platform.hpp"

namespace genretree::cuda {

#ifndef GENRETREE_CUDA_EMULATED

/// Two floats as a pair of bf16, each rounded to nearest, ties to even.
__device__ inline std::uint32_t bf16_pair(float low, float high) {
  std::uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

/// A float as tf32 (10 bits of mantissa), rounded to nearest, ties away from zero.
__device__ inline std::uint32_t to_tf32(float value) {
  std::uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}

/// tanh(x) to a relative error of 2^-11.
__device__ inline float fast_tanh(float x) {
  float y;
  asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// c += A·B with A [16][16] and B [16][8] of bf16.
__device__ inline void mma_bf16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// c += A·B with A [16][8] and B [8][8] of bf16.
__device__ inline void mma_bf16(float (&c)[4], const std::uint32_t (&a)[2], const std::uint32_t (&b)[1]) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}

/// c += A·B with A [16][8] and B [8][8] of tf32; bits below tf32's are ignored.
__device__ inline void mma_tf32(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Two 8 × 8 matrices of 16-bit numbers from shared memory, transposed: `row` of lane i < 8 is the first row's … eighth
/// row's 16 bytes of the first matrix, of lane 8 ≤ i < 16 those of the second; what other lanes give is ignored.
/// b[j] = matrix j, [2 member, + 1][group]: the B [16][8] of an mma whose rows lie in shared memory one after another.
__device__ inline void load_transposed(std::uint32_t (&b)[2], const std::uint32_t* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(b[0]), "=r"(b[1])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
}

#else

inline std::uint32_t bf16_pair(float low, float high) {
  return to_bf16(low).bits | std::uint32_t{to_bf16(high).bits} << 16;
}

inline std::uint32_t to_tf32(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  return value != value ? 0x7fffffff : (bits + 0x1000) & ~0x1fffu;
}

inline float fast_tanh(float x) { return std::tanh(x); }

namespace twin {

/// What a lane brings to an mma with K columns of A, and takes from it.
template <std::size_t A, std::size_t B>
struct Fragments {
  float (&c)[4];
  const std::uint32_t (&a)[A];
  const std::uint32_t (&b)[B];
};

inline float tf32(std::uint32_t bits) { return std::bit_cast<float>(bits & ~0x1fffu); }

/// The product over all lanes' fragments. Registers of A alternate between row group and row group + 8; a register of
/// A's upper half and one of B with the same number along k (j) meet, bf16 pairs with 2 columns each, tf32 with 1.
template <bool pairs, std::size_t A, std::size_t B>
void multiply(const emulator::Parts& parts) {
  using Lane = Fragments<A, B>;
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      const int group = row % 8, upper = row / 8;
      float& c = static_cast<Lane*>(parts[4 * group + column / 2])->c[2 * upper + column % 2];
      double sum = c;
      for (int member = 0; member < 4; ++member) {
        for (std::size_t j = 0; j < B; ++j) {
          const std::uint32_t a = static_cast<Lane*>(parts[4 * group + member])->a[2 * j + upper];
          const std::uint32_t b = static_cast<Lane*>(parts[4 * column + member])->b[j];
          if constexpr (pairs)
            sum += double{low_of(a)} * low_of(b) + double{high_of(a)} * high_of(b);
          else
            sum += double{tf32(a)} * tf32(b);
        }
      }
      c = static_cast<float>(sum);
    }
  }
}

template <bool pairs, std::size_t A, std::size_t B>
void mma(const char* name, float (&c)[4], const std::uint32_t (&a)[A], const std::uint32_t (&b)[B],
         std::source_location place) {
  static_assert(A == 2 * B);
  Fragments<A, B> part{c, a, b};
  emulator::meet({name, 0xffffffff, &part, multiply<pairs, A, B>, false, place});
}

/// What a lane brings to load_transposed, and takes from it: where the two pairs of each matrix lie.
struct MatrixRows {
  const std::uint32_t* row;
  const std::uint32_t* taken[4];
};

inline void exchange_rows(const emulator::Parts& parts) {
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i) {
      const int source = 8 * (i / 2) + 2 * (lane % 4) + i % 2;
      static_cast<MatrixRows*>(parts[lane])->taken[i] = static_cast<MatrixRows*>(parts[source])->row;
    }
}

}  // namespace twin

inline void load_transposed(std::uint32_t (&b)[2], const std::uint32_t* row,
                            std::source_location place = std::source_location::current()) {
  twin::MatrixRows part{row, {}};
  emulator::meet({"ldmatrix", 0xffffffff, &part, twin::exchange_rows, false, place});
  const int group = emulator::lane_index() / 4;
  const auto number = [&](int i) { return part.taken[i][group / 2] >> 16 * (group % 2) & 0xffff; };
  for (int j = 0; j < 2; ++j) b[j] = number(2 * j) | number(2 * j + 1) << 16;
}

inline void mma_bf16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                     std::source_location place = std::source_location::current()) {
  twin::mma<true>("mma.m16n8k16", c, a, b, place);
}

inline void mma_bf16(float (&c)[4], const std::uint32_t (&a)[2], const std::uint32_t (&b)[1],
                     std::source_location place = std::source_location::current()) {
  twin::mma<true>("mma.m16n8k8", c, a, b, place);
}

inline void mma_tf32(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                     std::source_location place = std::source_location::current()) {
  twin::mma<false>("mma.m16n8k8.tf32", c, a, b, place);
}

#endif

}  // namespace genretree::cuda
