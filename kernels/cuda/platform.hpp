// The one door between our kernels and what runs them: a GPU, or the emulator of tests/support, for which a C++
// compiler compiles the same files with GENRETREE_CUDA_EMULATED defined.
//
// A kernel may use what CUDA calls threadIdx, blockIdx, blockDim, gridDim, __syncthreads(), __syncwarp(mask),
// __shfl_*_sync, __ballot_sync, __any_sync, __all_sync, atomicAdd, atomicMax, atomicMin, atomicCAS, float2 … uint4,
// __ldg, rsqrtf, __popc, __ffs, __clz and <cmath>'s float functions, what stands in this header, and the wrappers of
// assembly.hpp. Asynchronous copies, mbarriers, named barriers and flags between blocks are not among them: nothing
// would prove them right (tests/support/cuda_emulator.hpp).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#ifdef GENRETREE_CUDA_EMULATED
#include "tests/support/cuda_emulator.hpp"
#else
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#endif

namespace genretree::cuda {

#ifndef GENRETREE_CUDA_EMULATED

using Stream = cudaStream_t;
using bf16 = __nv_bfloat16;

/// Throws Error: what CUDA said of a launch of this shape.
[[noreturn]] void launch_failed(cudaError_t error, dim3 grid, dim3 block, std::size_t shared_bytes);

/// Lets the kernel's launches have as much dynamic shared memory as the GPU gives a block. For all threads and queues, so
/// it is done once: a limit that went by the launch would fall for another thread's larger one.
cudaError_t allow_most_shared_memory(const void* kernel);

#ifdef __CUDACC__  // what follows is for .cu files; the backend's host files see what stands above

/// Puts kernel(arguments...) on the stream: `grid` blocks of `block` threads, each block with `shared_bytes` of dynamic
/// shared memory. Returns at once and never synchronises; errors of the launch itself are thrown.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, Stream stream,
            Arguments&&... arguments) {
  constexpr std::size_t without_asking = 48 * 1024;  // more must be asked for, kernel by kernel
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  cudaError_t error = cudaSuccess;
  if (shared_bytes > without_asking) error = allow_most_shared_memory(reinterpret_cast<const void*>(kernel));
  if (error == cudaSuccess) error = cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...);
  if (error != cudaSuccess) launch_failed(error, grid, block, shared_bytes);
}

/// The block's dynamic shared memory as one struct, undefined at the start; the launch gives sizeof(T) bytes.
template <class T>
__device__ T& dynamic_shared() {
  static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 128);
  extern __shared__ __align__(128) unsigned char genretree_dynamic_shared[];
  return *reinterpret_cast<T*>(genretree_dynamic_shared);
}

/// Rounds to nearest, ties to even.
__device__ inline bf16 to_bf16(float value) { return __float2bfloat16_rn(value); }
__device__ inline float to_float(bf16 value) { return __bfloat162float(value); }
__device__ inline std::uint32_t bits_of(float value) { return __float_as_uint(value); }
__device__ inline float float_of(std::uint32_t bits) { return __uint_as_float(bits); }
/// The halves of a pair of bf16 in 32 bits (assembly.hpp).
__device__ inline float low_of(std::uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ inline float high_of(std::uint32_t pair) { return __uint_as_float(pair & 0xffff0000); }

// Special function unit, a few instructions each. Errors as CUDA's guide gives them: fast_exp 2 + |1.173 x| ulp,
// fast_log absolute 2^-21.4 for x in [0.5, 2] and 3 ulp outside, fast_divide 2 ulp for 2^-126 ≤ |y| ≤ 2^126.
__device__ inline float fast_exp(float x) { return __expf(x); }
__device__ inline float fast_log(float x) { return __logf(x); }
__device__ inline float fast_divide(float x, float y) { return __fdividef(x, y); }

#endif
#else

/// What takes the place of a CUDA stream: the emulator that runs the launches, in its own order.
using Stream = emulator::Emulator*;

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), emulator::Grid grid, dim3 block, std::size_t shared_bytes, Stream stream,
            Arguments&&... arguments) {
  std::tuple<std::decay_t<Parameters>...> copies(std::forward<Arguments>(arguments)...);
  stream->submit([=, parameters = std::move(copies)] {
    stream->run(grid, block, shared_bytes, [&] { std::apply(kernel, parameters); });
  });
}

template <class T>
T& dynamic_shared(std::source_location place = std::source_location::current()) {
  static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 128);
  return *static_cast<T*>(emulator::shared_memory(sizeof(T), place));
}

struct bf16 {
  std::uint16_t bits;
};

inline bf16 to_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if (value != value) return {0x7fff};
  return {static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
inline float to_float(bf16 value) { return std::bit_cast<float>(std::uint32_t{value.bits} << 16); }
inline std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }
inline float float_of(std::uint32_t bits) { return std::bit_cast<float>(bits); }
inline float low_of(std::uint32_t pair) { return std::bit_cast<float>(pair << 16); }
inline float high_of(std::uint32_t pair) { return std::bit_cast<float>(pair & 0xffff0000); }

inline float fast_exp(float x) { return std::exp(x); }
inline float fast_log(float x) { return std::log(x); }
inline float fast_divide(float x, float y) { return x / y; }

#endif  // GENRETREE_CUDA_EMULATED

/// Blocks of so many items each that hold them all.
constexpr unsigned blocks_of(std::size_t items, std::size_t per_block) {
  return static_cast<unsigned>((items + per_block - 1) / per_block);
}

}  // namespace genretree::cuda
