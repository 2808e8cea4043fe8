// Spectral features in vector code: as many frames side by side as a vector has lanes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/ops.hpp"

namespace genretree::cpu {

/// The tables and scratch memory, for one instruction set of kernels/cpu/target.hpp. The scratch
/// memory grows to the longest clip that is seen.
std::unique_ptr<SpectralState> make_spectral_state(const SpectralTables& tables, std::int64_t target);

/// Backend::spectral_features, in single precision; only the spectrum that centroid, chroma and contrast are taken from
/// is computed in double precision first. A clip's result does not depend on the clips beside it.
void spectral_features(SpectralState& state, View<const float, 1> samples, std::span<const std::size_t> lengths,
                       View<float, 2> out);

}  // namespace genretree::cpu
