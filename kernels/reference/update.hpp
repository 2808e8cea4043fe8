// One step of an optimiser, in double precision.
#pragma once

#include <span>

#include "kernels/ops.hpp"

namespace genretree::reference {

/// In place: parameters, m and v, all of one length. `step` counts from 1; `rate_factor` times the optimiser's
/// learning rate is this step's.
/// Sources: Keras 2, keras.optimizers.Adam, RMSprop and SGD (their get_updates).
void update(const Optimiser& optimiser, double rate_factor, std::int64_t step, std::span<double> parameters,
            std::span<const double> gradients, std::span<double> m, std::span<double> v);

}  // namespace genretree::reference
