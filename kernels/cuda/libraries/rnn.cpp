// Calls of cuDNN 9's RNN interface ("v8"). Sources: cudnn_adv_v9.h and cuDNN's API reference of the functions named.
#include <algorithm>
#include <climits>
#include <vector>

#include "core/error.hpp"
#include "kernels/cuda/libraries/queue.hpp"
#include "kernels/cuda/libraries/rnn_descriptors.hpp"

namespace genretree::cuda {
namespace {

constexpr cudnnDataType_t single_precision = CUDNN_DATA_FLOAT;

int as_int(std::size_t number, const RnnConfig& config) {
  if (number > INT_MAX) reject("{} is too large for cuDNN, whose sizes end at {}", description(config), INT_MAX);
  return static_cast<int>(number);
}

cudnnRNNAlgo_t cudnn_algorithm(RnnAlgorithm algorithm) {
  switch (algorithm) {
    case RnnAlgorithm::standard:
      return CUDNN_RNN_ALGO_STANDARD;
    case RnnAlgorithm::persist_static_small_h:
      return CUDNN_RNN_ALGO_PERSIST_STATIC_SMALL_H;
    case RnnAlgorithm::persist_static:
      return CUDNN_RNN_ALGO_PERSIST_STATIC;
    case RnnAlgorithm::persist_dynamic:
      return CUDNN_RNN_ALGO_PERSIST_DYNAMIC;
  }
  fail("unknown algorithm of cuDNN");
}

}  // namespace

void check_supported(cudnnStatus_t status, const char* call, const RnnConfig& config) {
  if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED) {
    cudaGetLastError();  // see check()
    throw RnnRefused(config, fmt::format("{} says {}", call, cudnnGetErrorString(status)));
  }
  check(status, call, description(config));
}

RnnDescriptors::RnnDescriptors(const RnnConfig& config) {
  const auto call = [&](cudnnStatus_t status, const char* name) { check_supported(status, name, config); };
  const int inputs = as_int(config.inputs, config), units = as_int(config.units, config),
            frames = as_int(config.frames, config), batch = as_int(config.batch, config);
  // A bias of the input and a recurrent one, although Keras has one only: with CUDNN_RNN_SINGLE_INP_BIAS cuDNN 9
  // refuses every algorithm but standard. The default math would allow TF32. One layer has no dropout between layers,
  // and projSize = hiddenSize means that there is no projection.
  call(cudnnCreateRNNDescriptor(rnn_.out()), "cudnnCreateRNNDescriptor");
  call(cudnnSetRNNDescriptor_v8(rnn(), cudnn_algorithm(config.algorithm), CUDNN_LSTM, CUDNN_RNN_DOUBLE_BIAS,
                                CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT, single_precision, single_precision,
                                config.tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH, inputs, units, units,
                                /*numLayers=*/1, /*dropoutDesc=*/nullptr, CUDNN_RNN_PADDED_IO_ENABLED),
       "cudnnSetRNNDescriptor_v8");

  const std::vector<int> lengths(config.batch, frames);  // which cuDNN copies
  const auto describe = [&](cudnnRNNDataDescriptor_t* data, int width) {
    call(cudnnCreateRNNDataDescriptor(data), "cudnnCreateRNNDataDescriptor");
    call(cudnnSetRNNDataDescriptor(*data, single_precision, CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED, frames, batch,
                                   width, lengths.data(), /*paddingFill=*/nullptr),
         "cudnnSetRNNDataDescriptor");
  };
  describe(x_.out(), inputs);
  describe(y_.out(), units);

  const int shape[] = {1, batch, units}, strides[] = {as_int(config.batch * config.units, config), units, 1};
  call(cudnnCreateTensorDescriptor(state_.out()), "cudnnCreateTensorDescriptor");
  call(cudnnSetTensorNdDescriptor(state(), single_precision, 3, shape, strides), "cudnnSetTensorNdDescriptor");
}

