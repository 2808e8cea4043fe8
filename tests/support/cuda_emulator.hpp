// A CUDA emulator: runs our kernels, unchanged, as plain C++ on one processor core, and says what is wrong with them.
//
// What it does
//   The threads of a block are fibers (Boost.Context) that run one at a time until they wait. A barrier is a barrier:
//   no thread passes before all have come. One warp runs ahead of the others as far as it can, and within it one lane:
//   from first to last, from last to first, or drawn at random (Order); blocks run one after another in the same order.
//   A kernel that lacks a barrier therefore sees old or undefined values in at least one order. Shared memory is filled
//   with 0xff (NaN, -1) at the start of each block; a NaN in a result tells of memory that was never written.
//
// What it reports, as a Fault (with launch, block, thread and the places in the source)
//   - a __syncthreads that some threads never reach, because they ended, wait elsewhere, or wait at another line;
//   - a warp collective (__syncwarp, shuffle, vote, mma) that not every lane of its mask joins with the same mask;
//   - a lane that is not in its own mask, a shuffle from a lane outside the mask;
//   - a kernel that asks for more shared memory than its launch gives; a launch that no GPU takes.
//
// Two more builds of the same kernels look deeper
//   - Races (-fsanitize=thread for the kernels' files, with the __tsan_ functions of cuda_races.cpp, not libtsan's):
//     any two accesses to a byte of shared or global memory, at least one a write and not both atomic, that no
//     __syncthreads or __syncwarp orders, whatever the order they happened to run in. Shuffles, votes, mma and atomics
//     order nothing, nor does anything order two blocks of a launch. A read of shared memory that nobody wrote is a
//     Fault too.
//   - AddressSanitizer and UndefinedBehaviorSanitizer (preset asan): reads and writes past the end of shared memory,
//     which is exactly as large as the launch says, or of a global buffer, which is an allocation of its own; indices
//     past an array inside the shared struct; misaligned vectors. Fibers' stacks end in guard pages in every build.
//
// What it does not do
//   - Asynchronous copies, mbarriers, named barriers, clusters, cooperative groups, flags between blocks (a block that
//     waits for another would wait for ever), warp match and reduce, texture memory: kernels must not use them.
//   - Static __shared__ arrays: there is dynamic_shared<T>() only. memcpy and memset inside a kernel are not watched.
//   - Special functions and mma are as exact as the host's: errors of the hardware's must be allowed for.
//   - It is stricter than CUDA: ended threads do not count as having come to a barrier, and a barrier is one line.
//   - The race check holds for the paths that the kernel took: run odd sizes. With three or more sets of lanes of one
//     warp that partial __syncwarps order differently it may overlook a race; it never invents one.
//   - A stack has 64 KiB (256 under AddressSanitizer). Registers and occupancy are the compiler's to say.
//
// How to use it for a new kernel
//   Write kernels/cuda/NAME.cu against kernels/cuda/platform.hpp and assembly.hpp, with a launcher that takes a Stream.
//   tests/cuda.cmake compiles it for the emulator, for the race check and with nvcc. In a test, call the launcher with
//       for (emulator::Emulator& emulator : emulator::all_orders()) multiply(a, b, c, &emulator);
//   and compare c with the reference in each order. A switch costs 30 to 40 ns: T of 1, 2 and 16 in all orders, long
//   sequences once. tests/kernels/cuda has kernels that are right, and one for each fault that must be found.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <source_location>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/cuda_builtins.hpp"

namespace genretree::emulator {

/// What is wrong with a kernel or its launch.
struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Which of the blocks, warps and lanes that can go on goes on.
enum class Order { first_to_last, last_to_first, random };

/// A grid, and the place of the launch that names it.
struct Grid : dim3 {
  template <std::convertible_to<dim3> Blocks>
  Grid(Blocks blocks, std::source_location where = std::source_location::current()) : dim3(blocks), place(where) {}
  std::source_location place;
};

/// Stands for a CUDA stream: runs launches in their order, each to its end. It belongs to one host thread at a time.
class Emulator {
 public:
  explicit Emulator(Order order = Order::first_to_last, std::uint64_t seed = 0) : order_(order), random_(seed) {}

  /// Does `work`, a launch or what a library would do on the stream: at once, or, if it keeps work, when it is asked
  /// to. What `work` refers to must still be there then: it takes copies of its arguments, as a launch does.
  void submit(std::function<void()> work);
  /// From now on, keeps what is submitted in `list`; null: does it at once again.
  void keep_in(std::vector<std::function<void()>>* list) { kept_ = list; }

  /// Runs `kernel` for every thread; throws Fault at the first thing that is wrong.
  void run(const Grid& grid, dim3 block, std::size_t shared_bytes, const std::function<void()>& kernel);
  /// One of the bits of `mask`, which has at least one.
  unsigned pick(std::uint32_t mask);
  /// Puts the blocks of a launch into the order in which they run.
  void arrange(std::span<std::uint64_t> blocks);
  /// Switches from fiber to fiber so far.
  std::uint64_t switches() const { return switches_; }

 private:
  Order order_;
  std::mt19937_64 random_;
  std::uint64_t switches_ = 0;
  std::vector<std::function<void()>>* kept_ = nullptr;
};

/// First to last, last to first, and `seeds` random ones.
std::vector<Emulator> all_orders(std::uint64_t seeds = 3);

/// Shared memory that a block may have; a test may lower it.
inline constexpr std::size_t largest_shared_bytes = 227 * 1024;  // on compute capability 9.0
std::size_t& most_shared_bytes();

/// True in programs whose kernels are compiled for the race check.
bool checks_races();

/// True in programs that check every access to memory, for races or by AddressSanitizer, and take some ten times as
/// long: there, tests leave out what other tests do too.
inline bool checks_accesses() {
#ifdef __SANITIZE_ADDRESS__
  return true;
#else
  return checks_races();
#endif
}

}  // namespace genretree::emulator
