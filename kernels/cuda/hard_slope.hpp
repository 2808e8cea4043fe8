#pragma once

#include "kernels/ops.hpp"

namespace genretree::cuda {

/// Keras's hard sigmoids are clip(slope · z + 0.5, 0, 1); 0 stands for the sigmoid itself.
inline float hard_slope(Gate gate) {
  return gate == Gate::sigmoid ? 0.0f : gate == Gate::hard_sigmoid ? 0.2f : 1 / 6.0f;
}

}  // namespace genretree::cuda
