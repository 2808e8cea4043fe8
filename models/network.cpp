#include "core/error.hpp"
#include "models/network.hpp"

namespace genretree {
namespace {

/// An LSTM network in its passes. What a pass makes of a sequence goes, backwards or not, into the columns of the next
/// layer's input; the readout of the last ones goes to the dense layer. The gradient takes the same ways back.
class LstmNetwork final : public Network {
 public:
  LstmNetwork(const NetworkConfig& config, const Group& largest, Mode mode, Backend& backend)
      : backend_(backend),
        config_(config),
        masks_of_(config, largest.batch),
        runs_(largest.runs),
        frames_(largest.frames),
        batch_(largest.batch),
        h_(backend.device(), runs_ * batch_ * config.dense_inputs()) {
    const bool training = mode == Mode::training;
    const auto sequence = [&](std::size_t width) {
      return Buffer<float>(backend.device(), runs_ * frames_ * batch_ * width);
    };
    const std::vector<StackConfig> configs = config.passes();
    for (const StackConfig& pass : configs) {
      passes_.push_back({pass, backend.make_stack_state(pass, largest, mode), {}, {}});
      const std::size_t outputs = runs_ * (pass.sequences ? frames_ : 1) * batch_ * pass.outputs();
      if (is_plain()) continue;
      passes_.back().y = Buffer<float>(backend.device(), outputs);
      if (training) passes_.back().dy = Buffer<float>(backend.device(), outputs);
    }
    for (std::size_t layer = 0; layer < layers(); ++layer) {
      const StackConfig& pass = configs[layer * config.directions()];
      Inputs& inputs = inputs_.emplace_back();
      if (layer > 0) inputs.x = sequence(pass.inputs);
      if (config.bidirectional) inputs.reversed = sequence(pass.inputs);
      if (layer > 0 && training) {
        inputs.dx = sequence(pass.inputs);
        if (config.bidirectional) inputs.dx_reversed = sequence(pass.inputs);
      }
    }
    if (!training) return;
    dh_ = Buffer<float>(backend.device(), h_.size());
    if (config.has_any_dropout()) masks_ = Buffer<float>(backend.device(), runs_ * masks_of_.size);
  }

  void step(const Batch& batch, Loss kind, std::span<const RandomKey> keys, View<float, 2> gradients,
            Queue& queue) override {
    View<float, 2> masks;
    if (config_.has_any_dropout()) {
      const Phase phase(queue, "dropout masks");
      masks = masks_.view(runs_, masks_of_.size);
      backend_.dropout_masks(config_, batch.group, keys, masks, queue);
    }
    forward(batch, masks, Mode::training, queue);
    loss(batch, kind, output_view(dh_), gradients, queue);
    backward(batch, masks, gradients, queue);
  }

  void evaluate(const Batch& batch, Loss kind, Queue& queue) override {
    forward(batch, {}, Mode::inference, queue);
    loss(batch, kind, {}, {}, queue);
  }

  std::size_t bytes() const override {
    std::size_t sum = h_.bytes() + dh_.bytes() + masks_.bytes();
    for (const Pass& pass : passes_) sum += pass.state->bytes() + pass.y.bytes() + pass.dy.bytes();
    for (const Inputs& layer : inputs_)
      sum += layer.x.bytes() + layer.reversed.bytes() + layer.dx.bytes() + layer.dx_reversed.bytes();
    return sum;
  }

 private:
  struct Pass {
    StackConfig config;
    std::unique_ptr<StackState> state;
    Buffer<float> y, dy;  ///< [R, T, B, H] or [R, 1, B, H]; none of a plain network, whose output is h
  };
  /// Of a layer that has passes of its own; that of the first layer is the batch.
  struct Inputs {
    Buffer<float> x, reversed, dx, dx_reversed;  ///< [R, T, B, F of the layer]
  };

  /// One pass whose last frame is all that counts: nothing comes between it and the dense layer.
  bool is_plain() const {
    return !config_.bidirectional && config_.layer_dropout == 0 && config_.readout == Readout::last;
  }
  /// That have passes of their own.
  std::size_t layers() const { return passes_.size() / config_.directions(); }
  bool is_last(std::size_t layer) const { return layer + 1 == layers(); }

