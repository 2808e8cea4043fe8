// Convolutions by cuDNN.
#pragma once

#include <cstddef>
#include <memory>

#include "core/device.hpp"

namespace genretree::cuda {

/// Of a batch of images [clips, channels, height, width] with kernels [filters, channels, size, size], without padding,
/// windows one pixel apart: the output is [clips, filters, height - size + 1, width - size + 1].
struct ConvolutionShape {
  std::size_t clips, channels, height, width, filters, size;
  std::size_t out_height() const { return height - size + 1; }
  std::size_t out_width() const { return width - size + 1; }
};

/// One shape of convolution in strict fp32, by algorithms that give the same bits each time. Kernels are not turned
/// ("cross-correlation"). Uses the queue's workspace. All arrays lie on the device; none overlap.
class Convolution {
 public:
  virtual ~Convolution() = default;
  virtual void forward(const float* input, const float* kernel, float* output, Queue& queue) const = 0;
  /// Adds to dkernel.
  virtual void add_kernel_gradient(const float* input, const float* doutput, float* dkernel, Queue& queue) const = 0;
  /// Writes dinput.
  virtual void input_gradient(const float* kernel, const float* doutput, float* dinput, Queue& queue) const = 0;
};

/// Takes no memory of the device.
std::unique_ptr<Convolution> make_convolution(const ConvolutionShape& shape);

}  // namespace genretree::cuda
