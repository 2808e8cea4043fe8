// How a backend is picked, and what is said when it cannot be had.
#include "core/error.hpp"
#include "kernels/backends.hpp"
#include "kernels/cpu/target.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using Catch::Contains;

TEST_CASE("a backend says what it is") {
  const BackendInfo info = make_backend({.device = "cpu"})->info();
  CHECK(info.backend == "cpu");
  CHECK(!info.device.empty());
  CHECK(info.target == cpu::target_name(cpu::supported_targets().front()));
  CHECK(info.algorithm == "interleaved");
  CHECK(info.precision == "fp32");
  CHECK_THAT(info.libraries, Contains("highway 1.") && Contains("glibc 2."));
}

TEST_CASE("a target can be pinned, in any case of letters") {
  for (const std::int64_t target : cpu::supported_targets())
    CHECK(make_backend({.device = "cpu", .target = hwy::TargetName(target)})->info().target ==
          cpu::target_name(target));
}

TEST_CASE("each algorithm of a backend pins it") {
  for (const std::string& device : built_backends()) {
    for (const std::string& precision : backend_precisions(device)) {
      const std::vector<std::string> names = backend_algorithms(device, precision);
      REQUIRE(!names.empty());
      if (backend_targets(device).empty()) continue;
      for (const std::string& name : names)
        CHECK_THAT(make_backend({.device = device, .lstm = name, .precision = precision})->info().algorithm,
                   Catch::StartsWith(name));
    }
  }
}

TEST_CASE("bf16 says by what it multiplies, and auto takes the fastest") {
  const std::vector<std::string> targets = backend_targets("cpu", "bf16");
  CHECK(make_backend({.device = "cpu", .precision = "bf16"})->info().target == targets.front());
  for (const std::string& target : targets) {
    const BackendInfo info = make_backend({.device = "cpu", .precision = "bf16", .target = target})->info();
    CHECK(info.target == target);
    CHECK(info.precision == "bf16");
    const bool emulated = target.find("bf16") == std::string::npos;
    CHECK(info.algorithm == (emulated ? "interleaved, bf16 emulated" : "interleaved"));
  }
  CHECK(targets.back() == cpu::target_name(cpu::supported_targets().back()));
}

TEST_CASE("auto takes the GPU if there is one, else the cpu and says why, and refuses what neither has") {
  const bool built = built_backends().size() > 1, gpu = built && !backend_targets("cuda").empty();
  const BackendChoice choice = choose_backend({}, {});
  CHECK(choice.backend->info().backend == (gpu ? "cuda" : "cpu"));
  CHECK(choice.why_no_gpu.empty() == (gpu || !built));
  if (built && !gpu) CHECK_THAT(choice.why_no_gpu, Contains(backend_absence("cuda")));
  const BackendChoice interleaved = choose_backend({.lstm = "interleaved"}, {});
  CHECK(interleaved.backend->info().backend == "cpu");
  CHECK(interleaved.why_no_gpu.empty() == !built);
  CHECK_THROWS_WITH(choose_backend({.precision = "fp16"}, {}), Contains("'fp16'") && Contains("fp32, bf16"));
}

TEST_CASE("what cannot be had is an error that names what can") {
  if (built_backends().size() == 1) {
    CHECK_THROWS_AS(make_backend({.device = "cuda"}), InputError);
    CHECK_THROWS_WITH(make_backend({.device = "cuda"}),
                      Contains("cuda") && Contains("not in this build") && Contains("cpu"));
  } else if (backend_targets("cuda").empty()) {
    CHECK_THROWS_WITH(make_backend({.device = "cuda"}), Contains(backend_absence("cuda")) && Contains("device: cpu"));
  }
  CHECK_THROWS_WITH(make_backend({.device = "cpus"}), Contains("'cpus'") && Contains("did you mean 'cpu'"));
  CHECK_THROWS_WITH(make_backend({.device = "cpu", .lstm = "cudnn"}), Contains("'cudnn'") && Contains("interleaved"));
  CHECK_THROWS_WITH(make_backend({.device = "cpu", .precision = "fp16"}), Contains("'fp16'") && Contains("fp32, bf16"));
  CHECK_THROWS_WITH(make_backend({.device = "cpu", .precision = "bf16", .target = "avx9"}),
                    Contains("'avx9'") && Contains(backend_targets("cpu", "bf16").front()));
  CHECK_THROWS_WITH(make_backend({.device = "cpu", .target = "avx9"}),
                    Contains("'avx9'") && Contains(cpu::target_name(cpu::supported_targets().back())));
}
