// Which backends are built, and how one is picked.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/checks.hpp"
#include "kernels/ops.hpp"

namespace genretree {

/// What the user asked for under `backend:`.
struct BackendConfig {
  std::string device = "auto";     ///< auto | cpu | cuda
  std::string lstm = "auto";       ///< auto | interleaved (cpu)
  std::string precision = "fp32";  ///< one of backend_precisions(device)
  std::string target = "auto";     ///< auto, or one of backend_targets(device, precision)
};

/// Names of the backends in this build, in the order in which `auto` tries them.
std::vector<std::string> built_backends();

/// What a built backend can compute the LSTM in: fp32, or bf16 (operands of products; sums, gates and weights stay
/// fp32).
std::vector<std::string> backend_precisions(const std::string& device);

/// What a built backend can compute with on this machine, best first. cpu: instruction sets by Highway's names, e.g.
/// avx3_dl, avx3, avx2, neon; for bf16, before those that emulate it, the best with "+amx_bf16" or "+avx512_bf16".
std::vector<std::string> backend_targets(const std::string& device, const std::string& precision = "fp32");

/// Why a built backend cannot be used on this machine: what was looked for, and what was found; "" if it can.
std::string backend_absence(const std::string& device);

/// What computes at most so many fp32 operations in a second on a backend's device, GFLOP/s, by the maker's numbers; 0 where
/// that is measured instead (cpu).
double peak_gflops(Backend& backend);

/// Instructions of a GPU whose results are taken on trust elsewhere, against what they should compute; none for cpu.
std::vector<OperationCheck> check_instructions(Backend& backend);

/// The backend for `config`; InputError that names what is built if it cannot be had.
/// One backend serves all queues of a process.
std::unique_ptr<Backend> make_backend(const BackendConfig& config);

}  // namespace genretree
