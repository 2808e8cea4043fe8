// A batch of clips, copied out of the data set frame by frame.
#pragma once

#include <span>

#include "kernels/ops.hpp"

namespace genretree::reference {

/// x[t, b, :] = features[clips[b], t, :] and y[b] = labels[clips[b]] for b < rows; the other rows of x become 0.
///   features [N, T, F];  labels [N];  clips [B];  x [T, B, F];  y [B]
void gather(std::size_t rows, View<const float, 3> features, View<const std::int32_t, 1> labels,
            View<const std::int32_t, 1> clips, View<float, 3> x, View<std::int32_t, 1> y);

}  // namespace genretree::reference
