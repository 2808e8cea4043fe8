// Between Keras's layout of an LSTM layer's weights, which the project keeps, and a weight space of cuDNN.
#pragma once

#include <cstddef>

#include "kernels/cuda/platform.hpp"

namespace genretree::cuda {

/// One gate's part of a kernel, recurrent kernel or bias. Keras: element (column, row) at keras + column · 4H + row.
/// cuDNN: element (row, column) at packed + row · columns + column, with rows = H. A bias has one column.
struct WeightPiece {
  std::size_t keras;   ///< offset in the run's parameters, in floats
  std::size_t packed;  ///< offset in the weight space, in floats
  unsigned columns;
};

/// All pieces of a layer, small enough to be an argument of a kernel.
struct LayerWeights {
  static constexpr unsigned count = 12;
  WeightPiece pieces[count];
  unsigned units;           ///< H
  unsigned largest_matrix;  ///< elements
};

/// Launchers.
///   parameters, gradients  [P] of one run;  space  the layer's weight space
/// pack_weights leaves the space's gaps alone; unpack_gradients overwrites what is the layer's in `gradients` alone.
void pack_weights(const LayerWeights& layer, const float* parameters, float* space, Stream stream);
void unpack_gradients(const LayerWeights& layer, const float* space, float* gradients, Stream stream);

/// gradient [T, B, H] = dh [T, B, H] in the first `rows` rows of each frame and 0 in the others, whatever dh holds there.
///   frames  T, at most 65,535
void gradient_of_rows(const float* dh, std::size_t frames, std::size_t rows, std::size_t batch, std::size_t units,
                      float* gradient, Stream stream);

}  // namespace genretree::cuda
