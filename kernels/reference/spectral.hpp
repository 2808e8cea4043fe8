// Spectral features by definition, in double precision.
#pragma once

#include <span>

#include "kernels/ops.hpp"

namespace genretree::reference {

/// Backend::spectral_features for one clip.
///   samples  [n], n ≥ 1 (reflect padding: n > n_fft / 2)
///   out      [frames(n), W]
void spectral_features(const SpectralTables& tables, std::span<const float> samples, std::span<double> out);

}  // namespace genretree::reference