  View<float, 3> output_view(Buffer<float>& buffer) const { return buffer.view(runs_, batch_, config_.dense_inputs()); }
  View<float, 4> of_pass(const StackConfig& pass, Buffer<float>& buffer) const {
    return buffer.view(runs_, pass.sequences ? frames_ : std::size_t{1}, batch_, pass.outputs());
  }
  View<float, 4> of_layer(std::size_t layer, Buffer<float>& buffer) const {
    return buffer.view(runs_, frames_, batch_, passes_[layer * config_.directions()].config.inputs);
  }
  /// Of what a layer gives: to the next one, or to the dense layer.
  RowMask mask_of(std::size_t layer, View<const float, 2> masks) const {
    if (masks.empty() || config_.layer_dropout == 0) return {};
    return {masks, masks_of_.layer_outputs[layer],
            is_last(layer) ? config_.dense_inputs() : config_.layer_outputs(layer)};
  }
  /// Dropout masks of the cells.
  View<const float, 2> cell_masks(View<const float, 2> masks) const {
    return config_.has_dropout() ? masks : View<const float, 2>{};
  }
  std::size_t first_column(std::size_t layer, std::size_t direction) const {
    return direction * (is_last(layer) ? config_.dense_inputs() : config_.layer_outputs(layer)) / config_.directions();
  }

  View<const float, 4> input_of(const Batch& batch, std::size_t layer, std::size_t direction) {
    if (direction == 1) return of_layer(layer, inputs_[layer].reversed);
    return layer == 0 ? batch.x : View<const float, 4>(of_layer(layer, inputs_[layer].x));
  }

  /// What a pass gives, or the gradient of that: of a plain network it is the dense layer's.
  View<float, 4> outputs_of(const StackConfig& pass, Buffer<float>& dense, Buffer<float>& own) const {
    return is_plain() ? dense.view(runs_, std::size_t{1}, batch_, config_.dense_inputs()) : of_pass(pass, own);
  }
  /// The way from a pass into the next layer's input, or back.
  ColumnCopy copy_between(std::size_t layer, std::size_t direction, View<const float, 2> masks, std::size_t from_column,
                          std::size_t to_column) const {
    return {.from_column = from_column,
            .to_column = to_column,
            .columns = passes_[layer * config_.directions() + direction].config.outputs(),
            .reversed = direction == 1,
            .mask = mask_of(layer, masks),
            .mask_column = first_column(layer, direction)};
  }

  void forward(const Batch& batch, View<const float, 2> masks, Mode mode, Queue& queue) {
    const Phase phase(queue, "forward");
    for (std::size_t layer = 0; layer < layers(); ++layer) {
      const std::size_t width = passes_[layer * config_.directions()].config.inputs;
      if (config_.bidirectional)
        backend_.copy_columns(batch.group, {.columns = width, .reversed = true}, input_of(batch, layer, 0),
                              of_layer(layer, inputs_[layer].reversed), queue);
      for (std::size_t direction = 0; direction < config_.directions(); ++direction) {
        Pass& pass = passes_[layer * config_.directions() + direction];
        const View<float, 4> y = outputs_of(pass.config, h_, pass.y);
        backend_.stack_forward(pass.config, batch.group, batch.parameters, input_of(batch, layer, direction),
                               cell_masks(masks), mode, *pass.state, y, queue);
        if (is_plain()) return;
        const std::size_t column = first_column(layer, direction);
        if (is_last(layer))
          backend_.readout(config_.readout, batch.group, y, mask_of(layer, masks), column, output_view(h_), queue);
        else
          backend_.copy_columns(batch.group, copy_between(layer, direction, masks, 0, column), y,
                                of_layer(layer + 1, inputs_[layer + 1].x), queue);
      }
    }
  }

