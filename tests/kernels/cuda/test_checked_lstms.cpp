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
  const std::string precision = GENERATE("fp32", "bf16", "tf32");
  const std::vector<std::string> lstms = backend_algorithms("cuda", precision);
  REQUIRE(lstms.size() == (precision == "bf16" ? 1u : precision == "fp32" ? 5u : 4u));
  for (const std::string& lstm : lstms) {
    std::vector<std::unique_ptr<Backend>> backends;
    backends.push_back(make_backend({.device = "cuda", .lstm = lstm, .precision = precision}));
    int computed = 0;
    for (const OperationCheck& check : check_operations(
             backends, tables, {.only_lstm = true, .may_refuse = lstm != "fused" && lstm != "cudnn:standard"})) {
      INFO(check_line(check));
      CHECK(check.passed());
      CHECK(check.algorithm == lstm);
      computed += !check.refused;
    }
    // inference, training, two runs, a pass in the midst of a network, repeated, on two queues; cuDNN refuses the hard
    // sigmoid, and all of what it has not got
    if (lstm == "fused")
      CHECK(computed == 7);
    else
      CHECK((computed == 6 || (computed == 0 && lstm != "cudnn:standard")));
  }
}

TEST_CASE("check_choice: says which algorithm lstm: auto takes") {
  if (emulator::checks_accesses()) return;
  CHECK(check_choice(*make_backend({.device = "cuda"})).note == "takes fused");
  const OperationCheck check = check_choice(*make_backend({.device = "cuda", .lstm = "cudnn"}));
  CHECK(check.passed());
  CHECK_THAT(check.note, Catch::StartsWith("takes cudnn:"));
}

}  // namespace
}  // namespace genretree
