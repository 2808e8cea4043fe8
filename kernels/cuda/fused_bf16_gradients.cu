// Gradients of a layer's weights in bf16: Σ v_t · dz_tᵀ over frames and rows, with v_t = [x_t; h_{t-1}].
//
// As a product this has few rows and columns, I + H and 4H, and a very long k: all rows of all frames. So frames are cut
// into chunks, each multiplied by blocks of its own into a partial sum, and a second launch adds these in their order:
// the result depends on the shape alone. A warp makes 32 × 64 sums of one gate; the four warps of a block make the four
// gates of the same units, and so read the same v.
//
// Eight rows of a frame lie side by side in a sequence, 16 bytes, and in what order k runs is of no matter if both
// operands agree: lane `member` of a group reads frame t + member, whose rows 0 … 3 go into one product and rows 4 … 7
// into the next. So fragments come from memory as they are, four frames at a time.
#include "kernels/cuda/assembly.hpp"
#include "kernels/cuda/fused_bf16.hpp"

namespace genretree::cuda::fused_bf16 {
namespace {

constexpr unsigned warp_inputs = 32, warp_units = 64;  ///< rows and columns of a warp's sums
constexpr unsigned m_tiles = warp_inputs / tile, n_tiles = warp_units / 8, lane_frames = 4;
constexpr unsigned reduce_threads = 256;

struct Sequences {
  const uint4 *inputs, *h, *dz;  ///< rows of eight
};

__device__ inline std::uint32_t masked_pair(std::uint32_t pair, float low, float high) {
  return bf16_pair(low_of(pair) * low, high_of(pair) * high);
}

/// Block (inputs and units, chunk, run).
template <bool masked>
__global__ void __launch_bounds__(32 * gates)
    chunk_kernel(Layer layer, Sequences sequences, Masks masks, unsigned pieces, float* partial) {
  const unsigned rows = layer.runs.rows[blockIdx.z], run = blockIdx.z, chunk = blockIdx.y;
  if (rows == 0) return;
  const unsigned lane = threadIdx.x % 32, gate = threadIdx.x / 32, group = lane / 4, member = lane % 4;
  const unsigned H = layer.units, I = layer.inputs, T = layer.frames;
  const unsigned first_input = blockIdx.x / pieces * warp_inputs, first_unit = blockIdx.x % pieces * warp_units;
  const unsigned own_n_tiles = min(n_tiles, (H - first_unit) / 8);
  const unsigned begin = chunk * chunk_frames, end = min(begin + chunk_frames, T);
  const unsigned blocks = (layer.batch + block_rows - 1) / block_rows;

  float sums[m_tiles][n_tiles][4] = {};
  for (unsigned block = 0; block * block_rows < rows; ++block) {
    const std::size_t part = (std::size_t{run} * blocks + block) * T;
    // the mask of rows k of v, for the eight rows of the batch
    float mask[masked ? m_tiles : 1][2][block_rows];
    if constexpr (masked)
      for (unsigned i = 0; i < m_tiles; ++i)
        for (unsigned half = 0; half < 2; ++half)
          for (unsigned r = 0; r < block_rows; ++r) {
            const unsigned k = first_input + i * tile + 8 * half + group, row = block * block_rows + r;
            const float* const own = run * masks.stride + (k < I ? masks.input : masks.recurrent);
            const unsigned width = k < I ? layer.features : H, column = k < I ? k : k - I;
            mask[i][half][r] =
                row < rows && column < width ? own[(gate * layer.batch + row) * std::size_t{width} + column] : 0;
          }
    for (unsigned first = begin; first < end; first += lane_frames) {
      const unsigned t = first + member;
      const bool counts = t < end;
      uint4 v[m_tiles][2];
#pragma unroll
      for (unsigned i = 0; i < m_tiles; ++i)
#pragma unroll
        for (unsigned half = 0; half < 2; ++half) {
          const unsigned k = first_input + i * tile + 8 * half + group;
          uint4 eight_rows{};
          if (counts && k < I) eight_rows = sequences.inputs[(part + t) * I + k];
          if (counts && k >= I && k < I + H && t > 0) eight_rows = sequences.h[(part + t - 1) * H + k - I];
          if constexpr (masked) {
            const float(&m)[block_rows] = mask[i][half];
            eight_rows = make_uint4(masked_pair(eight_rows.x, m[0], m[1]), masked_pair(eight_rows.y, m[2], m[3]),
                                    masked_pair(eight_rows.z, m[4], m[5]), masked_pair(eight_rows.w, m[6], m[7]));
          }
          v[i][half] = eight_rows;
        }
#pragma unroll
      for (unsigned n = 0; n < n_tiles; ++n) {
        if (n >= own_n_tiles) break;
        uint4 dz{};
        if (counts) dz = sequences.dz[(part + t) * gates * H + gate * H + first_unit + 8 * n + group];
#pragma unroll
        for (unsigned i = 0; i < m_tiles; ++i) {
          mma_bf16(sums[i][n], {v[i][0].x, v[i][1].x, v[i][0].y, v[i][1].y}, {dz.x, dz.y});
          mma_bf16(sums[i][n], {v[i][0].z, v[i][1].z, v[i][0].w, v[i][1].w}, {dz.z, dz.w});
        }
      }
    }
  }

  float* const own = partial + (std::size_t{run} * gridDim.y + chunk) * (I + H) * gates * H;
#pragma unroll
  for (unsigned i = 0; i < m_tiles; ++i)
#pragma unroll
    for (unsigned half = 0; half < 2; ++half) {
      const unsigned k = first_input + i * tile + 8 * half + group;
      if (k >= I + H) continue;
#pragma unroll
      for (unsigned n = 0; n < n_tiles; ++n)
        if (n < own_n_tiles)
          *reinterpret_cast<float2*>(&own[std::size_t{k} * gates * H + gate * H + first_unit + 8 * n + 2 * member]) =
              make_float2(sums[i][n][2 * half], sums[i][n][2 * half + 1]);
    }
}

/// Thread (row, column) of the layer's tensors, one below the other: kernel [F], recurrent kernel [H], bias [1]. Block y
/// is a run.
__global__ void __launch_bounds__(reduce_threads) reduce_kernel(Layer layer, unsigned chunks, const float* partial,
                                                                const float* dbias, Tensors tensors, float* gradients) {
  const unsigned run = blockIdx.y, rows = layer.runs.rows[run], columns = gates * layer.units;
  const unsigned element = blockIdx.x * reduce_threads + threadIdx.x, row = element / columns,
                 column = element % columns;
  const unsigned F = layer.features, I = layer.inputs, H = layer.units;
  if (rows == 0 || row > F + H) return;
  float* const own = gradients + run * tensors.stride;
  float sum = 0;
  if (row == F + H) {
    const unsigned blocks = (layer.batch + block_rows - 1) / block_rows;
    for (unsigned block = 0; block * block_rows < rows; ++block)
      sum += dbias[(std::size_t{run} * blocks + block) * columns + column];
    own[tensors.bias + column] = sum;
    return;
  }
  const std::size_t k = row < F ? row : I + row - F, size = std::size_t{I + H} * columns;
  for (unsigned chunk = 0; chunk < chunks; ++chunk)
    sum += partial[(std::size_t{run} * chunks + chunk) * size + k * columns + column];
  own[row < F ? tensors.kernel + element : tensors.recurrent + element - std::size_t{F} * columns] = sum;
}

}  // namespace

void weight_gradients(const Layer& layer, unsigned runs, const std::uint32_t* inputs, const std::uint32_t* h,
                      const std::uint32_t* dz, const Masks& masks, const float* dbias, float* partial,
                      const Tensors& tensors, float* gradients, Stream stream) {
  const auto rows_of_eight = [](const std::uint32_t* sequence) { return reinterpret_cast<const uint4*>(sequence); };
  const unsigned pieces = blocks_of(layer.units, warp_units), chunks = chunks_of(layer.frames);
  launch(masks.recurrent ? chunk_kernel<true> : chunk_kernel<false>,
         dim3(blocks_of(layer.inputs + layer.units, warp_inputs) * pieces, chunks, runs), 32 * gates, 0, stream, layer,
         Sequences{rows_of_eight(inputs), rows_of_eight(h), rows_of_eight(dz)}, masks, pieces, partial);
  const std::size_t elements = std::size_t{layer.features + layer.units + 1} * gates * layer.units;
  launch(reduce_kernel, dim3(blocks_of(elements, reduce_threads), runs), reduce_threads, 0, stream, layer, chunks,
         partial, dbias, tensors, gradients);
}

}  // namespace genretree::cuda::fused_bf16
