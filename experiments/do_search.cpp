#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <mutex>
#include <numeric>
#include <set>

#include "core/error.hpp"
#include "core/text.hpp"
#include "core/worker_pool.hpp"
#include "experiments/comparison.hpp"
#include "experiments/do_search.hpp"
#include "experiments/runner.hpp"
#include "experiments/search_report.hpp"
#include "experiments/search_results.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

/// A candidate with the trials of a rung, and its part of the division into shards.
struct Task {
  std::size_t candidate;
  Spec spec;
  Shard shard;
};

/// Candidates mostly differ in their training: those with the same clips, one after another, share them.
class SharedData {
 public:
  std::shared_ptr<const Data> of(const Spec& spec, Backend& backend, const DataOptions& options) {
    Spec what = {};
    what.seed = spec.seed, what.dataset = spec.dataset, what.features = spec.features;
    what.dataset.window = 0;              // which is the training's affair
    what.grid.trials = spec.grid.trials;  // warnings are of all trials
    const std::string key = to_yaml(what, false) + backend.info().backend + backend.info().target;
    const std::lock_guard lock(mutex_);
    if (key != key_) {
      data_ = nullptr;
      data_ = std::make_shared<const Data>(load_data(spec, backend, options));
      key_ = key;
    }
    return data_;
  }

 private:
  std::mutex mutex_;
  std::string key_;
  std::shared_ptr<const Data> data_;
};

class SearchInProgress {
 public:
  SearchInProgress(const ExperimentFile& file, const fs::path& out, const ExperimentOptions& options)
      : file_(file), out_(out), options_(options), plan_(plan_of(file)) {}

  void check_folder() const {
    if (fs::exists(out_ / "spec.yaml") || holds_variants(out_))
      reject("{} holds another experiment, which is no search. Choose another --out", out_.string());
    if (holds_search(out_))
      if (const std::string there = read_search_plan(out_).experiment; there != plan_.experiment)
        reject("{} holds another search, {}. Choose another --out", out_.string(), there);
  }

  void check() const {
    if (options_.plan_of_shards)
      reject("--shard all/N is not for a search, whose next rung follows from the last. See --dry-run without it");
    check_folder();
    for (const Variant& candidate : file_.variants) {
      try {
        check_experiment(candidate.spec, out_ / candidate.name, {}, options_);
      } catch (const InputError& error) {
        reject("{} (the candidate '{}': {})", error.what(), candidate.name, candidate.difference);
      }
    }
  }

  void dry_run() {
    say_plan();
    const Variant& largest = *std::ranges::max_element(file_.variants, {}, [](const Variant& candidate) {
      return classifier_of(candidate.spec, 2).parameter_count();
    });
    const Setting setting(*this, {0, largest.spec, options_.shard});
    const std::size_t jobs = workers_of(setting, plan_.rungs.front().candidates).jobs;
    print_header(largest.spec, *setting.data, setting.choice, plan_runs(largest.spec).size(),
                 fmt::format(" of {}, the candidate with the most weights", largest.name), workers_of(setting, jobs));
    for (const Variant& candidate : file_.variants) fmt::print("{}  {}\n", candidate.name, candidate.difference);
    const double epoch = seconds_per_epoch(largest.spec, *setting.data, *setting.choice.backend, jobs);
    fmt::print("\n{:<12}{:>8}{:>10}{:>10}{:>16}\n", "candidates", "trials", "trainings", "epochs", "estimated time");
    double all = 0;
    std::uint32_t before = 0;
    for (const Rung& rung : plan_.rungs) {
      const auto [trainings, cost] = cost_of(largest.spec, rung.trials - before);
      const double count = static_cast<double>(rung.candidates);
      const double seconds = epoch * cost * count / static_cast<double>(std::max<std::size_t>(1, jobs));
      fmt::print("{:<12}{:>8}{:>10}{:>10.0f}{:>16}\n", rung.candidates, rung.trials, trainings * rung.candidates,
                 cost * count, duration(seconds));
      all += seconds, before = rung.trials;
    }
    fmt::print(
        "\nabout {} in all, {} side by side, if every candidate takes as long as {}, whose epoch over all clips takes "
        "{} (measured here). Nothing was trained\n",
        duration(all), jobs, largest.name, duration(epoch));
  }

