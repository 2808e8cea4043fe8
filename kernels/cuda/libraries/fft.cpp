#include <algorithm>
#include <fmt/format.h>

#include "kernels/cuda/libraries/fft.hpp"
#include "kernels/cuda/libraries/queue.hpp"

namespace genretree::cuda {
namespace {

/// cuFFT's handles are numbers, and any may be one.
struct Plan {
  Device& device;
  cufftHandle handle = 0;
  explicit Plan(Device& its_device) : device(its_device) { check(cufftCreate(&handle), "cufftCreate"); }
  ~Plan() {
    const auto lock = no_recording(device);
    cufftDestroy(handle);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
};

cufftType type_of(float) { return CUFFT_R2C; }
cufftType type_of(double) { return CUFFT_D2Z; }

// cuFFT leaves the input of a real-to-complex transform out of place alone, but does not say so in its types.
cufftResult execute(cufftHandle plan, const float* samples, Complex<float>* spectra) {
  return cufftExecR2C(plan, const_cast<float*>(samples), reinterpret_cast<cufftComplex*>(spectra));
}
cufftResult execute(cufftHandle plan, const double* samples, Complex<double>* spectra) {
  return cufftExecD2Z(plan, const_cast<double*>(samples), reinterpret_cast<cufftDoubleComplex*>(spectra));
}

template <class Real>
class CufftTransforms final : public FrameTransforms<Real> {
 public:
  CufftTransforms(Device& device, std::size_t n, std::size_t step, std::size_t frames) : plan_(device) {
    const auto lock = no_recording(device);
    check(cufftSetAutoAllocation(plan_.handle, 0), "cufftSetAutoAllocation");
    int length = static_cast<int>(n), bins = length / 2 + 1;
    std::size_t work_bytes = 0;
    // an inembed other than null makes cuFFT heed strides and distances; in one dimension its values are not read
    check(cufftMakePlanMany(plan_.handle, 1, &length, &length, 1, static_cast<int>(step), &bins, 1, bins,
                            type_of(Real()), static_cast<int>(frames), &work_bytes),
          "cufftMakePlanMany", fmt::format("{} frames of {} samples, one every {}", frames, n, step));
    work_ = Buffer<std::byte>(device, std::max<std::size_t>(work_bytes, 1));
    check(cufftSetWorkArea(plan_.handle, work_.data()), "cufftSetWorkArea", fmt::format("{} bytes", work_bytes));
  }

  void run(const Real* samples, Complex<Real>* spectra, Queue& queue) override {
    check(cufftSetStream(plan_.handle, stream_of(queue)), "cufftSetStream");
    check(execute(plan_.handle, samples, spectra), sizeof(Real) == 4 ? "cufftExecR2C" : "cufftExecD2Z");
  }

 private:
  Buffer<std::byte> work_;
  Plan plan_;
};

}  // namespace

template <class Real>
std::unique_ptr<FrameTransforms<Real>> make_frame_transforms(Device& device, std::size_t n, std::size_t step,
                                                             std::size_t frames) {
  return std::make_unique<CufftTransforms<Real>>(device, n, step, frames);
}

template std::unique_ptr<FrameTransforms<float>> make_frame_transforms(Device&, std::size_t, std::size_t, std::size_t);
template std::unique_ptr<FrameTransforms<double>> make_frame_transforms(Device&, std::size_t, std::size_t, std::size_t);

}  // namespace genretree::cuda
