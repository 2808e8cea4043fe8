// run_experiment FILE.yaml: does an experiment, or what is left of it, and writes its report.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/io/files.hpp"
#include "core/progress.hpp"
#include "core/text.hpp"
#include "core/worker_pool.hpp"
#include "experiments/comparison.hpp"
#include "experiments/data.hpp"
#include "experiments/figures.hpp"
#include "experiments/ledger.hpp"
#include "experiments/merged_runs.hpp"
#include "experiments/model_files.hpp"
#include "experiments/report.hpp"
#include "experiments/report_content.hpp"
#include "experiments/resources.hpp"
#include "experiments/run_folder.hpp"
#include "experiments/runner.hpp"
#include "experiments/tree_learning.hpp"
#include "experiments/variants.hpp"
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

ExperimentFile read_experiment(const Options& options) {
  ExperimentFile file = load_experiment(experiment_file(options.file), options.assignments, options.dataset);
  if (options.backend.empty()) return file;
  file.spec.backend.device = options.backend;
  for (Variant& variant : file.variants) variant.spec.backend.device = options.backend;
  return file;
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
  const bool snapshots = spec.grid.mode == GridSpec::Mode::snapshots;
  fmt::print("experiment  {}: {} of training{}{}\n", spec.experiment, count_of(runs, "run"),
             snapshots ? ", snapshots on the way" : "",
             shard.count > 1 ? fmt::format(", shard {}/{}", shard.index, shard.count) : "");
  fmt::print("data        {}: {} in {} ({}), from {}\n", summary.name, count_of(summary.clips, "clip"),
             count_of(summary.genres.size(), "genre"), join(summary.genres), summary.source);
  for (const std::string& note : summary.notes) fmt::print("            {}\n", note);
  for (const std::string& warning : summary.warnings) fmt::print("            warning: {}\n", warning);
  fmt::print("split       {}: {} to train, {} to validate, {} to test\n", split_text(spec.dataset.split), summary.train,
             summary.validation, summary.test);
  fmt::print("features    {}\n", describe(data.store.config));
  fmt::print("model       {}\n", model_line(spec, summary.genres.size()));
  fmt::print("backend     {}: {} {}, {}, {} on {}; {}\n", info.backend, spec.cnn ? "CNN by" : "LSTM", info.algorithm,
             info.precision, info.target, info.device, info.libraries);
  const auto& [jobs, need, limits] = workers;
  fmt::print("jobs        {} side by side, {} each and {} for the data: {} of the {} that may be taken\n\n", jobs,
             megabytes(need.per_run), megabytes(need.shared), megabytes(need.of(jobs)), megabytes(limits.memory));
  std::fflush(stdout);
  if (need.of(jobs) > limits.memory)
    warn(fmt::format("{} side by side may not go into the free memory. --jobs auto begins no more than do",
                     count_of(jobs, "run")));
}

// ------------------------------------------------------------------------------------------------------------- dry run

void dry_run(const Spec& spec, const Data& data, Backend& backend, const std::vector<PlannedRun>& runs,
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
}

// -------------------------------------------------------------------------------------------------------------- report

/// How far an experiment has come.
struct Outcome {
  bool complete = false;  ///< every result is there, and the report is written
  bool left_out = false;  ///< some clips could not be read
};

ExitCode exit_code_of(bool left_out) { return left_out ? ExitCode::left_out : ExitCode::ok; }

/// Puts the trees whose nodes are all there together, and says which could not be.
void make_trees(const std::vector<fs::path>& folders, const Spec& spec, const std::vector<Result>& results) {
  for (const std::string& problem : make_tree_models(folders, spec, results)) warn(problem);
}

/// Writes the report of what the folders hold into the first of them.
Outcome report(const std::vector<fs::path>& folders, bool allow_mixed) {
  const fs::path& folder = folders.front();
  const auto [spec, dataset, results] = merge_runs(folders, allow_mixed);
  if (results.empty()) reject("{} has no results yet", folder.string());
  const std::vector<std::string> missing = missing_cells(spec, results);
  if (!missing.empty())
    warn(fmt::format("{} of {} results are missing: {}", missing.size(), cells_of(spec).size(), join(missing)));
  make_trees(folders, spec, results);
  write_report(folder, spec, dataset, results);
  fmt::print("\n{}\nreport: {}\n", tables_as_text(spec, dataset, results), (folder / "report.html").string());
  return {missing.empty(), dataset.left_out > 0};
}

/// The report if every shard is done, else what to do for it.
Outcome report_when_complete(const Spec& spec, const DatasetSummary& dataset, const RunFolder& folder,
                             const Options& options) {
  const std::vector<Result> results = read_results({folder.path()}, options.allow_mixed);
  const std::vector<std::string> missing = missing_cells(spec, results);
  if (missing.empty()) return report({folder.path()}, options.allow_mixed);
  make_trees({folder.path()}, spec, results);
  fmt::print("{} of {} results are still missing. When the other shards are done: run_experiment --report {}{}\n",
             missing.size(), cells_of(spec).size(), folder.path().string(), " [their folders]");
  return {false, dataset.left_out > 0};
}

/// Sets what the variants' folders hold side by side, in the first of `folders`.
void compare(const std::vector<fs::path>& folders, bool allow_mixed) {
  const Comparison comparison = read_comparison(folders, allow_mixed);
  write_comparison(folders.front(), comparison);
  fmt::print("\n{}\ncomparison: {}\n", comparison_as_text(comparison), (folders.front() / "report.html").string());
}

