// Which backends are built, and how one is picked.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/ops.hpp"

namespace genretree {

/// What the user asked for under `backend:`.
struct BackendConfig {
  std::string device = "auto";     ///< auto | cpu | cuda
  std::string lstm = "auto";       ///< auto | interleaved (cpu)
  std::string precision = "fp32";  ///< fp32
  std::string target = "auto";     ///< cpu: auto, or an instruction set that Highway knows: avx2, avx3, avx3_dl, neon …
};

/// Names of the backends in this build, in the order in which `auto` tries them.
std::vector<std::string> built_backends();

/// The backend for `config`; InputError that names what is built if it cannot be had. One backend serves all queues of a process.
std::unique_ptr<Backend> make_backend(const BackendConfig& config);

}  // namespace genretree
