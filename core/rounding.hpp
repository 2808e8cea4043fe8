#pragma once

#include <cstddef>

namespace genretree {

/// The least multiple of `multiple` that is no less than n.
constexpr std::size_t round_up(std::size_t n, std::size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

}  // namespace genretree
