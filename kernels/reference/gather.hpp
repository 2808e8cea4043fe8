// A batch of windows of clips, copied out of the data set frame by frame, and what they are to be called.
#pragma once

#include <span>

#include "kernels/ops.hpp"

namespace genretree::reference {

/// Backend::gather of one run.
///   features [N, T', F];  labels [N];  batch_rows [B];  constants [2, F] or empty;  x [T, B, F];  y [B];
///   targets [B, C] or empty, of which the run has `classes`
void gather(std::size_t rows, View<const float, 3> features, View<const std::int32_t, 1> labels,
            std::span<const BatchRow> batch_rows, std::span<const float> constants, double smoothing,
            std::size_t classes, View<float, 3> x, View<std::int32_t, 1> y, View<float, 2> targets);

}  // namespace genretree::reference