  Outcome run() {
    say_plan();
    write_search_plan(out_, plan_);
    std::vector<std::size_t> alive = all();
    for (std::size_t r = 0; r < plan_.rungs.size(); ++r) {
      const std::vector<Task> tasks = tasks_of(alive, r, options_.shard);
      do_rung(open_tasks(tasks), r > 0);
      const std::size_t open = open_tasks(tasks).size();
      const bool last = r + 1 == plan_.rungs.size();
      if (open > 0 && (!last || options_.shard.count == 1)) {
        fmt::print("{} of {} have trainings that other processes have not ended. When they have, go on with --resume\n",
                   open, count_of(alive.size(), "candidate"));
        return {false, left_out_};
      }
      if (!last) alive = best_of(tasks, plan_.rungs[r + 1].candidates);
    }
    if (options_.shard.count > 1) return {elsewhere_ == 0, false};
    return report_search({out_}, options_.allow_mixed);
  }

  std::vector<std::size_t> open_shards(std::size_t count) const {
    std::vector<std::size_t> alive = all();
    for (std::size_t r = 0; r < plan_.rungs.size(); ++r) {
      const std::vector<Task> tasks = tasks_of(alive, r, {0, count});
      std::set<std::size_t> open;
      for (const Task& task : open_tasks(tasks)) {
        const auto parts = divide(plan_runs(task.spec), count, task.shard.first);
        const std::set<Cell> done = LedgerIndex(folder_of(task)).cells();
        for (std::size_t shard = 0; shard < count; ++shard)
          if (!runs_left(parts[shard], done).empty()) open.insert(shard);
      }
      if (!open.empty()) return {open.begin(), open.end()};
      if (r + 1 < plan_.rungs.size()) alive = best_of(tasks, plan_.rungs[r + 1].candidates);
    }
    return {};
  }

 private:
  /// A candidate's backend and clips.
  struct Setting {
    BackendChoice choice;
    std::shared_ptr<const Data> data;
    Spec spec;

    Setting(SearchInProgress& search, const Task& task)
        : choice(backend_in(search.folder_of(task), task.spec, task.shard)),
          data(search.shared_.of(task.spec, *choice.backend,
                                 data_options_of(search.options_, *choice.backend, search.progress_))),
          spec(task.spec) {}
  };

  Workers workers_of(const Setting& setting, std::size_t runs) const {
    return chosen_workers(setting.spec, *setting.data, *setting.choice.backend, runs, options_.jobs);
  }

  std::vector<std::size_t> all() const {
    std::vector<std::size_t> candidates(file_.variants.size());
    std::iota(candidates.begin(), candidates.end(), std::size_t{0});
    return candidates;
  }

  fs::path folder_of(const Task& task) const { return out_ / file_.variants[task.candidate].name; }

  void say_plan() const {
    fmt::print("search      {}: {}; by {} on the validation clips\n", plan_.experiment, plan_.description,
               plan_.by == SearchSpec::By::validation_accuracy ? "accuracy" : "loss");
    for (const SweptKey& key : file_.search->spec.keys)
      fmt::print("            {}: {}\n", key.key, key.values.one_line());
    fmt::print("\n");
    std::fflush(stdout);
  }

  /// Trainings and epochs of a candidate with so many trials.
  static std::pair<std::size_t, double> cost_of(Spec spec, std::uint32_t trials) {
    spec.grid.trials = trials;
    std::pair<std::size_t, double> cost = {0, 0};
    for (const PlannedRun& run : plan_runs(spec)) ++cost.first, cost.second += run.cost;
    return cost;
  }

  /// The candidates on rung `r`. The division of each into shards begins where the new runs of the one before ended.
  std::vector<Task> tasks_of(const std::vector<std::size_t>& candidates, std::size_t r, Shard shard) const {
    const Rung& rung = plan_.rungs[r];
    const std::uint32_t before = r > 0 ? plan_.rungs[r - 1].trials : 0;
    std::vector<Task> tasks;
    for (const std::size_t candidate : candidates) {
      tasks.push_back({candidate, file_.variants[candidate].spec, shard});
      tasks.back().spec.grid.trials = rung.trials;
      shard.first = (shard.first + cost_of(tasks.back().spec, rung.trials - before).first) % shard.count;
    }
    return tasks;
  }

  std::vector<Task> open_tasks(const std::vector<Task>& tasks) const {
    std::vector<Task> open;
    std::ranges::copy_if(tasks, std::back_inserter(open), [&](const Task& task) {
      return !missing_cells(task.spec, LedgerIndex(folder_of(task)).cells()).empty();
    });
    return open;
  }

