// The CNN in double precision: forward, loss and gradient for the rows of one run.
#pragma once

#include <span>
#include <vector>

#include "kernels/ops.hpp"

namespace genretree::reference {

struct CnnResult {
  std::vector<double> probabilities;  ///< [B, C]
  double loss = 0;                    ///< sum over the rows
  std::int32_t correct = 0;           ///< rows whose most probable class (the first of equals) is the label
  std::vector<double> gradients;      ///< [P] of the mean loss
};

///   parameters  [P] in CnnLayout for C classes
///   x           [T, B, F] features
///   labels      [B]
///   masks       [B, dropout_size()]: 0 or 1 / (1 - rate); or empty: no dropout
CnnResult cnn(const CnnConfig& config, std::size_t classes, Loss kind, std::span<const double> parameters,
              View<const double, 3> x, std::span<const std::int32_t> labels, std::span<const double> masks);

/// The masks of cnn_step, [B, dropout_size()].
std::vector<double> cnn_masks(const CnnConfig& config, std::size_t batch, const RandomKey& key);

}  // namespace genretree::reference
