// The gate activations σ(z), and their derivatives written with the activated value, as backward passes have it.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/ops.hpp"

namespace genretree::reference {

/// Keras 3: ops.sigmoid, activations.hard_sigmoid (relu6(x + 3) / 6). Keras 2: tensorflow_backend.hard_sigmoid.
inline double activate(Gate gate, double z) {
  switch (gate) {
    case Gate::sigmoid:
      return 1 / (1 + std::exp(-z));
    case Gate::hard_sigmoid:
      return std::clamp(0.2 * z + 0.5, 0.0, 1.0);
    case Gate::hard_sigmoid_keras3:
      return std::clamp((z + 3) / 6, 0.0, 1.0);
  }
  return z;
}

/// dσ/dz where σ(z) = `activated`; a clipped gate has none.
inline double activation_slope(Gate gate, double activated) {
  const bool clipped = activated <= 0 || activated >= 1;
  switch (gate) {
    case Gate::sigmoid:
      return activated * (1 - activated);
    case Gate::hard_sigmoid:
      return clipped ? 0 : 0.2;
    case Gate::hard_sigmoid_keras3:
      return clipped ? 0 : 1 / 6.0;
  }
  return 0;
}

}  // namespace genretree::reference
