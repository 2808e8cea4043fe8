#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/text.hpp"
#include "core/worker_pool.hpp"
#include "experiments/model_files.hpp"
#include "experiments/resources.hpp"
#include "experiments/runner.hpp"
#include "experiments/task.hpp"
#include "models/checkpoint.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

/// When to write a checkpoint: when training has taken `ratio` times as long as the last one took to write, so that it
/// costs a few percent at most on any disk, and in any case after 30 seconds.
class CheckpointClock {
 public:
  bool due() const { return seconds_since(last_) >= std::min(longest, ratio * cost_); }
  void written(double seconds) { cost_ = seconds, last_ = Clock::now(); }

 private:
  static constexpr double longest = 30, ratio = 20;
  double cost_ = 0.02;
  Clock::time_point last_ = Clock::now();
};

/// A classifier's task with the data set that asks it, shared by the runs of all trials.
struct SharedTask {
  ClassifierTask task;
  DeviceDataset dataset;
  Model model;
};

std::vector<SharedTask> shared_tasks(const Spec& spec, const FeatureStore& store, Backend& backend) {
  const DeviceDataset clips(store, backend);
  std::vector<SharedTask> shared;
  for (const ClassifierTask& task : tasks_of(spec, store.genres)) {
    Model model{classifier_of(spec, task.classes.size()), store.config, task.classes, task.node};
    if (!task.node.empty()) model.below = spec.tree.genres_below_children(shared.size());
    shared.push_back({task, DeviceDataset(clips, labels_of(task, store), backend), std::move(model)});
  }
  return shared;
}

/// What all runs of an experiment share.
struct Grid {
  const Spec& spec;
  const Data& data;
  Backend& backend;
  const RunFolder& folder;
  const RunnerOptions& options;
  std::vector<SharedTask> tasks = shared_tasks(spec, data.store, backend);
  std::string hash = spec_hash(spec), machine = machine_name(), commit = program_commit();
  BackendInfo info = info_of(spec, backend);
  std::atomic<std::size_t> runs{0};       ///< to do
  std::atomic<std::size_t> finished{0};   ///< runs
  std::atomic<std::size_t> elsewhere{0};  ///< runs that another process works on
  std::atomic<bool> failed{false};        ///< one run failed: the others save and stop
  std::mutex ledger_mutex{};

  void say(const std::string& text) const {
    if (options.progress) options.progress->message(text);
  }
};

std::set<Cell> cells_done(const std::vector<Result>& results) {
  std::set<Cell> cells;
  for (const Result& result : results) cells.insert(result.cell());
  return cells;
}

/// One run from its beginning, or from its checkpoint, to its end.
class RunInProgress {
 public:
  /// `done`: cells that have a line in some ledger.
  RunInProgress(Grid& grid, const PlannedRun& run, const std::set<Cell>& done, Worker& worker)
      : grid_(grid),
        run_(run),
        worker_(worker),
        shared_(grid.tasks[run.task]),
        trial_split_(
            make_split(grid.data.store, grid.spec.dataset.split, grid.spec.seed, run.trial, grid.options.strict)),
        split_(clips_of(shared_.task, grid.data.store, trial_split_)),
        trainer_(grid.backend, worker.queue, shared_.dataset, split_, shared_.model.classifier, grid.spec.training,
                 run.key) {
    for (const Cell& cell : run.cells())
      if (!done.contains(cell)) wanted_.insert(cell.epochs);
    if (fs::exists(path_)) restore();
    saved_epochs_ = epochs_at_start_ = trainer_.epochs_done();
  }

  void do_all() {
    try {
      for (;;) {
        if (wanted_.contains(epochs())) record_result();
        if (epochs() >= run_.epochs() || grid_.failed) break;
        train_epoch();
        if (clock_.due()) save();
      }
    } catch (const Interrupted&) {
      if (epochs() != saved_epochs_) save();
      throw;
    }
    if (epochs() >= run_.epochs())
      announce_end();
    else if (epochs() != saved_epochs_)
      save();
  }

 private:
  std::uint32_t epochs() const { return static_cast<std::uint32_t>(trainer_.epochs_done()); }
  double seconds() const { return seconds_before_ + seconds_since(start_); }

