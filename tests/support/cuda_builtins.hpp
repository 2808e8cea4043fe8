// What CUDA gives a kernel without being asked, under CUDA's names, for the emulator: indices, vector types, barriers,
// shuffles, votes, atomics, a few functions. How threads wait for each other is in cuda_emulator.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  constexpr dim3(unsigned columns = 1, unsigned rows = 1, unsigned layers = 1) : x(columns), y(rows), z(layers) {}
  unsigned x, y, z;
};
struct alignas(8) float2 {
  float x, y;
};
struct float3 {
  float x, y, z;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

inline constexpr int warpSize = 32;
inline constinit thread_local uint3 threadIdx{}, blockIdx{};
inline constinit thread_local dim3 blockDim{}, gridDim{};

namespace genretree::emulator {

/// What each lane brought to a meeting, by lane; null for lanes outside the mask.
using Parts = std::array<void*, 32>;

/// A lane's word to the other lanes of its warp: who must come, and what is done once all have.
struct Meeting {
  const char* name;
  std::uint32_t mask;
  void* part;
  void (*combine)(const Parts&);  ///< called once, while all lanes of the mask wait
  bool orders_memory;
  std::source_location place;
};

/// Returns when all lanes of the mask have come and `combine` is done.
void meet(const Meeting& meeting);
/// Returns when all threads of the block have come.
void block_barrier(std::source_location place);
/// The block's shared memory, of which `bytes` are wanted.
void* shared_memory(std::size_t bytes, std::source_location place);
/// Tells the race check of an atomic access.
void note_atomic(const void* address, std::size_t bytes, const void* code);
/// Ends the launch with a Fault: a lane of the present meeting reads one that is not in it.
[[noreturn]] void fail_shuffle(int lane, int source);

template <class Value>
struct Shuffle {
  Value value;
  int source;
  Value result;
};

template <class Value>
Value shuffle(const char* name, std::uint32_t mask, Value value, int source, std::source_location place) {
  static_assert(std::is_arithmetic_v<Value> && (sizeof(Value) == 4 || sizeof(Value) == 8));
  Shuffle<Value> mine{value, source, value};
  const auto exchange = [](const Parts& parts) {
    for (int lane = 0; lane < 32; ++lane) {
      if (!parts[lane]) continue;
      auto& part = *static_cast<Shuffle<Value>*>(parts[lane]);
      if (!parts[part.source]) fail_shuffle(lane, part.source);
      part.result = static_cast<Shuffle<Value>*>(parts[part.source])->value;
    }
  };
  meet({name, mask, &mine, exchange, false, place});
  return mine.result;
}

inline int lane_index() {
  return static_cast<int>((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32);
}

/// Which lanes of the mask said yes.
std::uint32_t vote(const char* name, std::uint32_t mask, bool yes, std::source_location place);

/// One atomic read and write. Its own access is not instrumented: the race check is told that it is atomic.
template <class Value, class Update>
__attribute__((noinline, no_sanitize("thread"))) Value atomic_update(Value* address, Update update) {
  note_atomic(address, sizeof(Value), __builtin_return_address(0));
  const Value old = *address;
  *address = update(old);
  return old;
}

}  // namespace genretree::emulator

// A place is where the call stands, for reports.
#define GENRETREE_PLACE std::source_location place = std::source_location::current()

inline void __syncthreads(GENRETREE_PLACE) { genretree::emulator::block_barrier(place); }

inline void __syncwarp(unsigned mask = 0xffffffff, GENRETREE_PLACE) {
  genretree::emulator::meet({"__syncwarp", mask, nullptr, nullptr, true, place});
}

template <class Value>
Value __shfl_sync(unsigned mask, Value value, int source, int width = 32, GENRETREE_PLACE) {
  const int first = genretree::emulator::lane_index() & -width;
  return genretree::emulator::shuffle("__shfl_sync", mask, value, first + (source & (width - 1)), place);
}

template <class Value>
Value __shfl_up_sync(unsigned mask, Value value, unsigned delta, int width = 32, GENRETREE_PLACE) {
  const int lane = genretree::emulator::lane_index(), source = lane - static_cast<int>(delta);
  const int first = lane & -width;
  return genretree::emulator::shuffle("__shfl_up_sync", mask, value, source < first ? lane : source, place);
}

template <class Value>
Value __shfl_down_sync(unsigned mask, Value value, unsigned delta, int width = 32, GENRETREE_PLACE) {
  const int lane = genretree::emulator::lane_index(), source = lane + static_cast<int>(delta);
  const int last = (lane & -width) + width - 1;
  return genretree::emulator::shuffle("__shfl_down_sync", mask, value, source > last ? lane : source, place);
}

template <class Value>
Value __shfl_xor_sync(unsigned mask, Value value, int lane_mask, int width = 32, GENRETREE_PLACE) {
  const int lane = genretree::emulator::lane_index(), source = lane ^ lane_mask;
  const int last = (lane & -width) + width - 1;
  return genretree::emulator::shuffle("__shfl_xor_sync", mask, value, source > last ? lane : source, place);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, GENRETREE_PLACE) {
  return genretree::emulator::vote("__ballot_sync", mask, predicate != 0, place);
}
inline int __any_sync(unsigned mask, int predicate, GENRETREE_PLACE) {
  return genretree::emulator::vote("__any_sync", mask, predicate != 0, place) != 0;
}
inline int __all_sync(unsigned mask, int predicate, GENRETREE_PLACE) {
  return genretree::emulator::vote("__all_sync", mask, predicate != 0, place) == mask;
}

#undef GENRETREE_PLACE

template <class Value>
[[gnu::always_inline]] inline Value atomicAdd(Value* address, std::type_identity_t<Value> value) {
  return genretree::emulator::atomic_update(address, [=](Value old) { return old + value; });
}
template <class Value>
[[gnu::always_inline]] inline Value atomicMax(Value* address, std::type_identity_t<Value> value) {
  static_assert(std::is_integral_v<Value>, "CUDA has atomicMax for integers only");
  return genretree::emulator::atomic_update(address, [=](Value old) { return std::max(old, value); });
}
template <class Value>
[[gnu::always_inline]] inline Value atomicMin(Value* address, std::type_identity_t<Value> value) {
  static_assert(std::is_integral_v<Value>, "CUDA has atomicMin for integers only");
  return genretree::emulator::atomic_update(address, [=](Value old) { return std::min(old, value); });
}
template <class Value>
[[gnu::always_inline]] inline Value atomicCAS(Value* address, std::type_identity_t<Value> expected,
                                              std::type_identity_t<Value> value) {
  static_assert(std::is_integral_v<Value>, "CUDA has atomicCAS for integers only");
  return genretree::emulator::atomic_update(address, [=](Value old) { return old == expected ? value : old; });
}

template <class Value>
Value __ldg(const Value* address) {
  return *address;
}
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return x ? std::countr_zero(static_cast<unsigned>(x)) + 1 : 0; }
using std::max;
using std::min;
