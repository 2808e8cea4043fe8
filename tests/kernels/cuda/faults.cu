#include "tests/kernels/cuda/faults.hpp"

namespace genretree::cuda {
namespace {

constexpr unsigned whole_warp = 0xffffffff;

struct RingShared {
  float h[2][ring_threads];
};

template <Flaw flaw>
__global__ void ring_kernel(int steps, float* out) {
  auto& shared = dynamic_shared<RingShared>();
  const int i = threadIdx.x, neighbour = (i + ring_threads - 1) % ring_threads;
  shared.h[0][i] = 0;
  for (int t = 0; t < steps; ++t) {
    const int now = flaw == Flaw::no_double_buffer ? 0 : t % 2, then = flaw == Flaw::no_double_buffer ? 0 : 1 - now;
    if (flaw != Flaw::no_step_barrier) __syncthreads();
    shared.h[then][i] = shared.h[now][neighbour] + i;
  }
  out[i] = shared.h[flaw == Flaw::no_double_buffer ? 0 : steps % 2][i];
}

struct WarpShared {
  float values[32];
};

template <bool flawed>
__global__ void reverse_kernel(float* out) {
  auto& shared = dynamic_shared<WarpShared>();
  const int lane = threadIdx.x;
  shared.values[lane] = lane;
  if (flawed)
    out[lane] = __shfl_sync(whole_warp, 0.0f, 0);
  else
    __syncwarp();
  out[lane] = shared.values[31 - lane];
}

__global__ void halves_kernel(float* out, int neighbour) {
  auto& shared = dynamic_shared<WarpShared>();
  const int lane = threadIdx.x;
  shared.values[lane] = lane;
  __syncwarp(lane < 16 ? 0x0000ffff : 0xffff0000);
  out[lane] = shared.values[lane ^ neighbour];
}

__global__ void along_kernel(float* out) {
  auto& shared = dynamic_shared<WarpShared>();
  const int lane = threadIdx.x;
  if (lane == 0) shared.values[0] = 1;
  if (lane < 2) __syncwarp(0b011);
  if (lane == 1 || lane == 2) __syncwarp(0b110);
  if (lane == 2) *out = shared.values[0];
}

__global__ void half_miss_kernel() {
  if (threadIdx.x % 32 < 16) __syncthreads();
  __syncwarp();
}

__global__ void ended_kernel() {
  if (threadIdx.x == 7) return;
  __syncthreads();
}

__global__ void two_branches_kernel() {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
}

__global__ void lanes_miss_kernel() {
  if (threadIdx.x % 32 < 16) __shfl_xor_sync(whole_warp, 1, 1);
}

__global__ void lane_outside_kernel() {
  if (threadIdx.x % 32 < 16) __shfl_sync(0x0000ffff, 1, 20);
}

__global__ void without_oneself_kernel() { __any_sync(0x0000ffff, 1); }

__global__ void masks_kernel() { __ballot_sync(threadIdx.x % 2 ? whole_warp : 0x55555555, 1); }

struct PlainShared {
  float values[plain_threads];
  float after[plain_threads];
};

__global__ void uninitialised_kernel(float* out) {
  auto& shared = dynamic_shared<PlainShared>();
  if (threadIdx.x % 2) shared.values[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = shared.values[threadIdx.x];
}

__global__ void past_shared_kernel(float* out, int offset) {
  float* values = dynamic_shared<PlainShared>().values;
  values[threadIdx.x] = values[threadIdx.x + plain_threads] = 1;
  __syncthreads();
  out[threadIdx.x] = values[threadIdx.x + offset];
}

__global__ void past_member_kernel(float* out, int offset) {
  auto& shared = dynamic_shared<PlainShared>();
  shared.values[threadIdx.x] = shared.after[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = shared.values[threadIdx.x + offset];
}

__global__ void past_global_kernel(const float* values, int offset, float* out) {
  out[threadIdx.x] = values[threadIdx.x + offset];
}

__device__ float deep(int depth) {
  volatile float values[256];
  values[depth % 256] = depth;
  return depth ? deep(depth - 1) + values[depth % 256] : 0;
}

__global__ void deep_kernel(float* out, int depth) { out[threadIdx.x] = deep(depth); }

__global__ void same_kernel(float* out) {
  if (threadIdx.x == 0) out[0] = blockIdx.x;
}

template <bool flawed>
__global__ void count_kernel(int* total) {
  if (flawed)
    *total += 1;
  else
    atomicAdd(total, 1);
}

struct CountShared {
  int count;
};

template <bool flawed>
__global__ void counting_kernel(int* out) {
  auto& shared = dynamic_shared<CountShared>();
  if (threadIdx.x == 0) shared.count = 0;
  __syncthreads();
  atomicAdd(&shared.count, 1);
  if (!flawed) __syncthreads();
  if (threadIdx.x == 0) *out = shared.count;
}

}  // namespace

void ring(Flaw flaw, int steps, float* h, Stream stream) {
  const auto kernel = flaw == Flaw::none              ? ring_kernel<Flaw::none>
                      : flaw == Flaw::no_step_barrier ? ring_kernel<Flaw::no_step_barrier>
                                                      : ring_kernel<Flaw::no_double_buffer>;
  launch(kernel, 1, ring_threads, sizeof(RingShared), stream, steps, h);
}

void reverse_in_warp(bool flawed, float* out, Stream stream) {
  launch(flawed ? reverse_kernel<true> : reverse_kernel<false>, 1, 32, sizeof(WarpShared), stream, out);
}

void exchange_in_halves(bool flawed, float* out, Stream stream) {
  launch(halves_kernel, 1, 32, sizeof(WarpShared), stream, out, flawed ? 16 : 1);
}
void pass_along(float* out, Stream stream) { launch(along_kernel, 1, 32, sizeof(WarpShared), stream, out); }

void barrier_that_half_the_threads_miss(Stream stream) { launch(half_miss_kernel, 1, 64, 0, stream); }
void barrier_after_threads_ended(Stream stream) { launch(ended_kernel, 1, 64, 0, stream); }
void barrier_in_two_branches(Stream stream) { launch(two_branches_kernel, 1, 64, 0, stream); }
void shuffle_that_some_lanes_miss(Stream stream) { launch(lanes_miss_kernel, 1, 64, 0, stream); }
void shuffle_from_a_lane_outside(Stream stream) { launch(lane_outside_kernel, 1, 64, 0, stream); }
void vote_without_oneself(Stream stream) { launch(without_oneself_kernel, 1, 64, 0, stream); }
void masks_that_differ(Stream stream) { launch(masks_kernel, 1, 64, 0, stream); }

void more_shared_memory_than_given(Stream stream) {
  launch(uninitialised_kernel, 1, plain_threads, sizeof(PlainShared) - 1, stream, nullptr);
}

void read_uninitialised(float* out, Stream stream) {
  launch(uninitialised_kernel, 1, plain_threads, sizeof(PlainShared), stream, out);
}
void read_past_shared(float* out, Stream stream) {
  launch(past_shared_kernel, 1, plain_threads, sizeof(PlainShared), stream, out, plain_threads + 1);
}
void read_past_member(float* out, Stream stream) {
  launch(past_member_kernel, 1, plain_threads, sizeof(PlainShared), stream, out, 1);
}
void read_past_global(const float* values, int size, float* out, Stream stream) {
  launch(past_global_kernel, 1, plain_threads, 0, stream, values, size - plain_threads + 1, out);
}
void overflow_the_stack(float* out, Stream stream) { launch(deep_kernel, 1, 1, 0, stream, out, 1000); }
void blocks_that_write_the_same(float* out, Stream stream) { launch(same_kernel, 2, 32, 0, stream, out); }

void count_threads(bool flawed, int* total, Stream stream) {
  launch(flawed ? count_kernel<true> : count_kernel<false>, 2, plain_threads, 0, stream, total);
}
void read_while_counting(bool flawed, int* out, Stream stream) {
  launch(flawed ? counting_kernel<true> : counting_kernel<false>, 1, plain_threads, sizeof(CountShared), stream, out);
}

}  // namespace genretree::cuda
