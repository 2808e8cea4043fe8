#include <algorithm>

#include "core/error.hpp"
#include "core/text.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/classify_loss.hpp"
#include "kernels/cuda/cnn.hpp"
#include "kernels/cuda/dropout_masks.hpp"
#include "kernels/cuda/gather.hpp"
#include "kernels/cuda/libraries/blas.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/update.hpp"

namespace genretree::cuda {
namespace {

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const BackendConfig& config) : precision_(config.precision) {}

  BackendInfo info() const override {
    return {"cuda", properties_.name, properties_.target, "cudnn", precision_, properties_.libraries};
  }
  BackendInfo cnn_info() const override {
    BackendInfo info = CudaBackend::info();
    info.algorithm = "cudnn:implicit_precomp_gemm";
    info.precision = "fp32";  // tf32 is for the LSTM
    info.libraries += ", " + blas_version();
    return info;
  }
  Device& device() override { return *device_; }

  std::unique_ptr<SpectralState> make_spectral_state(const SpectralTables&) override { fail("to come: spectral"); }
  void spectral_features(SpectralState&, View<const float, 1>, std::span<const std::size_t>, View<float, 2>,
                         Queue&) override {
    fail("to come: spectral");
  }

  std::unique_ptr<StackState> make_stack_state(const StackConfig&, const Group&, Mode) override {
    fail("to come: lstm");
  }
  void dropout_masks(const StackConfig& config, const Group& group, std::span<const RandomKey> keys,
                     View<float, 2> masks, Queue& queue) override {
    cuda::dropout_masks(config, group, keys, masks, queue);
  }
  void stack_forward(const StackConfig&, const Group&, View<const float, 2>, View<const float, 4>, View<const float, 2>,
                     Mode, StackState&, View<float, 3>, Queue&) override {
    fail("to come: lstm");
  }
  void stack_backward(const StackConfig&, const Group&, View<const float, 2>, View<const float, 4>,
                      View<const float, 2>, View<const float, 3>, StackState&, View<float, 2>, Queue&) override {
    fail("to come: lstm");
  }
  void classify_loss(const StackConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                     View<const float, 3> h, View<const std::int32_t, 2> labels, View<float, 3> probabilities,
                     View<double, 1> loss, View<std::int32_t, 1> correct, View<float, 3> dh, View<float, 2> gradients,
                     Queue& queue) override {
    cuda::classify_loss(config, group, kind, parameters, h, labels, probabilities, loss, correct, dh, gradients, queue);
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

  void update(const Optimiser& optimiser, const Group& group, View<std::int64_t, 1> steps, View<float, 2> parameters,
              View<const float, 2> gradients, View<float, 3> moments, Queue& queue) override {
    cuda::update(optimiser, group, steps, parameters, gradients, moments, queue);
  }
  void gather(const Group& group, View<const float, 3> features, View<const std::int32_t, 1> labels,
              View<const std::int32_t, 2> clips, View<float, 4> x, View<std::int32_t, 2> y, Queue& queue) override {
    cuda::gather(group, features, labels, clips, x, y, queue);
  }

 private:
  std::unique_ptr<Device> device_ = make_device();
  DeviceProperties properties_ = properties_of(*device_);
  std::string precision_;
};

}  // namespace

std::vector<std::string> precisions() { return {"fp32", "tf32"}; }

std::vector<std::string> targets() {
  if (!no_device_reason().empty()) return {};
  return {properties_of(*make_device()).target};
}

std::unique_ptr<Backend> make_backend(const BackendConfig& config) {
  if (config.lstm != "auto" && config.lstm != "cudnn")
    reject("backend lstm '{}' cannot run on the cuda backend. Use auto or cudnn", config.lstm);
  const std::vector<std::string> known = precisions();
  if (std::find(known.begin(), known.end(), config.precision) == known.end())
    reject("backend precision '{}' is not in this build's cuda backend. Use one of: {}", config.precision, join(known));
  return std::make_unique<CudaBackend>(config);
}

}  // namespace genretree::cuda
