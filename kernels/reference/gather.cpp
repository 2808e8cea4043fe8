#include "kernels/reference/gather.hpp"

namespace genretree::reference {

void gather(std::size_t rows, View<const float, 3> features, View<const std::int32_t, 1> labels,
            View<const std::int32_t, 1> clips, View<float, 3> x, View<std::int32_t, 1> y) {
  const auto [frames, batch, inputs] = x.shape;
  for (std::size_t t = 0; t < frames; ++t)
    for (std::size_t b = 0; b < batch; ++b)
      for (std::size_t i = 0; i < inputs; ++i) x(t, b, i) = b < rows ? features(clips[b], t, i) : 0;
  for (std::size_t b = 0; b < rows; ++b) y[b] = labels[static_cast<std::size_t>(clips[b])];
}

}  // namespace genretree::reference
