// The CNN between its convolutions, for cuDNN's padding is symmetric and Keras's is not.
//
// Forward, one launch turns what a convolution made into what the next one reads: bias, ReLU, max pooling, dropout, and
// the border of zeros. It remembers where each largest number was, if it has a gradient. Backward, each number before
// the pooling asks whether it was the one that its window remembers: so every number is written once and no two threads
// meet. A thread asks for a whole column of a window, for the divisions that find its place cost more than the asking.
// The gradient of the bias is summed over the windows, a block for each filter, in an order that depends on the shape
// alone.
//
// ReLU stands after the pooling, on a fraction of the numbers: the largest of max(x + b, 0) is
// max(largest of x + b, 0).
#include "kernels/cuda/cnn_kernels.hpp"
#include "kernels/cuda/thrust.hpp"
#include "kernels/cuda/warp.hpp"

namespace genretree::cuda {
namespace {

constexpr std::uint32_t kernel_size = CnnConfig::kernel;

__device__ inline std::uint32_t index_of(const ImageLayout& layout, const Pixel& pixel) {
  const std::uint32_t y = pixel.row + layout.before, x = pixel.column + layout.before;
  const std::uint32_t height = layout.before + layout.rows + layout.after,
                      width = layout.before + layout.columns + layout.after;
  if (layout.channels_last) return ((pixel.clip * height + y) * width + x) * layout.channels + pixel.channel;
  return ((pixel.clip * layout.channels + pixel.channel) * height + y) * width + x;
}

/// The inverse of index_of; in a border, row or column lies outside the image (before it: a huge number).
__device__ inline Pixel pixel_at(const ImageLayout& layout, std::uint32_t index) {
  const std::uint32_t height = layout.before + layout.rows + layout.after,
                      width = layout.before + layout.columns + layout.after, channels = layout.channels;
  if (layout.channels_last)
    return {index / channels / width / height, index / channels / width % height - layout.before,
            index / channels % width - layout.before, index % channels};
  return {index / width / height / channels, index / width % height - layout.before, index % width - layout.before,
          index / width / height % channels};
}

__device__ inline bool has(const ImageLayout& layout, const Pixel& pixel) {
  return pixel.row < layout.rows && pixel.column < layout.columns;
}

struct MakeImage {
  const float* x;
  std::uint32_t batch, count;
  const float *mean, *scale;
  ImageLayout layout;
  float* images;

  __device__ void operator()(std::uint32_t e) const {
    const Pixel pixel = pixel_at(layout, e);
    float value = 0;
    if (has(layout, pixel) && pixel.clip < count) {
      const std::size_t frame = pixel.row + pixel.channel;
      value = x[(frame * batch + pixel.clip) * layout.columns + pixel.column];
      if (mean) value = (value - mean[pixel.column]) * scale[pixel.column];
    }
    images[e] = value;
  }
};

/// Number e of cuDNN's kernel, and its place in Keras's.
struct ArrangeKernel {
  std::uint32_t in, filters;
  __device__ std::uint32_t place(std::uint32_t e) const {
    constexpr std::uint32_t taps = kernel_size * kernel_size;
    const std::uint32_t tap = e % taps, k = e / taps % in, o = e / taps / in;
    return (tap * in + k) * filters + o;
  }
};
struct ToArranged : ArrangeKernel {
  const float* kernel;
  float* arranged;
  __device__ void operator()(std::uint32_t e) const { arranged[e] = kernel[place(e)]; }
};
struct FromArranged : ArrangeKernel {
  const float* arranged;
  float* kernel;
  __device__ void operator()(std::uint32_t e) const { kernel[place(e)] = arranged[e]; }
};

__device__ inline float masked(const LayerDropout& layer, std::uint32_t clip, std::uint32_t e, float value) {
  return value > 0 ? value * layer.dropout.at(layer.first + clip * layer.stride + e) : 0;
}

/// Number e of the output, with its border.
struct PoolForward {
  Pooling pooling;
  const float* convolved;
  const float* bias;
  LayerDropout dropout;
  ImageLayout layout;
  float* output;
  std::uint32_t* maxima;

