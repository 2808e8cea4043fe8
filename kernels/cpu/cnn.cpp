#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>

#include "core/error.hpp"
#include "kernels/cpu/classify_loss.hpp"
#include "kernels/cpu/cnn.hpp"
#include "kernels/cpu/onednn.hpp"

namespace genretree::cpu {
namespace {

using Dims = dnnl::memory::dims;
using Memory = dnnl::memory;
using Desc = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;

/// Rows of a batch that go through the network together: enough to keep the products busy. The largest activation of
/// the paper's baseline, 599 × 128 × 149, is 0.8 GB for so many.
constexpr std::size_t most_rows = 16;

dnnl_dim_t dim(std::size_t size) { return static_cast<dnnl_dim_t>(size); }

Dims dims(std::size_t rows, const CnnConfig::Image& image) {
  return {dim(rows), dim(image.channels), dim(image.rows), dim(image.columns)};  // oneDNN names the channels first
}

Desc any_format(const Dims& shape) { return {shape, Memory::data_type::f32, Tag::any}; }
/// Row-major, channels last: as the contract has images.
Desc plain_image(const Dims& shape) { return {shape, Memory::data_type::f32, Tag::nhwc}; }
/// [4, 4, in, filters], as the contract has kernels.
Desc plain_kernel(const Dims& shape) { return {shape, Memory::data_type::f32, Tag::hwio}; }

Desc plain_bias(const Dims& shape) { return {shape, Memory::data_type::f32, Tag::a}; }
/// Of a convolution: its windows are one pixel apart.
Dims stride_one() { return {1, 1}; }

void check(dnnl_status_t status) {
  if (status != dnnl_success) fail("oneDNN's product of matrices failed with status {}", static_cast<int>(status));
}

/// Zeros before and after a dimension of `inputs` for `outputs` windows of `size`, `stride` apart. Source: TensorFlow's
/// padding "SAME", GetWindowedOutputSize.
std::pair<dnnl_dim_t, dnnl_dim_t> same_padding(std::size_t inputs, std::size_t outputs, std::size_t size,
                                               std::size_t stride) {
  const std::size_t covered = (outputs - 1) * stride + size, added = covered > inputs ? covered - inputs : 0;
  return {dim(added / 2), dim(added - added / 2)};
}

struct Padding {
  Dims before, after;
  Padding(const CnnConfig::Image& in, const CnnConfig::Image& out, std::size_t size, std::size_t stride) {
    for (const auto& [inputs, outputs] : {std::pair{in.rows, out.rows}, {in.columns, out.columns}}) {
      const auto [left, right] = same_padding(inputs, outputs, size, stride);
      before.push_back(left), after.push_back(right);
    }
  }
};

/// A tensor in the format that it comes in, and in the one that a primitive asks for: the same memory if these are the
/// same.
class Tensor {
 public:
  Tensor() = default;
  Tensor(Workshop& workshop, const Memory& plain, const Desc& wanted)
      : plain_(plain),
        formatted_(wanted == plain.get_desc() ? plain : workshop.memory(wanted)),
        same_(wanted == plain.get_desc()) {}

  Memory& plain() { return plain_; }
  const Memory& formatted() const { return formatted_; }
  void can_be_read(Workshop& workshop) {
    if (!same_) in_ = workshop.reorder(plain_, formatted_);
  }
  void can_be_written(Workshop& workshop) {
    if (!same_) out_ = workshop.reorder(formatted_, plain_);
  }
  /// To the primitive's format, and back.
  void read(const dnnl::stream& stream) const {
    if (!same_) in_(stream);
  }
  void write(const dnnl::stream& stream) const {
    if (!same_) out_(stream);
  }

 private:
  Memory plain_, formatted_;
  bool same_ = true;
  Call in_, out_;
};

/// Shapes of a convolution with its pooling, for a fixed number of rows.
struct StageShapes {
  Dims input, convolved, output, kernel, bias;
  Padding padding;  ///< of the convolution, whose windows are one pixel apart
  Dims window;      ///< of the pooling, its windows side by side
  Padding pool_padding;

  StageShapes(std::size_t rows, const CnnConfig::Image& in, const CnnConfig::Image& out, std::size_t pool)
      : StageShapes(rows, in, {in.rows, in.columns, out.channels}, out, pool) {}

