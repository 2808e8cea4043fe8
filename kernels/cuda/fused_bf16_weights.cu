// What is done once a step around the fused LSTM in bf16: batches and weights are brought into the order in which the
// kernels read them. A thread for each row of eight, or for each lane's part of a fragment; bound by memory, and small.
#include "kernels/cuda/assembly.hpp"
#include "kernels/cuda/fused_bf16.hpp"

namespace genretree::cuda::fused_bf16 {
namespace {

constexpr unsigned threads = 256;

/// Thread (t, i) writes the eight rows of input i of frame t; block y is one of rows, z a run.
__global__ void __launch_bounds__(threads) arrange_kernel(Layer layer, const float* x, uint4* sequence) {
  const unsigned element = blockIdx.x * threads + threadIdx.x, block = blockIdx.y, run = blockIdx.z;
  const unsigned t = element / layer.inputs, i = element % layer.inputs, rows = layer.runs.rows[run];
  if (t >= layer.frames || block * block_rows >= rows) return;
  const float* frame = x + (std::size_t{run} * layer.frames + t) * layer.batch * layer.features + i;
  float values[block_rows];
#pragma unroll
  for (unsigned r = 0; r < block_rows; ++r) {
    const unsigned row = block * block_rows + r;
    values[r] = row < rows && i < layer.features ? frame[std::size_t{row} * layer.features] : 0;
  }
  const std::size_t part = std::size_t{run} * gridDim.y + block;
  sequence[part * layer.frames * layer.inputs + element] =
      make_uint4(bf16_pair(values[0], values[1]), bf16_pair(values[2], values[3]), bf16_pair(values[4], values[5]),
                 bf16_pair(values[6], values[7]));
}

/// The numbers of [R, T, B, width] that a lane holds of a tile in C: two units in two rows of the batch. Thread
/// (t, tile, lane); block y is one of rows, z a run.
struct TilePlace {
  unsigned frame, first_unit, first_row;
  std::size_t tile_element;  ///< in tiles of a width

  /// width: in tiles
  __device__ TilePlace(const Layer& layer, unsigned width) {
    const unsigned element = blockIdx.x * threads + threadIdx.x, lane = element % 32;
    frame = element / 32 / width;
    first_unit = element / 32 % width * tile + lane / 4;
    first_row = blockIdx.y * block_rows + 2 * (lane % 4);
    tile_element = (std::size_t{blockIdx.z} * gridDim.y + blockIdx.y) * layer.frames * width * 32 + element;
  }
  /// Number e of the four in an array [R, T, B, width].
  __device__ unsigned row(unsigned e) const { return first_row + e % 2; }
  __device__ unsigned unit(unsigned e) const { return first_unit + 8 * (e / 2); }
  __device__ std::size_t at(const Layer& layer, unsigned e, unsigned width) const {
    return ((std::size_t{blockIdx.z} * layer.frames + frame) * layer.batch + row(e)) * width + unit(e);
  }
};

__global__ void __launch_bounds__(threads) gradients_kernel(Layer layer, const float* dh, float4* tiles) {
  const TilePlace place(layer, layer.units / tile);
  const unsigned rows = layer.runs.rows[blockIdx.z];
  if (place.frame >= layer.frames || blockIdx.y * block_rows >= rows) return;
  float values[4];
#pragma unroll
  for (unsigned e = 0; e < 4; ++e) values[e] = place.row(e) < rows ? dh[place.at(layer, e, layer.units)] : 0;
  tiles[place.tile_element] = make_float4(values[0], values[1], values[2], values[3]);
}

__global__ void __launch_bounds__(threads) input_gradients_kernel(Layer layer, const float4* tiles, float* dx) {
  const TilePlace place(layer, layer.inputs / tile);
  const unsigned rows = layer.runs.rows[blockIdx.z];
  if (place.frame >= layer.frames || blockIdx.y * block_rows >= rows) return;
  const float4 four = tiles[place.tile_element];
  const float values[] = {four.x, four.y, four.z, four.w};
#pragma unroll
  for (unsigned e = 0; e < 4; ++e)
    if (place.row(e) < rows && place.unit(e) < layer.features) dx[place.at(layer, e, layer.features)] = values[e];
}

/// A layer's weights in Keras's layout.
struct Weights {
  const float *kernel, *recurrent;
  unsigned features, inputs, units;

