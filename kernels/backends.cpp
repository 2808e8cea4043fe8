#include <array>
#include <fmt/format.h>

#include "core/error.hpp"
#include "core/text.hpp"
#include "kernels/backends.hpp"
#include "kernels/cpu/backend.hpp"
#include "kernels/cpu/bf16_product.hpp"
#include "kernels/cpu/target.hpp"
#ifdef GENRETREE_CUDA
#include "kernels/cuda/assembly_check.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/libraries/device.hpp"
#endif

namespace genretree {

namespace {

std::unique_ptr<Backend> make_cpu(const BackendConfig& config) {
  if (config.lstm != "auto" && config.lstm != "interleaved")
    reject("backend lstm '{}' cannot run on the cpu backend. Use auto or interleaved", config.lstm);
  if (config.precision == "bf16") return cpu::make_bf16_backend(config.target);
  if (config.precision != "fp32")
    reject("backend precision '{}' is not in this build's cpu backend. Use one of: {}", config.precision,
           join(backend_precisions("cpu")));
  return cpu::make_backend(config.target);
}

#ifdef GENRETREE_CUDA
std::unique_ptr<Backend> make_cuda(const BackendConfig& config) {
  std::unique_ptr<Backend> backend;
  try {
    backend = cuda::make_backend(config);
  } catch (const InputError&) {
    throw;
  } catch (const Error& error) {
    fail(
        "there is a GPU, but it cannot be used now: {}. If another process has it to itself, wait for that or choose "
        "another GPU with CUDA_VISIBLE_DEVICES; or compute on the cpu: device: cpu (--backend cpu)",
        error.what());
  }
  if (const std::string target = backend->info().target; config.target != "auto" && config.target != target)
    reject("backend target '{}' is not what this GPU is. Use auto or {}", config.target, target);
  return backend;
}
#endif

/// The backend of a device that is named.
std::unique_ptr<Backend> make_device_backend(const BackendConfig& config, std::span<const NetworkConfig> networks) {
  std::unique_ptr<Backend> backend;
  if (config.device == "cpu") backend = make_cpu(config);
#ifdef GENRETREE_CUDA
  if (config.device == "cuda") backend = make_cuda(config);
#else
  if (config.device == "cuda")
    reject("backend device 'cuda' is not in this build, which has: {}. Use device: auto, or build with preset cuda",
           join(built_backends()));
#endif
  if (!backend) {
    static const std::array<std::string, 3> devices{"auto", "cpu", "cuda"};
    reject("backend device '{}' is unknown{}. Use auto or one that this build has: {}", config.device,
           did_you_mean(config.device, devices), join(built_backends()));
  }
  for (const NetworkConfig& network : networks)
    if (const std::string refusal = backend->refusal(network); !refusal.empty()) reject("{}", refusal);
  return backend;
}

}  // namespace

std::vector<std::string> built_backends() {
#ifdef GENRETREE_CUDA
  return {"cpu", "cuda"};
#else
  return {"cpu"};
#endif
}

std::vector<std::string> backend_precisions(const std::string& device) {
#ifdef GENRETREE_CUDA
  if (device == "cuda") return cuda::precisions();
#endif
  (void)device;
  return {"fp32", "bf16"};
}

std::vector<std::string> backend_algorithms(const std::string& device, const std::string& precision) {
#ifdef GENRETREE_CUDA
  if (device == "cuda") return cuda::algorithms(precision);
#endif
  (void)device, (void)precision;
  return {"interleaved"};
}

std::vector<std::string> backend_targets(const std::string& device, const std::string& precision) {
#ifdef GENRETREE_CUDA
  if (device == "cuda") return cuda::targets();
#endif
  (void)device;
  std::vector<std::string> names;
  if (precision == "bf16") {
    for (const cpu::Bf16Target& target : cpu::supported_bf16_targets()) names.push_back(cpu::bf16_target_name(target));
    return names;
  }
  for (const std::int64_t target : cpu::supported_targets()) names.push_back(cpu::target_name(target));
  return names;
}

std::string backend_absence(const std::string& device) {
#ifdef GENRETREE_CUDA
  if (device == "cuda") return cuda::no_device_reason();
#endif
  (void)device;
  return "";
}

double device_peak_gflops(Backend& backend) {
#ifdef GENRETREE_CUDA
  if (backend.info().backend == "cuda") return cuda::gpu_properties().peak_gflops;
#endif
  (void)backend;
  return 0;
}

std::vector<OperationCheck> check_instructions(Backend& backend) {
  std::vector<OperationCheck> checks;
#ifdef GENRETREE_CUDA
  const BackendInfo info = backend.info();
  if (info.backend == "cuda") checks = cuda::check_assembly(backend.device());
  for (OperationCheck& check : checks) check.backend = fmt::format("{} {}", info.backend, info.target);
#endif
  (void)backend;
  return checks;
}

BackendChoice choose_backend(const BackendConfig& config, std::span<const NetworkConfig> networks) {
  if (config.device != "auto") return {make_device_backend(config, networks), ""};
  BackendConfig on_device = config;
  std::string why_no_gpu;
#ifdef GENRETREE_CUDA
  on_device.device = "cuda";
  try {
    return {make_device_backend(on_device, networks), ""};
  } catch (const InputError& error) {
    why_no_gpu = error.what();
  }
#endif
  on_device.device = "cpu";
  try {
    return {make_device_backend(on_device, networks), why_no_gpu};
  } catch (const InputError& error) {
    if (why_no_gpu.empty()) throw;
    reject("{}. device: auto did not take the GPU either: {}", error.what(), why_no_gpu);
  }
}

std::unique_ptr<Backend> make_backend(const BackendConfig& config) { return choose_backend(config, {}).backend; }

}  // namespace genretree
