#pragma once

#include "kernels/ops.hpp"

namespace genretree::cuda {

/// Backend::update: two launches, three if gradients are clipped. At most most_grouped_runs runs. Uses the queue's
/// workspace.
void update(const Optimiser& optimiser, const Group& group, View<const float, 1> rates, View<std::int64_t, 1> steps,
            View<float, 2> parameters, View<const float, 2> gradients, View<float, 3> moments, View<float, 1> norms,
            Queue& queue);

}  // namespace genretree::cuda
