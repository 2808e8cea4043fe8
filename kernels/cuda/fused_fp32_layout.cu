// Between the contract's layouts and those of the fused LSTM in single precision. A thread writes a number, and
// neighbours write neighbours; what they read is small and stays in the caches.
#include <algorithm>

#include "kernels/cuda/fused_fp32_product.hpp"

namespace genretree::cuda::fused_fp32 {
namespace {

constexpr unsigned threads = 256;

/// Block (e, block of rows, run): 256 numbers of [T][F][8].
__global__ void __launch_bounds__(threads) inputs_kernel(const float* x, unsigned batch, unsigned frames,
                                                         unsigned inputs, RunRows rows, PerRun<float> sequence) {
  const unsigned block = blockIdx.y, run = blockIdx.z, count = rows.rows[run];
  if (block * block_rows >= count) return;
  const std::size_t size = std::size_t{frames} * inputs * block_rows;
  const std::size_t e = std::size_t{blockIdx.x} * threads + threadIdx.x;
  if (e >= size) return;
  const unsigned row = block * block_rows + static_cast<unsigned>(e % block_rows);
  const std::size_t input = e / block_rows % inputs, frame = e / block_rows / inputs;
  sequence.of(run)[block * size + e] =
      row < count ? x[((run * std::size_t{frames} + frame) * batch + row) * inputs + input] : 0;
}

/// Thread (t, number) of block (…, block of rows, run) writes that number of frame t in the rows that count.
__global__ void __launch_bounds__(threads) sequence_kernel(PerRun<const float> sequence, unsigned batch,
                                                           unsigned frames, unsigned width, RunRows rows, float* to) {
  const unsigned block = blockIdx.y, run = blockIdx.z, count = rows.rows[run];
  if (block * block_rows >= count) return;
  const unsigned element = blockIdx.x * threads + threadIdx.x, t = element / width, number = element % width;
  if (t >= frames) return;
  const float* const eight = sequence.of(run) + (std::size_t{block} * frames * width + element) * block_rows;
  const Rows<4> halves[] = {load_rows<4>(eight), load_rows<4>(eight + 4)};
  float* const frame = to + (run * std::size_t{frames} + t) * batch * width + number;
#pragma unroll
  for (unsigned r = 0; r < block_rows; ++r)
    if (const unsigned row = block * block_rows + r; row < count)
      frame[std::size_t{row} * width] = halves[r / 4].at[r % 4];
}

struct MaskPlaces {
  PerRun<const float> masks;
  std::size_t input, recurrent;  ///< offsets
};

/// Block (e, block of rows, run): 256 numbers of [K][4][8].
__global__ void __launch_bounds__(threads)
    masks_kernel(LayerShape shape, RunRows rows, MaskPlaces places, PerRun<float> arranged) {
  const unsigned block = blockIdx.y, run = blockIdx.z, count = rows.rows[run];
  if (block * block_rows >= count) return;
  const unsigned size = (shape.inputs + shape.units) * 4 * block_rows, e = blockIdx.x * threads + threadIdx.x;
  if (e >= size) return;
  const unsigned row = block * block_rows + e % block_rows, gate = e / block_rows % 4, k = e / block_rows / 4;
  const bool is_input = k < shape.inputs;
  const std::size_t width = is_input ? shape.inputs : shape.units, column = is_input ? k : k - shape.inputs;
  const float* masks = places.masks.of(run) + (is_input ? places.input : places.recurrent);
  arranged.of(run)[std::size_t{block} * size + e] =
      row < count ? masks[(gate * shape.batch + row) * width + column] : 0;
}

/// A layer's parameters, and the weight in row k < K (inputs, then units) and a column of the 4H; 0 beyond K.
struct Weights {
  PerRun<const float> parameters;
  LayerOffsets offsets;
  unsigned inputs, units;

