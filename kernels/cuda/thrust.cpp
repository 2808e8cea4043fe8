#include <cstddef>

#include "core/error.hpp"

namespace genretree::cuda {

// of thrust.hpp, which includes Thrust and so is for .cu files only
[[noreturn]] void too_many_elements(std::size_t size) {
  fail("an array of {} numbers is too large for one launch, which has at most 2^32 - 1. Use a smaller batch", size);
}

}  // namespace genretree::cuda
