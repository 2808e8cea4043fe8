#include <algorithm>

#include "core/error.hpp"
#include "core/text.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/spectral.hpp"

namespace genretree::cuda {
namespace {

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const BackendConfig& config) : precision_(config.precision) {}

  BackendInfo info() const override {
    return {"cuda", properties_.name, properties_.target, "cudnn", precision_, properties_.libraries};
  }
  Device& device() override { return *device_; }

  std::unique_ptr<SpectralState> make_spectral_state(const SpectralTables& tables) override {
    return cuda::make_spectral_state(tables, *device_);
  }
  void spectral_features(SpectralState& state, View<const float, 1> samples, std::span<const std::size_t> lengths,
                         View<float, 2> out, Queue& queue) override {
    cuda::spectral_features(state, samples, lengths, out, queue);
  }

  std::unique_ptr<StackState> make_stack_state(const StackConfig&, const Group&, Mode) override {
    fail("to come: lstm");
  }
  void dropout_masks(const StackConfig&, const Group&, std::span<const RandomKey>, View<float, 2>, Queue&) override {
    fail("to come: dropout_masks");
  }
  void stack_forward(const StackConfig&, const Group&, View<const float, 2>, View<const float, 4>, View<const float, 2>,
                     Mode, StackState&, View<float, 3>, Queue&) override {
    fail("to come: lstm");
  }
  void stack_backward(const StackConfig&, const Group&, View<const float, 2>, View<const float, 4>,
                      View<const float, 2>, View<const float, 3>, StackState&, View<float, 2>, Queue&) override {
    fail("to come: lstm");
  }
  void classify_loss(const StackConfig&, const Group&, Loss, View<const float, 2>, View<const float, 3>,
                     View<const std::int32_t, 2>, View<float, 3>, View<double, 1>, View<std::int32_t, 1>,
                     View<float, 3>, View<float, 2>, Queue&) override {
    fail("to come: classify_loss");
  }

  std::unique_ptr<CnnState> make_cnn_state(const CnnConfig&, const Group&, Mode) override { fail("to come: cnn"); }
  void cnn_step(const CnnConfig&, const Group&, Loss, View<const float, 2>, View<const float, 4>,
                View<const std::int32_t, 2>, std::span<const RandomKey>, CnnState&, View<float, 3>, View<double, 1>,
                View<std::int32_t, 1>, View<float, 2>, Queue&) override {
    fail("to come: cnn");
  }
  void cnn_evaluate(const CnnConfig&, const Group&, Loss, View<const float, 2>, View<const float, 4>,
                    View<const std::int32_t, 2>, CnnState&, View<float, 3>, View<double, 1>, View<std::int32_t, 1>,
                    Queue&) override {
    fail("to come: cnn");
  }

  void update(const Optimiser&, const Group&, View<std::int64_t, 1>, View<float, 2>, View<const float, 2>,
              View<float, 3>, Queue&) override {
    fail("to come: update");
  }
  void gather(const Group&, View<const float, 3>, View<const std::int32_t, 1>, View<const std::int32_t, 2>,
              View<float, 4>, View<std::int32_t, 2>, Queue&) override {
    fail("to come: gather");
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
