// check_device: says what this machine computes with, and holds every operation of every backend in this build, with
// every instruction set that the machine has, against the definition (kernels/reference) here and now.
#include <algorithm>
#include <string>
#include <vector>

#include "core/io/hdf5.hpp"
#include "core/limits.hpp"
#include "experiments/resources.hpp"
#include "features/spectral.hpp"
#include "kernels/backends.hpp"
#include "kernels/checks.hpp"
#include "tools/program.hpp"

using namespace genretree;

namespace {

/// Prints a line for each operation of one backend in one precision; the number of those that failed.
std::ptrdiff_t check(const std::string& name, const std::string& precision) {
  const std::vector<std::string> targets = backend_targets(name, precision);
  std::vector<std::unique_ptr<Backend>> backends;
  for (const std::string& target : targets)
    backends.push_back(make_backend({.device = name, .precision = precision, .target = target}));
  const BackendInfo info = backends.front()->info(), cnn = backends.front()->cnn_info();
  fmt::print("\nbackend {}: {}\n  LSTM {}, {}; target auto takes {}; {}\n  CNN by {}, {}; {}\n", info.backend,
             info.device, info.algorithm, info.precision, info.target, info.libraries, cnn.algorithm, cnn.precision,
             cnn.libraries);
  const std::vector<OperationCheck> checks =
      check_operations(backends, make_spectral_tables({.kind = FeatureKind::spectral33}));
  fmt::print("{}", check_table(checks, targets));
  return std::count_if(checks.begin(), checks.end(), [](const OperationCheck& one) { return !one.passed(); });
}

ExitCode check_device(int argc, char** argv) {
  std::vector<std::string> names;
  CLI::App app(
      "Says what this machine computes with, and checks every operation of every backend against the definition.\nExit "
      "code 1 if one fails.",
      "check_device");
  app.add_option("--backend", names, "only these backends")->check(CLI::IsMember(built_backends()));
  if (asked_for_help(app, argc, argv)) return ExitCode::ok;
  if (names.empty()) names = built_backends();

  fmt::print("machine  {}\nmemory   {:.1f} GB free for this process\nprogram  {}, HDF5 {}\n", machine_name(),
             static_cast<double>(available_memory()) / 1e9, program_commit(), hdf5_version());
  std::ptrdiff_t failures = 0;
  for (const std::string& name : names)
    for (const std::string& precision : backend_precisions(name)) failures += check(name, precision);
  fmt::print("\n{}\n", failures ? fmt::format("{} checks failed: results of this machine cannot be trusted", failures)
                                : "all checks passed");
  return failures ? ExitCode::failure : ExitCode::ok;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] { return check_device(argc, argv); });
}
