// A layer of the fused LSTM in fp32: its memory, and which of the kernels of fused_fp32.hpp computes what.
#include <array>

#include "kernels/cuda/fused_fp32.hpp"
#include "kernels/cuda/fused_state.hpp"
#include "kernels/cuda/lstm_fused.hpp"

namespace genretree::cuda {
namespace {

using fused_fp32::BlockPlan;
using fused_fp32::LayerShape;
using fused_fp32::PerRun;

class Fp32Layer {
 public:
  using Number = float;
  using Gradient = float;

  struct Shared {
    std::array<Scratch<float>, 2> dx;  ///< a layer reads the one of the layer above while it writes its own
    Scratch<float> dz, dbias, partial_sums;
    void make(Memory& memory) {
      dx[0].make(memory), dx[1].make(memory), dz.make(memory), dbias.make(memory), partial_sums.make(memory);
    }
  };

  Fp32Layer(const FusedShape& shape, Memory& memory, Shared& shared)
      : shape_(shape),
        forward_plan_(fused_fp32::plan_forward(layer(shape.runs), false, shape.shared_bytes)),
        masked_plan_(fused_fp32::plan_forward(layer(shape.runs), shape.dropout, shape.shared_bytes)),
        backward_plan_(fused_fp32::plan_backward(layer(shape.runs), shape.gives_dx, shape.shared_bytes)) {
    const LayerShape own = layer(shape.runs);
    const std::size_t runs = shape.runs;
    forward_weights_ = memory.take<float>(runs * std::max(forward_plan_.weights_size(), masked_plan_.weights_size()));
    if (shape.first) x_ = memory.take<float>(runs * own.sequence_size(own.inputs));
    if (shape.training || !shape.last || shape.sequences) h_ = memory.take<float>(runs * own.sequence_size(own.units));
    if (shape.dropout) masks_ = memory.take<float>(runs * own.masks_size());
    if (!shape.training) return;
    backward_weights_ = memory.take<float>(runs * backward_plan_.weights_size());
    saved_ = memory.take<float>(runs * own.saved_size());
    shared.dz.want(runs * own.sequence_size(4 * own.units));
    shared.dbias.want(runs * own.bias_gradients_size());
    shared.partial_sums.want(runs * own.partial_sums_size());
    if (takes_sequence()) from_above(shared).want(runs * own.sequence_size(own.units));
    if (shape.gives_dx) to_below(shared).want(runs * own.sequence_size(own.inputs));
  }

  const Number* arrange(const FusedBatch& batch, const float* x, Stream stream) {
    const LayerShape own = layer(batch.runs);
    fused_fp32::arrange_inputs(view_of(x, batch.runs, own.frames, own.batch, own.inputs), batch.rows,
                               sequence(x_.data(), own.inputs), stream);
    return x_.data();
  }

  const Number* forward(const FusedBatch& batch, const Number* inputs, float* h, Shared&, Stream stream) {
    const LayerShape own = layer(batch.runs);
    const bool masked = !batch.masks.empty();
    if (masked)
      fused_fp32::arrange_masks(own, batch.rows, of_runs(batch.masks), shape_.masks.input_offset,
                                shape_.masks.recurrent_offset, masks(), stream);
    const BlockPlan& plan = masked ? masked_plan_ : forward_plan_;
    const PerRun<float> weights{forward_weights_.data(), plan.weights_size()};
    fused_fp32::pack_forward(own, plan, batch.rows, of_runs(batch.parameters), offsets(), weights, stream);
    fused_fp32::forward(own, plan, batch.rows,
                        {.weights = weights,
                         .bias = {batch.parameters.data + offsets().bias, batch.parameters.shape[1]},
                         .x = sequence(inputs, own.inputs),
                         .masks = masked ? masks() : PerRun<float>{},
                         .h = sequence(h_.data(), own.units),
                         .last_h = {shape_.last && !shape_.sequences ? h : nullptr, std::size_t{own.batch} * own.units},
                         .saved = batch.saves ? saved() : PerRun<float>{}},
                        stream);
    if (takes_sequence())
      fused_fp32::write_sequence(sequence(std::as_const(h_).data(), own.units), batch.rows,
                                 view_of(h, batch.runs, own.frames, own.batch, own.units), stream);
    return h_.data();
  }

