// How a stack of LSTM layers is put on the GPU by cuDNN. cuDNN's own stacks have layers of one width, so each of ours
// is an RNN of one layer. Runs of a group go one after another.
//
// Forward: the weights of each layer, which the optimiser has changed, go from Keras's layout into cuDNN's weight space
// (lstm_weights.cu); then y of a layer is x of the next. h is the last layer's y, of all frames or at the last.
//
// cuDNN's layers have two biases, which it adds up: Keras's is that of the input, and the recurrent one stays at the 0
// of the zeroed weight space. Its gradient, the same as the other's, is left in the space of the gradients.
//
// Backward: dy of the last layer is dh, which is 0 before the last frame unless it is given of all; dx of a layer is dy of
// the one below, and that of the first goes where it is wanted. cuDNN adds weight gradients, so their space is zeroed
// first, and unpacked into the parameters' layout after.
//
// All rows of the batch are computed. The gradient that enters at rows that do not count is 0, and so is all that
// comes of it: their x may be anything finite, and is 0 when gather made it.
#include <algorithm>
#include <fmt/format.h>

#include "core/error.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/lstm_cudnn.hpp"
#include "kernels/cuda/lstm_weights.hpp"

namespace genretree::cuda {
namespace {

LayerWeights layer_weights(const ParameterLayout::Layer& keras, const Rnn& rnn) {
  const std::size_t inputs = keras.kernel.rows, units = keras.recurrent.rows;
  LayerWeights layer{};
  layer.units = static_cast<unsigned>(units);
  layer.largest_matrix = static_cast<unsigned>(units * std::max(inputs, units));
  WeightPiece* next = layer.pieces;
  for (std::size_t q = 0; q < 4; ++q) {
    const Rnn::Gate& gate = rnn.gates()[q];
    *next++ = {keras.kernel.offset + q * units, gate.kernel, static_cast<unsigned>(inputs)};
    *next++ = {keras.recurrent.offset + q * units, gate.recurrent, static_cast<unsigned>(units)};
    *next++ = {keras.bias.offset + q * units, gate.bias, 1};
  }
  return layer;
}

class CudnnState final : public LstmState {
 public:
  CudnnState(RnnAlgorithm algorithm, const StackConfig& config, const Group& largest, Mode mode, bool tf32,
             Queue& queue);

  std::size_t bytes() const override { return bytes_; }
  void forward(const Group& group, View<const float, 2> parameters, View<const float, 4> x, View<const float, 2> masks,
               Mode mode, View<float, 4> h, Queue& queue) override;
  void backward(const Group& group, View<const float, 4> x, View<const float, 4> dh, View<float, 2> gradients,
                View<float, 4> dx, Queue& queue) override;

 private:
  /// What one layer of one run keeps from the forward to the backward pass.
  struct LayerMemory {
    Buffer<float> weights;      ///< cuDNN's weight space
    Buffer<std::byte> reserve;  ///< none for inference
    Buffer<float> y;            ///< [T, B, H of the layer]
  };
  struct Layer {
    std::unique_ptr<Rnn> rnn;
    LayerWeights weights;
    std::vector<LayerMemory> runs;  ///< for inference one, which serves all runs in turn
    LayerMemory& memory(std::size_t run) { return runs[std::min(run, runs.size() - 1)]; }
  };

  template <class T>
  Buffer<T> take(Device& device, std::size_t bytes) {
    Buffer<T> buffer(device, (bytes + sizeof(T) - 1) / sizeof(T));
    bytes_ += buffer.bytes();
    return buffer;
  }
  std::size_t sequence_bytes(std::size_t width) const { return frames_ * batch_ * width * sizeof(float); }
  Rnn::Spaces spaces(LayerMemory& memory) { return {memory.weights.data(), workspace_.data(), memory.reserve.data()}; }
  /// The layer's input: x of the run, or y of the layer below.
  const float* input(std::size_t layer, std::size_t run, View<const float, 4> x) {
    return layer == 0 ? x[run].data : layers_[layer - 1].memory(run).y.data();
  }
  void check_shape(const Group& group) const;
  void forward_run(std::size_t run, const float* parameters, View<const float, 4> x, Mode mode, float* h, Queue& queue);
  /// dx: [T, B, F], or null: not wanted.
  void backward_run(std::size_t run, std::size_t rows, View<const float, 4> x, const float* dh, float* gradients,
                    float* dx, Queue& queue);
  /// Of the last layer's y, those that h holds: all, or the last.
  std::size_t output_frames() const { return sequences_ ? frames_ : 1; }
  std::size_t frame_size() const { return batch_ * outputs_; }

