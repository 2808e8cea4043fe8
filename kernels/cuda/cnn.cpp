#include <algorithm>
#include <climits>

#include "core/error.hpp"
#include "kernels/cuda/classify_loss.hpp"
#include "kernels/cuda/cnn.hpp"
#include "kernels/cuda/cnn_kernels.hpp"
#include "kernels/cuda/libraries/blas.hpp"
#include "kernels/cuda/libraries/convolution.hpp"
#include "kernels/cuda/libraries/device.hpp"

namespace genretree::cuda {
namespace {

/// Rows of a batch that go through the network together: a whole batch of the paper's, because each part reads all of
/// the hidden layer's kernel again and adds to all of its gradient, 349 MB each at the size of its baseline. The
/// largest activation there, 599 × 128 × 149, is 2.9 GB for so many rows, and the rest 0.7 GB.
constexpr std::size_t most_rows = 64;

/// One batch of one run.
struct CnnBatch {
  std::uint32_t rows, classes;
  Loss kind;
  const float* parameters;
  View<const float, 3> x;  ///< [T, B, F]
  const std::int32_t* labels;
  const RandomKey* key;          ///< null: no dropout
  View<float, 2> probabilities;  ///< [B, C]
  double* loss;
  std::int32_t* correct;
  float* gradients;  ///< null: evaluation
};

/// One convolution with its pooling, and what it remembers of the way forward. An evaluation remembers nothing.
struct Stage {
  ImageLayout input, output;
  Pooling pooling;
  std::unique_ptr<Convolution> convolution;
  Buffer<float> image, kernel, dkernel;  ///< image in `input`; kernels [filters, in, 4, 4]
  Buffer<std::uint32_t> maxima;
};

ConvolutionShape shape_of(const ImageLayout& input, std::size_t filters) {
  return {input.clips, input.channels, input.height(), input.width(), filters, CnnConfig::kernel};
}

/// As many as go into a tensor of cuDNN, whose indices are ints.
std::size_t most_rows_of_cudnn(const CnnConfig& config) {
  std::size_t largest = 1;
  for (std::size_t s = 0; s < config.stages.size(); ++s) {
    const CnnConfig::Image image = config.image(s);
    const std::size_t border = CnnConfig::kernel - 1, channels = std::max(image.channels, config.stages[s].filters);
    largest = std::max(largest, (image.rows + border) * (image.columns + border) * channels);
  }
  return std::max<std::size_t>(1, INT_MAX / largest);
}

class CudaCnnState final : public CnnState {
 public:
  CudaCnnState(const CnnConfig& config, const Group& largest, Mode mode, Device& device)
      : config_(config),
        layout_(config, largest.classes),
        rows_(std::min({most_rows, largest.batch, most_rows_of_cudnn(config)})),
        trains_(mode == Mode::training) {
    const std::size_t stages = config.stages.size();
    std::size_t largest_image = 0, largest_gradient = 0, largest_convolved = 0;
    for (std::size_t s = 0; s < stages; ++s) {
      stages_.push_back(make_stage(s, device));
      const Stage& stage = stages_.back();
      largest_image = std::max({largest_image, stage.input.size(), stage.output.size()});
      largest_gradient = std::max({largest_gradient, s > 0 ? stage.input.size() : 0, stage.output.size()});
      largest_convolved = std::max(largest_convolved, stage.pooling.in.size());
    }
    image_ = take<float>(device, trains_ ? stages_.back().output.size() : largest_image);
    dimage_ = take<float>(device, trains_ ? largest_gradient : 0);
    convolved_ = take<float>(device, largest_convolved);
    hidden_ = take<float>(device, rows_ * config.units);
    dhidden_ = take<float>(device, trains_ ? rows_ * config.units : 0);
  }

  std::size_t bytes() const override { return bytes_; }

  void run(const CnnBatch& batch, Queue& queue) {
    if (batch.gradients && !trains_) fail("a step of training needs a CNN state that was made for training");
    layout_ = CnnLayout(config_, batch.probabilities.shape[1]);  // a batch may have fewer classes than the largest
    begin(batch, queue);
    for (std::size_t first = 0; first < batch.rows; first += rows_) {
      forward(batch, first, queue);
      classify(batch, first, queue);
      if (batch.gradients) backward(batch, queue);
    }
    if (batch.gradients) end(batch, queue);
  }

