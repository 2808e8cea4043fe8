// run_experiment FILE.yaml: does an experiment, or what is left of it, and writes its report.
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/io/trace_file.hpp"
#include "core/text.hpp"
#include "experiments/do_experiment.hpp"
#include "experiments/figures.hpp"
#include "experiments/report_runs.hpp"
#include "experiments/resources.hpp"
#include "experiments/variants.hpp"
#include "tools/program.hpp"

namespace fs = std::filesystem;
using namespace genretree;

namespace {

struct Options {
  std::string file, dataset, backend, jobs = "auto", shard = "0/1";
  std::vector<std::string> assignments;
  std::vector<fs::path> report;
  std::optional<std::size_t> open_shards;
  fs::path out, trace;
  bool explain = false;
  ExperimentOptions how;
};

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

/// Every experiment of the file with all its keys.
void explain(const ExperimentFile& file) {
  if (file.search) {
    fmt::print("{}{}", to_yaml(file.spec, true), documented_yaml(file.search->spec));
    return;
  }
  if (file.variants.empty()) {
    std::string search = documented_yaml(SearchSpec{.method = SearchSpec::Method::halving});  // which has all keys
    replace_all(search, "\n", "\n# ");
    fmt::print("{}\n# A file may have a search, too:\n#{}\n", to_yaml(file.spec, true),
               search.substr(0, search.size() - 3));
  }
  for (const auto& [name, difference, spec] : file.variants)
    fmt::print("--- # variant {}: {}\n{}", name, difference, to_yaml(spec, true));
}

ExitCode exit_code_of(const Outcome& outcome) { return outcome.left_out ? ExitCode::left_out : ExitCode::ok; }

ExitCode report(const Options& options) {
  if (options.open_shards) reject("--report and --open-shards are two things. Leave one out");
  if (!options.file.empty()) reject("--report takes folders and no experiment file, but got {}", options.file);
  if (!options.trace.empty())
    reject("--trace has no timeline to write with --report, which trains nothing. Leave one out");
  const Outcome outcome = report_folders(options.report, options.how.allow_mixed);
  return outcome.complete ? exit_code_of(outcome) : ExitCode::incomplete;
}

ExitCode run(Options options) {
  const ExperimentFile file = read_experiment(options);
  if (options.explain) {
    if (!options.trace.empty())
      reject("--trace has no timeline to write with --explain, which trains nothing. Leave one out");
    explain(file);
    return ExitCode::ok;
  }
  options.how.plan_of_shards = options.shard.starts_with("all/");
  if (options.how.plan_of_shards && !options.how.dry_run)
    reject("--shard {} is for --dry-run, which lists what each shard has to do. A process does one: i/N or auto/N",
           options.shard);
  options.how.shard = parse_shard(options.how.plan_of_shards ? "0" + options.shard.substr(3) : options.shard);
  options.how.jobs = jobs_asked_for(options);
  const fs::path out = options.out.empty() ? fs::path("runs") / file.name : options.out;
  if (options.open_shards) {
    fmt::print("{}\n", array_text(open_shards(file, out, *options.open_shards)));
    return ExitCode::ok;
  }
  if (!options.how.dry_run) check_gnuplot();
  ExitCode code = ExitCode::ok;
  with_trace_file(options.trace, "run_experiment", [&](Trace* trace) {
    options.how.trace = trace;
    const Outcome outcome = do_file(file, out, options.how);
    code = outcome.complete || options.how.dry_run ? exit_code_of(outcome) : ExitCode::interrupted;
  });
  return code;
}

ExitCode run_experiment(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Trains and evaluates classifiers over the grid of an experiment file, and writes a report.\n"
      "  run_experiment experiments/quick_sweep.yaml                  try everything, no download, under a minute\n"
      "  run_experiment experiments/epoch_sweep.yaml --dataset DIR    the paper's Figures 9 and 10\n"
      "  run_experiment experiments/genre_tree.yaml --dataset DIR     the paper's Tables 3 and 4\n"
      "  run_experiment experiments/quick_comparison.yaml             several experiments in one file, side by side\n"
      "  run_experiment experiments/quick_search.yaml                 a search for the best values of some keys\n"
      "  run_experiment --report DIR...                               merge shards, write the report into the first "
      "DIR",
      "run_experiment");
  app.add_option("FILE", options.file, "experiment file (YAML)");
  app.add_option("--dataset", options.dataset,
                 "folder of audio or feature store (.h5), from the current folder on (dataset.path in a file starts at "
                 "that file's folder); or built-in, or gtzan; in place of the file's data set");
  app.add_option("--out", options.out, "folder of the runs and the report (default: runs/NAME)");
  app.add_option("--backend", options.backend,
                 "auto, cpu or cuda (an NVIDIA GPU), in place of the file's backend.device");
  app.add_option(
         "--set", options.assignments,
         "key=value, in place of a key of the file, after --dataset: --set training.batch=20; of one variant: --set "
         "adam:training.batch=20; any number of times")
      ->allow_extra_args(false);  // one value each: the experiment file may follow
  app.add_option("--jobs", options.jobs,
                 fmt::format("runs side by side, or auto: as many as the free memory holds, on the cpu one for each "
                             "core that the process may use, on a GPU (whose memory it is then, and the "
                             "host's for copies) {} at most, or what the LSTM computes in the same launches",
                             most_gpu_queues))
      ->capture_default_str();
  app.add_option("--shard", options.shard,
                 "i/N: the i-th of N parts, from 0; auto/N: i from SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX; all/N "
                 "with --dry-run: the plan of all parts");
  app.add_option("--open-shards", options.open_shards,
                 "N: print which of N shards have something left to do, as Slurm's --array takes them; trains nothing")
      ->check(CLI::Range(std::size_t{1}, most_shards));
  app.add_option("--cache", options.how.cache,
                 "folder of extracted features (default: $GENRETREE_CACHE, else ~/.cache/genretree)");
  app.add_option("--report", options.report, "folders of runs to merge and report; nothing is trained")
      ->expected(1, -1);
  app.add_option("--trace", options.trace,
                 "a file for the timeline of all workers: what each did when, as chrome://tracing and ui.perfetto.dev "
                 "show it (JSON)");
  app.add_flag("--resume", options.how.resume, "go on where the folder's runs stopped");
  app.add_flag("--dry-run", options.how.dry_run, "list every run and the time it would take here");
  app.add_flag("--explain", options.explain, "print the experiment with every key, its meaning and what is allowed");
  app.add_flag("--allow-mixed", options.how.allow_mixed,
               "accept results of different backends or program versions in one report");
  app.add_flag("--strict", options.how.strict, "bad or missing clips are errors");
  if (asked_for_help(app, argc, argv)) return ExitCode::ok;

  if (!options.report.empty()) return report(options);
  if (options.file.empty())
    reject("no experiment file was given. Try run_experiment experiments/quick_sweep.yaml, or --help");
  return run(options);
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] { return run_experiment(argc, argv); });
}
