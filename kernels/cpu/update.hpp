// One step of an optimiser in vector code.
#pragma once

#include <cstdint>

#include "kernels/ops.hpp"

namespace genretree::cpu {

/// Backend::update for one instruction set.
void update(std::int64_t target, const Optimiser& optimiser, const Group& group, View<const float, 1> rates,
            View<std::int64_t, 1> steps, View<float, 2> parameters, View<const float, 2> gradients,
            View<float, 3> moments);

}  // namespace genretree::cpu