 private:
  template <class T>
  Buffer<T> take(Device& device, std::size_t size) {
    Buffer<T> buffer(device, size);
    bytes_ += buffer.bytes();
    return buffer;
  }

  Stage make_stage(std::size_t s, Device& device) {
    const CnnConfig::Image in = config_.image(s), out = config_.image(s + 1),
                           convolved{in.rows, in.columns, out.channels};
    const bool last = s + 1 == config_.stages.size();
    Stage stage{.input = ImageLayout::bordered(rows_, in),
                .output = last ? ImageLayout::flat(rows_, out) : ImageLayout::bordered(rows_, out),
                .pooling = Pooling(rows_, convolved, out, config_.stages[s].pool)};
    stage.convolution = make_convolution(shape_of(stage.input, out.channels));
    stage.kernel = take<float>(device, layout_.stages[s].kernel.size());
    if (!trains_) return stage;
    stage.image = take<float>(device, stage.input.size());
    stage.dkernel = take<float>(device, stage.kernel.size());
    stage.maxima = take<std::uint32_t>(device, stage.pooling.out.size());
    return stage;
  }

  std::size_t flat_size() const { return config_.image(config_.stages.size()).size(); }

  /// What enters stage s; of s = stages, what enters the hidden layer. All the same in an evaluation: when the next is
  /// made, the last is in convolved_ already.
  float* image(std::size_t s) { return trains_ && s < stages_.size() ? stages_[s].image.data() : image_.data(); }

  /// Brings the kernels of a batch into cuDNN's order; gradients begin at 0.
  void begin(const CnnBatch& batch, Queue& queue) {
    for (std::size_t s = 0; s < stages_.size(); ++s) {
      arrange_kernel(batch.parameters + layout_.stages[s].kernel.offset, stages_[s].input.channels,
                     config_.stages[s].filters, stages_[s].kernel.data(), stream_of(queue));
      if (batch.gradients) stages_[s].dkernel.zero(queue);
    }
    if (batch.gradients) queue.zero(batch.gradients, layout_.size * sizeof(float));
  }

  void end(const CnnBatch& batch, Queue& queue) {
    for (std::size_t s = 0; s < stages_.size(); ++s)
      restore_kernel(stages_[s].dkernel.data(), stages_[s].input.channels, config_.stages[s].filters,
                     batch.gradients + layout_.stages[s].kernel.offset, stream_of(queue));
  }

  /// From rows `first` … of the features to the hidden layer's output.
  void forward(const CnnBatch& batch, std::size_t first, Queue& queue) {
    const Stream stream = stream_of(queue);
    const auto parameters = [&](const CnnLayout::Tensor& tensor) { return batch.parameters + tensor.offset; };
    const std::size_t bands = config_.bands, stages = stages_.size();
    make_images(batch.x.data + first * bands, batch.x.shape[1], std::min(rows_, batch.rows - first),
                config_.standardise ? parameters(layout_.mean) : nullptr,
                config_.standardise ? parameters(layout_.scale) : nullptr, stages_[0].input, image(0), stream);
    LayerDropout dropout;
    if (batch.key) dropout.dropout = Dropout(*batch.key, config_.dropout);
    dropout.stride = config_.dropout_size(), dropout.first = first * dropout.stride;
    for (std::size_t s = 0; s < stages; ++s) {
      const Stage& stage = stages_[s];
      stage.convolution->forward(image(s), stage.kernel.data(), convolved_.data(), queue);
      pool_forward(stage.pooling, convolved_.data(), parameters(layout_.stages[s].bias), dropout, stage.output,
                   image(s + 1), stages_[s].maxima.data(), stream);
      dropout.first += config_.image(s + 1).size();
    }
    multiply({rows_, config_.units, flat_size(), image(stages), false, parameters(layout_.hidden.kernel), false,
              hidden_.data(), false},
             queue);
    activate_hidden(rows_, config_.units, parameters(layout_.hidden.bias), dropout, hidden_.data(), stream);
  }