 private:
  static constexpr std::size_t size = CnnConfig::kernel;
  StageShapes(std::size_t rows, const CnnConfig::Image& in, const CnnConfig::Image& between,
              const CnnConfig::Image& out, std::size_t pool)
      : input(dims(rows, in)),
        convolved(dims(rows, between)),
        output(dims(rows, out)),
        kernel{dim(out.channels), dim(in.channels), dim(size), dim(size)},
        bias{dim(out.channels)},
        padding(in, between, size, 1),
        window{dim(pool), dim(pool)},
        pool_padding(between, out, pool, pool) {}
};

/// One convolution with its pooling, for a fixed number of rows. ReLU comes after the pooling, on a fraction of the
/// numbers: the largest of max(x, 0) is max(largest of x, 0), and the gradients are the same too.
class Stage {
 public:
  /// input, output: [rows, image] of the contract's format; with dinput and doutput (dinput empty: not wanted), also
  /// for backward.
  Stage(Workshop& workshop, std::size_t rows, const CnnConfig& config, std::size_t index, float* input, float* output,
        float* dinput, float* doutput)
      : shapes_(rows, config.image(index), config.image(index + 1), config.stages[index].pool),
        with_backward_(doutput != nullptr),
        with_dinput_(dinput != nullptr) {
    const Convolution convolution = make_convolution(workshop, input);
    const Pooling pooling = make_pooling(workshop, output);
    if (!with_backward_) return;
    make_pooling_backward(workshop, pooling, doutput);
    make_backward_weights(workshop, convolution);
    if (with_dinput_) make_backward_data(workshop, convolution, dinput);
  }

  /// Brings the weights of a batch, which stay where they are until its end.
  void use_weights(const dnnl::stream& stream, const float* kernel, const float* bias) {
    bias_.set_data_handle(const_cast<float*>(bias));  // oneDNN only reads both
    kernel_.plain().set_data_handle(const_cast<float*>(kernel));
    kernel_.read(stream);
    if (!with_dinput_) return;
    backward_kernel_.plain().set_data_handle(const_cast<float*>(kernel));
    backward_kernel_.read(stream);
  }

  /// From input to output, before ReLU.
  void forward(const dnnl::stream& stream) const {
    input_.read(stream);
    convolve_(stream);
    pool_(stream);
    output_.write(stream);
  }

  /// From doutput, before ReLU, to dinput; adds to the gradients of kernel and bias.
  void backward(const dnnl::stream& stream, std::span<float> dkernel, std::span<float> dbias) {
    doutput_.read(stream);
    pool_backward_(stream);
    if (rereads_input_) backward_input_.read(stream);
    kernel_dconvolved_.read(stream);
    kernel_backward_(stream);
    dkernel_.write(stream);
    if (with_dinput_) input_dconvolved_.read(stream), input_backward_(stream), dinput_.write(stream);
    const auto add = [](const Memory& from, std::span<float> to) {
      const float* values = static_cast<const float*>(from.get_data_handle());
      for (std::size_t e = 0; e < to.size(); ++e) to[e] += values[e];
    };
    add(dkernel_.plain(), dkernel), add(dbias_, dbias);
  }

 private:
  using Convolution = dnnl::convolution_forward::primitive_desc;
  using Pooling = dnnl::pooling_forward::primitive_desc;
  static constexpr dnnl::algorithm direct = dnnl::algorithm::convolution_direct, maximum = dnnl::algorithm::pooling_max;

  dnnl::prop_kind forward_kind() const {
    return with_backward_ ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
  }

  /// From input_ to convolved_.
  Convolution make_convolution(Workshop& workshop, float* input) {
    const Desc bias = plain_bias(shapes_.bias);
    const Convolution desc({forward_kind(), direct, any_format(shapes_.input), any_format(shapes_.kernel), bias,
                            any_format(shapes_.convolved), stride_one(), shapes_.padding.before, shapes_.padding.after},
                           Workshop::attributes(), cpu_engine());
    input_ = Tensor(workshop, Workshop::borrowed(plain_image(shapes_.input), input), desc.src_desc());
    input_.can_be_read(workshop);
    kernel_ = Tensor(workshop, Workshop::borrowed(plain_kernel(shapes_.kernel)), desc.weights_desc());
    kernel_.can_be_read(workshop);
    bias_ = Workshop::borrowed(bias);
    convolved_ = workshop.memory(desc.dst_desc());
    convolve_ = workshop.call<dnnl::convolution_forward>(desc, {{DNNL_ARG_SRC, input_.formatted()},
                                                                {DNNL_ARG_WEIGHTS, kernel_.formatted()},
                                                                {DNNL_ARG_BIAS, bias_},
                                                                {DNNL_ARG_DST, convolved_}});
    return desc;
  }

