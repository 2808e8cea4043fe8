#include <algorithm>
#include <fmt/format.h>
#include <numeric>
#include <set>

#include "core/error.hpp"
#include "core/text.hpp"
#include "experiments/comparison.hpp"
#include "experiments/do_experiment.hpp"
#include "experiments/do_search.hpp"
#include "experiments/run_folder.hpp"
#include "experiments/run_header.hpp"
#include "experiments/runner.hpp"
#include "experiments/search_results.hpp"
#include "experiments/tree_learning.hpp"
#include "features/extract.hpp"
#include "models/checkpoint.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

// ------------------------------------------------------------------------------------------------------------- backend

/// What computed the folder's results, whichever shard made them, or else its checkpoints; nothing in a new folder.
std::optional<BackendInfo> computed_by(const fs::path& folder) {
  if (const LedgerIndex index(folder); !index.origins().empty()) return index.origins().front().computation.backend;
  if (!fs::is_directory(folder / "checkpoints")) return std::nullopt;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder / "checkpoints")) {
    if (entry.path().extension() != ".h5") continue;
    try {
      return read_checkpoint_backend(entry.path());
    } catch (const InputError&) {  // it is told of, and its run trained anew, when the run is reached
    }
  }
  return std::nullopt;
}

/// A backend that can compute the experiment.
BackendChoice backend_of(const Spec& spec, const BackendConfig& config) {
  return choose_backend(config, {&spec.stack, spec.cnn ? 0u : 1u});
}

/// What a trial chooses among to compute the LSTM; fewer than two if there is nothing to choose.
std::vector<std::string> choices(const Spec& spec, const Backend& backend) {
  return spec.cnn ? std::vector<std::string>{} : backend.algorithms_for(spec.stack);
}

}  // namespace

BackendChoice backend_in(const fs::path& folder, const Spec& spec, const Shard& shard) {
  BackendChoice choice = backend_of(spec, spec.backend);
  const std::string device = choice.backend->info().backend;
  const std::vector<std::string> algorithms = choices(spec, *choice.backend);
  const bool has_choice = algorithms.size() > 1 || (!spec.cnn && spec.backend.lstm == "auto" && device != "cpu");
  if (!has_choice) return choice;
  const std::optional<BackendInfo> before = computed_by(folder);
  if (!before || before->backend != device) {
    if (shard.count == 1 || algorithms.size() < 2) return choice;
    reject(
        "shard {}/{} would choose what computes the LSTM by a trial, and shards that choose differently cannot be "
        "merged. Name it for all shards: --set backend.lstm={}, or another of {}. Which is fastest here, the header of "
        "--dry-run without --shard says",
        shard.index, shard.count, algorithms.front(), join(algorithms));
  }
  BackendConfig begun = spec.backend;
  begun.device = device, begun.lstm = before->algorithm;
  return backend_of(spec, begun);
}

// ------------------------------------------------------------------------------------------------------ one experiment

DataOptions data_options_of(const ExperimentOptions& options, Backend& backend, Progress& progress) {
  DataOptions data;
  data.cache = options.cache.empty() ? default_cache() : options.cache;
  data.jobs = options.jobs.value_or(extraction_workers(backend.device()));
  data.strict = options.strict;
  data.progress = &progress;
  data.trace = options.trace;
  return data;
}

Workers chosen_workers(const Spec& spec, const Data& data, Backend& backend, std::size_t runs,
                       std::optional<std::size_t> jobs) {
  if (!spec.cnn) {  // before workers_for, which asks a state of the chosen algorithm for its memory
    const std::size_t most = jobs.value_or(limits_of(backend).jobs);
    backend.choose_algorithm(spec.stack, stack_work(spec, data, std::clamp<std::size_t>(runs, 1, most)));
  }
  return workers_for(spec, data, backend, runs, jobs);
}

