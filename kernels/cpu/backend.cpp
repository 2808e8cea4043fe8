#include <fmt/format.h>
#include <fstream>
#include <gnu/libc-version.h>
#include <hwy/highway.h>

#include "kernels/cpu/backend.hpp"
#include "kernels/cpu/classify_loss.hpp"
#include "kernels/cpu/cnn.hpp"
#include "kernels/cpu/denormals.hpp"
#include "kernels/cpu/dropout_masks.hpp"
#include "kernels/cpu/gather.hpp"
#include "kernels/cpu/lstm_bf16.hpp"
#include "kernels/cpu/lstm_stack.hpp"
#include "kernels/cpu/readout.hpp"
#include "kernels/cpu/spectral.hpp"
#include "kernels/cpu/target.hpp"
#include "kernels/cpu/update.hpp"

namespace genretree::cpu {
namespace {

/// "model name" of /proc/cpuinfo; Arm's has none, and gives numbers for the implementer and the part.
std::string processor_model() {
  std::ifstream file("/proc/cpuinfo");
  std::string implementer, part;
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (colon == std::string::npos) continue;
    const std::string value = line.substr(colon + 2);
    if (line.starts_with("model name")) return value;
    if (line.starts_with("CPU implementer")) implementer = value;
    if (line.starts_with("CPU part")) part = value;
  }
  return part.empty() ? "unknown processor" : fmt::format("implementer {} part {}", implementer, part);
}

class CpuBackend : public Backend {
 public:
  explicit CpuBackend(std::int64_t target) : target_(target) {}

  BackendInfo info() const override {
    return {"cpu", processor_model(), target_name(target_), "interleaved", "fp32",
            // the C library computes exp, log, pow and cos of scalars
            fmt::format("highway {}.{}.{}, glibc {}", HWY_MAJOR, HWY_MINOR, HWY_PATCH, gnu_get_libc_version())};
  }
  BackendInfo cnn_info() const override {
    BackendInfo info = CpuBackend::info();  // always in fp32
    info.algorithm = "direct convolution";
    info.libraries += ", " + onednn_version();
    return info;
  }
  Device& device() override { return host_device(); }

  std::unique_ptr<SpectralState> make_spectral_state(const SpectralTables& tables) override {
    return cpu::make_spectral_state(tables, target_);
  }
  void spectral_features(SpectralState& state, View<const float, 1> samples, std::span<const std::size_t> lengths,
                         View<float, 2> out, Queue&) override {
    cpu::spectral_features(state, samples, lengths, out);
  }
  std::unique_ptr<StackState> make_stack_state(const StackConfig& config, const Group& largest, Mode mode) override {
    return cpu::make_stack_state(target_, config, largest, mode);
  }
  void dropout_masks(const NetworkConfig& config, const Group& group, std::span<const RandomKey> keys,
                     View<float, 2> masks, Queue&) override {
    cpu::dropout_masks(config, group, keys, masks);
  }
  void stack_forward(const StackConfig& config, const Group& group, View<const float, 2> parameters,
                     View<const float, 4> x, View<const float, 2> masks, Mode mode, StackState& state, View<float, 4> h,
                     Queue&) override {
    const FlushDenormals flush;
    cpu::stack_forward(config, group, parameters, x, masks, mode, state, h);
  }
  void stack_backward(const StackConfig& config, const Group& group, View<const float, 2> parameters,
                      View<const float, 4>, View<const float, 2> masks, View<const float, 4> dh, StackState& state,
                      View<float, 2> gradients, View<float, 4> dx, Queue&) override {
    const FlushDenormals flush;
    cpu::stack_backward(config, group, parameters, masks, dh, state, gradients, dx);
  }
  void copy_columns(const Group& group, const ColumnCopy& copy, View<const float, 4> from, View<float, 4> to,
                    Queue&) override {
    cpu::copy_columns(group, copy, from, to);
  }
  void readout(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask, std::size_t first_column,
               View<float, 3> out, Queue&) override {
    cpu::readout(kind, group, y, mask, first_column, out);
  }
  void readout_backward(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask,
                        std::size_t first_column, View<const float, 3> dout, View<float, 4> dy, Queue&) override {
    cpu::readout_backward(kind, group, y, mask, first_column, dout, dy);
  }
  void classify_loss(const NetworkConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                     View<const float, 3> h, View<const std::int32_t, 2> labels, View<const float, 3> targets,
                     View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
                     View<float, 3> dh, View<float, 2> gradients, Queue&) override {
    cpu::classify_loss(config, group, kind, parameters, h, labels, targets, probabilities, loss, correct, dh,
                       gradients);
  }
  std::unique_ptr<CnnState> make_cnn_state(const CnnConfig& config, const Group& largest, Mode mode) override {
    return cpu::make_cnn_state(config, largest, mode);
  }
  void cnn_step(const CnnConfig&, const Group& group, Loss kind, View<const float, 2> parameters,
                View<const float, 4> x, View<const std::int32_t, 2> labels, std::span<const RandomKey> keys,
                CnnState& state, View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
                View<float, 2> gradients, Queue&) override {
    const FlushDenormals flush;
    cpu::cnn_step(group, kind, parameters, x, labels, keys, state, probabilities, loss, correct, gradients);
  }
  void cnn_evaluate(const CnnConfig&, const Group& group, Loss kind, View<const float, 2> parameters,
                    View<const float, 4> x, View<const std::int32_t, 2> labels, CnnState& state,
                    View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
                    Queue&) override {
    const FlushDenormals flush;
    cpu::cnn_step(group, kind, parameters, x, labels, {}, state, probabilities, loss, correct, {});
  }
  void update(const Optimiser& optimiser, const Group& group, View<const float, 1> rates, View<std::int64_t, 1> steps,
              View<float, 2> parameters, View<const float, 2> gradients, View<float, 3> moments, View<float, 1>,
              Queue&) override {
    const FlushDenormals flush;
    cpu::update(target_, optimiser, group, rates, steps, parameters, gradients, moments);
  }
  void gather(const Group& group, View<const float, 3> features, View<const std::int32_t, 2> labels,
              View<const BatchRow, 2> rows, View<const float, 2> constants, double smoothing, View<float, 4> x,
              View<std::int32_t, 2> y, View<float, 3> targets, Queue&) override {
    cpu::gather(group, features, labels, rows, constants, smoothing, x, y, targets);
  }

 private:
  std::int64_t target_;
};

/// The LSTM in bf16, all else as above.
class Bf16Backend final : public CpuBackend {
 public:
  explicit Bf16Backend(const Bf16Target& target) : CpuBackend(target.vectors), target_(target) {}

  BackendInfo info() const override {
    BackendInfo info = CpuBackend::info();
    info.target = bf16_target_name(target_);
    info.precision = "bf16";
    if (target_.unit == Bf16Unit::emulated) info.algorithm += ", bf16 emulated";
    return info;
  }
  std::unique_ptr<StackState> make_stack_state(const StackConfig& config, const Group& largest, Mode mode) override {
    return bf16::make_stack_state(target_, config, largest, mode);
  }

 private:
  Bf16Target target_;
};

}  // namespace

std::unique_ptr<Backend> make_backend(const std::string& target) {
  return std::make_unique<CpuBackend>(find_target(target));
}

std::unique_ptr<Backend> make_bf16_backend(const std::string& target) {
  return std::make_unique<Bf16Backend>(find_bf16_target(target));
}

}  // namespace genretree::cpu