  std::optional<Checkpoint> readable_checkpoint() const {
    try {
      return read_checkpoint(path_, shared_.model);
    } catch (const InputError& error) {
      grid_.say(fmt::format("warning: the checkpoint {} cannot be used, so {} is trained anew: {}", path_.string(),
                            run_.id, error.what()));
      return std::nullopt;
    }
  }

  void restore() {
    const std::optional<Checkpoint> readable = readable_checkpoint();
    if (!readable) return;
    const Checkpoint& checkpoint = *readable;
    if (checkpoint.run != run_.id || checkpoint.spec_hash != grid_.hash)
      reject("{} belongs to another run ({}, spec hash {}; here {}, {}). Delete it, or choose another folder",
             path_.string(), checkpoint.run, checkpoint.spec_hash, run_.id, grid_.hash);
    const std::string difference = differences(checkpoint.backend, checkpoint.commit, grid_.info, grid_.commit);
    if (!grid_.options.allow_mixed && !difference.empty())
      reject(
          "{} was computed differently ({}): the result would differ in its last bits from one made in one go. Resume "
          "where it was begun, or add --allow-mixed",
          path_.string(), difference);
    // a line that the ledger has lost lies behind the checkpoint: only a new training gives its confusion matrix
    if (!wanted_.empty() && *wanted_.begin() < checkpoint.state.history.size()) return;
    trainer_.restore(checkpoint.state);
    seconds_before_ = checkpoint.seconds;
  }

  void train_epoch() {
    const EpochScores scores = trainer_.train_epoch();
    if (!std::isfinite(scores.train.loss) && !diverged_) {
      diverged_ = true;
      grid_.say(
          fmt::format("warning: {} diverged in epoch {}: its loss is no number. It goes on to its end and is recorded "
                      "so; a lower learning rate may help",
                      run_.id, epochs()));
    }
    show(scores);
  }

  /// The state after the last whole epoch.
  void save() {
    const Phase phase(worker_.queue, "checkpoint");
    const Clock::time_point begin = Clock::now();
    write_checkpoint(path_, shared_.model,
                     {run_.id, grid_.hash, grid_.commit, grid_.info, seconds(), trainer_.state()});
    saved_epochs_ = epochs();
    clock_.written(seconds_since(begin));
  }

  /// Saves, then appends the line of the present grid point.
  void record_result() {
    const Phase phase(worker_.queue, "result");
    if (saved_epochs_ != epochs()) save();
    Result result;
    result.run = run_.id;
    result.node = run_.node;
    result.epochs = epochs();
    result.trial = run_.trial;
    result.seed = grid_.spec.seed;
    result.spec_hash = grid_.hash;
    result.commit = grid_.commit;
    result.backend = grid_.info;
    result.machine = grid_.machine;
    result.seconds = seconds();
    result.history = trainer_.history();
    const EpochScores& last = result.history.back();
    result.train = last.train;
    result.validation = last.validation;
    result.test = last.test;
    result.answers = answers();
    result.confusion = confusion_of(shared_.task, result.answers.genres, result.answers.probabilities);
    if (!split_.validation.empty()) result.validation_confusion = trainer_.evaluate(split_.validation).confusion;
    write_result_model(grid_.folder.model(run_, result.epochs), grid_.spec, grid_.data, split_, result,
                       {shared_.model, trainer_.state().parameters, ""});
    const std::lock_guard lock(grid_.ledger_mutex);
    append_line(grid_.folder.ledger(), to_json_line(result));
  }

  /// Of the classifier about all test clips of the trial.
  TestAnswers answers() {
    const FeatureStore& store = grid_.data.store;
    TestAnswers answers;
    for (const std::uint32_t clip : trial_split_.test) {
      answers.tracks.push_back(store.tracks[clip]);
      answers.genres.push_back(static_cast<std::uint32_t>(store.labels[clip]));
    }
    answers.probabilities = trainer_.probabilities(trial_split_.test);
    return answers;
  }

