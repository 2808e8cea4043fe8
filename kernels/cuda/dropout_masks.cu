// Dropout masks, drawn where they are used. A thread makes the four numbers of one block of the generator: every mask
// begins and ends with a block, for it is [4, B, units].
#include "kernels/cuda/dropout_masks.hpp"
#include "kernels/cuda/group_rows.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/random.hpp"
#include "kernels/cuda/run_elements.hpp"

namespace genretree::cuda {
namespace {

/// The random numbers of each run: 2 KB of the 4 KB that a launch may be given.
struct RunStreams {
  PhiloxStream of[most_grouped_runs];
};

/// Numbers 4·(first_block + i) … of run r's masks.
struct DrawBlock {
  Dropout dropout;  ///< for its rate: every run has a stream of its own
  std::size_t first_block, size;
  float* masks;  ///< [R, size]
  RunStreams streams;
  RunRows runs;

  __device__ void operator()(std::uint32_t r, std::uint32_t i) const {
    if (runs.rows[r] == 0) return;
    const std::size_t block = first_block + i;
    const uint4 words = device_words(streams.of[r], block);
    float* numbers = masks + r * size + 4 * block;
    numbers[0] = dropout.of_word(words.x);
    numbers[1] = dropout.of_word(words.y);
    numbers[2] = dropout.of_word(words.z);
    numbers[3] = dropout.of_word(words.w);
  }
};

}  // namespace

void dropout_masks(const StackConfig& config, const Group& group, std::span<const RandomKey> keys, View<float, 2> masks,
                   Queue& queue) {
  const RunRows runs = run_rows(group);
  RunStreams streams;
  for (std::size_t r = 0; r < group.runs; ++r) streams.of[r] = Random(keys[r]).stream();
  const MaskLayout layout(config, group.batch);
  const auto draw = [&](std::size_t offset, std::size_t units, double rate) {
    for_each_of_runs(group.runs, group.batch * units,
                     DrawBlock{Dropout(keys[0], rate), offset / 4, layout.size, masks.data, streams, runs},
                     stream_of(queue));
  };
  for (std::size_t layer = 0; layer < config.layers(); ++layer) {
    draw(layout.layers[layer].input_offset, config.layer_inputs(layer), config.dropout);
    draw(layout.layers[layer].recurrent_offset, config.units[layer], config.recurrent_dropout);
  }
}

}  // namespace genretree::cuda
