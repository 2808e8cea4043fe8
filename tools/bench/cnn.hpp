// A training step of the CNN of the paper's reference [2], for the cpu and the cuda backend alike.
#pragma once

#include <memory>
#include <vector>

#include "kernels/ops.hpp"

namespace genretree::bench {

constexpr std::size_t cnn_batch = 64;

/// At its original size, on mel bands and on MFCCs.
CnnConfig mel_variant();
CnnConfig mfcc_variant();

/// Multiplications and additions of a step: forward, and for the gradients of the weights and of every layer's input
/// but the first.
double cnn_operations(const CnnConfig& cnn, std::size_t rows);

/// A network, a batch and all that a step needs, in the backend's memory.
class CnnTraining {
 public:
  CnnTraining(Backend& backend, const CnnConfig& cnn, std::size_t rows);

  /// Forward, loss, backward.
  void gradients();
  /// The same, and Adam; a GPU gets it as one recorded piece. Does not wait for it.
  void repeat_step();
  void wait() { queue_->synchronize(); }
  std::vector<float> last_gradients();
  /// What the step holds, MB.
  double megabytes() const;

 private:
  Buffer<float> zeros(std::size_t size);
  View<float, 2> row_view(Buffer<float>& values) { return values.view(1, values.size()); }

  Backend& backend_;
  std::unique_ptr<Queue> queue_;
  CnnConfig cnn_;
  Group group_;
  Buffer<float> parameters_, gradients_, moments_, x_, probabilities_;
  Buffer<std::int32_t> labels_, correct_;
  Buffer<double> loss_;
  Buffer<std::int64_t> steps_;
  std::unique_ptr<CnnState> state_;
  std::unique_ptr<Recording> recording_;
};

/// fail() unless the gradients of a small image through a few filters are the definition's.
void check_cnn(Backend& backend, CnnConfig cnn);

}  // namespace genretree::bench
