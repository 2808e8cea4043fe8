// Rows of a product shared out over register tiles, whose sizes are known when compiling.
#pragma once

#include <cstddef>
#include <type_traits>

namespace genretree::cpu {

/// Calls call(n as a constant) for n = 1 … Max.
template <std::size_t Max, class Call>
void with_constant(std::size_t n, Call call) {
  if (n == Max)
    call(std::integral_constant<std::size_t, Max>());
  else if constexpr (Max > 1)
    with_constant<Max - 1>(n, call);
}

/// Calls call(count as a constant, first row) for as few tiles of at most Max rows as there can be. The rows are shared
/// out evenly, so that no tile is much smaller than the others.
template <std::size_t Max, class Call>
void for_each_row_tile(std::size_t rows, Call call) {
  const std::size_t tiles = (rows + Max - 1) / Max;
  for (std::size_t tile = 0; tile < tiles; ++tile) {
    const std::size_t row = tile * rows / tiles, end = (tile + 1) * rows / tiles;
    with_constant<Max>(end - row, [&](auto count) { call(count, row); });
  }
}

}  // namespace genretree::cpu