  void backward(const Batch& batch, View<const float, 2> masks, View<float, 2> gradients, Queue& queue) {
    const Phase phase(queue, "backward");
    for (std::size_t layer = layers(); layer-- > 0;) {
      for (std::size_t direction = 0; direction < config_.directions(); ++direction) {
        Pass& pass = passes_[layer * config_.directions() + direction];
        const std::size_t column = first_column(layer, direction);
        const View<float, 4> dy = outputs_of(pass.config, dh_, pass.dy);
        if (!is_plain() && is_last(layer))
          backend_.readout_backward(config_.readout, batch.group, of_pass(pass.config, pass.y), mask_of(layer, masks),
                                    column, output_view(dh_), dy, queue);
        else if (!is_plain())
          backend_.copy_columns(batch.group, copy_between(layer, direction, masks, column, 0),
                                of_layer(layer + 1, inputs_[layer + 1].dx), dy, queue);
        Inputs& inputs = inputs_[layer];
        const View<float, 4> dx =
            layer == 0 ? View<float, 4>{} : of_layer(layer, direction == 0 ? inputs.dx : inputs.dx_reversed);
        backend_.stack_backward(pass.config, batch.group, batch.parameters, input_of(batch, layer, direction),
                                cell_masks(masks), dy, *pass.state, gradients, dx, queue);
      }
      if (layer > 0 && config_.bidirectional)
        backend_.copy_columns(batch.group,
                              {.columns = passes_[layer * 2].config.inputs, .reversed = true, .adds = true},
                              of_layer(layer, inputs_[layer].dx_reversed), of_layer(layer, inputs_[layer].dx), queue);
    }
  }

  void loss(const Batch& batch, Loss kind, View<float, 3> dh, View<float, 2> gradients, Queue& queue) {
    const Phase phase(queue, "loss");
    backend_.classify_loss(config_, batch.group, kind, batch.parameters, output_view(h_), batch.labels, batch.targets,
                           batch.probabilities, batch.loss, batch.correct, dh, gradients, queue);
  }

  Backend& backend_;
  NetworkConfig config_;
  MaskLayout masks_of_;
  std::size_t runs_, frames_, batch_;
  std::vector<Pass> passes_;    ///< in the order of NetworkConfig::passes
  std::vector<Inputs> inputs_;  ///< [layers()]
  Buffer<float> h_, dh_;        ///< [R, B, H of the dense layer]; the second for training
  Buffer<float> masks_;         ///< [R, D] for training
};

class CnnNetwork final : public Network {
 public:
  CnnNetwork(const CnnConfig& cnn, const Group& largest, Mode mode, Backend& backend)
      : backend_(backend), cnn_(cnn), state_(backend.make_cnn_state(cnn, largest, mode)) {}

  void step(const Batch& batch, Loss kind, std::span<const RandomKey> keys, View<float, 2> gradients,
            Queue& queue) override {
    const Phase phase(queue, "forward, loss, backward");
    if (cnn_.dropout == 0) keys = {};
    backend_.cnn_step(cnn_, batch.group, kind, batch.parameters, batch.x, batch.labels, keys, *state_,
                      batch.probabilities, batch.loss, batch.correct, gradients, queue);
  }

  void evaluate(const Batch& batch, Loss kind, Queue& queue) override {
    const Phase phase(queue, "forward, loss");
    backend_.cnn_evaluate(cnn_, batch.group, kind, batch.parameters, batch.x, batch.labels, *state_,
                          batch.probabilities, batch.loss, batch.correct, queue);
  }

  std::size_t bytes() const override { return state_->bytes(); }

 private:
  Backend& backend_;
  CnnConfig cnn_;
  std::unique_ptr<CnnState> state_;
};

}  // namespace

std::unique_ptr<Network> make_network(const ClassifierConfig& classifier, const Group& largest, Mode mode,
                                      Backend& backend) {
  if (!classifier.cnn) return std::make_unique<LstmNetwork>(classifier.stack, largest, mode, backend);
  if (const std::size_t frames = classifier.cnn->feature_frames(); largest.frames != frames)
    reject("the clips have {} frames, but this CNN takes exactly {}. Extract the features with that number of frames",
           largest.frames, frames);
  return std::make_unique<CnnNetwork>(*classifier.cnn, largest, mode, backend);
}

}  // namespace genretree
