// bench: measures this machine's limits and what we reach of them. The kernels of training and of MFCCs are compared
// with the definition before they are timed. What is measured lies in bench/, a file for each subject.
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <limits>
#include <regex>

#include "core/io/files.hpp"
#include "core/text.hpp"
#include "core/worker_pool.hpp"
#include "experiments/resources.hpp"
#include "kernels/backends.hpp"
#include "kernels/cpu/target.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/report.hpp"
#include "tools/program.hpp"

using namespace genretree;
using namespace genretree::bench;

namespace {

struct Options {
  std::string json, only = ".*", target = "auto";
  std::size_t cores = available_cores();
  bool list = false, update = false, gpu = false;
};

/// The system's load average over one minute.
double load_average() {
  double load = 0;
  return ::getloadavg(&load, 1) == 1 ? load : std::numeric_limits<double>::quiet_NaN();
}

/// Of a target with a unit for bf16, "avx3+amx_bf16", fp32 has the part before it.
Setup make_setup(const Options& options) {
  const std::string vectors = options.target.substr(0, options.target.find('+'));
  Setup setup{cpu::find_target(vectors), options.cores, load_average(), {}};
  const auto add = [&](const std::string& precision, const std::string& target, double tolerance) {
    setup.precisions.push_back(
        {precision, make_backend({.device = "cpu", .precision = precision, .target = target}), tolerance});
  };
  add("fp32", vectors, 1e-5);
  add("bf16", options.target, 3e-2);  // a bf16 has 8 bits: 0.2 % of each operand
  return setup;
}

/// The cuda backend; InputError without a GPU.
Setup make_gpu_setup(const Options& options) {
  Setup setup{0, options.cores, load_average(), {}};
  const auto add = [&](const std::string& name, const std::string& lstm, const std::string& precision,
                       double tolerance) {
    setup.precisions.push_back(
        {name, make_backend({.device = "cuda", .lstm = lstm, .precision = precision}), tolerance});
  };
  add("fp32", "fused", "fp32", 1e-5);
  add("bf16", "fused", "bf16", 3e-2);
  add("fp32-cudnn", "cudnn", "fp32", 1e-5);
  add("tf32-cudnn", "cudnn", "tf32", 1e-2);
  return setup;
}

std::vector<Benchmark> all_benchmarks(const Setup& setup) {
  std::vector<Benchmark> all;
  for (const auto make : {machine_benchmarks, training_benchmarks, piece_benchmarks, scaling_benchmarks,
                          grid_benchmarks, feature_benchmarks, cnn_benchmarks})
    std::ranges::move(make(setup), std::back_inserter(all));
  return all;
}

std::vector<std::string> names_of(const std::vector<Benchmark>& benchmarks) {
  std::vector<std::string> names;
  for (const Benchmark& benchmark : benchmarks) names.push_back(benchmark.name);
  return names;
}

/// Those whose names the regular expression finds; InputError if there are none.
/// The CNN's, which take a cpu a minute and gigabytes, there only if the expression itself says "cnn".
std::vector<Benchmark> selected(std::vector<Benchmark> benchmarks, const std::string& only, bool gpu) {
  std::regex wanted;
  try {
    wanted = std::regex(only);
  } catch (const std::regex_error& error) {
    reject("--only '{}' is no regular expression: {}", only, error.what());
  }
  const std::vector<std::string> names = names_of(benchmarks);
  const bool with_cnn = gpu || only.find("cnn") != std::string::npos;
  std::erase_if(benchmarks, [&](const Benchmark& benchmark) {
    return !std::regex_search(benchmark.name, wanted) || (!with_cnn && benchmark.name.starts_with("cnn_"));
  });
  if (benchmarks.empty()) reject("--only '{}' finds none of:\n  {}", only, join(names, "\n  "));
  return benchmarks;
}

ExitCode run(int argc, char** argv) {
  Options options;
  CLI::App app("Measures this machine's limits and what the kernels reach of them. Everything takes some minutes",
               "bench");
  app.add_option("--json", options.json, "write the records to this file too, after each");
  app.add_flag("--update", options.update,
               "keep what the --json file has already and is not measured now: what is measured in parts, by the same "
               "program with the same options, comes together in one file")
      ->needs("--json");
  app.add_option(
      "--only", options.only,
      "measure only what this regular expression finds, e.g. train_step; without --gpu, cnn_step only if it is named");
  app.add_flag("--list", options.list, "measure nothing, list the names");
  app.add_option("--target", options.target, "instruction set, e.g. avx2, or with bf16's unit, e.g. avx3+amx_bf16")
      ->capture_default_str();
  app.add_option("--cores", options.cores, "for what is measured on one core and on several: how many")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, available_cores()));
  app.add_flag("--gpu", options.gpu, "measure the cuda backend, by the clock on the wall, and nothing else")
      ->excludes("--target");
  if (asked_for_help(app, argc, argv)) return ExitCode::ok;

  const Setup setup = options.gpu ? make_gpu_setup(options) : make_setup(options);
  std::vector<Benchmark> all = options.gpu ? gpu_benchmarks(setup) : all_benchmarks(setup);
  const std::vector<std::string> all_names = names_of(all);
  const std::vector<Benchmark> benchmarks = selected(std::move(all), options.only, options.gpu);
  const std::vector<std::string> names = names_of(benchmarks);
  if (options.list) {
    fmt::print("{}\n", join(names, "\n"));
    return ExitCode::ok;
  }
  const std::string kept =
      options.update && std::filesystem::exists(options.json) ? read_text(options.json) : std::string();
  std::vector<Record> records;
  const auto write_records = [&] {
    if (!options.json.empty()) write_whole_text(options.json, to_json(setup, records, all_names, kept));
  };
  write_records();  // a file that cannot be written fails before anything is measured
  const BackendInfo info = setup.fp32().backend->cnn_info();  // with the libraries of all that is measured
  fmt::print("{}, {}; commit {}\n{}\n", info.device, info.libraries, program_commit(),
             description_of(setup.precisions));
  if (options.gpu)
    fmt::print("Wall time. Peak: fp32 multiply-adds of all lanes at the highest clock, {:.0f} GFLOP/s\n\n",
               device_peak_gflops(*setup.fp32().backend));
  else
    fmt::print(
        "One core: its processor time; several: wall time. Peak: fp32 multiply-adds beside each measurement\n\n");
  fmt::print("{}\n", table_heading(names));
  for (const Benchmark& benchmark : benchmarks) {
    std::fflush(stdout);
    records.push_back(benchmark.measure());
    records.back().name = benchmark.name;
    fmt::print("{}\n", table_line(records.back(), names));
    write_records();
  }
  return ExitCode::ok;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] { return run(argc, argv); });
}