namespace {

std::string part_text(const Shard& shard) {
  return shard.count == 1 ? "" : fmt::format(", shard {}/{}", shard.index, shard.count);
}

/// The runs of each shard that have no result there yet.
std::vector<std::vector<PlannedRun>> runs_left_of_shards(const Spec& spec, const LedgerIndex& there,
                                                         const Shard& division) {
  std::vector<std::vector<PlannedRun>> shards = divide(plan_runs(spec), division.count, division.first);
  for (std::vector<PlannedRun>& runs : shards) runs = runs_left(runs, there.cells());
  return shards;
}

/// The runs of one experiment in its folder, then its report, unless this is one of several shards.
Outcome do_runs(const Spec& spec, const fs::path& out, const ExperimentOptions& options) {
  const BackendChoice choice = backend_in(out, spec, options.shard);
  Backend& backend = *choice.backend;
  Progress progress;
  const Data data = load_data(spec, backend, data_options_of(options, backend, progress));
  const Shard& shard = options.shard;
  const std::vector<std::vector<PlannedRun>> shards = options.resume
                                                          ? runs_left_of_shards(spec, LedgerIndex(out), shard)
                                                          : divide(plan_runs(spec), shard.count, shard.first);
  const std::vector<PlannedRun>& runs = options.plan_of_shards
                                            ? *std::ranges::max_element(shards, {}, &std::vector<PlannedRun>::size)
                                            : shards[shard.index];
  const Workers workers = chosen_workers(spec, data, backend, runs.size(), options.jobs);
  if (options.dry_run) {
    if (options.plan_of_shards) {
      print_header(spec, data, choice, runs.size(), fmt::format(" at most in each of {} shards", shard.count), workers);
      const std::size_t all = std::accumulate(shards.begin(), shards.end(), std::size_t{0},
                                              [](std::size_t sum, const auto& part) { return sum + part.size(); });
      print_shards(spec, data, backend, shards, workers, workers_for(spec, data, backend, all, options.jobs).jobs);
    } else {
      print_header(spec, data, choice, runs.size(), part_text(shard), workers);
      print_dry_run(spec, data, backend, runs, workers);
    }
    return {};
  }
  RunFolder folder(out, spec, shard, options.resume);
  print_header(spec, data, choice, runs.size(), part_text(shard), workers);

  RunnerOptions runner_options;
  runner_options.jobs = workers.jobs;
  runner_options.slots = workers.slots;
  runner_options.allow_mixed = options.allow_mixed;
  runner_options.strict = options.strict;
  runner_options.progress = &progress;
  runner_options.trace = options.trace;
  const RunSummary summary = run_grid(spec, data, backend, folder, runner_options);
  progress.message(
      fmt::format("{} done in {}{}{}", count_of(summary.finished, "run"), duration(summary.seconds),
                  summary.before ? fmt::format(", {} were there already", summary.before) : "",
                  summary.elsewhere ? fmt::format(", {} passed over for another process", summary.elsewhere) : ""));
  if (shard.count == 1 && summary.missing == 0) return report_folders({out}, options.allow_mixed);
  fmt::print("{}\n", summary.missing
                         ? fmt::format("{} of {} results are still missing", summary.missing, cells_of(spec).size())
                         : fmt::format("All {} results are there", cells_of(spec).size()));
  return {summary.elsewhere == 0, shard.count == 1 && data.summary.left_out > 0};
}

// ------------------------------------------------------------------------------------------------------- tree: learn

/// Where the runs lie of the flat classifier that a tree in `out` is learned from: `flat` in this folder, unless it is
/// not there and `twin` has the same classifier, another variant's.
fs::path flat_folder(const fs::path& out, const fs::path& twin) {
  return twin.empty() || fs::exists(out / "flat") ? out / "flat" : twin;
}

/// The flat classifier, unless it is its twin, which is done already; then, when all of its results are there, the tree
/// that follows from it.
Outcome learn_and_do_runs(const Spec& spec, const fs::path& out, const fs::path& twin,
                          const ExperimentOptions& options) {
  const Spec flat = flat_spec(spec);
  const fs::path folder = flat_folder(out, twin);
  Outcome outcome;
  if (folder == twin)
    fmt::print("The tree follows from the classifier in {}, the same as its own would be\n", folder.string());
  else
    outcome = do_runs(flat, folder, options);
  if (const std::size_t missing = missing_cells(flat, LedgerIndex(folder).cells()).size(); missing > 0) {
    fmt::print("The tree of {} follows from the classifier above, of which {} of {} results are missing. {}\n",
               spec.experiment, missing, cells_of(flat).size(),
               options.dry_run ? "Its nodes are not known before" : "When they are there, go on with --resume");
    return {false, outcome.left_out};
  }
  TreeOrigin origin = tree_origin(flat, read_results({folder}, options.allow_mixed));
  origin.classifier = fs::relative(folder, out).generic_string();
  const Spec learned = with_learned_tree(spec, origin);
  if (!options.dry_run) {
    check_run_folder(out, learned, options.shard, options.resume);
    write_tree_origin(out, origin);
  }
  return do_runs(learned, out, options);
}

/// `twin`: for a tree that is to be learned, see flat_folder; empty if there is none.
Outcome do_experiment(const Spec& spec, const fs::path& out, const fs::path& twin, const ExperimentOptions& options) {
  return spec.learned_tree_epochs ? learn_and_do_runs(spec, out, twin, options) : do_runs(spec, out, options);
}

}  // namespace

