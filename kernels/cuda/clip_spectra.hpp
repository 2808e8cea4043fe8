// What spectral.cpp and descriptors.cpp share: the spectra of all frames of a clip, a chunk of frames at a time.
#pragma once

#include <functional>
#include <span>

#include "core/grow.hpp"
#include "kernels/cuda/spectral_kernels.hpp"
#include "kernels/ops.hpp"

namespace genretree::cuda {

/// The plan of the transforms, the clip laid out for them, and the spectra of one chunk. Real is float or double.
template <class Real>
class ClipSpectra {
 public:
  ClipSpectra(const SpectralTables& tables, Device& device);

  /// Calls take(first frame, frames, spectra [frames][n_fft / 2 + 1], without a window) for each chunk of the clip.
  /// What `take` gives the queue comes before the spectra of the next chunk take their place. `clip` is device memory.
  using Take = std::function<void(std::size_t first, std::size_t frames, const Complex<Real>* spectra)>;
  void run(std::span<const float> clip, Queue& queue, const Take& take);

 private:
  Device& device_;
  Framing framing_;
  std::size_t chunk_;  ///< frames
  std::unique_ptr<FrameTransforms<Real>> transforms_;
  Buffer<Complex<Real>> spectra_;  ///< [chunk][n_fft / 2 + 1]
  Buffer<Real> laid_out_;          ///< of the longest clip so far
};

}  // namespace genretree::cuda
