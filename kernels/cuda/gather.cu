// Batches, made where the data are: a thread copies one number, and neighbours copy neighbours.
#include "kernels/cuda/gather.hpp"
#include "kernels/cuda/group_rows.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/run_elements.hpp"

namespace genretree::cuda {
namespace {

/// Number e of run r's x [T, B, F]; with the first frame's first numbers, its y [B].
struct Gather {
  const float* features;       ///< [N, T, F]
  const std::int32_t* labels;  ///< [R, N]
  const std::int32_t* clips;   ///< [R, B]
  float* x;                    ///< [R, T, B, F]
  std::int32_t* y;             ///< [R, B]
  std::size_t all_clips;       ///< N
  std::uint32_t frames, batch, inputs;
  RunRows runs;

  __device__ void operator()(std::uint32_t r, std::uint32_t e) const {
    const std::uint32_t i = e % inputs, b = e / inputs % batch, t = e / inputs / batch;
    const std::size_t row = static_cast<std::size_t>(r) * batch + b, frame = static_cast<std::size_t>(r) * frames + t;
    float& target = x[(frame * batch + b) * inputs + i];
    if (b >= runs.rows[r]) {
      target = 0;
      return;
    }
    const std::size_t clip = static_cast<std::size_t>(clips[row]);
    target = features[(clip * frames + t) * inputs + i];
    if (t == 0 && i == 0) y[row] = labels[r * all_clips + clip];
  }
};

}  // namespace

void gather(const Group& group, View<const float, 3> features, View<const std::int32_t, 2> labels,
            View<const std::int32_t, 2> clips, View<float, 4> x, View<std::int32_t, 2> y, Queue& queue) {
  const auto extent = [&](std::size_t dimension) { return static_cast<std::uint32_t>(x.shape[dimension]); };
  for_each_of_runs(group.runs, x[0].size(),
                   Gather{features.data, labels.data, clips.data, x.data, y.data, labels.shape[1], extent(1), extent(2),
                          extent(3), run_rows(group)},
                   stream_of(queue));
}

}  // namespace genretree::cuda
