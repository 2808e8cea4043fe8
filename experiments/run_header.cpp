#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fmt/format.h>

#include "core/progress.hpp"
#include "core/text.hpp"
#include "experiments/report_content.hpp"
#include "experiments/run_header.hpp"
#include "experiments/runner.hpp"
#include "models/model_file.hpp"

namespace genretree {
namespace {

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

std::size_t epochs_of(const std::vector<PlannedRun>& runs) {
  std::size_t epochs = 0;
  for (const PlannedRun& run : runs) epochs += run.epochs();
  return epochs;
}

/// When the last of the runs ends, if an epoch over all clips takes so long.
double seconds_of(const std::vector<PlannedRun>& runs, double epoch, std::size_t jobs) {
  std::vector<double> seconds;
  for (const PlannedRun& run : runs) seconds.push_back(epoch * run.cost);
  return finishing_time(seconds, jobs);
}

}  // namespace

Workers workers_for(const Spec& spec, const Data& data, Backend& backend, std::size_t runs,
                    std::optional<std::size_t> asked_for) {
  const std::size_t together = runs_together(spec, data, backend);
  const Limits limits = limits_of(backend, together);
  const MemoryNeed need = memory_need(spec, data, backend, limits.memory, together > 1);
  const std::size_t jobs =
      asked_for ? std::min(*asked_for, std::max<std::size_t>(1, runs)) : automatic_jobs(runs, need, limits);
  if (together == 1) return {jobs, 1, need, limits};
  const std::size_t slots = std::min(jobs, most_slots);
  return {slots, slots, need, limits};
}

void print_header(const Spec& spec, const Data& data, const BackendChoice& choice, std::size_t runs,
                  const std::string& part, const Workers& workers) {
  const BackendInfo info = info_of(spec, *choice.backend);
  const DatasetSummary& summary = data.summary;
  const bool snapshots = spec.grid.mode == GridSpec::Mode::snapshots;
  fmt::print("experiment  {}: {} of training{}{}\n", spec.experiment, count_of(runs, "run"),
             snapshots ? ", snapshots on the way" : "", part);
  fmt::print("data        {}: {} in {} ({}), from {}\n", summary.name, count_of(summary.clips, "clip"),
             count_of(summary.genres.size(), "genre"), join(summary.genres), summary.source);
  for (const std::string& note : summary.notes) fmt::print("            {}\n", note);
  for (const std::string& warning : summary.warnings) fmt::print("            warning: {}\n", warning);
  fmt::print("split       {}: {} to train, {} to validate, {} to test\n", split_text(spec.dataset.split), summary.train,
             summary.validation, summary.test);
  fmt::print("features    {}; {}\n", describe(data.store.config), origin_of_features(summary));
  fmt::print("model       {}\n", model_line(spec, summary.genres.size()));
  fmt::print("backend     {}: {} {}, {}, {} on {}; {}\n", info.backend, spec.cnn ? "CNN by" : "LSTM", info.algorithm,
             info.precision, info.target, info.device, info.libraries);
  if (!choice.why_no_gpu.empty()) fmt::print("            the GPU was not taken: {}\n", choice.why_no_gpu);
  const auto& [jobs, slots, need, limits] = workers;
  fmt::print(
      "jobs        {} side by side{}, {} each and {} for the data: {} of the {} of {} memory that may be taken\n", jobs,
      slots > 1 ? " in the same launches" : "", megabytes(need.per_run), megabytes(need.shared),
      megabytes(need.of(jobs)), megabytes(limits.memory), limits.gpu ? "the GPU's" : "this machine's");
  if (limits.gpu)
    fmt::print("            and of this machine's {} each for copies: {} of the {} that may be taken\n",
               megabytes(need.host_per_run), megabytes(need.on_host(jobs)), megabytes(limits.host_memory));
  fmt::print("\n");
  std::fflush(stdout);
  if (need.of(jobs) > limits.memory || need.on_host(jobs) > limits.host_memory)
    warn(fmt::format("{} side by side may not go into the free memory. --jobs auto begins no more than do",
                     count_of(jobs, "run")));
}

void print_dry_run(const Spec& spec, const Data& data, Backend& backend, const std::vector<PlannedRun>& runs,
                   const Workers& workers) {
  const double epoch = seconds_per_epoch(spec, data, backend, workers.jobs / workers.slots, workers.slots);
  std::size_t width = 12;
  for (const PlannedRun& run : runs) width = std::max(width, run.id.size() + 2);
  fmt::print("{:<{}}{:>8}{:>7}{:>16}\n", "run", width, "epochs", "trial", "estimated time");
  for (const PlannedRun& run : runs)
    fmt::print("{:<{}}{:>8}{:>7}{:>16}\n", run.id, width, run.epochs(), run.trial, duration(epoch * run.cost));
  fmt::print(
      "\n{}, {}; one over all clips takes {} (measured here, {} side by side): about {} in all. No run was trained\n",
      count_of(runs.size(), "run"), count_of(epochs_of(runs), "epoch"), duration(epoch), workers.jobs,
      duration(seconds_of(runs, epoch, workers.jobs)));
}

void print_shards(const Spec& spec, const Data& data, Backend& backend,
                  const std::vector<std::vector<PlannedRun>>& shards, const Workers& workers, std::size_t alone) {
  const double epoch = seconds_per_epoch(spec, data, backend, workers.jobs / workers.slots, workers.slots);
  std::vector<PlannedRun> all;
  double slowest = 0;
  fmt::print("{:<8}{:>8}{:>9}{:>16}\n", "shard", "runs", "epochs", "estimated time");
  for (std::size_t shard = 0; shard < shards.size(); ++shard) {
    const std::vector<PlannedRun>& runs = shards[shard];
    const double seconds = seconds_of(runs, epoch, workers.jobs);
    fmt::print("{:<8}{:>8}{:>9}{:>16}\n", shard, runs.size(), epochs_of(runs),
               runs.empty() ? "nothing to do" : duration(seconds));
    all.insert(all.end(), runs.begin(), runs.end());
    slowest = std::max(slowest, seconds);
  }
  if (all.empty()) {
    fmt::print("\nNothing is left to do\n");
    return;
  }
  put_longest_first(all);
  fmt::print(
      "\n{}, {}; one over all clips takes {} (measured here, {} side by side). The last shard ends after {}; one "
      "process "
      "would take {}, and no number of shards less than the longest run, {}. No run was trained\n",
      count_of(all.size(), "run"), count_of(epochs_of(all), "epoch"), duration(epoch), workers.jobs, duration(slowest),
      duration(seconds_of(all, epoch, alone)), duration(epoch * all.front().cost));
}

}  // namespace genretree
