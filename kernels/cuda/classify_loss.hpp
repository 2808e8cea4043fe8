// The classifier at the end of a network: a dense layer, softmax and cross-entropy.
#pragma once

#include "kernels/ops.hpp"

namespace genretree::cuda {

/// The softmax layer of one run, and its gradients: null in an evaluation.
struct DenseSoftmax {
  const float* kernel;                  ///< [H, C]
  const float* bias;                    ///< [C]
  float* dkernel;                       ///< [H, C]
  float* dbias;                         ///< [C]
  std::size_t units, columns, classes;  ///< H, C, and how many of C the run has
};

/// Some rows of a run's batch, on the device.
struct ClassifiedRows {
  std::size_t rows, batch_rows;  ///< here, and in the whole batch, whose mean loss the gradients are of
  const float* h;                ///< [rows, H]
  const std::int32_t* labels;    ///< [rows]
  float* probabilities;          ///< [rows, C]
  float* dh;                     ///< [rows, H], or null in an evaluation
};

/// Writes the rows' probabilities and dh; adds to the run's loss, its count of correct rows, and the layer's gradients.
/// Uses the queue's workspace.
void classify_rows(const DenseSoftmax& layer, Loss kind, const ClassifiedRows& batch, double* loss,
                   std::int32_t* correct, Queue& queue);

/// Backend::classify_loss.
void classify_loss(const StackConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                   View<const float, 3> h, View<const std::int32_t, 2> labels, View<float, 3> probabilities,
                   View<double, 1> loss, View<std::int32_t, 1> correct, View<float, 3> dh, View<float, 2> gradients,
                   Queue& queue);

}  // namespace genretree::cuda
