#include <algorithm>
#include <mutex>
#include <optional>

#include "core/error.hpp"
#include "core/text.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/classify_loss.hpp"
#include "kernels/cuda/cnn.hpp"
#include "kernels/cuda/dropout_masks.hpp"
#include "kernels/cuda/gather.hpp"
#include "kernels/cuda/libraries/blas.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/lstm_fused.hpp"
#include "kernels/cuda/lstm_stack.hpp"
#include "kernels/cuda/readout.hpp"
#include "kernels/cuda/spectral.hpp"
#include "kernels/cuda/update.hpp"

namespace genretree::cuda {
namespace {

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const BackendConfig& config) : lstm_(config.lstm), precision_(config.precision) {}

  BackendInfo info() const override {
    return {"cuda", properties_.name, properties_.target, algorithm(), precision_, properties_.libraries};
  }
  BackendInfo cnn_info() const override {
    BackendInfo info = CudaBackend::info();
    info.algorithm = "cudnn:implicit_precomp_gemm";
    info.precision = "fp32";  // tf32 is for the LSTM
    info.libraries += ", " + blas_version();
    return info;
  }
  Device& device() override { return *device_; }

  std::unique_ptr<SpectralState> make_spectral_state(const SpectralTables& tables) override {
    return cuda::make_spectral_state(tables, *device_);
  }
  void spectral_features(SpectralState& state, View<const float, 1> samples, std::span<const std::size_t> lengths,
                         View<float, 2> out, Queue& queue) override {
    cuda::spectral_features(state, samples, lengths, out, queue);
  }