namespace {

using TensorDescriptor = Owned<cudnnTensorDescriptor_t, cudnnDestroyTensorDescriptor>;

/// With the descriptors of persist_dynamic goes the kernel that was compiled for it.
struct DestroyDescriptors {
  Device& device;
  void operator()(RnnDescriptors* descriptors) const {
    const auto lock = no_recording(device);
    delete descriptors;
  }
};

class CudnnRnn final : public Rnn {
 public:
  CudnnRnn(const RnnConfig& config, Queue& queue)
      : config_(config), descriptors_(new RnnDescriptors(config), {queue.device()}) {
    const cudnnHandle_t handle = cudnn_of(queue);
    if (config.algorithm == RnnAlgorithm::persist_dynamic) {
      const auto lock = no_recording(queue.device());
      call(cudnnBuildRNNDynamic(handle, descriptors_->rnn(), as_int(config.batch, config)), "cudnnBuildRNNDynamic");
    }
    call(cudnnGetRNNWeightSpaceSize(handle, descriptors_->rnn(), &weight_bytes_), "cudnnGetRNNWeightSpaceSize");
    measure_spaces(handle, CUDNN_FWD_MODE_INFERENCE);
    if (config.mode == Mode::training) measure_spaces(handle, CUDNN_FWD_MODE_TRAINING);
    find_gates(handle, queue.device());
  }

  void forward(Mode mode, const float* x, float* y, const Spaces& spaces, Queue& queue) override {
    const bool training = mode == Mode::training;
    call(cudnnRNNForward(cudnn_of(queue), descriptors_->rnn(),
                         training ? CUDNN_FWD_MODE_TRAINING : CUDNN_FWD_MODE_INFERENCE, lengths_on_device,
                         descriptors_->x(), x, descriptors_->y(), y, descriptors_->state(), zero_state, not_wanted,
                         descriptors_->state(), zero_state, not_wanted, weight_bytes_, spaces.weights, workspace_bytes_,
                         spaces.workspace, training ? reserve_bytes_ : 0, training ? spaces.reserve : nullptr),
         "cudnnRNNForward");
  }

  void backward_data(const float* y, const float* dy, float* dx, const Spaces& spaces, Queue& queue) override {
    call(cudnnRNNBackwardData_v8(cudnn_of(queue), descriptors_->rnn(), lengths_on_device, descriptors_->y(), y, dy,
                                 descriptors_->x(), dx, descriptors_->state(), zero_state, zero_state, not_wanted,
                                 descriptors_->state(), zero_state, zero_state, not_wanted, weight_bytes_,
                                 spaces.weights, workspace_bytes_, spaces.workspace, reserve_bytes_, spaces.reserve),
         "cudnnRNNBackwardData_v8");
  }

  void backward_weights(const float* x, const float* y, void* weight_gradients, const Spaces& spaces,
                        Queue& queue) override {
    call(cudnnRNNBackwardWeights_v8(cudnn_of(queue), descriptors_->rnn(), CUDNN_WGRAD_MODE_ADD, lengths_on_device,
                                    descriptors_->x(), x, descriptors_->state(), zero_state, descriptors_->y(), y,
                                    weight_bytes_, weight_gradients, workspace_bytes_, spaces.workspace, reserve_bytes_,
                                    spaces.reserve),
         "cudnnRNNBackwardWeights_v8");
  }

 private:
  // Null devSeqLengths (since cuDNN 8.9.1): the data descriptors' lengths count. Null hx, cx, dhy and dcy are zeros.
  static constexpr const std::int32_t* lengths_on_device = nullptr;
  static constexpr const void* zero_state = nullptr;
  static constexpr void* not_wanted = nullptr;

  void call(cudnnStatus_t status, const char* name) const { check_supported(status, name, config_); }

  void measure_spaces(cudnnHandle_t handle, cudnnForwardMode_t mode) {
    std::size_t workspace = 0, reserve = 0;
    call(cudnnGetRNNTempSpaceSizes(handle, descriptors_->rnn(), mode, descriptors_->x(), &workspace, &reserve),
         "cudnnGetRNNTempSpaceSizes");
    workspace_bytes_ = std::max(workspace_bytes_, workspace);
    if (mode == CUDNN_FWD_MODE_TRAINING) reserve_bytes_ = reserve;
  }

