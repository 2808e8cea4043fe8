// One run on made-up clips, step by step: what the training benchmarks are made of.
#pragma once

#include <memory>
#include <vector>

#include "models/trainer.hpp"
#include "tools/bench/measure.hpp"

namespace genretree::bench {

/// What decides the cost of a step.
struct Shape {
  StackConfig stack;
  std::size_t batch, frames;
};

inline constexpr std::size_t paper_classes = 6;
inline const Shape paper_shape{{.inputs = 13, .units = {128, 32}}, 35, 1293};
inline const Shape short_shape{{.inputs = 33, .units = {128, 32}}, 35, 128};

/// Multiplications and additions of the products of a stack, for one batch.
struct Operations {
  double forward = 0;
  double transposed = 0;  ///< gradients of the operands, without that of the first layer's input
  double weights = 0;     ///< gradients of the weights

  explicit Operations(const Shape& shape) {
    const auto rows = static_cast<double>(shape.batch * shape.frames);
    for (std::size_t l = 0; l < shape.stack.layers(); ++l) {
      const auto inputs = static_cast<double>(shape.stack.layer_inputs(l));
      const auto units = static_cast<double>(shape.stack.units[l]), per_operand = 2 * 4 * units * rows;
      forward += per_operand * (inputs + units);
      transposed += per_operand * (l == 0 ? units : inputs + units);
      weights += per_operand * (inputs + units);
    }
  }
  double step() const { return forward + transposed + weights; }
};

/// A network, a batch and everything that a step needs, in the backend's memory, for each run of a group of equals. All but step() and the copies out give
/// work to a queue of its own and return; the CPU's does it at once.
class Training {
 public:
  Training(Backend& backend, const Shape& shape, Mode mode = Mode::training, std::size_t runs = 1);

  /// Forward, loss, backward, Adam.
  void step();
  /// The same again and again: a GPU gets it as one recorded piece. Does not wait for it.
  void repeat_step();
  /// Forward alone, as before a backward pass; or, made for inference, as in an evaluation.
  void forward();
  /// After `forward` and `classify`.
  void backward();
  /// Dense layer and loss of what `forward` left, with gradients if made for training.
  void classify();
  /// One update by the gradients that `backward` left, or by those given.
  void update();
  void wait() { queue_->synchronize(); }

  /// Another state for the LSTM stack, made for this shape.
  void use_state(std::unique_ptr<StackState> state) { state_ = std::move(state); }
  const Group& group() const { return group_; }
  std::vector<float> gradients() { return copy_of(gradients_); }
  void use_gradients(const std::vector<float>& gradients) { gradients_.copy_in(gradients, *queue_); }
  std::vector<float> parameters() { return copy_of(parameters_); }
  std::vector<float> output() { return copy_of(h_); }
  /// What the backend's state holds, MB.
  double megabytes() const { return static_cast<double>(state_->bytes()) / 1e6; }

 private:
  std::vector<float> copy_of(const Buffer<float>& memory);
  Buffer<float> zeros(std::size_t size);
  View<float, 2> row_view(Buffer<float>& values) { return values.view(group_.runs, values.size() / group_.runs); }
  View<float, 3> output_view(Buffer<float>& h) { return h.view(group_.runs, shape_.batch, shape_.stack.outputs()); }
  /// The same as outputs of one frame.
  View<float, 4> frame_view(Buffer<float>& h) { return h.view(group_.runs, 1, shape_.batch, shape_.stack.outputs()); }
  View<const float, 4> x_view() const { return x_.view(group_.runs, shape_.frames, shape_.batch, shape_.stack.inputs); }

  Backend& backend_;
  std::unique_ptr<Queue> queue_;
  Shape shape_;
  Mode mode_;
  Group group_;
  Buffer<float> parameters_, x_, gradients_, moments_, h_, dh_, probabilities_;
  Buffer<std::int32_t> labels_, correct_;
  Buffer<double> loss_;
  Buffer<std::int64_t> steps_;
  std::unique_ptr<StackState> state_;
  std::unique_ptr<Recording> recording_;
};

/// An epoch of 420 clips of the paper's size in batches of 35, then 120 of validation and 60 of test.
class PaperEpoch {
 public:
  explicit PaperEpoch(Backend& backend);
  Trainer& trainer() { return *trainer_; }
  /// Multiplications and additions of the products.
  static double operations();

 private:
  std::unique_ptr<Queue> queue_;
  std::unique_ptr<DeviceDataset> dataset_;
  std::unique_ptr<Trainer> trainer_;
};

/// fail() unless a few frames have the definition's output in an evaluation, and in a step its gradients and updated
/// weights: a wrong kernel's time means nothing.
void check_training(const Precision& precision, const Shape& shape);

/// `count` numbers from a normal distribution, the same on every call.
std::vector<float> made_up(std::size_t count);

}  // namespace genretree::bench
