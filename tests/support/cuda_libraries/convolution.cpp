// The twin of kernels/cuda/libraries/convolution.cpp: sums in double, in plain loops.
#include <algorithm>

#include "kernels/cuda/libraries/convolution.hpp"
#include "kernels/cuda/libraries/device.hpp"

namespace genretree::cuda {
namespace {

/// Calls visit(place in the input, in the kernel, in the output) for every product of a convolution.
template <class Visit>
void for_each_product(const ConvolutionShape& s, Visit visit) {
  for (std::size_t clip = 0; clip < s.clips; ++clip)
    for (std::size_t o = 0; o < s.filters; ++o)
      for (std::size_t y = 0; y < s.out_height(); ++y)
        for (std::size_t x = 0; x < s.out_width(); ++x)
          for (std::size_t k = 0; k < s.channels; ++k)
            for (std::size_t i = 0; i < s.size; ++i)
              for (std::size_t j = 0; j < s.size; ++j)
                visit(((clip * s.channels + k) * s.height + y + i) * s.width + x + j,
                      ((o * s.channels + k) * s.size + i) * s.size + j,
                      ((clip * s.filters + o) * s.out_height() + y) * s.out_width() + x);
}

class HostConvolution final : public Convolution {
 public:
  explicit HostConvolution(const ConvolutionShape& shape) : shape_(shape) {}

  void forward(const float* input, const float* kernel, float* output, Queue& queue) const override {
    stream_of(queue)->submit([=, s = shape_] {
      std::vector<double> sums(s.clips * s.filters * s.out_height() * s.out_width());
      for_each_product(s, [&](std::size_t in, std::size_t tap, std::size_t out) {
        sums[out] += static_cast<double>(input[in]) * kernel[tap];
      });
      std::copy(sums.begin(), sums.end(), output);
    });
  }

  void add_kernel_gradient(const float* input, const float* doutput, float* dkernel, Queue& queue) const override {
    stream_of(queue)->submit([=, s = shape_] {
      std::vector<double> sums(dkernel, dkernel + s.filters * s.channels * s.size * s.size);
      for_each_product(s, [&](std::size_t in, std::size_t tap, std::size_t out) {
        sums[tap] += static_cast<double>(input[in]) * doutput[out];
      });
      std::copy(sums.begin(), sums.end(), dkernel);
    });
  }

  void input_gradient(const float* kernel, const float* doutput, float* dinput, Queue& queue) const override {
    stream_of(queue)->submit([=, s = shape_] {
      std::vector<double> sums(s.clips * s.channels * s.height * s.width);
      for_each_product(s, [&](std::size_t in, std::size_t tap, std::size_t out) {
        sums[in] += static_cast<double>(kernel[tap]) * doutput[out];
      });
      std::copy(sums.begin(), sums.end(), dinput);
    });
  }

 private:
  ConvolutionShape shape_;
};

}  // namespace

std::unique_ptr<Convolution> make_convolution(const ConvolutionShape& shape) {
  return std::make_unique<HostConvolution>(shape);
}

}  // namespace genretree::cuda