  void classify(const CnnBatch& batch, std::size_t first, Queue& queue) {
    const Group run{1, batch.x.shape[1], config_.frames, batch.probabilities.shape[1], {batch.rows}, {batch.classes}};
    DenseSoftmax layer{batch.parameters + layout_.output.kernel.offset, batch.parameters + layout_.output.bias.offset,
                       nullptr, nullptr, config_.units};
    if (batch.gradients) {
      layer.dkernel = batch.gradients + layout_.output.kernel.offset;
      layer.dbias = batch.gradients + layout_.output.bias.offset;
      dhidden_.zero(queue);  // of the rows that do not count
    }
    classify_rows(run, layer, batch.kind,
                  {first, std::min<std::size_t>(rows_, batch.rows - first), hidden_.data(), batch.labels + first,
                   batch.probabilities[first].data, batch.gradients ? dhidden_.data() : nullptr},
                  batch.loss, batch.correct, queue);
  }

  /// From dhidden_ to the gradients of all layers below.
  void backward(const CnnBatch& batch, Queue& queue) {
    const Stream stream = stream_of(queue);
    const auto gradient = [&](const CnnLayout::Tensor& tensor) { return batch.gradients + tensor.offset; };
    const float scale = batch.key ? Dropout(*batch.key, config_.dropout).scale : 1;
    activate_hidden_backward(rows_, config_.units, hidden_.data(), scale, dhidden_.data(),
                             gradient(layout_.hidden.bias), stream);
    multiply({flat_size(), config_.units, rows_, image(stages_.size()), true, dhidden_.data(), false,
              gradient(layout_.hidden.kernel), true},
             queue);
    multiply({rows_, flat_size(), config_.units, dhidden_.data(), false,
              batch.parameters + layout_.hidden.kernel.offset, true, dimage_.data(), false},
             queue);
    for (std::size_t s = stages_.size(); s-- > 0;) {
      Stage& stage = stages_[s];
      pool_backward(stage.pooling, stage.maxima.data(), stage.output, dimage_.data(), scale, convolved_.data(),
                    gradient(layout_.stages[s].bias), stream);
      stage.convolution->add_kernel_gradient(image(s), convolved_.data(), stage.dkernel.data(), queue);
      if (s > 0) stage.convolution->input_gradient(stage.kernel.data(), convolved_.data(), dimage_.data(), queue);
    }
  }

  CnnConfig config_;
  CnnLayout layout_;
  std::size_t rows_;  ///< that go through together
  bool trains_;
  std::size_t bytes_ = 0;
  std::vector<Stage> stages_;
  Buffer<float> image_;             ///< what enters the hidden layer; in an evaluation, each image in turn
  Buffer<float> dimage_;            ///< gradient of what enters a stage or the hidden layer
  Buffer<float> convolved_;         ///< of the present stage; on the way back, its gradient
  Buffer<float> hidden_, dhidden_;  ///< [rows_, units]
};

}  // namespace

std::unique_ptr<CnnState> make_cnn_state(const CnnConfig& config, const Group& largest, Mode mode, Device& device) {
  return std::make_unique<CudaCnnState>(config, largest, mode, device);
}

void cnn_step(const Group& group, Loss kind, View<const float, 2> parameters, View<const float, 4> x,
              View<const std::int32_t, 2> labels, std::span<const RandomKey> keys, CnnState& state,
              View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
              View<float, 2> gradients, Queue& queue) {
  queue.zero(loss.data, loss.size() * sizeof(double));
  queue.zero(correct.data, correct.size() * sizeof(std::int32_t));
  for (std::size_t r = 0; r < group.runs; ++r) {
    if (group.rows[r] == 0) continue;
    const CnnBatch batch{group.rows[r],
                         group.class_counts[r],
                         kind,
                         parameters[r].data,
                         x[r],
                         labels[r].data,
                         keys.empty() ? nullptr : &keys[r],
                         probabilities[r],
                         &loss[r],
                         &correct[r],
                         gradients.empty() ? nullptr : gradients[r].data};
    static_cast<CudaCnnState&>(state).run(batch, queue);
  }
}

}  // namespace genretree::cuda
