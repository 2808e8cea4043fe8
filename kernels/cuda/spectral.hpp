// Spectral features on the GPU, for the backend.
#pragma once

#include <memory>
#include <span>

#include "kernels/ops.hpp"

namespace genretree::cuda {

/// The tables on the device, the plans of cuFFT, and scratch memory that grows to the longest clip that is seen.
/// InputError if the window is not the periodic Hann window, which is applied to the spectrum, or frames are longer
/// than 65,536 samples.
std::unique_ptr<SpectralState> make_spectral_state(const SpectralTables& tables, Device& device);

/// Backend::spectral_features, in single precision; only the spectrum that centroid, chroma and contrast are taken from
/// is computed in double precision. A clip's result does not depend on the clips beside it.
void spectral_features(SpectralState& state, View<const float, 1> samples, std::span<const std::size_t> lengths,
                       View<float, 2> out, Queue& queue);

}  // namespace genretree::cuda