  /// A matrix or a bias that cudnnGetRNNWeightParams found.
  struct Place {
    bool found;
    std::size_t offset;  ///< in floats
  };

  Place place_of(const TensorDescriptor& tensor, const void* address, const std::byte* base, int columns) const {
    cudnnDataType_t type{};
    int dimensions = 0, shape[3]{}, strides[3]{};
    call(cudnnGetTensorNdDescriptor(tensor.get(), 3, &type, &dimensions, shape, strides), "cudnnGetTensorNdDescriptor");
    if (dimensions == 0 || !address) return {false, 0};
    const auto bytes = static_cast<std::size_t>(static_cast<const std::byte*>(address) - base);
    const int rows = static_cast<int>(config_.units);
    const bool row_by_row = (rows == 1 || strides[1] == columns) && (columns == 1 || strides[2] == 1);
    const std::size_t size = config_.units * static_cast<std::size_t>(columns) * sizeof(float);
    if (type != single_precision || dimensions != 3 || shape[0] != 1 || shape[1] != rows || shape[2] != columns ||
        !row_by_row || bytes % sizeof(float) != 0 || bytes + size > weight_bytes_)
      fail(
          "{}: cudnnGetRNNWeightParams gives a tensor of {} dimensions [{}, {}, {}] with strides [{}, {}, {}] at byte"
          " {} of {}, but [1, {}, {}], row by row, is expected",
          description(config_), dimensions, shape[0], shape[1], shape[2], strides[0], strides[1], strides[2], bytes,
          weight_bytes_, rows, columns);
    return {true, bytes / sizeof(float)};
  }

  /// Where each matrix lies, asked of a buffer of the right size, to which the answers refer. linLayerID 0 … 3
  /// multiply the layer's input, 4 … 7 its last output; each in the order input gate, forget gate, candidate, output
  /// gate.
  void find_gates(cudnnHandle_t handle, Device& device) {
    const Buffer<std::byte> space(device, weight_bytes_);
    const auto find = [&](std::size_t id, std::size_t columns) {
      TensorDescriptor matrix, bias;
      call(cudnnCreateTensorDescriptor(matrix.out()), "cudnnCreateTensorDescriptor");
      call(cudnnCreateTensorDescriptor(bias.out()), "cudnnCreateTensorDescriptor");
      void *matrix_address = nullptr, *bias_address = nullptr;
      call(cudnnGetRNNWeightParams(handle, descriptors_->rnn(), /*pseudoLayer=*/0, weight_bytes_, space.data(),
                                   static_cast<std::int32_t>(id), matrix.get(), &matrix_address, bias.get(),
                                   &bias_address),
           "cudnnGetRNNWeightParams");
      const Place kernel = place_of(matrix, matrix_address, space.data(), static_cast<int>(columns));
      if (!kernel.found) fail("{}: cuDNN names no place for matrix {}", description(config_), id);
      return std::pair(kernel, place_of(bias, bias_address, space.data(), 1));
    };
    for (std::size_t q = 0; q < 4; ++q) {
      const auto [kernel, bias] = find(q, config_.inputs);
      const auto [recurrent, recurrent_bias] = find(q + 4, config_.units);
      if (!bias.found || !recurrent_bias.found)
        fail("{}: gate {} has {} bias of the input and {} recurrent one, but one of each was asked for",
             description(config_), q, bias.found ? "a" : "no", recurrent_bias.found ? "a" : "no");
      gates_[q] = {kernel.offset, recurrent.offset, bias.offset};
    }
  }

  RnnConfig config_;
  const std::unique_ptr<RnnDescriptors, DestroyDescriptors> descriptors_;
};

}  // namespace

std::unique_ptr<Rnn> make_rnn(const RnnConfig& config, Queue& queue) {
  return std::make_unique<CudnnRnn>(config, queue);
}

}  // namespace genretree::cuda
