// The real device where there is no GPU: what is said of it. What it does where there is one: ../cuda/test_device.cpp.
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using Catch::Contains;

TEST_CASE("without a GPU, an error says what was looked for, what was found, and what to do") {
  const std::string reason = cuda::no_device_reason();
  if (reason.empty()) SKIP_TEST("this machine has a GPU");
  const auto says = [&](const char* what, const char* remedy) {
    return reason.find(what) != std::string::npos && reason.find(remedy) != std::string::npos;
  };
  INFO(reason);
  CHECK((says("no NVIDIA driver was found", "install its driver") ||
         says("the NVIDIA driver is too old", "Update the driver") || says("no NVIDIA GPU was found", "nvidia-smi") ||
         says("the GPU is too old", "compute capability")));
  CHECK_THROWS_AS(cuda::make_device(), InputError);
  CHECK_THROWS_WITH(cuda::make_device(), Contains(reason) && Contains("device: cpu"));
  CHECK(cuda::targets().empty());
  CHECK(test::error_of([] { cuda::make_backend({.device = "cuda"}); }).find(reason) == 0);
}