  std::vector<std::size_t> best_of(const std::vector<Task>& tasks, std::size_t count) const {
    std::vector<Standing> standings;
    for (const auto& task : tasks)
      standings.push_back(standing_of(task.candidate, task.spec, read_results({folder_of(task)}, options_.allow_mixed),
                                      task.spec.grid.trials, plan_.by));
    rank(standings, plan_.by);
    std::vector<std::size_t> best;
    for (std::size_t i = 0; i < count; ++i) best.push_back(standings[i].candidate);
    std::ranges::sort(best);
    return best;
  }

  /// How many runs go side by side: as many as were asked for, or as all of these candidates can.
  std::size_t jobs_for(const std::vector<Task>& tasks) {
    if (options_.jobs) return *options_.jobs;
    std::size_t runs = 0, jobs = SIZE_MAX;
    for (const Task& task : tasks) runs += plan_runs(task.spec).size();
    for (const Task& task : tasks) jobs = std::min(jobs, workers_of(Setting(*this, task), runs).jobs);
    return jobs;
  }

  /// Candidates side by side, of which each has the workers that are left if there are few.
  void do_rung(const std::vector<Task>& tasks, bool again) {
    if (tasks.empty()) return;
    const std::size_t jobs = std::max<std::size_t>(1, jobs_for(tasks));
    if (std::exchange(header_due_, false)) {
      const Setting setting(*this, tasks.front());
      Workers workers = workers_of(setting, jobs);
      workers.jobs = jobs;
      print_header(setting.spec, *setting.data, setting.choice, plan_runs(setting.spec).size(),
                   ", the first of the candidates", workers);
    }
    left_ = tasks.size();
    for (std::size_t begin = 0; begin < tasks.size();) {
      const std::size_t left = tasks.size() - begin, count = left < jobs ? left : left / jobs * jobs;
      const std::size_t workers = std::min(jobs, count), own_jobs = jobs / workers;
      run_on_workers(host_device(), workers, count,
                     [&](std::size_t i, Worker&) { do_task(tasks[begin + i], own_jobs, again); });
      begin += count;
    }
  }

  void do_task(const Task& task, std::size_t jobs, bool again) {
    const fs::path path = folder_of(task);
    Spec spec = task.spec;
    if (fs::exists(path / "spec.yaml"))  // begun on a later rung, of which results were lost
      spec.grid.trials = std::max(spec.grid.trials, load_spec(path / "spec.yaml", {}).grid.trials);
    const Setting setting(*this, {task.candidate, spec, task.shard});
    const std::size_t runs = plan_runs(spec).size();
    const Workers workers = chosen_workers(spec, *setting.data, *setting.choice.backend, runs, jobs);
    RunFolder folder(path, spec, task.shard, options_.resume || again);
    RunnerOptions options;  // without progress, which would show how the test clips were answered
    options.jobs = workers.jobs;
    options.slots = workers.slots;
    options.allow_mixed = options_.allow_mixed;
    options.strict = options_.strict;
    options.trace = options_.trace;
    const RunSummary summary = run_grid(spec, *setting.data, *setting.choice.backend, folder, options);
    const Standing standing =
        standing_of(task.candidate, spec, read_results({path}, options_.allow_mixed), spec.grid.trials, plan_.by);
    const std::lock_guard lock(mutex_);
    elsewhere_ += summary.elsewhere;
    left_out_ = left_out_ || setting.data->summary.left_out > 0;
    --left_;
    progress_.message(fmt::format("{}  {}, validation {} %  {}  ({} left)  {}", file_.variants[task.candidate].name,
                                  count_of(standing.trials, "trial"), shown_percent(standing.accuracy),
                                  duration(summary.seconds), left_, file_.variants[task.candidate].difference));
  }

  const ExperimentFile& file_;
  const fs::path& out_;
  const ExperimentOptions& options_;
  SearchPlan plan_;
  SharedData shared_;
  Progress progress_;
  bool header_due_ = true;
  std::mutex mutex_;
  std::size_t elsewhere_ = 0, left_ = 0;
  bool left_out_ = false;
};

}  // namespace

Outcome do_search(const ExperimentFile& file, const fs::path& out, const ExperimentOptions& options) {
  SearchInProgress search(file, out, options);
  search.check();
  if (!options.dry_run) return search.run();
  search.dry_run();
  return {};
}

std::vector<std::size_t> open_shards_of_search(const ExperimentFile& file, const fs::path& out, std::size_t count) {
  const ExperimentOptions options = {.resume = true};
  const SearchInProgress search(file, out, options);
  search.check_folder();
  return search.open_shards(count);
}

}  // namespace genretree