ExitCode report_asked_for(const std::vector<fs::path>& folders, bool allow_mixed) {
  if (!holds_variants(folders.front())) return exit_code_of(report(folders, allow_mixed).left_out);
  bool left_out = false;
  for (const auto& [name, difference] : read_variant_names(folders.front()).variants)
    left_out = report(folders_of_variant(folders, name), allow_mixed).left_out || left_out;
  compare(folders, allow_mixed);
  return exit_code_of(left_out);
}

// ---------------------------------------------------------------------------------------------------------------- main

/// The runs of one experiment in its folder, then its report.
Outcome do_runs(const Spec& spec, const fs::path& out, const Shard& shard, const Options& options) {
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
    print_header(spec, data, info_of(spec, *backend), runs.size(), shard, workers);
    dry_run(spec, data, *backend, runs, workers.jobs);
    return {};
  }
  RunFolder folder(out, spec, shard, options.resume);
  print_header(spec, data, info_of(spec, *backend), runs.size(), shard, workers);

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

/// `tree: learn`: the flat classifier and then, when all of its results are there, the tree that follows from it.
Outcome learn_and_do_runs(const Spec& spec, const fs::path& out, const Shard& shard, const Options& options) {
  const Spec flat = flat_spec(spec);
  const fs::path folder = out / "flat";
  const Outcome outcome = do_runs(flat, folder, shard, options);
  const std::vector<Result> results = read_results({folder}, options.allow_mixed);
  if (const std::size_t missing = missing_cells(flat, results).size(); missing > 0) {
    fmt::print("The tree of {} follows from the classifier above, of which {} of {} results are missing. {}\n",
               spec.experiment, missing, cells_of(flat).size(),
               options.dry_run ? "Its nodes are not known before" : "When they are there, go on with --resume");
    return {false, outcome.left_out};
  }
  const TreeOrigin origin = tree_origin(flat, results);
  const Spec learned = with_learned_tree(spec, origin);
  if (!options.dry_run) {
    check_run_folder(out, learned, shard, options.resume);
    write_tree_origin(out, origin);
  }
  return do_runs(learned, out, shard, options);
}

Outcome do_experiment(const Spec& spec, const fs::path& out, const Shard& shard, const Options& options) {
  return spec.learned_tree_epochs ? learn_and_do_runs(spec, out, shard, options) : do_runs(spec, out, shard, options);
}

/// Refuses what do_experiment would, as far as it can be known before any training.
void check_folder(const Spec& spec, const fs::path& out, const Shard& shard, const Options& options) {
  if (options.dry_run && !options.resume) return;
  if (holds_variants(out)) reject("{} holds an experiment with variants. Choose another --out", out.string());
  if (spec.learned_tree_epochs == 0) return check_run_folder(out, spec, shard, options.resume);
  check_run_folder(out / "flat", flat_spec(spec), shard, options.resume);
  if (fs::exists(out / "spec.yaml") && !fs::exists(out / "flat"))
    reject("{} holds another experiment, whose tree was not learned. Choose another --out", out.string());
}

/// One after another, each with all workers; then the comparison, if all of them are complete.
ExitCode run_variants(const ExperimentFile& file, const fs::path& out, const Shard& shard, const Options& options) {
  if (fs::exists(out / "spec.yaml"))
    reject("{} holds an experiment without variants. Choose another --out", out.string());
  VariantNames names{file.name, {}};
  for (const auto& [name, difference, spec] : file.variants) {
    check_folder(spec, out / name, shard, options);
    names.variants.emplace_back(name, difference);
  }
  if (!options.dry_run) write_variant_names(out, names);
  bool complete = true, left_out = false;
  for (const auto& [name, difference, spec] : file.variants) {
    fmt::print("{}variant     {} ({})\n", name == file.variants.front().name ? "" : "\n", name, difference);
    const Outcome outcome = do_experiment(spec, out / name, shard, options);
    complete = complete && outcome.complete;
    left_out = left_out || outcome.left_out;
  }
  if (complete)
    compare({out}, options.allow_mixed);
  else if (!options.dry_run)
    fmt::print("The comparison follows when every variant is complete: run_experiment --report {}\n", out.string());
  return exit_code_of(left_out);
}

/// Every experiment of the file with all its keys.
void explain(const ExperimentFile& file) {
  if (file.variants.empty()) fmt::print("{}", to_yaml(file.spec, true));
  for (const auto& [name, difference, spec] : file.variants)
    fmt::print("--- # variant {}: {}\n{}", name, difference, to_yaml(spec, true));
}

ExitCode run(const Options& options) {
  const ExperimentFile file = read_experiment(options);
  if (options.explain) {
    explain(file);
    return ExitCode::ok;
  }
  const Shard shard = parse_shard(options.shard);
  const fs::path out = options.out.empty() ? fs::path("runs") / file.name : options.out;
  if (!options.dry_run) check_gnuplot();
  if (!file.variants.empty()) return run_variants(file, out, shard, options);
  check_folder(file.spec, out, shard, options);
  return exit_code_of(do_experiment(file.spec, out, shard, options).left_out);
}

ExitCode run_experiment(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Trains and evaluates classifiers over the grid of an experiment file, and writes a report.\n"
      "  run_experiment experiments/quick_sweep.yaml                  try everything, no download, under a minute\n"
      "  run_experiment experiments/epoch_sweep.yaml --dataset DIR    the paper's Figures 9 and 10\n"
      "  run_experiment experiments/genre_tree.yaml --dataset DIR     the paper's Tables 3 and 4\n"
      "  run_experiment experiments/quick_comparison.yaml             several experiments in one file, side by side\n"
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
    return report_asked_for(options.report, options.allow_mixed);
  }
  if (options.file.empty())
    reject("no experiment file was given. Try run_experiment experiments/quick_sweep.yaml, or --help");
  return run(options);
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] { return run_experiment(argc, argv); });
}
