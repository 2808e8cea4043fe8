// cuDNN's descriptors of one LSTM layer, which need no GPU to be made: tests/kernels/cuda_libraries makes them with the
// real library on any machine. For this folder's .cpp files and that test only.
#pragma once

#include "kernels/cuda/libraries/check.hpp"
#include "kernels/cuda/libraries/rnn.hpp"

namespace genretree::cuda {

class RnnDescriptors {
 public:
  /// RnnRefused where cuDNN has not got the algorithm, InputError if a size does not fit into an int.
  explicit RnnDescriptors(const RnnConfig& config);

  cudnnRNNDescriptor_t rnn() const { return rnn_.get(); }
  cudnnRNNDataDescriptor_t x() const { return x_.get(); }         ///< [T, B, F]
  cudnnRNNDataDescriptor_t y() const { return y_.get(); }         ///< [T, B, H]
  cudnnTensorDescriptor_t state() const { return state_.get(); }  ///< [1, B, H] h or c

 private:
  Owned<cudnnRNNDescriptor_t, cudnnDestroyRNNDescriptor> rnn_;
  Owned<cudnnRNNDataDescriptor_t, cudnnDestroyRNNDataDescriptor> x_, y_;
  Owned<cudnnTensorDescriptor_t, cudnnDestroyTensorDescriptor> state_;
};

/// check(), except that a refusal for want of support is thrown as RnnRefused.
void check_supported(cudnnStatus_t status, const char* call, const RnnConfig& config);

}  // namespace genretree::cuda