  std::string refusal(const NetworkConfig& network) const override {
    try {
      lstm_candidates(lstm_, precision_, network);
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  }

  void choose_algorithm(const NetworkConfig& network, const StackWork& work) override {
    const std::vector<std::string> names = lstm_candidates(lstm_, precision_, network);
    std::vector<LstmCandidate> candidates;
    for (const std::string& name : names)
      candidates.push_back({name, [this, name](const StackConfig& pass, const Group& group, Mode mode) {
                              return make_state(name, pass, group, mode);
                            }});
    const double tolerance = precision_ == "tf32" ? tf32_tolerance : fp32_tolerance;
    const std::string best =
        names.size() == 1 ? names.front() : fastest(candidates, network, work, tolerance, *device_);
    const std::lock_guard lock(algorithm_mutex_);
    chosen_ = best;
  }
  std::vector<std::string> algorithms_for(const NetworkConfig& network) const override {
    return lstm_candidates(lstm_, precision_, network);
  }

  std::size_t runs_together(const NetworkConfig& network, const Group& training) const override {
    return algorithm_for(network) == "fused" ? fused_runs_together(training) : 1;
  }

  std::unique_ptr<StackState> make_stack_state(const StackConfig& config, const Group& largest, Mode mode) override {
    return make_state(algorithm_for(config), config, largest, mode);
  }
  void dropout_masks(const NetworkConfig& config, const Group& group, std::span<const RandomKey> keys,
                     View<float, 2> masks, Queue& queue) override {
    cuda::dropout_masks(config, group, keys, masks, queue);
  }
  void stack_forward(const StackConfig&, const Group& group, View<const float, 2> parameters, View<const float, 4> x,
                     View<const float, 2> masks, Mode mode, StackState& state, View<float, 4> h,
                     Queue& queue) override {
    LstmState& own = static_cast<LstmState&>(state);
    if (own.mode() == Mode::inference && mode == Mode::training)
      fail("a stack state made for inference cannot train. Make it with Mode::training");
    own.forward(group, parameters, x, masks, mode, h, queue);
  }
  void stack_backward(const StackConfig&, const Group& group, View<const float, 2>, View<const float, 4> x,
                      View<const float, 2>, View<const float, 4> dh, StackState& state, View<float, 2> gradients,
                      View<float, 4> dx, Queue& queue) override {
    static_cast<LstmState&>(state).backward(group, x, dh, gradients, dx, queue);
  }

  void copy_columns(const Group& group, const ColumnCopy& copy, View<const float, 4> from, View<float, 4> to,
                    Queue& queue) override {
    cuda::copy_columns(group, copy, from, to, queue);
  }
  void readout(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask, std::size_t first_column,
               View<float, 3> out, Queue& queue) override {
    cuda::readout(kind, group, y, mask, first_column, out, queue);
  }
  void readout_backward(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask,
                        std::size_t first_column, View<const float, 3> dout, View<float, 4> dy, Queue& queue) override {
    cuda::readout_backward(kind, group, y, mask, first_column, dout, dy, queue);
  }

  void classify_loss(const NetworkConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                     View<const float, 3> h, View<const std::int32_t, 2> labels, View<const float, 3> targets,
                     View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
                     View<float, 3> dh, View<float, 2> gradients, Queue& queue) override {
    cuda::classify_loss(config, group, kind, parameters, h, labels, targets, probabilities, loss, correct, dh,
                        gradients, queue);
  }

  std::unique_ptr<CnnState> make_cnn_state(const CnnConfig& config, const Group& largest, Mode mode) override {
    return cuda::make_cnn_state(config, largest, mode, device());
  }
  void cnn_step(const CnnConfig&, const Group& group, Loss kind, View<const float, 2> parameters,
                View<const float, 4> x, View<const std::int32_t, 2> labels, std::span<const RandomKey> keys,
                CnnState& state, View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
                View<float, 2> gradients, Queue& queue) override {
    cuda::cnn_step(group, kind, parameters, x, labels, keys, state, probabilities, loss, correct, gradients, queue);
  }
  void cnn_evaluate(const CnnConfig&, const Group& group, Loss kind, View<const float, 2> parameters,
                    View<const float, 4> x, View<const std::int32_t, 2> labels, CnnState& state,
                    View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
                    Queue& queue) override {
    cuda::cnn_step(group, kind, parameters, x, labels, {}, state, probabilities, loss, correct, {}, queue);
  }

  void update(const Optimiser& optimiser, const Group& group, View<const float, 1> rates, View<std::int64_t, 1> steps,
              View<float, 2> parameters, View<const float, 2> gradients, View<float, 3> moments, View<float, 1> norms,
              Queue& queue) override {
    cuda::update(optimiser, group, rates, steps, parameters, gradients, moments, norms, queue);
  }
  void gather(const Group& group, View<const float, 3> features, View<const std::int32_t, 2> labels,
              View<const BatchRow, 2> rows, View<const float, 2> constants, double smoothing, View<float, 4> x,
              View<std::int32_t, 2> y, View<float, 3> targets, Queue& queue) override {
    cuda::gather(group, features, labels, rows, constants, smoothing, x, y, targets, queue);
  }

 private:
  /// What was chosen; before that, the first that `lstm:` allows.
  std::string algorithm() const {
    const std::lock_guard lock(algorithm_mutex_);
    return chosen_.value_or(lstm_algorithms(lstm_, precision_).front());
  }
  /// What was chosen; before that, the first that can.
  std::string algorithm_for(const NetworkConfig& network) const {
    const std::lock_guard lock(algorithm_mutex_);
    return chosen_ ? *chosen_ : lstm_candidates(lstm_, precision_, network).front();
  }
  std::unique_ptr<LstmState> make_state(const std::string& algorithm, const StackConfig& pass, const Group& largest,
                                        Mode mode) {
    const std::lock_guard lock(setup_mutex_);
    if (!setup_queue_) setup_queue_ = device_->make_queue();
    auto state = make_lstm_state(algorithm, precision_, pass, largest, mode, *setup_queue_);
    setup_queue_->synchronize();
    return state;
  }

  std::unique_ptr<Device> device_ = make_device();
  DeviceProperties properties_ = gpu_properties();
  const std::string lstm_, precision_;

  mutable std::mutex algorithm_mutex_;
  std::optional<std::string> chosen_;  ///< one of lstm_algorithms()
  std::mutex setup_mutex_;
  std::unique_ptr<Queue> setup_queue_;  ///< lends its handles while states are made
};

}  // namespace

std::vector<std::string> precisions() { return {"fp32", "bf16", "tf32"}; }

std::vector<std::string> targets() {
  if (!no_device_reason().empty()) return {};
  return {gpu_properties().target};
}

std::vector<std::string> algorithms(const std::string& precision) { return lstm_algorithms("auto", precision); }

std::unique_ptr<Backend> make_backend(const BackendConfig& config) {
  const std::vector<std::string> choices = lstm_choices();
  if (std::find(choices.begin(), choices.end(), config.lstm) == choices.end())
    reject("backend lstm '{}' cannot run on the cuda backend{}. Use one of: {}", config.lstm,
           did_you_mean(config.lstm, choices), join(choices));
  const std::vector<std::string> known = precisions();
  if (std::find(known.begin(), known.end(), config.precision) == known.end())
    reject("backend precision '{}' is not in this build's cuda backend. Use one of: {}", config.precision, join(known));
  if (lstm_algorithms(config.lstm, config.precision).empty())
    reject("backend lstm '{}' has no precision '{}'. Use lstm: auto, or one of: {}", config.lstm, config.precision,
           join(algorithms(config.precision)));
  return std::make_unique<CudaBackend>(config);
}

}  // namespace genretree::cuda
