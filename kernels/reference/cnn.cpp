#include "kernels/reference/classify_loss.hpp"
#include "kernels/reference/cnn.hpp"

namespace genretree::reference {
namespace {

using Image = CnnConfig::Image;

/// An image [rows, columns, channels] or its gradient.
struct Array {
  Image shape;
  std::vector<double> values;

  explicit Array(const Image& image) : shape(image), values(image.size()) {}
  std::size_t index(std::size_t row, std::size_t column, std::size_t channel) const {
    return (row * shape.columns + column) * shape.channels + channel;
  }
  double& operator()(std::size_t row, std::size_t column, std::size_t channel) {
    return values[index(row, column, channel)];
  }
  double operator()(std::size_t row, std::size_t column, std::size_t channel) const {
    return values[index(row, column, channel)];
  }
};

/// What a clip leaves on its way through the network.
struct Trace {
  std::vector<Array> images;                     ///< [stages + 1] what enters each stage, and the hidden layer
  std::vector<std::vector<std::size_t>> maxima;  ///< [stages] of each pooled number, its index before the pooling
  std::vector<double> hidden;                    ///< [units]
};

/// Rows or columns of zeros before the first, where TensorFlow's "SAME" makes `outputs` windows of `size`, `stride`
/// apart, over `inputs`. Source: TensorFlow, GetWindowedOutputSize.
std::size_t padding_before(std::size_t inputs, std::size_t outputs, std::size_t size, std::size_t stride) {
  const std::size_t covered = (outputs - 1) * stride + size;
  return covered > inputs ? (covered - inputs) / 2 : 0;
}

/// Calls visit(pixel of the output, pixel of the input, row of the kernel) for every product of a convolution's pixels.
template <class Visit>
void for_each_tap(const Image& image, Visit visit) {
  constexpr std::size_t size = CnnConfig::kernel;
  const std::size_t above = padding_before(image.rows, image.rows, size, 1),
                    left = padding_before(image.columns, image.columns, size, 1);
  for (std::size_t row = 0; row < image.rows; ++row)
    for (std::size_t column = 0; column < image.columns; ++column)
      for (std::size_t i = 0; i < size; ++i)
        for (std::size_t j = 0; j < size; ++j) {
          const std::size_t r = row + i - above, c = column + j - left;  // beyond either edge: a huge number
          if (r < image.rows && c < image.columns)
            visit(row * image.columns + column, r * image.columns + c, (i * size + j) * image.channels);
        }
}

/// out[p, o] = bias[o] + Σ in[p', k] · kernel[i, j, k, o]
Array convolve(const Array& in, const double* kernel, const double* bias, std::size_t filters) {
  Array out({in.shape.rows, in.shape.columns, filters});
  for (std::size_t e = 0; e < out.values.size(); ++e) out.values[e] = bias[e % filters];
  for_each_tap(in.shape, [&](std::size_t to, std::size_t from, std::size_t tap) {
    for (std::size_t k = 0; k < in.shape.channels; ++k)
      for (std::size_t o = 0; o < filters; ++o)
        out.values[to * filters + o] += in.values[from * in.shape.channels + k] * kernel[(tap + k) * filters + o];
  });
  return out;
}

/// Adds to the gradients of kernel and bias; returns that of the input.
Array convolve_backward(const Array& in, const Array& dout, const double* kernel, double* dkernel, double* dbias) {
  const std::size_t filters = dout.shape.channels;
  Array din(in.shape);
  for (std::size_t e = 0; e < dout.values.size(); ++e) dbias[e % filters] += dout.values[e];
  for_each_tap(in.shape, [&](std::size_t to, std::size_t from, std::size_t tap) {
    for (std::size_t k = 0; k < in.shape.channels; ++k)
      for (std::size_t o = 0; o < filters; ++o) {
        dkernel[(tap + k) * filters + o] += in.values[from * in.shape.channels + k] * dout.values[to * filters + o];
        din.values[from * in.shape.channels + k] += kernel[(tap + k) * filters + o] * dout.values[to * filters + o];
      }
  });
  return din;
}

/// The largest of each k × k window, of equals the first; maxima: where it lay.
Array max_pool(const Array& in, const Image& shape, std::size_t k, std::vector<std::size_t>& maxima) {
  Array out(shape);
  maxima.resize(shape.size());
  const std::size_t above = padding_before(in.shape.rows, shape.rows, k, k),
                    left = padding_before(in.shape.columns, shape.columns, k, k);
  for (std::size_t row = 0; row < shape.rows; ++row)
    for (std::size_t column = 0; column < shape.columns; ++column)
      for (std::size_t o = 0; o < shape.channels; ++o) {
        bool found = false;
        std::size_t& best = maxima[out.index(row, column, o)];
        for (std::size_t i = 0; i < k; ++i)
          for (std::size_t j = 0; j < k; ++j) {
            const std::size_t r = row * k + i - above, c = column * k + j - left;  // beyond either edge: a huge number
            if (r >= in.shape.rows || c >= in.shape.columns) continue;
            if (!found || in(r, c, o) > in.values[best]) best = in.index(r, c, o);
            found = true;
          }
        out(row, column, o) = in.values[best];
      }
  return out;
}

/// ReLU and dropout; masks: of these values, or null. The network's ReLU stands before the pooling, but the largest of
/// max(x, 0) is max(largest of x, 0), and either way only a largest number above 0 has a gradient.
void activate(std::vector<double>& values, const double* masks) {
  for (std::size_t e = 0; e < values.size(); ++e) values[e] = values[e] > 0 ? values[e] * (masks ? masks[e] : 1) : 0;
}

/// From the gradient of what `activate` made to that of what it was given. A number that was dropped is 0 and passes
/// nothing on, as one that was not above 0.
void activate_backward(const std::vector<double>& outputs, const double* masks, std::vector<double>& gradient) {
  for (std::size_t e = 0; e < gradient.size(); ++e) gradient[e] *= outputs[e] > 0 ? (masks ? masks[e] : 1) : 0;
}

/// One clip of the features as an image.
Array image_of(const CnnConfig& config, const CnnLayout& layout, std::span<const double> parameters,
               View<const double, 3> x, std::size_t clip) {
  Array image(config.image(0));
  for (std::size_t t = 0; t < config.frames; ++t)
    for (std::size_t f = 0; f < config.bands; ++f)
      for (std::size_t c = 0; c < config.channels; ++c) {
        const double value = x(t + c, clip, f);
        image(t, f, c) = config.standardise
                             ? (value - parameters[layout.mean.offset + f]) * parameters[layout.scale.offset + f]
                             : value;
      }
  return image;
}

/// Up to the hidden layer's output. masks: of this clip, or null.
Trace forward(const CnnConfig& config, const CnnLayout& layout, std::span<const double> parameters, Array image,
              const double* masks) {
  Trace trace;
  trace.images.push_back(std::move(image));
  const auto skip = [&](std::size_t size) { return masks ? masks += size : masks; };
  for (std::size_t s = 0; s < config.stages.size(); ++s) {
    const Array convolved = convolve(trace.images.back(), &parameters[layout.stages[s].kernel.offset],
                                     &parameters[layout.stages[s].bias.offset], config.stages[s].filters);
    trace.images.push_back(
        max_pool(convolved, config.image(s + 1), config.stages[s].pool, trace.maxima.emplace_back()));
    activate(trace.images.back().values, masks);
    skip(trace.images.back().values.size());
  }
  const double* bias = &parameters[layout.hidden.bias.offset];
  trace.hidden.assign(bias, bias + config.units);
  const std::vector<double>& flat = trace.images.back().values;
  for (std::size_t i = 0; i < flat.size(); ++i)
    for (std::size_t u = 0; u < config.units; ++u)
      trace.hidden[u] += flat[i] * parameters[layout.hidden.kernel.offset + i * config.units + u];
  activate(trace.hidden, masks);
  return trace;
}

/// Adds to the gradients of everything below the softmax layer. dhidden: of the hidden layer's output.
void backward(const CnnConfig& config, const CnnLayout& layout, std::span<const double> parameters, const Trace& trace,
              const double* masks, std::vector<double> dhidden, std::vector<double>& gradients) {
  const double* mask = masks ? masks + config.dropout_size() - config.units : nullptr;
  activate_backward(trace.hidden, mask, dhidden);
  const std::vector<double>& flat = trace.images.back().values;
  Array dimage(trace.images.back().shape);
  for (std::size_t u = 0; u < config.units; ++u) gradients[layout.hidden.bias.offset + u] += dhidden[u];
  for (std::size_t i = 0; i < flat.size(); ++i)
    for (std::size_t u = 0; u < config.units; ++u) {
      gradients[layout.hidden.kernel.offset + i * config.units + u] += flat[i] * dhidden[u];
      dimage.values[i] += parameters[layout.hidden.kernel.offset + i * config.units + u] * dhidden[u];
    }
  for (std::size_t s = config.stages.size(); s-- > 0;) {
    if (masks) mask -= dimage.values.size();
    activate_backward(trace.images[s + 1].values, mask, dimage.values);
    const Image before = trace.images[s].shape;
    Array dconvolved({before.rows, before.columns, config.stages[s].filters});
    for (std::size_t e = 0; e < dimage.values.size(); ++e) dconvolved.values[trace.maxima[s][e]] += dimage.values[e];
    const CnnLayout::Layer& layer = layout.stages[s];
    dimage = convolve_backward(trace.images[s], dconvolved, &parameters[layer.kernel.offset],
                               &gradients[layer.kernel.offset], &gradients[layer.bias.offset]);
  }
}

}  // namespace

CnnResult cnn(const CnnConfig& config, std::size_t classes, Loss kind, std::span<const double> parameters,
              View<const double, 3> x, std::span<const std::int32_t> labels, std::span<const double> masks) {
  const CnnLayout layout(config, classes);
  const std::size_t batch = labels.size();
  const auto masks_of = [&](std::size_t clip) {
    return masks.empty() ? nullptr : &masks[clip * config.dropout_size()];
  };
  std::vector<Trace> traces;
  std::vector<double> hidden;
  for (std::size_t clip = 0; clip < batch; ++clip) {
    traces.push_back(
        forward(config, layout, parameters, image_of(config, layout, parameters, x, clip), masks_of(clip)));
    hidden.insert(hidden.end(), traces.back().hidden.begin(), traces.back().hidden.end());
  }
  const Classification classified =
      classify_loss(kind, view_of<const double>(hidden.data(), batch, config.units),
                    view_of(&parameters[layout.output.kernel.offset], config.units, classes),
                    parameters.subspan(layout.output.bias.offset, classes), labels, {});
  CnnResult result{classified.probabilities, classified.loss, classified.correct, std::vector<double>(layout.size)};
  const auto into = [&](const CnnLayout::Tensor& tensor) {
    return result.gradients.begin() + static_cast<std::ptrdiff_t>(tensor.offset);
  };
  std::copy(classified.dkernel.begin(), classified.dkernel.end(), into(layout.output.kernel));
  std::copy(classified.dbias.begin(), classified.dbias.end(), into(layout.output.bias));
  for (std::size_t clip = 0; clip < batch; ++clip) {
    const auto dh = classified.dh.begin() + static_cast<std::ptrdiff_t>(clip * config.units);
    backward(config, layout, parameters, traces[clip], masks_of(clip),
             {dh, dh + static_cast<std::ptrdiff_t>(config.units)}, result.gradients);
  }
  return result;
}

std::vector<double> cnn_masks(const CnnConfig& config, std::size_t batch, const RandomKey& key) {
  const Random random(key);
  std::vector<double> masks(batch * config.dropout_size());
  for (std::size_t e = 0; e < masks.size(); ++e)
    masks[e] = random.uniform_at(e) >= config.dropout ? 1 / (1 - config.dropout) : 0;
  return masks;
}

}  // namespace genretree::reference
