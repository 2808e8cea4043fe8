// The definition as a backend: double precision inside, float at the contract. For tests and check_device; nobody
// trains on it.
#pragma once

#include <memory>

#include "kernels/ops.hpp"

namespace genretree::reference {

std::unique_ptr<Backend> make_backend();

}  // namespace genretree::reference