  __device__ float of_input(unsigned i, unsigned column) const {
    return i < features ? kernel[std::size_t{i} * gates * units + column] : 0;
  }
  __device__ float of_unit(unsigned u, unsigned column) const {
    return recurrent[std::size_t{u} * gates * units + column];
  }
};

struct Forward {
  Weights weights;
  __device__ float operator()(unsigned m, unsigned k) const {
    const unsigned q = m / tile % gates, u = m / (gates * tile) * tile + m % tile, column = q * weights.units + u;
    return k < weights.inputs ? weights.of_input(k, column) : weights.of_unit(k - weights.inputs, column);
  }
};
struct Backward {
  Weights weights;
  __device__ float operator()(unsigned m, unsigned k) const { return weights.of_unit(m, k); }
};
struct ToInputs {
  Weights weights;
  __device__ float operator()(unsigned m, unsigned k) const { return weights.of_input(m, k); }
};

/// The part of one lane: the tiles of M follow each other within a step along k.
template <class Matrix>
__device__ void pack(const Matrix& matrix, unsigned tiles_of_m, unsigned place, uint4* fragments) {
  const unsigned lane = place % 32, group = lane / 4, member = lane % 4;
  const unsigned m = place / 32 % tiles_of_m * tile + group, k = place / 32 / tiles_of_m * tile + 2 * member;
  const auto pair = [&](unsigned row, unsigned column) {
    return bf16_pair(matrix(row, column), matrix(row, column + 1));
  };
  fragments[place] = make_uint4(pair(m, k), pair(m + 8, k), pair(m, k + 8), pair(m + 8, k + 8));
}

/// Block y is a run.
__global__ void __launch_bounds__(threads)
    pack_kernel(Layer layer, const float* parameters, Tensors tensors, Fragments fragments) {
  const unsigned run = blockIdx.y, H = layer.units, I = layer.inputs;
  if (layer.runs.rows[run] == 0) return;
  const float* own = parameters + run * tensors.stride;
  const Weights weights{own + tensors.kernel, own + tensors.recurrent, layer.features, I, H};
  const unsigned forward = gates * H * (I + H) / 8, backward = gates * H * H / 8, to_inputs = gates * H * I / 8;
  const unsigned place = blockIdx.x * threads + threadIdx.x;
  if (place < forward)
    pack(Forward{weights}, gates * H / tile, place, fragments.forward + std::size_t{run} * forward);
  else if (fragments.backward && place < forward + backward)
    pack(Backward{weights}, H / tile, place - forward, fragments.backward + std::size_t{run} * backward);
  else if (fragments.to_inputs && place >= forward + backward && place < forward + backward + to_inputs)
    pack(ToInputs{weights}, I / tile, place - forward - backward, fragments.to_inputs + std::size_t{run} * to_inputs);
}

}  // namespace

void arrange_inputs(const Layer& layer, unsigned runs, const float* x, std::uint32_t* sequence, Stream stream) {
  launch(arrange_kernel, dim3(blocks_of(std::size_t{layer.frames} * layer.inputs, threads), layer.blocks(), runs),
         threads, 0, stream, layer, x, reinterpret_cast<uint4*>(sequence));
}

void arrange_gradients(const Layer& layer, unsigned runs, const float* dh, float4* tiles, Stream stream) {
  const std::size_t lanes = std::size_t{layer.frames} * layer.units / tile * 32;
  launch(gradients_kernel, dim3(blocks_of(lanes, threads), layer.blocks(), runs), threads, 0, stream, layer, dh, tiles);
}

void write_input_gradients(const Layer& layer, unsigned runs, const float4* tiles, float* dx, Stream stream) {
  const std::size_t lanes = std::size_t{layer.frames} * layer.inputs / tile * 32;
  launch(input_gradients_kernel, dim3(blocks_of(lanes, threads), layer.blocks(), runs), threads, 0, stream, layer,
         tiles, dx);
}

void pack_weights(const Layer& layer, unsigned runs, const float* parameters, const Tensors& tensors,
                  const Fragments& fragments, Stream stream) {
  const std::size_t H = layer.units, I = layer.inputs,
                    elements = gates * H * ((I + H) + (fragments.backward ? H + (fragments.to_inputs ? I : 0) : 0)) / 8;
  launch(pack_kernel, dim3(blocks_of(elements, threads), runs), threads, 0, stream, layer, parameters, tensors,
         fragments);
}

}  // namespace genretree::cuda::fused_bf16
