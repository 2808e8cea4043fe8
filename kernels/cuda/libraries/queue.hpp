// What a queue of the GPU holds beside its stream, for this folder's .cpp and .cu files.
#pragma once

#include "kernels/cuda/libraries/check.hpp"
#include "kernels/cuda/libraries/device.hpp"

namespace genretree::cuda {

/// The queue's own handles, made on first use, that work on its stream. A first use must lie outside a recording.
cudnnHandle_t cudnn_of(Queue& queue);
cublasHandle_t cublas_of(Queue& queue);  ///< in strict fp32, with a workspace of its own

}  // namespace genretree::cuda
