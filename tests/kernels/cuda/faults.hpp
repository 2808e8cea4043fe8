// Kernels that are wrong, one for each thing that the emulator must find. Where there is a `flawed`, false gives the
// kernel as it should be.
#pragma once

#include "kernels/cuda/platform.hpp"

namespace genretree::cuda {

enum class Flaw { none, no_step_barrier, no_double_buffer };
constexpr int ring_threads = 96;
/// h(t)[i] = h(t − 1)[i − 1] + i around a ring of threads, h(−1) = 0: a step reads what another thread wrote before.
void ring(Flaw flaw, int steps, float* h, Stream stream);

/// out [32] = the lanes' numbers in reverse, handed over in shared memory. Flawed: a shuffle for the __syncwarp.
void reverse_in_warp(bool flawed, float* out, Stream stream);
/// out [32] = the number of each lane's neighbour, handed over after a __syncwarp of each half of the warp. Flawed:
/// that of a lane in the other half.
void exchange_in_halves(bool flawed, float* out, Stream stream);
/// out [1] = 1, from lane 0 by way of lane 1 to lane 2, which never meets lane 0 itself. Right.
void pass_along(float* out, Stream stream);

// Faults of control flow: each must end in a Fault in every build and order.
void barrier_that_half_the_threads_miss(Stream stream);
void barrier_after_threads_ended(Stream stream);
void barrier_in_two_branches(Stream stream);
void shuffle_that_some_lanes_miss(Stream stream);
void shuffle_from_a_lane_outside(Stream stream);
void vote_without_oneself(Stream stream);
void masks_that_differ(Stream stream);
void more_shared_memory_than_given(Stream stream);

// Faults of memory.
/// out [threads]: what lies in shared memory that nobody wrote.
constexpr int plain_threads = 64;
void read_uninitialised(float* out, Stream stream);
void read_past_shared(float* out, Stream stream);
void read_past_member(float* out, Stream stream);
void read_past_global(const float* values, int size, float* out, Stream stream);
void overflow_the_stack(float* out, Stream stream);
/// Both blocks write out [0].
void blocks_that_write_the_same(float* out, Stream stream);
/// total [1] += 1 by every thread of two blocks; flawed: without an atomic.
void count_threads(bool flawed, int* total, Stream stream);
/// Every thread counts with an atomic, and one reads the count in shared memory with no barrier before it if flawed.
void read_while_counting(bool flawed, int* out, Stream stream);

}  // namespace genretree::cuda
