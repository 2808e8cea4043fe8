// The classifier at the end of a network: a dense layer, softmax and cross-entropy.
#pragma once

#include "kernels/ops.hpp"

namespace genretree::cuda {

/// The softmax layers of a group, and their gradients: null in an evaluation. Run 0's; those of the next run lie `stride`
/// numbers after them.
struct DenseSoftmax {
  const float* kernel;     ///< [H, C]
  const float* bias;       ///< [C]
  float* dkernel;          ///< [H, C]
  float* dbias;            ///< [C]
  std::size_t units;       ///< H
  std::size_t stride = 0;  ///< e.g. P
};

/// Rows `first` … `first + rows - 1` of each run's batch, on the device. Those that do not count are left alone.
struct ClassifiedRows {
  std::size_t first, rows;
  const float* h;                  ///< [R, rows, H]
  const std::int32_t* labels;      ///< [R, rows]
  float* probabilities;            ///< [R, rows, C]
  float* dh;                       ///< [R, rows, H], or null in an evaluation
  const float* targets = nullptr;  ///< [R, rows, C], or null: 1 for the label
};

/// Writes the rows' probabilities and dh; adds to each run's loss [R] and its count of correct rows [R]. Gradients are of
/// the mean loss over all of the run's rows: those of the layers are overwritten if `first` is 0, else added to. A run
/// without rows is left alone. Uses the queue's workspace. At most most_grouped_runs runs.
void classify_rows(const Group& group, const DenseSoftmax& layer, Loss kind, const ClassifiedRows& batch, double* loss,
                   std::int32_t* correct, Queue& queue);

/// Backend::classify_loss.
void classify_loss(const NetworkConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                   View<const float, 3> h, View<const std::int32_t, 2> labels, View<const float, 3> targets,
                   View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct, View<float, 3> dh,
                   View<float, 2> gradients, Queue& queue);

}  // namespace genretree::cuda
