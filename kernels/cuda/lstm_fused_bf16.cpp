// A layer of the fused LSTM in bf16: its memory, and which of the kernels of fused_bf16.hpp computes what.
#include "core/rounding.hpp"
#include "kernels/cuda/fused_bf16.hpp"
#include "kernels/cuda/fused_state.hpp"
#include "kernels/cuda/hard_slope.hpp"
#include "kernels/cuda/lstm_fused.hpp"

namespace genretree::cuda {
namespace {

namespace bf16_kernels = fused_bf16;
using bf16_kernels::gates;
using bf16_kernels::tile;

/// An input of more than this many numbers is multiplied with its weights for all frames beforehand. Two steps along k
/// cost less in the recurrent product than sums of 4H numbers a frame do on their way through memory.
constexpr std::size_t widest_joined = 2 * tile;

class Bf16Layer {
 public:
  using Number = std::uint32_t;  ///< pairs of rows
  using Gradient = float4;       ///< a lane's part of a tile

  struct Shared {
    Scratch<float4> projected, dx;
    Scratch<Number> dz;
    Scratch<float> dbias, partial;
    void make(Memory& memory) {
      projected.make(memory), dz.make(memory), dx.make(memory), dbias.make(memory), partial.make(memory);
    }
  };

  Bf16Layer(const FusedShape& shape, Memory& memory, Shared& shared)
      : shape_(shape), inputs_(round_up(shape.inputs, tile)) {
    const std::size_t runs = shape.runs, H = shape.units, matrix = runs * gates * H / 8;
    forward_weights_ = memory.take<uint4>(matrix * (inputs_ + H));
    if (shape.first) x_ = memory.take<Number>(sequence_size(inputs_));
    if (is_wide()) shared.projected.want(sequence_size(gates * H) / 2);
    if (shape.training || !shape.last) h_ = memory.take<Number>(sequence_size(H));
    if (!shape.training) return;
    backward_weights_ = memory.take<uint4>(matrix * H);
    gates_ = memory.take<uint4>(sequence_size(H));
    cells_ = memory.take<uint2>(sequence_size(H) / 2);
    shared.dz.want(sequence_size(gates * H));
    shared.dbias.want(runs * blocks() * gates * H);
    shared.partial.want(runs * bf16_kernels::chunks_of(frames()) * (inputs_ + H) * gates * H);
    if (takes_sequence()) shared.dx.want(sequence_size(H) / 2);
    if (!shape.gives_dx) return;
    to_inputs_ = memory.take<uint4>(matrix * inputs_);
    shared.dx.want(sequence_size(inputs_) / 2);
  }

  const Number* arrange(const FusedBatch& batch, const float* x, Stream stream) {
    bf16_kernels::arrange_inputs(layer(batch), batch.runs, x, x_.data(), stream);
    return x_.data();
  }

  const Number* forward(const FusedBatch& batch, const Number* inputs, float* h, Shared& shared, Stream stream) {
    const bf16_kernels::Layer own = layer(batch);
    const bf16_kernels::Masks masks = masks_of(batch);
    bf16_kernels::pack_weights(own, batch.runs, batch.parameters.data, tensors(batch),
                               {forward_weights_.data(), backward_weights_.data(), to_inputs_.data()}, stream);
    const bool projects = is_wide() && !masks.input;  // with dropout each gate has an input of its own
    if (projects)
      bf16_kernels::multiply(own, batch.runs, gates * own.units, own.inputs, forward_weights_.data(),
                             forward_weights_.size() / shape_.runs, inputs, {}, shared.projected.data(), stream);
    bf16_kernels::forward(own, batch.runs, forward_weights_.data(), batch.parameters.data, tensors(batch), inputs,
                          projects ? shared.projected.data() : nullptr, masks, h_.data(),
                          {shape_.last ? h : nullptr, shape_.sequences ? 0 : own.frames - 1},
                          batch.saves ? bf16_kernels::Saved{gates_.data(), cells_.data()} : bf16_kernels::Saved{},
                          stream);
    return h_.data();
  }

  const float4* backward(const FusedBatch& batch, const Number* inputs, const float* dh, const float4* from_above,
                         float* gradients, float* dx, Shared& shared, Stream stream) {
    const bf16_kernels::Layer own = layer(batch);
    const bf16_kernels::Masks masks = masks_of(batch);
    if (takes_sequence()) {
      bf16_kernels::arrange_gradients(own, batch.runs, dh, shared.dx.data(), stream);
      from_above = shared.dx.data();
    }
    bf16_kernels::backward(own, batch.runs, backward_weights_.data(), masks, {gates_.data(), cells_.data()},
                           shape_.last && !shape_.sequences ? dh : nullptr, from_above, shared.dz.data(),
                           shared.dbias.data(), stream);
    if (shape_.gives_dx)
      bf16_kernels::multiply(own, batch.runs, own.inputs, gates * own.units, to_inputs_.data(),
                             to_inputs_.size() / shape_.runs, shared.dz.data(), masks, shared.dx.data(), stream);
    bf16_kernels::weight_gradients(own, batch.runs, inputs, h_.data(), shared.dz.data(), masks, shared.dbias.data(),
                                   shared.partial.data(), tensors(batch), gradients, stream);
    if (!shape_.gives_dx) return nullptr;
    if (shape_.first) bf16_kernels::write_input_gradients(own, batch.runs, shared.dx.data(), dx, stream);
    return shared.dx.data();
  }

 private:
  std::size_t frames() const { return shape_.frames; }
  std::size_t blocks() const { return (shape_.batch + bf16_kernels::block_rows - 1) / bf16_kernels::block_rows; }
  /// Pairs of all runs.
  std::size_t sequence_size(std::size_t width) const {
    return shape_.runs * blocks() * frames() * width * bf16_kernels::block_rows / 2;
  }
  bool is_wide() const { return inputs_ > widest_joined; }
  bool takes_sequence() const { return shape_.last && shape_.sequences; }

  bf16_kernels::Layer layer(const FusedBatch& batch) const {
    const auto narrow = [](std::size_t size) { return static_cast<unsigned>(size); };
    return {batch.rows,      narrow(shape_.batch), narrow(shape_.frames),   narrow(shape_.inputs),
            narrow(inputs_), narrow(shape_.units), hard_slope(shape_.gate), narrow(shape_.shared_bytes)};
  }
  bf16_kernels::Tensors tensors(const FusedBatch& batch) const {
    return {shape_.tensors.kernel.offset, shape_.tensors.recurrent.offset, shape_.tensors.bias.offset,
            batch.parameters.shape[1]};
  }
  bf16_kernels::Masks masks_of(const FusedBatch& batch) const {
    if (batch.masks.empty()) return {};
    const float* masks = batch.masks.data;
    return {masks + shape_.masks.input_offset, masks + shape_.masks.recurrent_offset, batch.masks.shape[1]};
  }

  FusedShape shape_;
  std::size_t inputs_;  ///< filled up to tiles
  Buffer<uint4> forward_weights_, backward_weights_, to_inputs_;
  Buffer<Number> x_, h_;
  Buffer<uint4> gates_;
  Buffer<uint2> cells_;
};

}  // namespace

std::unique_ptr<LstmState> make_fused_bf16_state(const StackConfig& config, const Group& largest, Mode mode,
                                                 Queue& queue) {
  return std::make_unique<FusedState<Bf16Layer>>(config, largest, mode, queue);
}

}  // namespace genretree::cuda