  /// From convolved_ to output_; for backward, also to maxima_.
  Pooling make_pooling(Workshop& workshop, float* output) {
    const Pooling desc({forward_kind(), maximum, convolved_.get_desc(), any_format(shapes_.output), shapes_.window,
                        shapes_.window, shapes_.pool_padding.before, shapes_.pool_padding.after},
                       Workshop::attributes(), cpu_engine());
    output_ = Tensor(workshop, Workshop::borrowed(plain_image(shapes_.output), output), desc.dst_desc());
    output_.can_be_written(workshop);
    std::unordered_map<int, Memory> arguments{{DNNL_ARG_SRC, convolved_}, {DNNL_ARG_DST, output_.formatted()}};
    if (with_backward_) arguments[DNNL_ARG_WORKSPACE] = maxima_ = workshop.memory(desc.workspace_desc());
    pool_ = workshop.call<dnnl::pooling_forward>(desc, arguments);
    return desc;
  }

  /// From doutput_ and maxima_ to dconvolved_.
  void make_pooling_backward(Workshop& workshop, const Pooling& pooling, float* doutput) {
    const dnnl::pooling_backward::primitive_desc desc(
        {maximum, convolved_.get_desc(), pooling.dst_desc(), shapes_.window, shapes_.window,
         shapes_.pool_padding.before, shapes_.pool_padding.after},
        Workshop::attributes(), cpu_engine(), pooling);
    doutput_ = Tensor(workshop, Workshop::borrowed(plain_image(shapes_.output), doutput), desc.diff_dst_desc());
    doutput_.can_be_read(workshop);
    dconvolved_ = workshop.memory(desc.diff_src_desc());
    pool_backward_ = workshop.call<dnnl::pooling_backward>(
        desc,
        {{DNNL_ARG_DIFF_DST, doutput_.formatted()}, {DNNL_ARG_DIFF_SRC, dconvolved_}, {DNNL_ARG_WORKSPACE, maxima_}});
  }

  // Each backward convolution chooses its formats by itself: in those of the forward one it may have no fast code.

  /// From input and dconvolved_ to dkernel_ and dbias_.
  void make_backward_weights(Workshop& workshop, const Convolution& convolution) {
    const Desc bias = plain_bias(shapes_.bias);
    const dnnl::convolution_backward_weights::primitive_desc desc(
        {direct, any_format(shapes_.input), any_format(shapes_.kernel), bias, any_format(shapes_.convolved),
         stride_one(), shapes_.padding.before, shapes_.padding.after},
        Workshop::attributes(), cpu_engine(), convolution);
    rereads_input_ = desc.src_desc() != convolution.src_desc();
    backward_input_ = rereads_input_ ? Tensor(workshop, input_.plain(), desc.src_desc()) : input_;
    if (rereads_input_) backward_input_.can_be_read(workshop);
    kernel_dconvolved_ = Tensor(workshop, dconvolved_, desc.diff_dst_desc());
    kernel_dconvolved_.can_be_read(workshop);
    dkernel_ = Tensor(workshop, workshop.memory(plain_kernel(shapes_.kernel)), desc.diff_weights_desc());
    dkernel_.can_be_written(workshop);
    dbias_ = workshop.memory(bias);
    kernel_backward_ =
        workshop.call<dnnl::convolution_backward_weights>(desc, {{DNNL_ARG_SRC, backward_input_.formatted()},
                                                                 {DNNL_ARG_DIFF_DST, kernel_dconvolved_.formatted()},
                                                                 {DNNL_ARG_DIFF_WEIGHTS, dkernel_.formatted()},
                                                                 {DNNL_ARG_DIFF_BIAS, dbias_}});
  }

