// Which backends are built, and how one is picked.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/checks.hpp"
#include "kernels/ops.hpp"

namespace genretree {

/// What the user asked for under `backend:`.
struct BackendConfig {
  std::string device = "auto";     ///< auto | cpu | cuda
  std::string lstm = "auto";       ///< auto | interleaved (cpu) | fused, cudnn, cudnn:ALGORITHM (cuda)
  std::string precision = "fp32";  ///< one of backend_precisions(device)
  std::string target = "auto";     ///< auto, or one of backend_targets(device, precision)
};

/// Names of the backends in this build.
std::vector<std::string> built_backends();

/// What a built backend can compute the LSTM in: fp32; bf16, or tf32 (cuda), the operands of products, while sums, gates
/// and weights stay fp32.
std::vector<std::string> backend_precisions(const std::string& device);

/// What a built backend has to compute LSTMs, as BackendInfo::algorithm names it and `lstm:` pins it: interleaved
/// (cpu); fused, cudnn:standard, … (cuda), of which a stack may be refused, and a GPU may lack some.
std::vector<std::string> backend_algorithms(const std::string& device, const std::string& precision);

/// What a built backend can compute with on this machine, best first. cpu: instruction sets by Highway's names, e.g.
/// avx3_dl, avx3, avx2, neon; for bf16, before those that emulate it, the best with "+amx_bf16" or "+avx512_bf16".
/// cuda: the GPU's architecture, e.g. sm_90; none without a GPU.
std::vector<std::string> backend_targets(const std::string& device, const std::string& precision = "fp32");

/// Why a built backend cannot be used on this machine: what was looked for, and what was found; "" if it can.
std::string backend_absence(const std::string& device);

/// The most fp32 operations in a second on a backend's device, GFLOP/s, by the maker's numbers; 0 where that is
/// measured instead (cpu).
double device_peak_gflops(Backend& backend);

/// Instructions of a GPU whose results are taken on trust elsewhere, against what they should compute; none for cpu.
std::vector<OperationCheck> check_instructions(Backend& backend);

/// A backend, and what is to be said of how it was chosen.
struct BackendChoice {
  std::unique_ptr<Backend> backend;
  std::string why_no_gpu;  ///< why `device: auto` did not take the GPU; "" if it did, or if this build has no cuda
};

/// The backend for `config`, which can compute these networks. `device: auto` takes cuda if this build has it, there is a
/// GPU, and it has the precision, the algorithm and the target and can compute the networks; else the cpu. InputError
/// that names what is built, or what can compute a stack, if it cannot be had. A GPU that is there but fails is an
/// Error, also with auto.
BackendChoice choose_backend(const BackendConfig& config, std::span<const NetworkConfig> networks);

/// The same where no stack is known. One backend serves all queues of a process.
std::unique_ptr<Backend> make_backend(const BackendConfig& config);

}  // namespace genretree
