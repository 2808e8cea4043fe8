// How a backend is picked, and what is said when it cannot be had.
#include "core/error.hpp"
#include "kernels/backends.hpp"
#include "kernels/cpu/target.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using Catch::Contains;

TEST_CASE("a backend says what it is") {
  const BackendInfo info = make_backend({})->info();
  CHECK(info.backend == "cpu");
  CHECK(!info.device.empty());
  CHECK(info.target == cpu::target_name(cpu::supported_targets().front()));
  CHECK(info.algorithm == "interleaved");
  CHECK(info.precision == "fp32");
  CHECK_THAT(info.libraries, Contains("highway 1.") && Contains("glibc 2."));
}

TEST_CASE("a target can be pinned, in any case of letters") {
  for (const std::int64_t target : cpu::supported_targets())
    CHECK(make_backend({.target = hwy::TargetName(target)})->info().target == cpu::target_name(target));
}

TEST_CASE("what cannot be had is an error that names what can") {
  CHECK_THROWS_AS(make_backend({.device = "cuda"}), InputError);
  CHECK_THROWS_WITH(make_backend({.device = "cuda"}),
                    Contains("cuda") && Contains("not in this build") && Contains("cpu"));
  CHECK_THROWS_WITH(make_backend({.device = "cpus"}), Contains("'cpus'") && Contains("did you mean 'cpu'"));
  CHECK_THROWS_WITH(make_backend({.lstm = "cudnn"}), Contains("'cudnn'") && Contains("interleaved"));
  CHECK_THROWS_WITH(make_backend({.precision = "bf16"}), Contains("'bf16'") && Contains("fp32"));
  CHECK_THROWS_WITH(make_backend({.target = "avx9"}),
                    Contains("'avx9'") && Contains(cpu::target_name(cpu::supported_targets().back())));
}
