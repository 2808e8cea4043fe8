// Dense layer, softmax and cross-entropy. A batch has a few thousand products, so this is plain code, and its
// exponentials and sums are in double precision.
#pragma once

#include "kernels/ops.hpp"

namespace genretree::cpu {

/// The softmax layer of one run, and its gradients: null in an evaluation.
struct DenseSoftmax {
  View<const float, 2> kernel;  ///< [H, C]
  const float* bias;            ///< [C]
  float* dkernel;               ///< [H, C]
  float* dbias;                 ///< [C]
  std::size_t classes;          ///< of the run: the first of C
};

/// What rows of a batch cost.
struct RowsLoss {
  double loss = 0;
  std::int32_t correct = 0;
};

/// Some rows of a batch: adds to the layer's gradients of the mean loss over the `batch_rows` rows of the whole batch.
///   h [rows, H];  labels [rows];  targets [rows, C], or empty: 1 for the label;  probabilities [rows, C];
///   dh [rows, H], or empty in an evaluation
RowsLoss classify_rows(const DenseSoftmax& layer, Loss kind, View<const float, 2> h, const std::int32_t* labels,
                       View<const float, 2> targets, std::size_t batch_rows, View<float, 2> probabilities,
                       View<float, 2> dh);

/// Backend::classify_loss.
void classify_loss(const NetworkConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                   View<const float, 3> h, View<const std::int32_t, 2> labels, View<const float, 3> targets,
                   View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct, View<float, 3> dh,
                   View<float, 2> gradients);

}  // namespace genretree::cpu
