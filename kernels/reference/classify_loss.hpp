// Dense layer, softmax, categorical cross-entropy and its gradient, in double precision, for the rows of one run.
#pragma once

#include <span>
#include <vector>

#include "kernels/ops.hpp"

namespace genretree::reference {

struct Classification {
  std::vector<double> probabilities;  ///< [B, C]
  double loss = 0;                    ///< sum over the rows
  std::int32_t correct = 0;           ///< rows whose most probable class (the first of equals) is the label
  std::vector<double> dh;             ///< [B, H] gradient of the mean loss
  std::vector<double> dkernel;        ///< [H, C]
  std::vector<double> dbias;          ///< [C]
};

///   h [B, H];  kernel [H, C];  bias [C];  labels [B];  targets [B, C], or empty: 1 for the label
Classification classify_loss(Loss kind, View<const double, 2> h, View<const double, 2> kernel,
                             std::span<const double> bias, std::span<const std::int32_t> labels,
                             View<const double, 2> targets);

/// Of one row: the loss, and its gradient with respect to the logits.
struct RowLoss {
  double loss;
  std::vector<double> dlogits;
};
RowLoss row_loss(Loss kind, std::span<const double> logits, std::span<const double> targets);

/// exp(z) / Σ exp(z), safe from overflow.
std::vector<double> softmax(std::span<const double> logits);

}  // namespace genretree::reference
