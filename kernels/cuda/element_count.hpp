#pragma once

#include <cstddef>
#include <cstdint>

namespace genretree::cuda {

/// The elements of one launch, each of which has a 32-bit index. Throws Error if there are more. In a file of its own,
/// for nvcc does not take the library that formats messages.
std::uint32_t element_count(std::size_t size);

}  // namespace genretree::cuda
