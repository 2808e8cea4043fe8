// The CPU backend: vector code through Highway, one core for each queue.
#pragma once

#include <memory>
#include <string>

#include "kernels/ops.hpp"

namespace genretree::cpu {

/// In single precision. `target` is "auto" or an instruction set of Highway's; InputError that lists what this machine
/// runs.
std::unique_ptr<Backend> make_backend(const std::string& target);

/// The LSTM's products in bf16. `target` is "auto" or a name of bf16_product.hpp's targets; InputError likewise.
std::unique_ptr<Backend> make_bf16_backend(const std::string& target);

}  // namespace genretree::cpu