  __device__ void operator()(std::uint32_t e) const {
    const Pixel pixel = pixel_at(layout, e);
    if (!has(layout, pixel)) {
      output[e] = 0;
      return;
    }
    Pixel best{};
    const float largest = largest_of_window(pixel, best);
    const std::uint32_t number = (pixel.row * layout.columns + pixel.column) * layout.channels + pixel.channel;
    const float value = masked(dropout, pixel.clip, number, largest + bias[pixel.channel]);
    output[e] = value;
    if (maxima)
      maxima[index_of(pooling.out, pixel)] = value > 0 ? best.row * pooling.in.columns + best.column : no_maximum;
  }

  __device__ float largest_of_window(const Pixel& window, Pixel& best) const {
    bool found = false;
    float largest = 0;
    for (std::uint32_t i = 0; i < pooling.size; ++i)
      for (std::uint32_t j = 0; j < pooling.size; ++j) {
        const Pixel pixel{window.clip, window.row * pooling.size + i - pooling.above,
                          window.column * pooling.size + j - pooling.left, window.channel};
        if (!has(pooling.in, pixel)) continue;
        const float value = convolved[index_of(pooling.in, pixel)];
        if (!found || value > largest) largest = value, best = pixel;
        found = true;
      }
    return largest;
  }
};

/// A column of a window, number e of images that have the rows after the pooling and the columns before it.
struct PoolBackward {
  Pooling pooling;
  ImageLayout window_columns;
  const std::uint32_t* maxima;
  ImageLayout layout;
  const float* doutput;
  float scale;
  float* dconvolved;

