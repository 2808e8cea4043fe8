#pragma once

#include "kernels/ops.hpp"

namespace genretree::cuda {

/// Backend::gather: one launch. At most most_grouped_runs runs.
void gather(const Group& group, View<const float, 3> features, View<const std::int32_t, 2> labels,
            View<const BatchRow, 2> rows, View<const float, 2> constants, double smoothing, View<float, 4> x,
            View<std::int32_t, 2> y, View<float, 3> targets, Queue& queue);

}  // namespace genretree::cuda
