#include <limits>

#include "core/error.hpp"
#include "kernels/cuda/element_count.hpp"

namespace genretree::cuda {

std::uint32_t element_count(std::size_t size) {
  constexpr std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
  if (size > most)
    fail("an array of {} numbers is too large for one launch, which has at most {}. Use a smaller batch", size, most);
  return static_cast<std::uint32_t>(size);
}

}  // namespace genretree::cuda
