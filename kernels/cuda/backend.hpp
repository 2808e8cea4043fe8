// The CUDA backend: kernels of ours, and NVIDIA's libraries where they are at home (libraries/).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/backends.hpp"

namespace genretree::cuda {

/// fp32, and tf32: products of the LSTM by cuDNN with operands cut to 10 bits of mantissa.
std::vector<std::string> precisions();

/// What the GPU of this machine is, e.g. sm_90; none without one.
std::vector<std::string> targets();

/// What can compute the LSTM, e.g. cudnn:standard.
std::vector<std::string> algorithms();

/// InputError for what this backend has not, or if there is no GPU.
std::unique_ptr<Backend> make_backend(const BackendConfig& config);

}  // namespace genretree::cuda
