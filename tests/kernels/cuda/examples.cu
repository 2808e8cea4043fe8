#include "kernels/cuda/assembly.hpp"
#include "tests/kernels/cuda/examples.hpp"

namespace genretree::cuda {
namespace {

constexpr unsigned whole_warp = 0xffffffff;

struct SumShared {
  float warps[sum_threads / 32];
};

__global__ void __launch_bounds__(sum_threads) sum_kernel(const float* values, int per_block, float* sums) {
  auto& shared = dynamic_shared<SumShared>();
  const int thread = threadIdx.x, lane = thread % 32;
  float sum = 0;
  for (int i = thread; i < per_block; i += sum_threads) sum += values[blockIdx.x * per_block + i];
  for (int delta = 16; delta; delta /= 2) sum += __shfl_down_sync(whole_warp, sum, delta);
  if (lane == 0) shared.warps[thread / 32] = sum;
  __syncthreads();
  if (thread < 32) {
    sum = lane < sum_threads / 32 ? shared.warps[lane] : 0;
    for (int delta = 2; delta; delta /= 2) sum += __shfl_down_sync(whole_warp, sum, delta);
    if (lane == 0) sums[blockIdx.x] = sum;
  }
}

struct HistogramShared {
  int counts[most_bins];
};

__global__ void histogram_kernel(const int* values, int size, int bins, int* counts) {
  auto& shared = dynamic_shared<HistogramShared>();
  const int thread = threadIdx.x, threads = blockDim.x;
  for (int bin = thread; bin < bins; bin += threads) shared.counts[bin] = 0;
  __syncthreads();
  const int i = blockIdx.x * threads + thread;
  if (i < size && values[i] >= 0 && values[i] < bins) atomicAdd(&shared.counts[values[i]], 1);
  __syncthreads();
  for (int bin = thread; bin < bins; bin += threads) atomicAdd(&counts[bin], shared.counts[bin]);
}

constexpr int tile = 16;

/// Two buffers: the tiles of the next step are loaded into one while the other is read; so one barrier a step will do.
struct ProductShared {
  float left[2][tile][tile + 1], right[2][tile][tile + 1];
};

__global__ void product_kernel(const float* left, const float* right, int rows, int columns, int inner,
                               float* product) {
  auto& shared = dynamic_shared<ProductShared>();
  const int x = threadIdx.x, y = threadIdx.y;
  const int row = blockIdx.y * tile + y, column = blockIdx.x * tile + x, right_row = blockIdx.x * tile + y;
  const auto load = [&](int buffer, int first) {
    const int k = first + x;
    shared.left[buffer][y][x] = row < rows && k < inner ? __ldg(&left[row * inner + k]) : 0;
    shared.right[buffer][y][x] = right_row < columns && k < inner ? __ldg(&right[right_row * inner + k]) : 0;
  };

  load(0, 0);
  float sum = 0;
  for (int first = 0, buffer = 0; first < inner; first += tile, buffer ^= 1) {
    __syncthreads();
    if (first + tile < inner) load(buffer ^ 1, first + tile);
    for (int k = 0; k < tile; ++k) sum += shared.left[buffer][y][k] * shared.right[buffer][x][k];
  }
  if (row < rows && column < columns) product[row * columns + column] = sum;
}

constexpr int step_warps = step_units / 16, step_depth = step_units / 16;

/// h of this step and the last, bf16 pairs of units; four words more per row keep the banks apart.
struct StepShared {
  std::uint32_t h[2][step_rows][step_units / 2 + 4];
};

/// A warp owns 16 units: its rows of U are the m×k operand of mma, h is the k×n one, batch rows are n.
__global__ void __launch_bounds__(32 * step_warps)
    recurrence_kernel(const float* weights, const float* x, int steps, int rows, float* out) {
  auto& shared = dynamic_shared<StepShared>();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, member = lane % 4;
  const int first_row = blockIdx.x * step_rows;

  std::uint32_t u[step_depth][4];
  for (int depth = 0; depth < step_depth; ++depth) {
    for (int i = 0; i < 4; ++i) {
      const int unit = 16 * warp + group + 8 * (i % 2), k = 16 * depth + 2 * member + 8 * (i / 2);
      u[depth][i] = bf16_pair(weights[unit * step_units + k], weights[unit * step_units + k + 1]);
    }
  }
  for (int i = threadIdx.x; i < step_rows * step_units / 2; i += 32 * step_warps)
    shared.h[0][i / (step_units / 2)][i % (step_units / 2)] = 0;

  for (int t = 0; t < steps; ++t) {
    // element i of the accumulator is unit group + 8 (i / 2) of the warp's, row 2 member + i % 2 of the block's
    const auto place = [&](int i) {
      return (first_row + 2 * member + i % 2) * step_units + 16 * warp + group + 8 * (i / 2);
    };
    float sums[4];
    for (int i = 0; i < 4; ++i) sums[i] = x[t * rows * step_units + place(i)];
    __syncthreads();
    for (int depth = 0; depth < step_depth; ++depth) {
      const std::uint32_t* pairs = &shared.h[t % 2][group][8 * depth + member];
      const std::uint32_t h[2] = {pairs[0], pairs[4]};
      mma_bf16(sums, u[depth], h);
    }
    for (int i = 0; i < 4; ++i) {
      const float h = fast_tanh(sums[i]);
      // the neighbour group's lane holds the next unit of the same row: together they are a pair
      const float next = __shfl_down_sync(whole_warp, h, 4);
      const int unit = 16 * warp + group + 8 * (i / 2);
      if (group % 2 == 0) shared.h[(t + 1) % 2][2 * member + i % 2][unit / 2] = bf16_pair(h, next);
      if (t + 1 == steps) out[place(i)] = h;
    }
  }
}

__global__ void barriers_kernel(int count) {
  for (int i = 0; i < count; ++i) __syncthreads();
}

}  // namespace

void block_sums(const float* values, int blocks, int per_block, float* sums, Stream stream) {
  launch(sum_kernel, blocks, sum_threads, sizeof(SumShared), stream, values, per_block, sums);
}

void histogram(const int* values, int size, int bins, int* counts, Stream stream) {
  constexpr int threads = 96;
  launch(histogram_kernel, (size + threads - 1) / threads, threads, sizeof(HistogramShared), stream, values, size, bins,
         counts);
}

void transposed_product(const float* left, const float* right, int rows, int columns, int inner, float* product,
                        Stream stream) {
  const dim3 grid((columns + tile - 1) / tile, (rows + tile - 1) / tile);
  launch(product_kernel, grid, dim3(tile, tile), sizeof(ProductShared), stream, left, right, rows, columns, inner,
         product);
}

void recurrence(const float* weights, const float* x, int steps, int blocks, float* h, Stream stream) {
  launch(recurrence_kernel, blocks, 32 * step_warps, sizeof(StepShared), stream, weights, x, steps, blocks * step_rows,
         h);
}

void pass_barriers(int threads, int count, Stream stream) { launch(barriers_kernel, 1, threads, 0, stream, count); }

}  // namespace genretree::cuda
