#include <algorithm>

#include "kernels/cpu/gather.hpp"

namespace genretree::cpu {

void gather(const Group& group, View<const float, 3> features, View<const std::int32_t, 2> labels,
            View<const std::int32_t, 2> clips, View<float, 4> x, View<std::int32_t, 2> y) {
  const std::size_t inputs = features.shape[2];
  for (std::size_t r = 0; r < group.runs; ++r) {
    const std::size_t rows = group.rows[r];
    for (std::size_t t = 0; t < group.frames; ++t) {
      for (std::size_t b = 0; b < rows; ++b) std::copy_n(&features(clips(r, b), t, 0), inputs, &x(r, t, b, 0));
      std::fill_n(x[r][t].data + rows * inputs, (group.batch - rows) * inputs, 0.0f);
    }
    for (std::size_t b = 0; b < rows; ++b) y(r, b) = labels(r, static_cast<std::size_t>(clips(r, b)));
  }
}

}  // namespace genretree::cpu