void check_no_variants(const fs::path& out) {
  if (holds_variants(out)) reject("{} holds an experiment with variants. Choose another --out", out.string());
  if (holds_search(out)) reject("{} holds a search. Choose another --out", out.string());
}

void check_experiment(const Spec& spec, const fs::path& out, const fs::path& twin, const ExperimentOptions& options) {
  backend_in(out, spec, options.shard);
  if (options.dry_run && !options.resume) return;
  check_no_variants(out);
  if (spec.learned_tree_epochs == 0) return check_run_folder(out, spec, options.shard, options.resume);
  const fs::path flat = flat_folder(out, twin);
  if (flat != twin) check_run_folder(flat, flat_spec(spec), options.shard, options.resume);
  if (fs::exists(out / "spec.yaml") && !fs::exists(flat))
    reject("{} holds another experiment, whose tree was not learned. Choose another --out", out.string());
}

// ----------------------------------------------------------------------------------------------------------- variants

namespace {

/// The folder of the variant before `learner` that is the very classifier which its tree follows from, so that it is
/// trained once; empty if there is none.
fs::path twin_of(const Variant& learner, const ExperimentFile& file, const fs::path& out) {
  if (learner.spec.learned_tree_epochs == 0) return {};
  const Spec flat = flat_spec(learner.spec);
  for (const Variant& variant : file.variants) {
    if (variant.name == learner.name) break;
    if (same_experiment(variant.spec, flat)) return out / variant.name;
  }
  return {};
}

/// A folder keeps one comparison. Variants may be added to a file, not replaced by others.
void check_variants(const ExperimentFile& file, const fs::path& out) {
  if (fs::exists(out / "spec.yaml"))
    reject("{} holds an experiment without variants. Choose another --out", out.string());
  if (holds_search(out)) reject("{} holds a search. Choose another --out", out.string());
  if (!holds_variants(out)) return;
  const VariantNames there = read_variant_names(out);
  if (there.experiment != file.name)
    reject("{} holds the comparison of another experiment, {}. Choose another --out", out.string(), there.experiment);
  for (const auto& [name, difference] : there.variants)
    if (std::ranges::find(file.variants, name, &Variant::name) == file.variants.end())
      reject("{} holds a variant '{}', which the file does not have. Choose another --out", out.string(), name);
}

/// The shards that have runs left of one experiment. Of a tree that is to be learned these are first its classifier's.
std::set<std::size_t> open_shards_of(const Spec& spec, const fs::path& out, const fs::path& twin,
                                     const Shard& division) {
  std::set<std::size_t> open;
  const auto add = [&](const Spec& experiment, const fs::path& folder) {
    check_run_folder(folder, experiment, {}, true);
    const LedgerIndex there(folder);
    for (const std::string& line : there.damaged_lines()) warn(damaged_line_text(line));
    const std::vector<std::vector<PlannedRun>> left = runs_left_of_shards(experiment, there, division);
    for (std::size_t shard = 0; shard < division.count; ++shard)
      if (!left[shard].empty()) open.insert(shard);
  };
  if (spec.learned_tree_epochs == 0) {
    add(spec, out);
    return open;
  }
  const Spec flat = flat_spec(spec);
  const fs::path folder = flat_folder(out, twin);
  if (folder != twin) add(flat, folder);
  if (missing_cells(flat, LedgerIndex(folder).cells()).empty())
    add(with_learned_tree(spec, tree_origin(flat, read_results({folder}, true))), out);
  return open;
}

/// Says that variants may be computed differently.
void say_who_chooses(const ExperimentFile& file) {
  for (const Variant& variant : file.variants) {
    const Spec& spec = variant.spec;
    const BackendChoice choice = backend_of(spec, spec.backend);
    const std::vector<std::string> algorithms = choices(spec, *choice.backend);
    if (algorithms.size() < 2) continue;
    fmt::print(
        "A variant that names none takes the fastest of {} for its LSTM; --set backend.lstm={} has all computed by the "
        "same\n",
        join(algorithms), algorithms.front());
    return;
  }
}

/// The shards of each variant's division begin where those of the one before ended, so that small variants do not all
/// fall to the first.
std::vector<Shard> shards_of_variants(const ExperimentFile& file, Shard shard) {
  std::vector<Shard> shards;
  for (const Variant& variant : file.variants) {
    shards.push_back(shard);
    shard.first = (shard.first + plan_runs(variant.spec).size()) % shard.count;
  }
  return shards;
}

Outcome do_variants(const ExperimentFile& file, const fs::path& out, const ExperimentOptions& options) {
  check_variants(file, out);
  VariantNames names{file.name, {}};
  for (const Variant& variant : file.variants) {
    check_experiment(variant.spec, out / variant.name, twin_of(variant, file, out), options);
    names.variants.emplace_back(variant.name, variant.difference);
  }
  if (!options.dry_run) write_variant_names(out, names);
  say_who_chooses(file);
  Outcome all{true, false};
  const std::vector<Shard> shards = shards_of_variants(file, options.shard);
  for (std::size_t v = 0; v < file.variants.size(); ++v) {
    const Variant& variant = file.variants[v];
    fmt::print("{}variant     {} ({})\n", v == 0 ? "" : "\n", variant.name, variant.difference);
    ExperimentOptions own = options;
    own.shard = shards[v];
    const Outcome outcome = do_experiment(variant.spec, out / variant.name, twin_of(variant, file, out), own);
    all.complete = all.complete && outcome.complete;
    all.left_out = all.left_out || outcome.left_out;
  }
  if (all.complete && options.shard.count == 1) compare_variants({out}, options.allow_mixed);
  return all;
}

}  // namespace

