// Dropout masks, drawn where they are used. A thread makes the four numbers of one block of the generator: every part of
// the masks begins and ends with a block.
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

void dropout_masks(const NetworkConfig& config, const Group& group, std::span<const RandomKey> keys,
                   View<float, 2> masks, Queue& queue) {
  const RunRows runs = run_rows(group);
  RunStreams streams;
  for (std::size_t r = 0; r < group.runs; ++r) streams.of[r] = Random(keys[r]).stream();
  std::size_t block = 0;
  for (const auto& [size, rate] : MaskLayout(config, group.batch).parts) {
    const DrawBlock draw{Dropout(keys[0], rate), block, masks.shape[1], masks.data, streams, runs};
    for_each_of_runs(group.runs, size / 4, draw, stream_of(queue));
    block += size / 4;
  }
}

}  // namespace genretree::cuda
