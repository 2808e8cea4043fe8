// The check of the assembly wrappers, by which check_device begins on a GPU: here its kernels run on the twins, and so
// pass; and each wrapper that does not do what is expected of it fails its own line.
#include <algorithm>
#include <cmath>

#include "features/spectral.hpp"
#include "kernels/backends.hpp"
#include "kernels/cuda/assembly_check.hpp"
#include "tests/support/cuda_libraries/device.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

namespace {

std::vector<std::string> failures(const cuda::Formulas& formulas) {
  std::vector<std::string> names;
  for (const OperationCheck& check : cuda::check_assembly(*cuda::make_device(), formulas))
    if (!check.passed()) names.push_back(check.operation);
  return names;
}

}  // namespace

TEST_CASE("Every wrapper's twin computes what its check expects, in all orders") {
  for (const auto order : {emulator::Order::first_to_last, emulator::Order::last_to_first, emulator::Order::random}) {
    cuda::emulate(order);
    const auto device = cuda::make_device();
    const std::vector<OperationCheck> checks = cuda::check_assembly(*device);
    CHECK(checks.size() == 13);
    for (const OperationCheck& check : checks) {
      INFO(check_line(check));
      CHECK(check.passed());
    }
  }
  cuda::emulate(emulator::Order::first_to_last);
}

TEST_CASE("A wrapper that computes something else fails its own line of the check") {
  cuda::Formulas formulas;
  std::vector<std::string> expected;
  SECTION("bf16 is cut, not rounded") {
    formulas.bf16_bits = [](float value) { return std::bit_cast<std::uint32_t>(value) >> 16; };
    expected = {"to_bf16", "bf16_pair"};
  }
  SECTION("a tie of tf32 goes to the even one, not away from zero") {
    formulas.tf32_bits = [](float value) {
      const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
      return (bits + 0xfff + (bits >> 13 & 1)) & ~0x1fffu;
    };
    expected = {"to_tf32"};
  }
  SECTION("a tanh that is off by 0.1 %") {
    formulas.tanh = [](double x) { return 1.001 * std::tanh(x); };
    expected = {"fast_tanh"};
  }
  SECTION("an exp that is off by 10 units in the last place near 0, and twice as much as is allowed elsewhere") {
    formulas.exp = [](double x) { return std::exp(x) * (1 + std::ldexp(10 + 2.5 * std::abs(x), -23)); };
    expected = {"fast_exp, |x| to 1", "fast_exp, |x| to 80"};
  }
  SECTION("a logarithm to the base 2.7182") {
    formulas.log = [](double x) { return std::log(x) / std::log(2.7182); };
    expected = {"fast_log, 0.5 to 2, absolute", "fast_log, elsewhere"};
  }
  SECTION("a quotient of single precision that is off by 4 units in the last place") {
    formulas.divide = [](double x, double y) { return x / y * (1 + std::ldexp(4, -23)); };
    expected = {"fast_divide"};
  }
  SECTION("fragments whose columns 0 and 1 are exchanged") {
    formulas.place = [](int row, int column) { return row * cuda::mma_columns + (column < 2 ? 1 - column : column); };
    expected = {"mma_bf16, inner 16", "mma_bf16, inner 8", "mma_tf32"};
  }
  SECTION("matrices that are loaded as they lie") {
    formulas.transposed = [](int k, int column) { return column * cuda::mma_columns + k; };
    expected = {"load_transposed"};
  }
  CHECK(failures(formulas) == expected);
}

TEST_CASE("The backend's instructions are checked; the cpu has none that are taken on trust") {
  CHECK(check_instructions(*make_backend({.device = "cuda"})).front().backend == "cuda emulated");
  CHECK(check_instructions(*make_backend({.device = "cpu"})).empty());
  CHECK(backend_absence("cpu").empty());
}

TEST_CASE(
    "What check_device asks of a GPU, the emulated one passes: its training step is recorded, a stack refused aloud") {
  if (emulator::checks_accesses()) return;  // the operations' own tests run there
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(make_backend({.device = "cuda", .lstm = "cudnn"}));
  bool refused = false, recorded = false;
  for (const OperationCheck& check :
       check_operations(backends, make_spectral_tables({.kind = FeatureKind::spectral33}))) {
    INFO(check_line(check));
    CHECK(check.passed());
    refused |= check.refused;
    recorded |= check.note == "recorded as a graph";
  }
  CHECK(refused);
  CHECK(recorded);
}