  bool sequences_;
  std::size_t runs_, frames_, batch_, outputs_, bytes_ = 0;
  std::vector<Layer> layers_;
  Buffer<std::byte> workspace_;
  // of the layer and the run that is being computed, for training:
  Buffer<float> weight_gradients_;  ///< like a weight space
  Buffer<float> dy_, dx_;           ///< [T, B, width], of which two take turns
};

CudnnState::CudnnState(RnnAlgorithm algorithm, const StackConfig& config, const Group& largest, Mode mode, bool tf32,
                       Queue& queue)
    : LstmState(mode),
      sequences_(config.sequences),
      runs_(largest.runs),
      frames_(largest.frames),
      batch_(largest.batch),
      outputs_(config.outputs()) {
  Device& device = queue.device();
  const ParameterLayout layout(config);
  const bool training = mode == Mode::training;
  if (frames_ > most_rnn_frames)
    reject("cuDNN takes sequences of at most {} frames, but these have {}. Use fewer features.frames, or device: cpu",
           most_rnn_frames, frames_);
  std::size_t workspace = 256, weight_space = 0, widest = config.inputs;  // cuDNN wants a workspace, needed or not
  for (std::size_t l = 0; l < config.layers(); ++l) {
    Layer& layer = layers_.emplace_back();
    layer.rnn = make_rnn({config.layer_inputs(l), config.units[l], frames_, batch_, mode, algorithm, tf32}, queue);
    layer.weights = layer_weights(layout.layers[l], *layer.rnn);
    for (std::size_t run = 0; run < (training ? runs_ : 1); ++run) {
      LayerMemory& memory = layer.runs.emplace_back();
      memory.weights = take<float>(device, layer.rnn->weight_bytes());
      memory.weights.zero(queue);  // recurrent biases, and gaps between the matrices
      memory.reserve = take<std::byte>(device, layer.rnn->reserve_bytes());
      memory.y = take<float>(device, sequence_bytes(config.units[l]));
    }
    workspace = std::max(workspace, layer.rnn->workspace_bytes());
    weight_space = std::max(weight_space, layer.rnn->weight_bytes());
    widest = std::max(widest, config.units[l]);
  }
  workspace_ = take<std::byte>(device, workspace);
  if (!training) return;
  weight_gradients_ = take<float>(device, weight_space);
  dy_ = take<float>(device, sequence_bytes(widest));
  dx_ = take<float>(device, sequence_bytes(widest));
}

void CudnnState::check_shape(const Group& group) const {
  if (group.frames != frames_ || group.batch != batch_ || group.runs > runs_)
    fail(
        "an LSTM state of cuDNN for {} runs of {} rows and {} frames was given {} of {} and {}. Make a state for each "
        "shape; fewer rows are said by Group::rows",
        runs_, batch_, frames_, group.runs, group.batch, group.frames);
}

void CudnnState::forward(const Group& group, View<const float, 2> parameters, View<const float, 4> x,
                         View<const float, 2> masks, Mode mode, View<float, 4> h, Queue& queue) {
  check_shape(group);
  if (!masks.empty()) fail("dropout masks were given to cuDNN's LSTM, which has none of ours");
  for (std::size_t run = 0; run < group.runs; ++run)
    if (group.rows[run] > 0) forward_run(run, parameters[run].data, x, mode, h[run].data, queue);
}

void CudnnState::forward_run(std::size_t run, const float* parameters, View<const float, 4> x, Mode mode, float* h,
                             Queue& queue) {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    Layer& layer = layers_[l];
    LayerMemory& memory = layer.memory(run);
    pack_weights(layer.weights, parameters, memory.weights.data(), stream_of(queue));
    layer.rnn->forward(mode, input(l, run, x), memory.y.data(), spaces(memory), queue);
  }
  const std::size_t first = (frames_ - output_frames()) * frame_size();
  queue.copy(h, layers_.back().memory(run).y.data() + first, output_frames() * frame_size() * sizeof(float));
}

void CudnnState::backward(const Group& group, View<const float, 4> x, View<const float, 4> dh, View<float, 2> gradients,
                          View<float, 4> dx, Queue& queue) {
  check_shape(group);
  for (std::size_t run = 0; run < group.runs; ++run)
    if (group.rows[run] > 0)
      backward_run(run, group.rows[run], x, dh[run].data, gradients[run].data, dx[run].data, queue);
}

void CudnnState::backward_run(std::size_t run, std::size_t rows, View<const float, 4> x, const float* dh,
                              float* gradients, float* wanted_dx, Queue& queue) {
  float *dy = dy_.data(), *dx = dx_.data();
  const std::size_t first = (frames_ - output_frames()) * frame_size();
  queue.zero(dy, first * sizeof(float));
  gradient_of_rows(dh, output_frames(), rows, batch_, outputs_, dy + first, stream_of(queue));
  for (std::size_t l = layers_.size(); l-- > 0;) {
    Layer& layer = layers_[l];
    LayerMemory& memory = layer.memory(run);
    if (l == 0 && wanted_dx) dx = wanted_dx;
    layer.rnn->backward_data(memory.y.data(), dy, dx, spaces(memory), queue);
    queue.zero(weight_gradients_.data(), layer.rnn->weight_bytes());
    layer.rnn->backward_weights(input(l, run, x), memory.y.data(), weight_gradients_.data(), spaces(memory), queue);
    unpack_gradients(layer.weights, weight_gradients_.data(), gradients, stream_of(queue));
    std::swap(dy, dx);
  }
}

}  // namespace

std::string cudnn_refusal(const StackConfig& config) {
  const char* wanted = config.gate != Gate::sigmoid   ? "hard sigmoid gates"
                       : config.recurrent_dropout > 0 ? "recurrent dropout"
                       : config.dropout > 0           ? "dropout with a mask for each gate"
                                                      : nullptr;
  if (!wanted) return "";
  return fmt::format("cuDNN cannot compute an LSTM with {}", wanted);
}

std::unique_ptr<LstmState> make_cudnn_state(RnnAlgorithm algorithm, const StackConfig& config, const Group& largest,
                                            Mode mode, bool tf32, Queue& queue) {
  return std::make_unique<CudnnState>(algorithm, config, largest, mode, tf32, queue);
}

}  // namespace genretree::cuda
