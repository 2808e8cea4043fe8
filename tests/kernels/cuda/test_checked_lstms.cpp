// check_device's lines of each way to compute LSTMs, on the emulated GPU.
#include "features/spectral.hpp"
#include "kernels/backends.hpp"
#include "kernels/checks.hpp"
#include "tests/support/cuda_emulator.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

TEST_CASE("check_operations: every algorithm that an LSTM may be computed by has lines of its own, named after it") {
  if (emulator::checks_accesses()) return;  // the operations' own tests run there
  const SpectralTables tables = make_spectral_tables({.kind = FeatureKind::mfcc});
  const std::vector<std::string> lstms = backend_algorithms("cuda");
  REQUIRE(lstms.size() > 1);
  for (const std::string& lstm : lstms) {
    std::vector<std::unique_ptr<Backend>> backends;
    backends.push_back(make_backend({.device = "cuda", .lstm = lstm, .precision = "tf32"}));
    int computed = 0;
    for (const OperationCheck& check :
         check_operations(backends, tables, {.only_lstm = true, .may_refuse = lstm != lstms.front()})) {
      INFO(check_line(check));
      CHECK(check.passed());
      CHECK(check.algorithm == lstm);
      computed += !check.refused;
    }
    // inference, training, repeated, on two queues; the hard sigmoid is refused, and all of what the library has not
    // got
    CHECK((computed == 4 || (computed == 0 && lstm != lstms.front())));
  }
}

TEST_CASE("check_choice: says which algorithm lstm: auto takes") {
  if (emulator::checks_accesses()) return;
  const OperationCheck check = check_choice(*make_backend({.device = "cuda"}));
  CHECK(check.passed());
  CHECK_THAT(check.note, Catch::StartsWith("takes cudnn:"));
}

}  // namespace
}  // namespace genretree
