// The GPU behind core's Device and Queue: memory, streams, graphs, the workspace of each queue.
//
// The folder kernels/cuda/libraries is the list of what the emulator does not run: CUDA's runtime (this file), cuFFT,
// cuDNN, cuBLAS and CUB, each behind an interface of ours. Each has a twin of the same name in
// tests/support/cuda_libraries that does the same on the host, so that all code above is tested without a GPU; what
// stands in this folder's own .cpp and .cu files is checked on a GPU only, by check_device.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "core/device.hpp"
#include "kernels/cuda/platform.hpp"

namespace genretree::cuda {

/// What the GPU and its software call themselves.
struct DeviceProperties {
  std::string name;       ///< "NVIDIA H100 80GB HBM3"
  std::string target;     ///< "sm_90"
  std::string libraries;  ///< name and version of each one that computes
  /// fp32 multiply-adds, each two operations, of all lanes at the highest clock, without tensor cores.
  double peak_gflops = 0;
  std::size_t multiprocessors = 0;
  std::size_t shared_bytes = 0;  ///< shared memory that a block of threads may have
};

/// "" if there is a GPU that this build has code for; else what is missing (a driver, a newer one, a GPU, a newer one),
/// what was found, and what to do.
std::string no_device_reason();

/// The first GPU (CUDA_VISIBLE_DEVICES chooses). InputError with no_device_reason() if there is none.
std::unique_ptr<Device> make_device();
/// Of the same GPU; there must be one. Takes none of its memory.
DeviceProperties gpu_properties();

/// Where kernels for a queue of such a device are launched.
Stream stream_of(Queue& queue);

/// Scratch memory of the queue, at least `bytes`, 256-byte aligned, until the next call. What was given to the queue
/// before may still use it, which does no harm: it comes first. What was recorded keeps the one that it was recorded
/// with. Grows, so a first call must lie outside Queue::repeat's recording (which is never its first).
void* workspace_of(Queue& queue, std::size_t bytes);

}  // namespace genretree::cuda
