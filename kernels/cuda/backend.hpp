// The CUDA backend: kernels of ours, and NVIDIA's libraries where they are at home (libraries/).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/backends.hpp"

namespace genretree::cuda {

/// fp32; bf16: products of the fused LSTM; tf32: products of the LSTM by cuDNN with operands cut to 10 bits of mantissa.
std::vector<std::string> precisions();

/// What the GPU of this machine is, e.g. sm_90; none without one.
std::vector<std::string> targets();

/// What can compute the LSTM in a precision, e.g. fused, cudnn:standard.
std::vector<std::string> algorithms(const std::string& precision);

/// InputError for what this backend has not, or if there is no GPU.
std::unique_ptr<Backend> make_backend(const BackendConfig& config);

}  // namespace genretree::cuda
