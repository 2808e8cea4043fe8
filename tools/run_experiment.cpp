// run_experiment FILE.yaml: does an experiment, or what is left of it, and writes its report.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/io/files.hpp"
#include "core/progress.hpp"
#include "core/text.hpp"
#include "core/worker_pool.hpp"
#include "experiments/data.hpp"
#include "experiments/figures.hpp"
#include "experiments/ledger.hpp"
#include "experiments/report.hpp"
#include "experiments/resources.hpp"
#include "experiments/run_folder.hpp"
#include "experiments/runner.hpp"
#include "models/model_file.hpp"
#include "tools/program.hpp"

namespace fs = std::filesystem;
using namespace genretree;

namespace {

struct Options {
  std::string file, dataset, backend, jobs = "auto", shard = "0/1";
  std::vector<std::string> assignments;
  std::vector<fs::path> report;
  fs::path out, cache;
  bool resume = false, dry_run = false, explain = false, allow_mixed = false, strict = false;
};

// --------------------------------------------------------------------------------------------------- what is asked for

/// The experiment file; a name that would be right elsewhere gets a hint.
fs::path experiment_file(const std::string& name) {
  if (fs::is_regular_file(name)) return name;
  for (const fs::path& near :
       {fs::path(name + ".yaml"), fs::path("experiments") / name, fs::path("experiments") / (name + ".yaml")})
    if (fs::is_regular_file(near))
      reject("there is no file {}, but there is {}: say run_experiment {}", name, near.string(), near.string());
  reject("there is no experiment file {}. Those that come with the program lie in its folder experiments/", name);
}

Spec read_spec(const Options& options) {
  Spec spec = load_spec(experiment_file(options.file), options.assignments, options.dataset);
  if (!options.backend.empty()) spec.backend.device = options.backend;
  return spec;
}

/// --jobs as a number, or nothing for auto.
std::optional<std::size_t> jobs_asked_for(const Options& options) {
  if (options.jobs == "auto") return std::nullopt;
  std::size_t jobs = 0;
  if (!CLI::detail::lexical_cast(options.jobs, jobs) || jobs == 0 || jobs > 4096)
    reject("--jobs is '{}', but must be auto or a number from 1 to 4096", options.jobs);
  return jobs;
}

/// The runs that go side by side, and the memory that they have and need.
struct Workers {
  std::size_t jobs;
  MemoryNeed need;
  Limits limits;
};

Workers workers_for(const Spec& spec, const Data& data, Backend& backend, std::size_t runs, const Options& options) {
  const Limits limits = limits_of_process();
  const MemoryNeed need = memory_need(spec, data, backend, limits.memory);
  const std::optional<std::size_t> asked_for = jobs_asked_for(options);
  const std::size_t jobs = asked_for ? std::min(*asked_for, std::max<std::size_t>(1, runs))  // one more would be idle
                                     : automatic_jobs(runs, need, limits);
  return {jobs, need, limits};
}

// -------------------------------------------------------------------------------------------------------------- header

/// "214 MB"
std::string megabytes(std::size_t bytes) {
  return fmt::format("{:.0f} MB", std::ceil(static_cast<double>(bytes) / 1e6));
}

std::string model_line(const Spec& spec, std::size_t genres) {
  const ClassifierConfig classifier = classifier_of(spec, genres);
  const std::string layers = describe(classifier);
  const std::string network =
      spec.tree.empty() ? fmt::format("{}; {} weights", layers, classifier.parameter_count())
                        : fmt::format("{}: one such network at each of the tree's {}",
                                      layers.substr(0, layers.rfind(' ')), count_of(spec.tree.nodes().size(), "node"));
  const std::string kind =
      spec.cnn ? fmt::format("dropout {}, initial weights: {}", spec.cnn->dropout, name_of(spec.initialisation))
               : fmt::format("preset {}", spec.preset);
  return fmt::format("{}; {}, batch {}, learning rate {}", network, kind, spec.training.batch,
                     spec.training.optimiser.learning_rate);
}

void print_header(const Spec& spec, const Data& data, const BackendInfo& info, std::size_t runs, const Shard& shard,
                  const Workers& workers) {
  const DatasetSummary& summary = data.summary;
  const FeatureConfig& features = data.store.config;
  const bool snapshots = spec.grid.mode == GridSpec::Mode::snapshots;
  fmt::print("experiment  {}: {} of training{}{}\n", spec.experiment, count_of(runs, "run"),
             snapshots ? ", snapshots on the way" : "",
             shard.count > 1 ? fmt::format(", shard {}/{}", shard.index, shard.count) : "");
  fmt::print("data        {}: {} in {} ({}), from {}\n", summary.name, count_of(summary.clips, "clip"),
             count_of(summary.genres.size(), "genre"), join(summary.genres), summary.source);
  for (const std::string& note : summary.notes) fmt::print("            {}\n", note);
  fmt::print("split       {}: {} to train, {} to validate, {} to test\n", spec.dataset.split.name, summary.train,
             summary.validation, summary.test);
  fmt::print("features    MFCC {} to {}, {} frames, as {}, short clips filled with {}\n", features.first_coefficient,
             features.first_coefficient + features.coefficients - 1, features.frames,
             features.compat == Compat::librosa_0_6 ? "librosa 0.6" : "librosa 1.0",
             features.pad == FramePadding::edge ? "their last frame" : "zeros");
  fmt::print("model       {}\n", model_line(spec, summary.genres.size()));
  fmt::print("backend     {}: LSTM {}, {}, {} on {}; {}\n", info.backend, info.algorithm, info.precision, info.target,
             info.device, info.libraries);
  const auto& [jobs, need, limits] = workers;
  fmt::print("jobs        {} side by side, {} each and {} for the data: {} of the {} that may be taken\n\n", jobs,
             megabytes(need.per_run), megabytes(need.shared), megabytes(need.of(jobs)), megabytes(limits.memory));
  std::fflush(stdout);
  if (need.of(jobs) > limits.memory)
    warn(fmt::format("{} side by side may not go into the free memory. --jobs auto begins no more than do",
                     count_of(jobs, "run")));
}

// ------------------------------------------------------------------------------------------------------------- dry run

ExitCode dry_run(const Spec& spec, const Data& data, Backend& backend, const std::vector<PlannedRun>& runs,
                 std::size_t jobs) {
  const double epoch = seconds_per_epoch(spec, data, backend, jobs);
  const double cost = epoch_cost(spec, data.summary.train, data.summary.validation + data.summary.test);
  std::vector<double> seconds;
  std::size_t epochs = 0;
  std::size_t width = 12;
  for (const PlannedRun& run : runs) width = std::max(width, run.id.size() + 2);
  fmt::print("{:<{}}{:>8}{:>7}{:>16}\n", "run", width, "epochs", "trial", "estimated time");
  for (const PlannedRun& run : runs) {
    seconds.push_back(epoch * run.cost / cost);
    epochs += run.epochs();
    fmt::print("{:<{}}{:>8}{:>7}{:>16}\n", run.id, width, run.epochs(), run.trial, duration(seconds.back()));
  }
  fmt::print(
      "\n{}, {}; one over all clips takes {} (measured here, {} side by side): about {} in all. No run was trained\n",
      count_of(runs.size(), "run"), count_of(epochs, "epoch"), duration(epoch), jobs,
      duration(finishing_time(seconds, jobs)));
  return ExitCode::ok;
}

// -------------------------------------------------------------------------------------------------------------- report

/// The summary in the first folder; InputError if another was made from other data.
DatasetSummary common_dataset(const std::vector<fs::path>& folders) {
  for (const fs::path& folder : folders)
    if (!fs::exists(folder / "spec.yaml") || !fs::exists(folder / "dataset.json"))
      reject(
          "{} is not a folder of runs: it has no spec.yaml and dataset.json. Give the folder that --out named, e.g. "
          "runs/epoch_sweep",
          folder.string());
  const auto dataset_of = [](const fs::path& folder) {
    const fs::path file = folder / "dataset.json";
    return dataset_summary_from_json(read_text(file), file.string());
  };
  const DatasetSummary first = dataset_of(folders.front());
  for (const fs::path& folder : folders)
    if (dataset_of(folder).checksum != first.checksum)
      reject("{} and {} were made from different data and cannot be merged", folders.front().string(), folder.string());
  return first;
}

/// The folders' experiment, with every grid point and trial that any of them has; InputError that names the keys if
/// they differ in more than that.
Spec common_spec(const std::vector<fs::path>& folders) {
  Spec common = load_spec(folders.front() / "spec.yaml", {});
  std::set<std::uint32_t> epochs;
  for (const fs::path& folder : folders) {
    const GridSpec grid = load_spec(folder / "spec.yaml", {}).grid;
    epochs.insert(grid.epochs.begin(), grid.epochs.end());
    common.grid.trials = std::max(common.grid.trials, grid.trials);
  }
  common.grid.epochs.assign(epochs.begin(), epochs.end());
  for (const fs::path& folder : folders)
    if (const std::string keys = conflicting_keys(load_spec(folder / "spec.yaml", {}), common); !keys.empty())
      reject("{} holds another experiment than {} and cannot be merged with it ({})", folder.string(),
             folders.front().string(), keys);
  return common;
}

/// Finished; or finished without some clips.
ExitCode exit_code_of(const DatasetSummary& dataset) { return dataset.left_out ? ExitCode::left_out : ExitCode::ok; }

ExitCode report(const std::vector<fs::path>& folders, bool allow_mixed) {
  const fs::path& folder = folders.front();
  const DatasetSummary dataset = common_dataset(folders);
  const Spec spec = common_spec(folders);
  const std::vector<Result> results = read_results(folders, allow_mixed);
  if (results.empty()) reject("{} has no results yet", folder.string());
  if (const std::vector<std::string> missing = missing_cells(spec, results); !missing.empty())
    warn(fmt::format("{} of {} results are missing: {}", missing.size(), cells_of(spec).size(), join(missing)));
  write_report(folder, spec, dataset, results);
  fmt::print("\n{}\nreport: {}\n", tables_as_text(spec, dataset, results), (folder / "report.html").string());
  return exit_code_of(dataset);
}

/// The report if every shard is done, else what to do for it.
ExitCode report_when_complete(const Spec& spec, const DatasetSummary& dataset, const RunFolder& folder,
                              const Options& options) {
  const std::vector<std::string> missing = missing_cells(spec, read_results({folder.path()}, options.allow_mixed));
  if (missing.empty()) return report({folder.path()}, options.allow_mixed);
  fmt::print("{} of {} results are still missing. When the other shards are done: run_experiment --report {}{}\n",
             missing.size(), cells_of(spec).size(), folder.path().string(), " [their folders]");
  return exit_code_of(dataset);
}

// ---------------------------------------------------------------------------------------------------------------- main

ExitCode run(const Options& options) {
  const Spec spec = read_spec(options);
  if (options.explain) {
    fmt::print("{}", to_yaml(spec, true));
    return ExitCode::ok;
  }
  const Shard shard = parse_shard(options.shard);
  const fs::path out = options.out.empty() ? fs::path("runs") / spec.experiment : options.out;
  if (!options.dry_run) check_gnuplot();
  if (!options.dry_run || options.resume) check_run_folder(out, spec, shard, options.resume);
  const std::unique_ptr<Backend> backend = make_backend(spec.backend);
  Progress progress;
  DataOptions data_options;
  data_options.cache = options.cache.empty() ? default_cache() : options.cache;
  data_options.jobs = jobs_asked_for(options).value_or(available_cores());
  data_options.strict = options.strict;
  data_options.progress = &progress;

  const Data data = load_data(spec, *backend, data_options);
  std::vector<PlannedRun> runs = planned_runs(spec, data, shard);
  if (options.resume) runs = runs_left(runs, read_results({out}, options.allow_mixed));
  const Workers workers = workers_for(spec, data, *backend, runs.size(), options);
  if (options.dry_run) {
    print_header(spec, data, backend->info(), runs.size(), shard, workers);
    return dry_run(spec, data, *backend, runs, workers.jobs);
  }
  RunFolder folder(out, spec, shard, options.resume);
  print_header(spec, data, backend->info(), runs.size(), shard, workers);

  RunnerOptions runner_options;
  runner_options.jobs = workers.jobs;
  runner_options.allow_mixed = options.allow_mixed;
  runner_options.strict = options.strict;
  runner_options.progress = &progress;
  const RunSummary summary = run_grid(spec, data, *backend, folder, runner_options);
  progress.message(
      fmt::format("{} done in {}{}{}", count_of(summary.finished, "run"), duration(summary.seconds),
                  summary.before ? fmt::format(", {} were there already", summary.before) : "",
                  summary.elsewhere ? fmt::format(", {} passed over for another process", summary.elsewhere) : ""));
  return report_when_complete(spec, data.summary, folder, options);
}

ExitCode run_experiment(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Trains and evaluates classifiers over the grid of an experiment file, and writes a report.\n"
      "  run_experiment experiments/quick_sweep.yaml                  try everything, no download, under a minute\n"
      "  run_experiment experiments/epoch_sweep.yaml --dataset DIR    the paper's Figures 9 and 10\n"
      "  run_experiment experiments/genre_tree.yaml --dataset DIR     the paper's Tables 3 and 4\n"
      "  run_experiment --report DIR...                               merge shards, write the report into the first "
      "DIR",
      "run_experiment");
  app.add_option("FILE", options.file, "experiment file (YAML)");
  app.add_option("--dataset", options.dataset,
                 "folder of audio or feature store (.h5), from the current folder on (dataset.path in a file starts at "
                 "that file's folder); or built-in, or gtzan; in place of the file's data set");
  app.add_option("--out", options.out, "folder of the runs and the report (default: runs/NAME)");
  app.add_option("--backend", options.backend, "cpu or cuda, in place of the file's backend.device");
  app.add_option(
         "--set", options.assignments,
         "key=value, in place of a key of the file, after --dataset: --set training.batch=20; any number of times")
      ->allow_extra_args(false);  // one value each: the experiment file may follow
  app.add_option("--jobs", options.jobs,
                 "runs side by side, or auto: one for each core that the process may use, as its memory allows")
      ->capture_default_str();
  app.add_option("--shard", options.shard,
                 "i/N: the i-th of N parts, from 0; auto/N: i from SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX");
  app.add_option("--cache", options.cache,
                 "folder of extracted features (default: $GENRETREE_CACHE, else ~/.cache/genretree)");
  app.add_option("--report", options.report, "folders of runs to merge and report; nothing is trained")
      ->expected(1, -1);
  app.add_flag("--resume", options.resume, "go on where the folder's runs stopped");
  app.add_flag("--dry-run", options.dry_run, "list every run and the time it would take here");
  app.add_flag("--explain", options.explain, "print the experiment with every key, its meaning and what is allowed");
  app.add_flag("--allow-mixed", options.allow_mixed,
               "accept results of different backends or program versions in one report");
  app.add_flag("--strict", options.strict, "bad or missing clips are errors");
  if (asked_for_help(app, argc, argv)) return ExitCode::ok;

  if (!options.report.empty()) {
    if (!options.file.empty()) reject("--report takes folders and no experiment file, but got {}", options.file);
    return report(options.report, options.allow_mixed);
  }
  if (options.file.empty())
    reject("no experiment file was given. Try run_experiment experiments/quick_sweep.yaml, or --help");
  return run(options);
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] { return run_experiment(argc, argv); });
}
