// The real device where there is no GPU: what is said of it. What it does where there is one: ../cuda/test_device.cpp.
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using Catch::Contains;

TEST_CASE("without a GPU, an error says what was looked for, what was found, and what to do") {
  const std::string reason = cuda::no_device_reason();
  if (reason.empty()) SKIP_TEST("this machine has a GPU");
  const auto missing = [](const char* what, const char* remedy) {
    return Contains(what) && Contains("runtime answered") && Contains(remedy);
  };
  CHECK_THAT(reason, missing("no NVIDIA driver was found", "install its driver") ||
                         missing("the NVIDIA driver is too old", "Update the driver") ||
                         missing("no NVIDIA GPU was found", "nvidia-smi") ||
                         (Contains("the GPU is too old") && Contains("compute capability")));
  CHECK_THROWS_AS(cuda::make_device(), InputError);
  CHECK_THROWS_WITH(cuda::make_device(), Contains(reason) && Contains("device: cpu"));
  CHECK(cuda::targets().empty());
  CHECK(test::error_of([] { cuda::make_backend({.device = "cuda"}); }).find(reason) == 0);
}