  void show(const EpochScores& scores) const {
    if (!grid_.options.progress) return;
    const std::size_t now = trainer_.epochs_done();
    const double per_epoch = seconds_since(start_) / static_cast<double>(now - epochs_at_start_);
    const std::string validation =
        split_.validation.empty() ? "" : fmt::format("  validation {:.1f} %", 100 * scores.validation.accuracy);
    grid_.options.progress->show(
        worker_.index,
        fmt::format("{}  epoch {}/{}  loss {:.4f}{}  {} left", run_.id, now, run_.epochs(), scores.train.loss,
                    validation, duration(per_epoch * static_cast<double>(run_.epochs() - now))));
  }

  void announce_end() {
    const std::size_t finished = ++grid_.finished;
    if (grid_.options.progress) grid_.options.progress->clear(worker_.index);
    const EpochScores& last = trainer_.history().back();
    grid_.say(fmt::format("{}  finished  test accuracy {:.1f} %  loss {:.4f}  {}  ({} of {})", run_.id,
                          100 * last.test.accuracy, last.test.loss, duration(seconds()), finished, grid_.runs.load()));
  }

  Grid& grid_;
  const PlannedRun& run_;
  Worker& worker_;
  const SharedTask& shared_;
  Split trial_split_;  ///< of all genres
  Split split_;        ///< those of this task
  Trainer trainer_;
  fs::path path_ = grid_.folder.checkpoint(run_.id);
  std::set<std::uint32_t> wanted_;  ///< grid points without a line
  std::size_t saved_epochs_ = 0, epochs_at_start_ = 0;
  double seconds_before_ = 0;  ///< of parts before a resume
  bool diverged_ = false;
  Clock::time_point start_ = Clock::now();
  CheckpointClock clock_;
};

/// Results of the experiment in the folder, whichever shard made them. InputError if they were computed in another way.
std::vector<Result> results_there(Grid& grid) {
  const std::lock_guard lock(grid.ledger_mutex);
  std::vector<Result> results;
  for (std::size_t shard : ledger_shards(grid.folder.path()))
    for (Result& result : read_ledger(ledger_path(grid.folder.path(), shard), shard == grid.folder.shard().index)) {
      if (result.spec_hash != grid.hash)
        reject("{} holds results of another experiment (spec hash {}, here {}). Choose another --out",
               grid.folder.path().string(), result.spec_hash, grid.hash);
      const std::string difference = differences(result.backend, result.commit, grid.info, grid.commit);
      if (!grid.options.allow_mixed && !difference.empty())
        reject(
            "{} in {} was computed differently ({}), so results may differ in their last bits. Resume where it was "
            "begun, or add --allow-mixed",
            result.run, grid.folder.path().string(), difference);
      results.push_back(std::move(result));
    }
  return results;
}

/// Without --resume nothing of these runs may be there, not even from another division into shards.
void refuse_what_is_there(const Grid& grid, const std::vector<PlannedRun>& runs) {
  for (const PlannedRun& run : runs)
    if (fs::exists(grid.folder.checkpoint(run.id)))
      reject("{} holds the run {} already. Go on with --resume, or choose another --out; nothing is ever overwritten",
             grid.folder.path().string(), run.id);
}

/// A run, unless another process works on it or has done it in the meantime.
void do_run(Grid& grid, const PlannedRun& run, Worker& worker) {
  const std::unique_ptr<FileLock> lock = grid.folder.try_lock(run.id);
  if (!lock) {
    ++grid.elsewhere, --grid.runs;
    grid.say(fmt::format("{}  passed over: another process works on it", run.id));
    return;
  }
  const Phase phase(worker.queue, run.id);
  remove_stale_temporaries(grid.folder.checkpoint(run.id));
  for (const std::uint32_t epochs : run.points) remove_stale_temporaries(grid.folder.model(run, epochs));
  const std::vector<Result> results = results_there(grid);
  if (runs_left({run}, results).empty())
    --grid.runs;
  else
    RunInProgress(grid, run, cells_done(results), worker).do_all();
}

