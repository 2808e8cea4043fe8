// The twin of kernels/cuda/libraries/device.cpp: a device whose memory is the host's and whose kernels the emulator
// runs. A queue does nothing before it is told to synchronize, so that whoever reads results, or lets go of arguments,
// too early is found out.
#pragma once

#include "kernels/cuda/libraries/device.hpp"

namespace genretree::cuda {

/// The next devices' queues run launches in this order.
void emulate(emulator::Order order, std::uint64_t seed = 0);

/// While it lives, there is no GPU for this reason.
class AbsentGpu {
 public:
  explicit AbsentGpu(const std::string& reason);
  ~AbsentGpu();
};

/// While it lives, there is a GPU, but what is asked of it fails with this.
class FailingGpu {
 public:
  explicit FailingGpu(const std::string& message);
  ~FailingGpu();
};

/// While it lives, a block may have no more shared memory than this: 163 KB on compute capability 8.0, 99 on 8.6.
class SmallerGpu {
 public:
  explicit SmallerGpu(std::size_t shared_bytes);
  ~SmallerGpu();
};

}  // namespace genretree::cuda
