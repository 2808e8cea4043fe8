// Calls every wrapper of assembly.hpp and every fast function of platform.hpp once for each number that it is given, so
// that the host can compare (assembly_check.cpp). What matters here is only that nothing else is between: a thread for
// each number, and a warp that loads its fragments from memory as assembly.hpp says that they lie.
#include "kernels/cuda/assembly.hpp"
#include "kernels/cuda/assembly_check.hpp"

namespace genretree::cuda {
namespace {

constexpr int threads = 128;

__global__ void __launch_bounds__(threads)
    scalar_kernel(const float* x, const float* y, int size, ScalarResults results) {
  const int i = blockIdx.x * threads + threadIdx.x;
  if (i >= size) return;
  results.bf16[i] = to_float(to_bf16(x[i]));
  results.pair[i] = bf16_pair(x[i], y[i]);
  results.tf32[i] = to_tf32(x[i]);
  results.tanh[i] = fast_tanh(x[i]);
  results.exp[i] = fast_exp(x[i]);
  results.log[i] = fast_log(y[i]);
  results.quotient[i] = fast_divide(x[i], y[i]);
}

/// The four numbers of C or D that a lane holds.
__device__ int place_of(int register_index) {
  const int group = threadIdx.x / 4, member = threadIdx.x % 4;
  return (group + 8 * (register_index / 2)) * mma_columns + 2 * member + register_index % 2;
}

__global__ void __launch_bounds__(32) bf16_k16_kernel(const float* a, const float* b, const float* c, float* d) {
  const int group = threadIdx.x / 4, member = threadIdx.x % 4;
  const auto pair_of_a = [&](int row, int k) { return bf16_pair(a[row * 16 + k], a[row * 16 + k + 1]); };
  const auto pair_of_b = [&](int k) { return bf16_pair(b[k * mma_columns + group], b[(k + 1) * mma_columns + group]); };
  const int k = 2 * member;
  float sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = c[place_of(i)];
  mma_bf16(sums, {pair_of_a(group, k), pair_of_a(group + 8, k), pair_of_a(group, k + 8), pair_of_a(group + 8, k + 8)},
           {pair_of_b(k), pair_of_b(k + 8)});
  for (int i = 0; i < 4; ++i) d[place_of(i)] = sums[i];
}

__global__ void __launch_bounds__(32) bf16_k8_kernel(const float* a, const float* b, const float* c, float* d) {
  const int group = threadIdx.x / 4, member = threadIdx.x % 4;
  const auto pair_of_a = [&](int row, int k) { return bf16_pair(a[row * 8 + k], a[row * 8 + k + 1]); };
  const int k = 2 * member;
  float sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = c[place_of(i)];
  mma_bf16(sums, {pair_of_a(group, k), pair_of_a(group + 8, k)},
           {bf16_pair(b[k * mma_columns + group], b[(k + 1) * mma_columns + group])});
  for (int i = 0; i < 4; ++i) d[place_of(i)] = sums[i];
}

__global__ void __launch_bounds__(32) tf32_k8_kernel(const float* a, const float* b, const float* c, float* d) {
  const int group = threadIdx.x / 4, member = threadIdx.x % 4;
  const auto of_a = [&](int row, int k) { return to_tf32(a[row * 8 + k]); };
  const auto of_b = [&](int k) { return to_tf32(b[k * mma_columns + group]); };
  float sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = c[place_of(i)];
  mma_tf32(sums, {of_a(group, member), of_a(group + 8, member), of_a(group, member + 4), of_a(group + 8, member + 4)},
           {of_b(member), of_b(member + 4)});
  for (int i = 0; i < 4; ++i) d[place_of(i)] = sums[i];
}

__global__ void __launch_bounds__(32) transposed_kernel(const std::uint32_t* pairs, std::uint32_t* loaded) {
  std::uint32_t* const shared = &dynamic_shared<std::uint32_t>();
  for (int i = threadIdx.x; i < transposed_words; i += 32) shared[i] = pairs[i];
  __syncwarp();
  std::uint32_t b[2];
  load_transposed(b, shared + threadIdx.x % 16 * (mma_columns / 2));
  for (int j = 0; j < 2; ++j) loaded[2 * threadIdx.x + j] = b[j];
}

}  // namespace

void compute_scalars(const float* x, const float* y, int size, const ScalarResults& results, Stream stream) {
  launch(scalar_kernel, (size + threads - 1) / threads, threads, 0, stream, x, y, size, results);
}

void compute_mma(Mma kind, const float* a, const float* b, const float* c, float* d, Stream stream) {
  const auto kernel = kind == Mma::bf16_k16 ? bf16_k16_kernel : kind == Mma::bf16_k8 ? bf16_k8_kernel : tf32_k8_kernel;
  launch(kernel, 1, 32, 0, stream, a, b, c, d);
}

void compute_transposed(const std::uint32_t* pairs, std::uint32_t* loaded, Stream stream) {
  launch(transposed_kernel, 1, 32, transposed_words * sizeof(std::uint32_t), stream, pairs, loaded);
}

}  // namespace genretree::cuda
