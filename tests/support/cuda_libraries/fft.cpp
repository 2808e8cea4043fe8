// The twin of kernels/cuda/libraries/fft.cpp: transforms by halves (Cooley and Tukey 1965), in the precision that cuFFT
// has, so that what floats cost is seen in the results.
#include <complex>
#include <numbers>
#include <vector>

#include "core/error.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/libraries/fft.hpp"

namespace genretree::cuda {
namespace {

template <class Real>
using Numbers = std::vector<std::complex<Real>>;

/// [n] e^(-2πi·k/n)
template <class Real>
Numbers<Real> roots_of_unity(std::size_t n) {
  Numbers<Real> roots;
  for (std::size_t k = 0; k < n; ++k)
    roots.emplace_back(std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n)));
  return roots;
}

/// The transform [n] of x[0], x[stride], …: that of the even and that of the odd samples, then one butterfly for each
/// pair of results.
template <class Real>
void transform(const Real* x, std::size_t n, std::size_t stride, const Numbers<Real>& roots,
               std::complex<Real>* result) {
  if (n == 1) {
    *result = *x;
    return;
  }
  transform(x, n / 2, 2 * stride, roots, result);
  transform(x + stride, n / 2, 2 * stride, roots, result + n / 2);
  for (std::size_t k = 0; k < n / 2; ++k) {
    const std::complex<Real> even = result[k], turned = roots[k * stride] * result[k + n / 2];
    result[k] = even + turned;
    result[k + n / 2] = even - turned;
  }
}

template <class Real>
class EmulatedTransforms final : public FrameTransforms<Real> {
 public:
  EmulatedTransforms(std::size_t n, std::size_t step, std::size_t frames)
      : n_(n), step_(step), frames_(frames), roots_(roots_of_unity<Real>(n)) {
    if (step % 2 != 0) fail("frames every {} samples, which cuFFT may not be able to read", step);
  }

  void run(const Real* samples, Complex<Real>* spectra, Queue& queue) override {
    if (reinterpret_cast<std::uintptr_t>(samples) % sizeof(Complex<Real>) != 0)
      fail("samples that are not aligned as complex numbers are");
    stream_of(queue)->submit([n = n_, step = step_, frames = frames_, roots = roots_, samples, spectra] {
      Numbers<Real> spectrum(n);
      for (std::size_t frame = 0; frame < frames; ++frame) {
        transform(samples + frame * step, n, 1, roots, spectrum.data());
        for (std::size_t k = 0; k <= n / 2; ++k)
          spectra[frame * (n / 2 + 1) + k] = {spectrum[k].real(), spectrum[k].imag()};
      }
    });
  }

 private:
  std::size_t n_, step_, frames_;
  Numbers<Real> roots_;
};

}  // namespace

template <class Real>
std::unique_ptr<FrameTransforms<Real>> make_frame_transforms(Device&, std::size_t n, std::size_t step,
                                                             std::size_t frames) {
  return std::make_unique<EmulatedTransforms<Real>>(n, step, frames);
}

template std::unique_ptr<FrameTransforms<float>> make_frame_transforms(Device&, std::size_t, std::size_t, std::size_t);
template std::unique_ptr<FrameTransforms<double>> make_frame_transforms(Device&, std::size_t, std::size_t, std::size_t);

}  // namespace genretree::cuda
