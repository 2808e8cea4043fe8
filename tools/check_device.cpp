// check_device: says what this machine computes with, and holds every operation of every backend in this build, with
// every instruction set that the machine has, against the definition (kernels/reference) here and now.
#include <algorithm>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/io/hdf5.hpp"
#include "core/limits.hpp"
#include "core/text.hpp"
#include "experiments/resources.hpp"
#include "features/spectral.hpp"
#include "kernels/backends.hpp"
#include "kernels/checks.hpp"
#include "tools/program.hpp"

using namespace genretree;

namespace {

/// What the project's own tests cannot run: they have twins of NVIDIA's libraries, and an emulator for our kernels.
constexpr const char* checked_only_here =
    R"(  Tested by nothing but check_device on a GPU: CUDA's memory, streams and graphs
  (every operation, the training steps), cuFFT (spectral_features), cuDNN (its LSTM, cnn_step,
  cnn_evaluate), cuBLAS (cnn_step, cnn_evaluate), CUB (classify_loss, cnn_step, cnn_evaluate), Thrust on a GPU, the
  instructions of assembly.hpp. Our own kernels are tested without a GPU too, on an emulator
)";

/// The lines of a table as they are made; keeps those that failed.
class Table {
 public:
  void add(const std::vector<OperationCheck>& checks) {
    for (const OperationCheck& check : checks) {
      fmt::print("{}", check_line(check));
      if (!check.passed()) failed_.push_back(check);
    }
    count_ += checks.size();
    std::fflush(stdout);
  }
  const std::vector<OperationCheck>& failed() const { return failed_; }
  std::size_t count() const { return count_; }

 private:
  std::vector<OperationCheck> failed_;
  std::size_t count_ = 0;
};

/// A line for each operation of one backend in one precision, on every target, and of each way to compute LSTMs; but
/// what a GPU's other precision has in common with its first is checked once.
void check(const std::string& name, const std::string& precision, bool first, Table& table) {
  const std::vector<std::string> lstms = backend_algorithms(name, precision);
  const auto backends_with = [&](const std::string& lstm) {
    std::vector<std::unique_ptr<Backend>> backends;
    for (const std::string& target : backend_targets(name, precision))
      backends.push_back(make_backend({.device = name, .lstm = lstm, .precision = precision, .target = target}));
    return backends;
  };
  const std::vector<std::unique_ptr<Backend>> backends = backends_with(lstms.front());
  Backend& best = *backends.front();
  const BackendInfo info = best.info(), cnn = best.cnn_info();
  fmt::print("\nbackend {}: {}\n  LSTM {}, {}; target auto takes {}; {}\n  CNN by {}, {}; {}\n", info.backend,
             info.device, info.algorithm, info.precision, info.target, info.libraries, cnn.algorithm, cnn.precision,
             cnn.libraries);
  fmt::print("{}", check_heading());
  if (first) table.add(check_instructions(best));
  const SpectralTables tables = make_spectral_tables({.kind = FeatureKind::spectral33});
  table.add(check_operations(backends, tables, {.only_lstm = name == "cuda" && !first}));
  if (lstms.size() == 1) return;
  for (auto lstm = lstms.begin() + 1; lstm != lstms.end(); ++lstm)
    table.add(
        check_operations(backends_with(*lstm), tables, {.only_lstm = true, .may_refuse = *lstm != "cudnn:standard"}));
  if (name == "cuda" && precision != "bf16") table.add({check_choice(*backends_with("cudnn").front())});
}

/// InputError if a backend that was named cannot be checked here.
void reject_absent(const std::vector<std::string>& names) {
  const std::vector<std::string> built = built_backends();
  for (const std::string& name : names) {
    if (name == "cuda" && std::find(built.begin(), built.end(), name) == built.end())
      reject("backend cuda is not in this build, which has: {}. Build it with tools/build cuda (preset cuda)",
             join(built));
    if (std::find(built.begin(), built.end(), name) == built.end())
      reject("--backend '{}' is unknown. Use one of: {}", name, join(built));
    if (const std::string reason = backend_absence(name); !reason.empty())
      reject("backend {} cannot be checked: {}", name, reason);
  }
}

ExitCode check_device(int argc, char** argv) {
  std::vector<std::string> asked_for;
  CLI::App app(
      "Says what this machine computes with, and checks every operation of every backend against the definition.\nExit "
      "code 1 if one fails.",
      "check_device");
  app.add_option("--backend", asked_for, "only these backends, of " + join(built_backends()));
  if (asked_for_help(app, argc, argv)) return ExitCode::ok;
  reject_absent(asked_for);

  fmt::print("machine  {}\nmemory   {:.1f} GB free for this process\nprogram  {}, HDF5 {}\n", machine_name(),
             static_cast<double>(available_memory()) / 1e9, program_commit(), hdf5_version());
  const Clock::time_point start = Clock::now();
  Table table;
  for (const std::string& name : asked_for.empty() ? built_backends() : asked_for) {
    const std::string reason = backend_absence(name);
    if (!reason.empty()) fmt::print("\nbackend {}: not checked. {}\n", name, reason);
    if (name == "cuda") fmt::print("{}{}", reason.empty() ? "\n" : "", checked_only_here);
    if (!reason.empty()) continue;
    const std::vector<std::string> precisions = backend_precisions(name);
    for (const std::string& precision : precisions) check(name, precision, precision == precisions.front(), table);
  }
  if (table.failed().empty()) {
    fmt::print("\nall {} checks passed in {:.1f} s\n", table.count(), seconds_since(start));
    return ExitCode::ok;
  }
  fmt::print("\n{} of {} checks failed: results of this machine cannot be trusted\n{}", table.failed().size(),
             table.count(), check_heading());
  for (const OperationCheck& one : table.failed()) fmt::print("{}", check_line(one));
  return ExitCode::failure;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] { return check_device(argc, argv); });
}
