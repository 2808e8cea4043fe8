// Small copies around cuDNN's LSTM. A whole layer has some 10^4 to 10^5 weights, which stay in the second-level cache:
// a thread for each of them, one launch a layer, whose time is that of a launch. Neighbouring threads write
// neighbouring numbers; the transposition is in what they read.
#include "kernels/cuda/lstm_weights.hpp"

namespace genretree::cuda {
namespace {

constexpr unsigned threads = 256;

/// Block y copies piece y.
__global__ void __launch_bounds__(threads) pack_kernel(LayerWeights layer, const float* parameters, float* space) {
  const WeightPiece piece = layer.pieces[blockIdx.y];
  const unsigned element = blockIdx.x * threads + threadIdx.x;
  if (element >= layer.units * piece.columns) return;
  const unsigned row = element / piece.columns, column = element % piece.columns;
  space[piece.packed + element] = parameters[piece.keras + std::size_t{column} * 4 * layer.units + row];
}

__global__ void __launch_bounds__(threads) unpack_kernel(LayerWeights layer, const float* space, float* gradients) {
  const WeightPiece piece = layer.pieces[blockIdx.y];
  const unsigned element = blockIdx.x * threads + threadIdx.x;
  if (element >= layer.units * piece.columns) return;
  const unsigned column = element / layer.units, row = element % layer.units;
  gradients[piece.keras + std::size_t{column} * 4 * layer.units + row] =
      space[piece.packed + std::size_t{row} * piece.columns + column];
}

/// Block y copies frame y.
__global__ void __launch_bounds__(threads)
    rows_kernel(const float* dh, std::size_t counted, std::size_t elements, float* gradient) {
  const std::size_t element = std::size_t{blockIdx.x} * threads + threadIdx.x, place = blockIdx.y * elements + element;
  if (element < elements) gradient[place] = element < counted ? dh[place] : 0;
}

}  // namespace

void pack_weights(const LayerWeights& layer, const float* parameters, float* space, Stream stream) {
  const dim3 grid(blocks_of(layer.largest_matrix, threads), LayerWeights::count);
  launch(pack_kernel, grid, threads, 0, stream, layer, parameters, space);
}

void unpack_gradients(const LayerWeights& layer, const float* space, float* gradients, Stream stream) {
  const dim3 grid(blocks_of(layer.largest_matrix, threads), LayerWeights::count);
  launch(unpack_kernel, grid, threads, 0, stream, layer, space, gradients);
}

void gradient_of_rows(const float* dh, std::size_t frames, std::size_t rows, std::size_t batch, std::size_t units,
                      float* gradient, Stream stream) {
  launch(rows_kernel, dim3(blocks_of(batch * units, threads), static_cast<unsigned>(frames)), threads, 0, stream, dh,
         rows * units, batch * units, gradient);
}

}  // namespace genretree::cuda
