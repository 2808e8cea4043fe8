// Batches, made where the data are: a thread copies one number, and neighbours copy neighbours.
#include "kernels/cuda/gather.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/thrust.hpp"

namespace genretree::cuda {
namespace {

/// Number e of x [T, B, F]; with the first frame's first numbers, y [B].
struct Gather {
  const float* features;       ///< [N, T, F]
  const std::int32_t* labels;  ///< [N]
  const std::int32_t* clips;   ///< [B]
  float* x;
  std::int32_t* y;
  std::uint32_t rows, batch, frames, inputs;

  __device__ void operator()(std::uint32_t e) const {
    const std::uint32_t i = e % inputs, b = e / inputs % batch, t = e / inputs / batch;
    if (b >= rows) {
      x[e] = 0;
      return;
    }
    const std::size_t clip = static_cast<std::size_t>(clips[b]);
    x[e] = features[(clip * frames + t) * inputs + i];
    if (t == 0 && i == 0) y[b] = labels[clip];
  }
};

}  // namespace

void gather(const Group& group, View<const float, 3> features, View<const std::int32_t, 1> labels,
            View<const std::int32_t, 2> clips, View<float, 4> x, View<std::int32_t, 2> y, Queue& queue) {
  const auto extent = [&](std::size_t dimension) { return static_cast<std::uint32_t>(x.shape[dimension]); };
  for (std::size_t r = 0; r < group.runs; ++r)
    for_each_index(x[r].size(),
                   Gather{features.data, labels.data, clips[r].data, x[r].data, y[r].data, group.rows[r], extent(2),
                          extent(1), extent(3)},
                   stream_of(queue));
}

}  // namespace genretree::cuda
