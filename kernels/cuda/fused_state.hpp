// What the fused LSTM does in either precision: the order of a stack's layers, their memory, and which sequence goes
// where. A Layer (lstm_fused_bf16.cpp, lstm_fused_fp32.cpp) has the memory of one layer and launches its kernels.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "core/error.hpp"
#include "kernels/cuda/group_rows.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/lstm_stack.hpp"

namespace genretree::cuda {

/// Takes device memory, and counts it.
class Memory {
 public:
  explicit Memory(Device& device) : device_(device) {}
  template <class T>
  Buffer<T> take(std::size_t size) {
    Buffer<T> buffer(device_, size);
    bytes_ += buffer.bytes();
    return buffer;
  }
  std::size_t bytes() const { return bytes_; }

 private:
  Device& device_;
  std::size_t bytes_ = 0;
};

/// Scratch that layers use one after another: as large as the largest wants it.
template <class T>
class Scratch {
 public:
  void want(std::size_t size) { size_ = std::max(size_, size); }
  void make(Memory& memory) { buffer_ = memory.take<T>(size_); }
  T* data() { return buffer_.data(); }

 private:
  std::size_t size_ = 0;
  Buffer<T> buffer_;
};

/// One layer of the stack, and the batch that it is given.
struct FusedShape {
  std::size_t runs, batch, frames;  ///< R, B, T
  std::size_t inputs, units;        ///< I, H
  Gate gate;
  bool dropout;
  std::size_t index;           ///< of the layer in the stack
  bool training, first, last;  ///< first, last: of the stack's layers
  bool sequences;              ///< what the last layer gives, and is given the gradient of, is h of all frames
  bool gives_dx;               ///< the first layer to somebody else, the others to the layer below
  std::size_t shared_bytes;    ///< shared memory that a block of threads may have
  ParameterLayout::Layer tensors;
  MaskLayout::Layer masks;
};

/// The arguments of a pass, for all layers.
struct FusedBatch {
  unsigned runs;
  RunRows rows;
  View<const float, 2> parameters;  ///< [R, P]
  View<const float, 2> masks;       ///< [R, D], or empty: no dropout
  bool saves;                       ///< what the backward pass needs
};

/// Layer has
///   using Number, Gradient                        of a sequence, and of one of gradients
///   struct Shared { void make(Memory&); }         scratch of all layers
///   Layer(const FusedShape&, Memory&, Shared&)
///   const Number* arrange(batch, x, stream)       x [R, T, B, F] as the first layer's input sequence
///   const Number* forward(batch, inputs, h, shared, stream)      the layer's h sequence; the last one's h, as the
///                                                 contract has it, too
///   const Gradient* backward(batch, inputs, dh, from_above, gradients, dx, shared, stream)   the sequence of dx, if the
///                                                 layer gives it. Of the last one the gradient of h is dh, of the
///                                                 others from_above; dx is the first one's: both as the contract has them
template <class Layer>
class FusedState final : public LstmState {
 public:
  using Number = typename Layer::Number;

  FusedState(const StackConfig& config, const Group& largest, Mode mode, Queue& queue)
      : LstmState(mode), largest_(largest), memory_(queue.device()) {
    run_rows(largest);  // refuses too many
    const ParameterLayout layout(config);
    const MaskLayout masks(config, largest.batch);
    const std::size_t shared_bytes = gpu_properties().shared_bytes;
    layers_.reserve(config.layers());
    for (std::size_t l = 0; l < config.layers(); ++l)
      layers_.emplace_back(FusedShape{.runs = largest.runs,
                                      .batch = largest.batch,
                                      .frames = largest.frames,
                                      .inputs = config.layer_inputs(l),
                                      .units = config.units[l],
                                      .gate = config.gate,
                                      .dropout = config.has_dropout() && mode == Mode::training,
                                      .index = l,
                                      .training = mode == Mode::training,
                                      .first = l == 0,
                                      .last = l + 1 == config.layers(),
                                      .sequences = config.sequences,
                                      .gives_dx = l > 0 || config.input_gradient,
                                      .shared_bytes = shared_bytes,
                                      .tensors = layout.layers[l],
                                      .masks = masks.layers[l]},
                           memory_, shared_);
    shared_.make(memory_);
  }

  std::size_t bytes() const override { return memory_.bytes(); }

  void forward(const Group& group, View<const float, 2> parameters, View<const float, 4> x, View<const float, 2> masks,
               Mode mode, View<float, 4> h, Queue& queue) override {
    check_shape(group);
    batch_ = FusedBatch{static_cast<unsigned>(group.runs), run_rows(group), parameters, masks, mode == Mode::training};
    const Stream stream = stream_of(queue);
    inputs_.clear();
    inputs_.push_back(layers_[0].arrange(*batch_, x.data, stream));
    for (Layer& layer : layers_) inputs_.push_back(layer.forward(*batch_, inputs_.back(), h.data, shared_, stream));
  }

  void backward(const Group& group, View<const float, 4>, View<const float, 4> dh, View<float, 2> gradients,
                View<float, 4> dx, Queue& queue) override {
    check_shape(group);
    if (!batch_ || !batch_->saves)
      fail("a fused LSTM's backward pass was asked for without a forward pass in training");
    const typename Layer::Gradient* from_above = nullptr;
    for (std::size_t l = layers_.size(); l-- > 0;)
      from_above = layers_[l].backward(*batch_, inputs_[l], dh.data, from_above, gradients.data, dx.data, shared_,
                                       stream_of(queue));
  }

 private:
  void check_shape(const Group& group) const {
    if (group.frames != largest_.frames || group.batch != largest_.batch || group.runs > largest_.runs)
      fail(
          "a fused LSTM's state for {} runs of {} rows and {} frames was given {} of {} and {}. Make a state for each "
          "shape; fewer rows are said by Group::rows",
          largest_.runs, largest_.batch, largest_.frames, group.runs, group.batch, group.frames);
  }

  Group largest_;
  Memory memory_;
  typename Layer::Shared shared_;
  std::vector<Layer> layers_;
  std::optional<FusedBatch> batch_;    ///< of the last forward pass
  std::vector<const Number*> inputs_;  ///< sequences that the layers were given; then the last one's h
};

}  // namespace genretree::cuda