  /// From dconvolved_ and the kernel to dinput_.
  void make_backward_data(Workshop& workshop, const Convolution& convolution, float* dinput) {
    const dnnl::convolution_backward_data::primitive_desc desc(
        {direct, any_format(shapes_.input), any_format(shapes_.kernel), any_format(shapes_.convolved), stride_one(),
         shapes_.padding.before, shapes_.padding.after},
        Workshop::attributes(), cpu_engine(), convolution);
    backward_kernel_ = Tensor(workshop, Workshop::borrowed(plain_kernel(shapes_.kernel)), desc.weights_desc());
    backward_kernel_.can_be_read(workshop);
    dinput_ = Tensor(workshop, Workshop::borrowed(plain_image(shapes_.input), dinput), desc.diff_src_desc());
    dinput_.can_be_written(workshop);
    input_dconvolved_ = Tensor(workshop, dconvolved_, desc.diff_dst_desc());
    input_dconvolved_.can_be_read(workshop);
    input_backward_ =
        workshop.call<dnnl::convolution_backward_data>(desc, {{DNNL_ARG_DIFF_DST, input_dconvolved_.formatted()},
                                                              {DNNL_ARG_WEIGHTS, backward_kernel_.formatted()},
                                                              {DNNL_ARG_DIFF_SRC, dinput_.formatted()}});
  }

  StageShapes shapes_;
  bool with_backward_, with_dinput_, rereads_input_ = false;
  Tensor input_, kernel_, output_, doutput_, dkernel_, backward_kernel_, dinput_;
  Tensor backward_input_, kernel_dconvolved_, input_dconvolved_;  ///< as the backward convolutions want them
  Memory bias_, dbias_, convolved_, dconvolved_, maxima_;
  Call convolve_, pool_, pool_backward_, kernel_backward_, input_backward_;
};

/// Dropout's numbers from `first` on, one after another: four from each block of the generator.
class DropoutMask {
 public:
  DropoutMask(const RandomKey* key, double rate) : drops_(key && rate > 0), rate_(static_cast<float>(rate)) {
    if (drops_) random_.emplace(*key), scale_ = static_cast<float>(1 / (1 - rate));
  }
  float scale() const { return scale_; }

  /// values = max(values, 0) · mask, whose number `first` belongs to the first of them.
  void activate(std::span<float> values, std::uint64_t first) const {
    if (!drops_) {
      for (float& value : values) value = std::max(value, 0.0f);
      return;
    }
    std::array<float, 4> uniform = random_->uniform_block(first / 4);
    for (std::size_t e = 0; e < values.size(); ++e) {
      const std::uint64_t index = first + e;
      if (index % 4 == 0) uniform = random_->uniform_block(index / 4);
      values[e] = uniform[index % 4] >= rate_ ? std::max(values[e], 0.0f) * scale_ : 0.0f;
    }
  }

  /// Gradient of `activate`: what came out as 0 was dropped or not above 0, and passes nothing on.
  void activate_backward(std::span<const float> outputs, std::span<float> gradient) const {
    for (std::size_t e = 0; e < gradient.size(); ++e) gradient[e] = outputs[e] > 0 ? gradient[e] * scale_ : 0.0f;
  }

 private:
  bool drops_;
  float rate_, scale_ = 1;
  std::optional<Random> random_;
};

/// One batch of one run.
struct CnnBatch {
  std::size_t rows, classes;
  Loss kind;
  const float* parameters;
  View<const float, 3> x;  ///< [T, B, F]
  const std::int32_t* labels;
  const RandomKey* key;          ///< null: no dropout
  View<float, 2> probabilities;  ///< [B, C]
  float* gradients;              ///< null: evaluation
};

class CpuCnnState final : public CnnState {
 public:
  CpuCnnState(const CnnConfig& config, const Group& largest, Mode mode)
      : config_(config),
        layout_(config, largest.classes),
        rows_(std::min(most_rows, largest.batch)),
        trains_(mode == Mode::training),
        stream_(cpu_engine()) {
    const std::size_t stages = config.stages.size();
    for (std::size_t s = 0; s <= stages; ++s) {
      images_.push_back(zeros(rows_ * config.image(s).size()));
      dimages_.push_back(zeros(trains_ && s > 0 ? rows_ * config.image(s).size() : 0));
    }
    hidden_ = zeros(rows_ * config.units), dhidden_ = zeros(trains_ ? rows_ * config.units : 0);
    for (std::size_t s = 0; s < stages; ++s)
      stages_.emplace_back(workshop_, rows_, config, s, images_[s].data(), images_[s + 1].data(), dimages_[s].data(),
                           dimages_[s + 1].data());
    workshop_.finish();
  }

  std::size_t bytes() const override { return held_ + workshop_.bytes(); }