Outcome do_file(const ExperimentFile& file, const fs::path& out, const ExperimentOptions& options) {
  Outcome outcome;
  if (file.search) {
    outcome = do_search(file, out, options);
  } else if (file.variants.empty()) {
    check_experiment(file.spec, out, {}, options);
    outcome = do_experiment(file.spec, out, {}, options);
  } else {
    outcome = do_variants(file, out, options);
  }
  if (!options.dry_run && (options.shard.count > 1 || !outcome.complete))
    fmt::print("The report, when all is there: run_experiment --report {}\n", out.string());
  return outcome;
}

std::vector<std::size_t> open_shards(const ExperimentFile& file, const fs::path& out, std::size_t count) {
  const Shard division{0, count};
  if (file.search) return open_shards_of_search(file, out, count);
  std::set<std::size_t> open;
  if (file.variants.empty()) {
    check_no_variants(out);
    open = open_shards_of(file.spec, out, {}, division);
  } else {
    check_variants(file, out);
    const std::vector<Shard> divisions = shards_of_variants(file, division);
    for (std::size_t v = 0; v < file.variants.size(); ++v) {
      const Variant& variant = file.variants[v];
      open.merge(open_shards_of(variant.spec, out / variant.name, twin_of(variant, file, out), divisions[v]));
    }
  }
  return {open.begin(), open.end()};
}

}  // namespace genretree