  const Gradient* backward(const FusedBatch& batch, const Number* inputs, const float* dh, const Gradient* dh_of_all,
                           float* gradients, float* dx, Shared& shared, Stream stream) {
    const LayerShape own = layer(batch.runs);
    const PerRun<float> weights{backward_weights_.data(), backward_plan_.weights_size()};
    const PerRun<float> masked = batch.masks.empty() ? PerRun<float>{} : masks();
    const PerRun<float> dz = sequence(shared.dz.data(), 4 * own.units),
                        dbias{shared.dbias.data(), own.bias_gradients_size()};
    float* const dx_of_all = shape_.gives_dx ? to_below(shared).data() : nullptr;
    if (takes_sequence()) {
      float* const arranged = from_above(shared).data();
      fused_fp32::arrange_inputs(view_of(dh, batch.runs, own.frames, own.batch, own.units), batch.rows,
                                 sequence(arranged, own.units), stream);
      dh_of_all = arranged;
    }
    fused_fp32::pack_backward(own, backward_plan_, batch.rows, of_runs(batch.parameters), offsets(), weights, stream);
    fused_fp32::backward(
        own, backward_plan_, batch.rows,
        {.weights = weights,
         .masks = masked,
         .saved = saved(),
         .dlast = {shape_.last && !shape_.sequences ? dh : nullptr, std::size_t{own.batch} * own.units},
         .dh = sequence(dh_of_all, own.units),
         .dz = dz,
         .dx = sequence(dx_of_all, own.inputs),
         .dbias = dbias},
        stream);
    fused_fp32::gradients(own, batch.rows,
                          {.x = sequence(inputs, own.inputs),
                           .h = sequence(h_.data(), own.units),
                           .masks = masked,
                           .dz = dz,
                           .dbias = dbias,
                           .partial_sums = {shared.partial_sums.data(), own.partial_sums_size()},
                           .gradients = {gradients, batch.parameters.shape[1]},
                           .offsets = offsets()},
                          stream);
    if (shape_.first && shape_.gives_dx)
      fused_fp32::write_sequence(sequence<const float>(dx_of_all, own.inputs), batch.rows,
                                 view_of(dx, batch.runs, own.frames, own.batch, own.inputs), stream);
    return dx_of_all;
  }

 private:
  bool takes_sequence() const { return shape_.last && shape_.sequences; }
  Scratch<float>& from_above(Shared& shared) const { return shared.dx[(shape_.index + 1) % 2]; }
  Scratch<float>& to_below(Shared& shared) const { return shared.dx[shape_.index % 2]; }
  LayerShape layer(std::size_t runs) const {
    const auto narrow = [](std::size_t size) { return static_cast<unsigned>(size); };
    return {narrow(runs),          narrow(shape_.batch), narrow(shape_.frames),
            narrow(shape_.inputs), narrow(shape_.units), shape_.gate};
  }
  fused_fp32::LayerOffsets offsets() const {
    return {shape_.tensors.kernel.offset, shape_.tensors.recurrent.offset, shape_.tensors.bias.offset};
  }
  template <class T>
  PerRun<T> sequence(T* data, unsigned width) const {
    return {data, layer(1).sequence_size(width)};
  }
  static PerRun<const float> of_runs(View<const float, 2> view) { return {view.data, view.shape[1]}; }
  PerRun<float> saved() { return {saved_.data(), layer(1).saved_size()}; }
  PerRun<float> masks() { return {masks_.data(), layer(1).masks_size()}; }

  FusedShape shape_;
  BlockPlan forward_plan_, masked_plan_, backward_plan_;  ///< masked: with dropout
  Buffer<float> forward_weights_, backward_weights_, x_, h_, masks_, saved_;
};

}  // namespace

std::unique_ptr<LstmState> make_fused_fp32_state(const StackConfig& config, const Group& largest, Mode mode,
                                                 Queue& queue) {
  return std::make_unique<FusedState<Fp32Layer>>(config, largest, mode, queue);
}

}  // namespace genretree::cuda