  __device__ void operator()(std::uint32_t e) const {
    Pixel pixel = pixel_at(window_columns, e);
    const Pixel window{pixel.clip, pixel.row, (pixel.column + pooling.left) / pooling.size, pixel.channel};
    const std::uint32_t largest = maxima[index_of(pooling.out, window)];
    const float gradient = largest == no_maximum ? 0 : doutput[index_of(layout, window)] * scale;
    for (std::uint32_t i = 0; i < pooling.size; ++i) {
      pixel.row = window.row * pooling.size + i - pooling.above;
      if (!has(pooling.in, pixel)) continue;
      const bool is_largest = pixel.row * pooling.in.columns + pixel.column == largest;
      dconvolved[index_of(pooling.in, pixel)] = is_largest ? gradient : 0;
    }
  }
};

constexpr int sum_threads = 256;
struct SumShared {
  float warps[sum_threads / 32];
};

/// dbias[filter] += Σ of the filter's gradients after the pooling; a block for each filter.
__global__ void __launch_bounds__(sum_threads)
    bias_gradient_kernel(ImageLayout pooled, const std::uint32_t* maxima, ImageLayout layout, const float* doutput,
                         float scale, float* dbias) {
  auto& shared = dynamic_shared<SumShared>();
  const std::uint32_t filter = blockIdx.x, windows = pooled.rows * pooled.columns;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  float sum = 0;
  for (std::uint32_t i = threadIdx.x; i < pooled.clips * windows; i += sum_threads) {
    const Pixel pixel{i / windows, i % windows / pooled.columns, i % pooled.columns, filter};
    if (maxima[index_of(pooled, pixel)] != no_maximum) sum += doutput[index_of(layout, pixel)] * scale;
  }
  sum = warp_sum(sum);
  if (lane == 0) shared.warps[warp] = sum;
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (int w = 1; w < sum_threads / 32; ++w) sum += shared.warps[w];
  dbias[filter] += sum;
}

struct ActivateHidden {
  std::uint32_t units;
  const float* bias;
  LayerDropout dropout;
  float* hidden;
  __device__ void operator()(std::uint32_t e) const {
    const std::uint32_t clip = e / units, u = e % units;
    hidden[e] = masked(dropout, clip, u, hidden[e] + bias[u]);
  }
};

/// Unit u of all clips, in their order.
struct ActivateHiddenBackward {
  std::uint32_t clips, units;
  const float* hidden;
  float scale;
  float *dhidden, *dbias;
  __device__ void operator()(std::uint32_t u) const {
    float sum = 0;
    for (std::uint32_t clip = 0; clip < clips; ++clip) {
      const std::uint32_t e = clip * units + u;
      sum += dhidden[e] = hidden[e] > 0 ? dhidden[e] * scale : 0;
    }
    dbias[u] += sum;
  }
};

std::uint32_t narrow(std::size_t size) { return static_cast<std::uint32_t>(size); }

/// Rows or columns before the first, where TensorFlow's "SAME" makes `outputs` windows of `size` side by side over
/// `inputs`. Source: TensorFlow, GetWindowedOutputSize.
std::uint32_t padding_before(std::size_t inputs, std::size_t outputs, std::size_t size) {
  return narrow((outputs * size - inputs) / 2);
}

}  // namespace

ImageLayout ImageLayout::plain(std::size_t clips, const CnnConfig::Image& image) {
  return {narrow(clips), narrow(image.rows), narrow(image.columns), narrow(image.channels)};
}

ImageLayout ImageLayout::bordered(std::size_t clips, const CnnConfig::Image& image) {
  ImageLayout layout = plain(clips, image);
  layout.before = (kernel_size - 1) / 2, layout.after = kernel_size / 2;
  return layout;
}

ImageLayout ImageLayout::flat(std::size_t clips, const CnnConfig::Image& image) {
  ImageLayout layout = plain(clips, image);
  layout.channels_last = true;
  return layout;
}

Pooling::Pooling(std::size_t clips, const CnnConfig::Image& convolved, const CnnConfig::Image& pooled,
                 std::size_t window)
    : in(ImageLayout::plain(clips, convolved)),
      out(ImageLayout::plain(clips, pooled)),
      size(narrow(window)),
      above(padding_before(convolved.rows, pooled.rows, window)),
      left(padding_before(convolved.columns, pooled.columns, window)) {}

void make_images(const float* x, std::size_t batch, std::size_t count, const float* mean, const float* scale,
                 const ImageLayout& layout, float* images, Stream stream) {
  for_each_index(layout.size(), MakeImage{x, narrow(batch), narrow(count), mean, scale, layout, images}, stream);
}

void arrange_kernel(const float* kernel, std::size_t in, std::size_t filters, float* arranged, Stream stream) {
  for_each_index(kernel_size * kernel_size * in * filters, ToArranged{{narrow(in), narrow(filters)}, kernel, arranged},
                 stream);
}

void restore_kernel(const float* arranged, std::size_t in, std::size_t filters, float* kernel, Stream stream) {
  for_each_index(kernel_size * kernel_size * in * filters,
                 FromArranged{{narrow(in), narrow(filters)}, arranged, kernel}, stream);
}

void pool_forward(const Pooling& pooling, const float* convolved, const float* bias, const LayerDropout& dropout,
                  const ImageLayout& layout, float* output, std::uint32_t* maxima, Stream stream) {
  for_each_index(layout.size(), PoolForward{pooling, convolved, bias, dropout, layout, output, maxima}, stream);
}

void pool_backward(const Pooling& pooling, const std::uint32_t* maxima, const ImageLayout& layout, const float* doutput,
                   float scale, float* dconvolved, float* dbias, Stream stream) {
  ImageLayout window_columns = pooling.in;
  window_columns.rows = pooling.out.rows;
  for_each_index(window_columns.size(),
                 PoolBackward{pooling, window_columns, maxima, layout, doutput, scale, dconvolved}, stream);
  launch(bias_gradient_kernel, pooling.out.channels, sum_threads, sizeof(SumShared), stream, pooling.out, maxima,
         layout, doutput, scale, dbias);
}

void activate_hidden(std::size_t clips, std::size_t units, const float* bias, const LayerDropout& dropout,
                     float* hidden, Stream stream) {
  for_each_index(clips * units, ActivateHidden{narrow(units), bias, dropout, hidden}, stream);
}

void activate_hidden_backward(std::size_t clips, std::size_t units, const float* hidden, float scale, float* dhidden,
                              float* dbias, Stream stream) {
  for_each_index(units, ActivateHiddenBackward{narrow(clips), narrow(units), hidden, scale, dhidden, dbias}, stream);
}

}  // namespace genretree::cuda