  __device__ float at(unsigned run, unsigned k, unsigned gate, unsigned unit) const {
    const float* matrix = parameters.of(run) + (k < inputs ? offsets.kernel : offsets.recurrent);
    const std::size_t row = k < inputs ? k : k - inputs;
    return row < (k < inputs ? inputs : units) ? matrix[(row * 4 + gate) * units + unit] : 0;
  }
};

/// Number e of the packed weights: of one of the pair's two outputs, of a thread, of a row of weights.
struct PackedPlace {
  unsigned output, thread, row;
  __device__ PackedPlace(unsigned e, unsigned block_threads)
      : output(e % 2), thread(e / 2 % block_threads), row(e / 2 / block_threads) {}
};

/// Thread 2·S·u + 2·s + p of S splits: gates 2p and 2p + 1 of unit u, row r of weights is k = r·S + s.
__global__ void __launch_bounds__(threads)
    pack_forward_kernel(Weights weights, BlockPlan plan, RunRows rows, PerRun<float> packed) {
  const unsigned run = blockIdx.y, e = blockIdx.x * threads + threadIdx.x;
  if (rows.rows[run] == 0 || e >= plan.weight_rows * plan.threads * 2) return;
  const PackedPlace place(e, plan.threads);
  const unsigned splits = plan.lanes / 2, lane = place.thread % plan.lanes;
  packed.of(run)[e] =
      weights.at(run, place.row * splits + lane / 2, 2 * (lane % 2) + place.output, place.thread / plan.lanes);
}

/// Thread 4·p + q of a group: columns of gate q, outputs 2p and 2p + 1 of the group's set of H. Row r of weights is
/// unit r % H of the columns, and the set number r / H · groups + group: 0 is h, the others are inputs.
__global__ void __launch_bounds__(threads)
    pack_backward_kernel(Weights weights, BlockPlan plan, RunRows rows, PerRun<float> packed) {
  const unsigned run = blockIdx.y, e = blockIdx.x * threads + threadIdx.x;
  if (rows.rows[run] == 0 || e >= plan.weight_rows * plan.threads * 2) return;
  const PackedPlace place(e, plan.threads);
  const unsigned units = weights.units, group = place.thread / (2 * units), lane = place.thread % (2 * units);
  const unsigned set = place.row / units * plan.groups + group, output = lane / 4 * 2 + place.output;
  const unsigned input = (set - 1) * units + output;  // for set > 0
  const unsigned k = set == 0 ? weights.inputs + output : input < weights.inputs ? input : weights.inputs + units;
  packed.of(run)[e] = weights.at(run, k, lane % 4, place.row % units);
}

}  // namespace

void arrange_inputs(View<const float, 4> x, const RunRows& rows, PerRun<float> sequence, Stream stream) {
  const auto extent = [&](std::size_t dimension) { return static_cast<unsigned>(x.shape[dimension]); };
  const unsigned runs = extent(0), frames = extent(1), batch = extent(2), inputs = extent(3);
  const dim3 grid(blocks_of(std::size_t{frames} * inputs * block_rows, threads), blocks_of(batch, block_rows), runs);
  launch(inputs_kernel, grid, threads, 0, stream, x.data, batch, frames, inputs, rows, sequence);
}

void write_sequence(PerRun<const float> sequence, const RunRows& rows, View<float, 4> to, Stream stream) {
  const auto extent = [&](std::size_t dimension) { return static_cast<unsigned>(to.shape[dimension]); };
  const unsigned runs = extent(0), frames = extent(1), batch = extent(2), width = extent(3);
  const dim3 grid(blocks_of(std::size_t{frames} * width, threads), blocks_of(batch, block_rows), runs);
  launch(sequence_kernel, grid, threads, 0, stream, sequence, batch, frames, width, rows, to.data);
}

void arrange_masks(const LayerShape& shape, const RunRows& rows, PerRun<const float> masks, std::size_t input_offset,
                   std::size_t recurrent_offset, PerRun<float> arranged, Stream stream) {
  const dim3 grid(blocks_of(std::size_t{shape.depth()} * 4 * block_rows, threads), shape.blocks(), shape.runs);
  launch(masks_kernel, grid, threads, 0, stream, shape, rows, MaskPlaces{masks, input_offset, recurrent_offset},
         arranged);
}

void pack_forward(const LayerShape& shape, const BlockPlan& plan, const RunRows& rows, PerRun<const float> parameters,
                  const LayerOffsets& offsets, PerRun<float> packed, Stream stream) {
  const dim3 grid(blocks_of(plan.weights_size(), threads), shape.runs);
  launch(pack_forward_kernel, grid, threads, 0, stream, Weights{parameters, offsets, shape.inputs, shape.units}, plan,
         rows, packed);
}

void pack_backward(const LayerShape& shape, const BlockPlan& plan, const RunRows& rows, PerRun<const float> parameters,
                   const LayerOffsets& offsets, PerRun<float> packed, Stream stream) {
  const dim3 grid(blocks_of(plan.weights_size(), threads), shape.runs);
  launch(pack_backward_kernel, grid, threads, 0, stream, Weights{parameters, offsets, shape.inputs, shape.units}, plan,
         rows, packed);
}

}  // namespace genretree::cuda::fused_fp32