  RowsLoss run(const CnnBatch& batch) {
    if (batch.gradients && !trains_) fail("a step of training needs a CNN state that was made for training");
    layout_ = CnnLayout(config_, batch.probabilities.shape[1]);  // a batch may have fewer classes than the largest
    if (batch.gradients) std::fill_n(batch.gradients, layout_.size, 0.0f);
    for (std::size_t s = 0; s < stages_.size(); ++s)
      stages_[s].use_weights(stream_, batch.parameters + layout_.stages[s].kernel.offset,
                             batch.parameters + layout_.stages[s].bias.offset);
    const DropoutMask mask(batch.key, config_.dropout);
    RowsLoss sum;
    for (std::size_t first = 0; first < batch.rows; first += rows_) {
      const std::size_t count = std::min(rows_, batch.rows - first);
      read_images(batch, first, count);
      forward(batch, mask, first);
      const RowsLoss part = classify(batch, first, count);
      sum.loss += part.loss, sum.correct += part.correct;
      if (batch.gradients) backward(batch, mask);
    }
    return sum;
  }

 private:
  Buffer<float> zeros(std::size_t size) {
    Buffer<float> buffer(host_device(), size);
    std::fill_n(buffer.data(), size, 0.0f);
    held_ += buffer.bytes();
    return buffer;
  }

  std::size_t flat_size() const { return config_.image(config_.stages.size()).size(); }

  /// Rows first … of the features, as images; what lies beyond them becomes 0.
  void read_images(const CnnBatch& batch, std::size_t first, std::size_t count) {
    const auto [frames, bands, channels] = config_.image(0);
    const float *mean = batch.parameters + layout_.mean.offset, *scale = batch.parameters + layout_.scale.offset;
    float* pixel = images_[0].data();
    for (std::size_t b = 0; b < count; ++b)
      for (std::size_t t = 0; t < frames; ++t)
        for (std::size_t f = 0; f < bands; ++f)
          for (std::size_t c = 0; c < channels; ++c) {
            const float value = batch.x(t + c, first + b, f);
            *pixel++ = config_.standardise ? (value - mean[f]) * scale[f] : value;
          }
    std::fill(pixel, images_[0].data() + images_[0].size(), 0.0f);
  }

  /// Up to the hidden layer's output.
  void forward(const CnnBatch& batch, const DropoutMask& mask, std::size_t first) {
    std::size_t offset = 0;
    const auto activate = [&](Buffer<float>& values) {
      const std::size_t size = values.size() / rows_;
      for (std::size_t b = 0; b < rows_; ++b)
        mask.activate(values.span().subspan(b * size, size), (first + b) * config_.dropout_size() + offset);
      offset += size;
    };
    for (std::size_t s = 0; s < stages_.size(); ++s) {
      stages_[s].forward(stream_);
      stream_.wait();
      activate(images_[s + 1]);
    }
    const dnnl_dim_t rows = dim(rows_), inputs = dim(flat_size()), units = dim(config_.units);
    for (std::size_t b = 0; b < rows_; ++b)
      std::copy_n(batch.parameters + layout_.hidden.bias.offset, config_.units, &hidden_.data()[b * config_.units]);
    check(dnnl_sgemm('N', 'N', rows, units, inputs, 1, images_.back().data(), inputs,
                     batch.parameters + layout_.hidden.kernel.offset, units, 1, hidden_.data(), units));
    activate(hidden_);
  }

  RowsLoss classify(const CnnBatch& batch, std::size_t first, std::size_t count) {
    const std::size_t classes = batch.probabilities.shape[1], units = config_.units;
    DenseSoftmax layer{view_of(batch.parameters + layout_.output.kernel.offset, units, classes),
                       batch.parameters + layout_.output.bias.offset, nullptr, nullptr, batch.classes};
    View<float, 2> dh;
    if (batch.gradients) {
      layer.dkernel = batch.gradients + layout_.output.kernel.offset;
      layer.dbias = batch.gradients + layout_.output.bias.offset;
      std::fill_n(dhidden_.data(), dhidden_.size(), 0.0f);  // rows that do not count have no gradient
      dh = dhidden_.view(count, units);
    }
    return classify_rows(layer, batch.kind, std::as_const(hidden_).view(count, units), batch.labels + first, {},
                         batch.rows, view_of(batch.probabilities[first].data, count, classes), dh);
  }

