// A batch of clips, copied out of the data set frame by frame.
#pragma once

#include "kernels/ops.hpp"

namespace genretree::cpu {

/// Backend::gather.
void gather(const Group& group, View<const float, 3> features, View<const std::int32_t, 2> labels,
            View<const std::int32_t, 2> clips, View<float, 4> x, View<std::int32_t, 2> y);

}  // namespace genretree::cpu
