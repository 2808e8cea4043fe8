// Dropout masks, drawn where they are used. A thread makes the four numbers of one block of the generator: every mask
// begins and ends with a block, for it is [4, B, units].
#include "kernels/cuda/dropout_masks.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/random.hpp"
#include "kernels/cuda/thrust.hpp"

namespace genretree::cuda {
namespace {

/// Numbers 4·(first_block + i) … of a run's masks.
struct DrawBlock {
  Dropout dropout;
  std::size_t first_block;
  float* masks;

  __device__ void operator()(std::uint32_t i) const {
    const std::size_t block = first_block + i;
    const uint4 words = device_words(dropout.stream, block);
    masks[4 * block] = dropout.of_word(words.x);
    masks[4 * block + 1] = dropout.of_word(words.y);
    masks[4 * block + 2] = dropout.of_word(words.z);
    masks[4 * block + 3] = dropout.of_word(words.w);
  }
};

}  // namespace

void dropout_masks(const StackConfig& config, const Group& group, std::span<const RandomKey> keys, View<float, 2> masks,
                   Queue& queue) {
  const MaskLayout layout(config, group.batch);
  for (std::size_t r = 0; r < group.runs; ++r) {
    const auto draw = [&](std::size_t offset, std::size_t units, double rate) {
      for_each_index(group.batch * units, DrawBlock{Dropout(keys[r], rate), offset / 4, masks[r].data},
                     stream_of(queue));
    };
    for (std::size_t layer = 0; layer < config.layers(); ++layer) {
      draw(layout.layers[layer].input_offset, config.layer_inputs(layer), config.dropout);
      draw(layout.layers[layer].recurrent_offset, config.units[layer], config.recurrent_dropout);
    }
  }
}

}  // namespace genretree::cuda
