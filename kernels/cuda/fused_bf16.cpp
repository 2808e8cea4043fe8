#include <algorithm>

#include "core/error.hpp"
#include "core/rounding.hpp"
#include "kernels/cuda/fused_bf16.hpp"

namespace genretree::cuda::fused_bf16 {

void check_shared_memory(unsigned inputs, unsigned units, bool dropout, std::size_t limit) {
  const std::size_t row = block_rows * sizeof(bf16), width = round_up(inputs, tile);
  const std::size_t forward = 2 * (dropout ? gates : 1) * (width + units) * row, backward = 2 * gates * units * row,
                    product = std::max<std::size_t>(width, gates * units) * row;  // of one frame at a time
  const std::size_t needed = std::max({forward, backward, product});
  if (needed > limit)
    reject(
        "the fused LSTM in bf16 cannot compute a layer with {} inputs and {} units{}: a frame needs {} bytes of shared "
        "memory, and a block may have {}",
        inputs, units, dropout ? " and dropout" : "", needed, limit);
}

}  // namespace genretree::cuda::fused_bf16
