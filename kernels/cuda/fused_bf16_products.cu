// Products of a layer's weights with all frames of a sequence at once, in bf16: no frame waits for another, so a block
// of threads takes eight frames (fewer if they are too wide for its shared memory), and each fragment of weights that it has read serves all of them.
#include <algorithm>

#include "kernels/cuda/assembly.hpp"
#include "kernels/cuda/fused_bf16.hpp"

namespace genretree::cuda::fused_bf16 {
namespace {

constexpr unsigned most_block_frames = 8, most_warps = 8;

/// A product's sums of the frames of a block.
struct Sums {
  float of[most_block_frames][4];
};

/// total += sums · mask, of the input dropout of gate q. Rows of the product are the layer's inputs, from `m` up.
__device__ inline void add_masked(const Layer& layer, const float* mask, unsigned q, unsigned m, unsigned first_row,
                                  const Sums& sums, Sums& total) {
#pragma unroll
  for (unsigned e = 0; e < 4; ++e) {
    const unsigned row = first_row + e % 2, input = m + 8 * (e / 2);
    const bool has_mask = row < layer.batch && input < layer.features;
    const float factor = has_mask ? mask[(q * layer.batch + row) * std::size_t{layer.features} + input] : 0;
#pragma unroll
    for (unsigned t = 0; t < most_block_frames; ++t) total.of[t][e] = fmaf(sums.of[t][e], factor, total.of[t][e]);
  }
}

/// Block (frames, rows, run). Warps share the tiles of M. `masked`: k has a part for each gate, whose sums are masked.
template <bool masked>
__global__ void __launch_bounds__(most_warps * 32)
    multiply_kernel(Layer layer, unsigned m_tiles, unsigned k_steps, const uint4* a, std::size_t a_stride,
                    const uint4* sequence, Masks masks, unsigned block_frames, float4* tiles) {
  const unsigned block = blockIdx.y, run = blockIdx.z, T = layer.frames, first = blockIdx.x * block_frames;
  if (block * block_rows >= layer.runs.rows[run]) return;
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, group = lane / 4, member = lane % 4;
  const std::size_t part = std::size_t{run} * gridDim.y + block;
  const unsigned K = k_steps * tile, frames = min(block_frames, T - first);

  uint4* const rows = &dynamic_shared<uint4>();  // [frames][K] of eight rows
  for (unsigned i = threadIdx.x; i < frames * K; i += blockDim.x) rows[i] = sequence[(part * T + first) * K + i];
  __syncthreads();

  const std::uint32_t* const pairs = reinterpret_cast<const std::uint32_t*>(rows);
  for (unsigned m = warp; m < m_tiles; m += blockDim.x / 32) {
    Sums sums{}, total{};
    for (unsigned k = 0; k < k_steps; ++k) {
      const uint4 weights = a[run * a_stride + (k * std::size_t{m_tiles} + m) * 32 + lane];
#pragma unroll
      for (unsigned t = 0; t < most_block_frames; ++t) {
        if (t >= frames) break;
        std::uint32_t b[2];
        load_transposed(b, pairs + (t * K + k * tile + lane % tile) * 4);
        mma_bf16(sums.of[t], {weights.x, weights.y, weights.z, weights.w}, b);
      }
      if constexpr (masked)
        if (const unsigned gate_steps = k_steps / gates; (k + 1) % gate_steps == 0) {
          add_masked(layer, masks.input + run * masks.stride, k / gate_steps, m * tile + group,
                     block * block_rows + 2 * member, sums, total);
          sums = {};
        }
    }
    if constexpr (masked) sums = total;
#pragma unroll
    for (unsigned t = 0; t < most_block_frames; ++t) {
      if (t >= frames) break;
      const float(&sum)[4] = sums.of[t];
      tiles[((part * T + first + t) * m_tiles + m) * 32 + lane] = make_float4(sum[0], sum[1], sum[2], sum[3]);
    }
  }
}

}  // namespace

void multiply(const Layer& layer, unsigned runs, unsigned m, unsigned k, const uint4* a, std::size_t a_stride,
              const std::uint32_t* sequence, const Masks& masks, float4* tiles, Stream stream) {
  const std::size_t frame_bytes = std::size_t{k} * sizeof(uint4);
  const unsigned frames =
      std::min({most_block_frames, layer.frames, static_cast<unsigned>(layer.shared_bytes / frame_bytes)});
  launch(masks.input ? multiply_kernel<true> : multiply_kernel<false>,
         dim3(blocks_of(layer.frames, frames), layer.blocks(), runs), std::min(most_warps, m / tile) * 32,
         frames * frame_bytes, stream, layer, m / tile, k / tile, a, a_stride, reinterpret_cast<const uint4*>(sequence),
         masks, frames, tiles);
}

}  // namespace genretree::cuda::fused_bf16
