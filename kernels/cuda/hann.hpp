// The Hann window, after the Fourier transform.
#pragma once

#include "kernels/cuda/libraries/fft.hpp"
#include "kernels/cuda/platform.hpp"

namespace genretree::cuda {

/// |X|² of one bin of a frame of N samples under the periodic Hann window, from the frame's spectrum without a window,
/// bins 0 … N / 2 (`last`). As 0.5 - 0.5 cos(2πn/N) is 0.5 - 0.25 (e^(2πin/N) + e^(-2πin/N)), windowing is a filter of
/// three taps: 0.5 X[k] - 0.25 (X[k-1] + X[k+1]). Beyond its ends a real signal's spectrum is mirrored and conjugate.
template <class Real>
__device__ inline Real hann_power(const Complex<Real>* spectrum, int bin, int last) {
  const Complex<Real> here = spectrum[bin];
  Complex<Real> before = spectrum[bin > 0 ? bin - 1 : 1], after = spectrum[bin < last ? bin + 1 : last - 1];
  if (bin == 0) before.im = -before.im;
  if (bin == last) after.im = -after.im;
  const Real re = here.re / 2 - (before.re + after.re) / 4, im = here.im / 2 - (before.im + after.im) / 4;
  return re * re + im * im;
}

}  // namespace genretree::cuda
