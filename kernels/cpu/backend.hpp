// The CPU backend: vector code through Highway, in single precision, one core for each queue.
#pragma once

#include <memory>
#include <string>

#include "kernels/ops.hpp"

namespace genretree::cpu {

/// `target` is "auto" or an instruction set of Highway's; InputError that lists what this machine runs.
std::unique_ptr<Backend> make_backend(const std::string& target);

}  // namespace genretree::cpu
