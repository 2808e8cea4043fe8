// A batch of windows of clips, copied out of the data set frame by frame, and what they are to be called.
#pragma once

#include "kernels/ops.hpp"

namespace genretree::cpu {

/// Backend::gather.
void gather(const Group& group, View<const float, 3> features, View<const std::int32_t, 2> labels,
            View<const BatchRow, 2> rows, View<const float, 2> constants, double smoothing, View<float, 4> x,
            View<std::int32_t, 2> y, View<float, 3> targets);

}  // namespace genretree::cpu
