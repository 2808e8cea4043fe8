// The twin of kernels/cuda/libraries/device.cpp: a device whose memory is the host's and whose kernels the emulator
// runs. A queue does nothing before it is told to synchronize, so that whoever reads results, or lets go of arguments,
// too early is found out.
#pragma once

#include "kernels/cuda/libraries/device.hpp"

namespace genretree::cuda {

/// The next devices' queues run launches in this order.
void emulate(emulator::Order order, std::uint64_t seed = 0);

}  // namespace genretree::cuda
