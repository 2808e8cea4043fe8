#include "core/error.hpp"
#include "models/network.hpp"

namespace genretree {
namespace {

class LstmNetwork final : public Network {
 public:
  LstmNetwork(const StackConfig& stack, const Group& largest, Mode mode, Backend& backend)
      : backend_(backend),
        stack_(stack),
        runs_(largest.runs),
        batch_(largest.batch),
        state_(backend.make_stack_state(stack, largest, mode)),
        h_(backend.device(), largest.runs * largest.batch * stack.outputs()) {
    if (mode == Mode::inference) return;
    dh_ = Buffer<float>(backend.device(), h_.size());
    if (stack.has_dropout()) masks_ = Buffer<float>(backend.device(), runs_ * MaskLayout(stack, batch_).size);
  }

  void step(const Batch& batch, Loss kind, std::span<const RandomKey> keys, View<float, 2> gradients,
            Queue& queue) override {
    View<float, 2> masks;
    if (stack_.has_dropout()) {
      const Phase phase(queue, "dropout masks");
      masks = masks_.view(runs_, masks_.size() / runs_);
      backend_.dropout_masks(stack_, batch.group, keys, masks, queue);
    }
    const View<float, 3> h = output_view(h_), dh = output_view(dh_);
    forward(batch, masks, Mode::training, h, queue);
    loss(batch, kind, h, dh, gradients, queue);
    const Phase phase(queue, "backward");
    backend_.stack_backward(stack_, batch.group, batch.parameters, batch.x, masks, dh, *state_, gradients, queue);
  }

  void evaluate(const Batch& batch, Loss kind, Queue& queue) override {
    const View<float, 3> h = output_view(h_);
    forward(batch, {}, Mode::inference, h, queue);
    loss(batch, kind, h, {}, {}, queue);
  }

  std::size_t bytes() const override { return state_->bytes() + h_.bytes() + dh_.bytes() + masks_.bytes(); }

 private:
  void forward(const Batch& batch, View<const float, 2> masks, Mode mode, View<float, 3> h, Queue& queue) {
    const Phase phase(queue, "forward");
    backend_.stack_forward(stack_, batch.group, batch.parameters, batch.x, masks, mode, *state_, h, queue);
  }

  void loss(const Batch& batch, Loss kind, View<const float, 3> h, View<float, 3> dh, View<float, 2> gradients,
            Queue& queue) {
    const Phase phase(queue, "loss");
    backend_.classify_loss(stack_, batch.group, kind, batch.parameters, h, batch.labels, batch.probabilities,
                           batch.loss, batch.correct, dh, gradients, queue);
  }

  View<float, 3> output_view(Buffer<float>& buffer) const { return buffer.view(runs_, batch_, stack_.outputs()); }

  Backend& backend_;
  StackConfig stack_;
  std::size_t runs_, batch_;
  std::unique_ptr<StackState> state_;
  Buffer<float> h_, dh_, masks_;  ///< [R, B, H], [R, B, H], [R, D]; the last two for training
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
