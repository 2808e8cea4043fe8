// Launchers of the CNN's own kernels: all but convolutions and products of matrices. Memory is the device's; nothing
// overlaps unless it is said.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/platform.hpp"
#include "kernels/cuda/random.hpp"
#include "kernels/ops.hpp"

namespace genretree::cuda {

/// One number of a batch of images.
struct Pixel {
  std::uint32_t clip, row, column, channel;
};

/// How a batch of images [clips, rows, columns, channels] lies in memory.
struct ImageLayout {
  std::uint32_t clips, rows, columns, channels;
  std::uint32_t before = 0, after = 0;  ///< rows and columns of zeros around each channel
  bool channels_last = false;

  /// Between a convolution and its pooling: [clips, channels, rows, columns].
  static ImageLayout plain(std::size_t clips, const CnnConfig::Image& image);
  /// What a convolution reads, [clips, channels, rows + 3, columns + 3]: TensorFlow's padding "SAME" of a 4 × 4 kernel,
  /// one zero before and two after, which a convolution without padding then needs none of.
  static ImageLayout bordered(std::size_t clips, const CnnConfig::Image& image);
  /// What the hidden layer reads: [clips, rows, columns, channels], as the contract has images.
  static ImageLayout flat(std::size_t clips, const CnnConfig::Image& image);

  std::size_t height() const { return before + rows + after; }
  std::size_t width() const { return before + columns + after; }
  std::size_t size() const { return clips * height() * width() * channels; }
};

/// Max pooling of windows side by side; the first window begins `above` and `left` of the image.
struct Pooling {
  ImageLayout in, out;  ///< out: plain
  std::uint32_t size, above, left;

  Pooling(std::size_t clips, const CnnConfig::Image& convolved, const CnnConfig::Image& pooled, std::size_t size);
};

/// Dropout of one layer: number e of clip c is number first + c · stride + e of the stream.
struct LayerDropout {
  Dropout dropout;
  std::uint64_t first = 0, stride = 0;
};

/// images [layout] of a run's features: channel c of frame t is frame t + c.
///   x            [T, batch, F], from the first clip on
///   count        clips of x that there are; the images after them are 0
///   mean, scale  [F], or null: the image is x itself
void make_images(const float* x, std::size_t batch, std::size_t count, const float* mean, const float* scale,
                 const ImageLayout& layout, float* images, Stream stream);

/// Keras's kernel [4, 4, in, filters] as cuDNN's, [filters, in, 4, 4], and a gradient back.
void arrange_kernel(const float* kernel, std::size_t in, std::size_t filters, float* arranged, Stream stream);
void restore_kernel(const float* arranged, std::size_t in, std::size_t filters, float* kernel, Stream stream);

/// What `maxima` has for a pooled number that passes no gradient on.
constexpr std::uint32_t no_maximum = 0xffffffff;

/// output = max(pooled + bias, 0) · mask, and zeros in its border.
///   convolved  [pooling.in];  bias [channels]
///   output     [layout] bordered or flat, of pooling.out's images
///   maxima     [pooling.out] of each output above 0, row · columns + column of the largest, of equals the first; else
///              no_maximum. Or null
void pool_forward(const Pooling& pooling, const float* convolved, const float* bias, const LayerDropout& dropout,
                  const ImageLayout& layout, float* output, std::uint32_t* maxima, Stream stream);

/// The gradients of what pool_forward was given.
///   doutput     [layout]; what lies in its border is ignored
///   scale       of the dropout
///   dconvolved  [pooling.in]
///   dbias       [channels], added to
void pool_backward(const Pooling& pooling, const std::uint32_t* maxima, const ImageLayout& layout, const float* doutput,
                   float scale, float* dconvolved, float* dbias, Stream stream);

/// hidden [clips, units] = max(hidden + bias, 0) · mask, in place.
void activate_hidden(std::size_t clips, std::size_t units, const float* bias, const LayerDropout& dropout,
                     float* hidden, Stream stream);

/// dhidden [clips, units], in place: from the gradient of what activate_hidden made to that of what it was given;
/// adds to dbias [units].
void activate_hidden_backward(std::size_t clips, std::size_t units, const float* hidden, float scale, float* dhidden,
                              float* dbias, Stream stream);

}  // namespace genretree::cuda
