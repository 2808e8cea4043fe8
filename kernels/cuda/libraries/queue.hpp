// What a queue of the GPU holds beside its stream, for this folder's .cpp and .cu files.
#pragma once

#include <mutex>

#include "kernels/cuda/libraries/check.hpp"
#include "kernels/cuda/libraries/device.hpp"

namespace genretree::cuda {

/// The queue's own handles, made on first use, that work on its stream. A first use must lie outside a recording.
cudnnHandle_t cudnn_of(Queue& queue);
cublasHandle_t cublas_of(Queue& queue);  ///< in strict fp32, with a workspace of its own

/// While this is held, no queue of the device is recorded: for calls that make or destroy what libraries load onto the
/// GPU, which may wait for all of it and so spoil a recording on another thread. Not within a recording.
std::unique_lock<std::mutex> no_recording(Device& device);

}  // namespace genretree::cuda