/// Makes the model file of a result again from the run's checkpoint. Returns "", or why that cannot be.
std::string remake_model(const Grid& grid, const PlannedRun& run, const Result& result) {
  const SharedTask& shared = grid.tasks[run.task];
  try {
    Checkpoint checkpoint = read_checkpoint(grid.folder.checkpoint(run.id), shared.model);
    if (checkpoint.run != run.id || checkpoint.spec_hash != grid.hash) return "its checkpoint belongs to another run";
    if (const std::size_t epochs = checkpoint.state.history.size(); epochs != result.epochs)
      return fmt::format("its checkpoint stands at {}, not at {}", count_of(epochs, "epoch"), result.epochs);
    const Split split = make_split(grid.data.store, grid.spec.dataset.split, grid.spec.seed, run.trial, false);
    write_result_model(grid.folder.model(run, result.epochs), grid.spec, grid.data,
                       clips_of(shared.task, grid.data.store, split), result,
                       {shared.model, std::move(checkpoint.state.parameters), ""});
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

/// Model files that somebody removed are made again where that is possible without training, and named where it is not.
void remake_models(const Grid& grid, const std::vector<PlannedRun>& runs, const std::vector<Result>& results) {
  for (const PlannedRun& run : runs)
    for (const Result& result : results) {
      const fs::path path = grid.folder.model(run, result.epochs);
      if (result.run != run.id || fs::exists(path)) continue;
      const std::unique_ptr<FileLock> lock = grid.folder.try_lock(run.id);
      if (!lock) continue;  // another process works on it
      if (const std::string problem = remake_model(grid, run, result); problem.empty())
        grid.say(fmt::format("{}  made again", path.string()));
      else
        grid.say(fmt::format("warning: {} is missing and cannot be made again: {}", path.string(), problem));
    }
}

}  // namespace

std::vector<PlannedRun> runs_left(const std::vector<PlannedRun>& runs, const std::vector<Result>& results) {
  const std::set<Cell> done = cells_done(results);
  std::vector<PlannedRun> left;
  std::ranges::copy_if(runs, std::back_inserter(left), [&](const PlannedRun& run) {
    return std::ranges::any_of(run.cells(), [&](const Cell& cell) { return !done.contains(cell); });
  });
  return left;
}

BackendInfo info_of(const Spec& spec, const Backend& backend) { return spec.cnn ? backend.cnn_info() : backend.info(); }

std::vector<PlannedRun> planned_runs(const Spec& spec, const Data& data, const Shard& shard) {
  const Split split = make_split(data.store, spec.dataset.split, spec.seed, 0, false);
  std::vector<double> costs;
  for (const ClassifierTask& task : tasks_of(spec, data.store.genres)) {
    const Split own = clips_of(task, data.store, split);
    costs.push_back(epoch_cost(spec, own.train.size(), own.validation.size() + own.test.size()));
  }
  return runs_of_shard(plan_runs(spec, costs), shard);
}

RunSummary run_grid(const Spec& spec, const Data& data, Backend& backend, RunFolder& folder,
                    const RunnerOptions& options) {
  const Clock::time_point start = Clock::now();
  folder.begin(data.summary);
  Grid grid{spec, data, backend, folder, options};
  const std::vector<PlannedRun> runs = planned_runs(spec, data, folder.shard());
  if (!folder.resume()) refuse_what_is_there(grid, runs);
  const std::vector<PlannedRun> open = runs_left(runs, results_there(grid));
  grid.runs = open.size();
  const auto do_item = [&](std::size_t item, Worker& worker) {
    try {
      do_run(grid, open[item], worker);
    } catch (...) {
      grid.failed = true;
      throw;
    }
  };
  run_on_workers(backend.device(), options.jobs, open.size(), do_item, options.trace);
  if (folder.resume()) remake_models(grid, runs, results_there(grid));
  return {grid.finished, runs.size() - grid.finished - grid.elsewhere, grid.elsewhere, seconds_since(start)};
}

std::vector<std::string> missing_cells(const Spec& spec, const std::vector<Result>& results) {
  const std::set<Cell> done = cells_done(results);
  std::vector<std::string> missing;
  for (const Cell& cell : cells_of(spec))
    if (!done.contains(cell)) missing.push_back(cell.name());
  return missing;
}

}  // namespace genretree