  /// From dhidden_ to the gradients of all layers below.
  void backward(const CnnBatch& batch, const DropoutMask& mask) {
    const auto part = [&](const CnnLayout::Tensor& tensor) {
      return std::span(batch.gradients + tensor.offset, tensor.size());
    };
    mask.activate_backward(hidden_.span(), dhidden_.span());
    const std::span<float> dbias = part(layout_.hidden.bias);
    for (std::size_t e = 0; e < dhidden_.size(); ++e) dbias[e % config_.units] += dhidden_.data()[e];
    const dnnl_dim_t rows = dim(rows_), inputs = dim(flat_size()), units = dim(config_.units);
    check(dnnl_sgemm('T', 'N', inputs, units, rows, 1, images_.back().data(), inputs, dhidden_.data(), units, 1,
                     part(layout_.hidden.kernel).data(), units));
    check(dnnl_sgemm('N', 'T', rows, inputs, units, 1, dhidden_.data(), units,
                     batch.parameters + layout_.hidden.kernel.offset, units, 0, dimages_.back().data(), inputs));
    for (std::size_t s = stages_.size(); s-- > 0;) {
      mask.activate_backward(images_[s + 1].span(), dimages_[s + 1].span());
      stages_[s].backward(stream_, part(layout_.stages[s].kernel), part(layout_.stages[s].bias));
    }
  }

  CnnConfig config_;
  CnnLayout layout_;
  std::size_t rows_;  ///< that go through together
  bool trains_;
  dnnl::stream stream_;
  Workshop workshop_;
  std::vector<Buffer<float>> images_, dimages_;  ///< [stages + 1] of [rows_, image]; of the first, no gradient
  Buffer<float> hidden_, dhidden_;               ///< [rows_, units]
  std::vector<Stage> stages_;
  std::size_t held_ = 0;
};

/// oneDNN's exceptions as ours.
template <class Work>
auto with_onednn(Work work) {
  const OneThread one_thread;
  try {
    return work();
  } catch (const dnnl::error& error) {
    fail("oneDNN failed with status {}: {}", static_cast<int>(error.status), error.what());
  }
}

const char* isa_name(dnnl::cpu_isa isa) {
  switch (isa) {
    case dnnl::cpu_isa::sse41:
      return "sse41";
    case dnnl::cpu_isa::avx:
      return "avx";
    case dnnl::cpu_isa::avx2:
      return "avx2";
    case dnnl::cpu_isa::avx2_vnni:
      return "avx2_vnni";
    case dnnl::cpu_isa::avx512_core:
      return "avx512_core";
    case dnnl::cpu_isa::avx512_core_vnni:
      return "avx512_core_vnni";
    case dnnl::cpu_isa::avx512_core_bf16:
      return "avx512_core_bf16";
    case dnnl::cpu_isa::avx512_core_amx:
      return "avx512_core_amx";
    default:
      return "other instructions";
  }
}

}  // namespace

std::string onednn_version() {
  const dnnl_version_t& version = *dnnl_version();
  return fmt::format("oneDNN {}.{}.{} ({})", version.major, version.minor, version.patch,
                     isa_name(dnnl::get_effective_cpu_isa()));
}

std::unique_ptr<CnnState> make_cnn_state(const CnnConfig& config, const Group& largest, Mode mode) {
  return with_onednn([&] { return std::make_unique<CpuCnnState>(config, largest, mode); });
}

void cnn_step(const Group& group, Loss kind, View<const float, 2> parameters, View<const float, 4> x,
              View<const std::int32_t, 2> labels, std::span<const RandomKey> keys, CnnState& state,
              View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
              View<float, 2> gradients) {
  for (std::size_t r = 0; r < group.runs; ++r) {
    loss[r] = 0, correct[r] = 0;
    if (group.rows[r] == 0) continue;
    const CnnBatch batch{group.rows[r],
                         group.class_counts[r],
                         kind,
                         parameters[r].data,
                         x[r],
                         labels[r].data,
                         keys.empty() ? nullptr : &keys[r],
                         probabilities[r],
                         gradients.empty() ? nullptr : gradients[r].data};
    const RowsLoss sum = with_onednn([&] { return static_cast<CpuCnnState&>(state).run(batch); });
    loss[r] = sum.loss, correct[r] = sum.correct;
  }
}

}  // namespace genretree::cpu
