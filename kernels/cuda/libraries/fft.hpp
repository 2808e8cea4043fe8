// Fourier transforms of many overlapping frames at once, by cuFFT.
#pragma once

#include <cstddef>
#include <memory>

namespace genretree {
class Device;
class Queue;
}  // namespace genretree

namespace genretree::cuda {

/// A complex number as cuFFT lays it out.
template <class Real>
struct alignas(2 * sizeof(Real)) Complex {
  Real re, im;
};

/// Discrete Fourier transforms of real frames without a window: spectra[f][k] = Σ samples[f · step + i] e^(-2πi·ik/n).
/// Owns cuFFT's plan and its work area, which are made with it: `run` takes no memory and waits for nothing. For one
/// queue at a time.
template <class Real>
class FrameTransforms {
 public:
  virtual ~FrameTransforms() = default;
  /// All frames, always: cuFFT's plans have a fixed number.
  ///   samples  [(frames - 1) · step + n], left as they are; aligned as Complex<Real> is
  ///   spectra  [frames][n / 2 + 1], not scaled; may not overlap the samples
  virtual void run(const Real* samples, Complex<Real>* spectra, Queue& queue) = 0;
};

/// For `frames` frames of n samples, n even, each of which begins `step` samples after the last. The frames may
/// overlap; `step` must be even, for cuFFT may read real samples two at a time. Real is float or double.
template <class Real>
std::unique_ptr<FrameTransforms<Real>> make_frame_transforms(Device& device, std::size_t n, std::size_t step,
                                                             std::size_t frames);

}  // namespace genretree::cuda
