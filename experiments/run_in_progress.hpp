// One run of a grid, from its beginning or its checkpoint to its end, and what all runs of the grid share.
#pragma once

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/io/lock.hpp"
#include "experiments/resources.hpp"
#include "experiments/runner.hpp"
#include "experiments/task.hpp"
#include "models/checkpoint.hpp"
#include "models/trainer.hpp"

namespace genretree {

/// A classifier's task with the data set that asks it, shared by the runs of all trials.
struct SharedTask {
  ClassifierTask task;
  DeviceDataset dataset;
  Model model;
  GroupSize alone;  ///< of a group of one of its runs: the splits of all trials have these sizes
};

std::vector<SharedTask> shared_tasks(const Spec& spec, const FeatureStore& store, Backend& backend);

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
  LedgerIndex index{folder.path()};       ///< under ledger_mutex
  std::atomic<std::size_t> runs{0};       ///< to do
  std::atomic<std::size_t> finished{0};   ///< runs
  std::atomic<std::size_t> elsewhere{0};  ///< runs that another process works on
  std::atomic<bool> failed{false};        ///< one run failed: the others save and stop
  std::mutex ledger_mutex{};

  void say(const std::string& text) const {
    if (options.progress) options.progress->message(text);
  }
};

/// A run that this process alone works on.
struct ClaimedRun {
  const PlannedRun* run;
  std::unique_ptr<FileLock> lock;
  std::set<Cell> done;  ///< cells that have a line in some ledger
};

/// When to write a checkpoint: when training has taken `ratio` times as long as the last one took to write, so that it
/// costs a few percent at most on any disk, and in any case after 30 seconds.
class CheckpointClock {
 public:
  /// `runs`: that take turns with this one, and wait while it writes.
  explicit CheckpointClock(std::size_t runs) : ratio_(20 * static_cast<double>(runs)) {}
  bool due() const { return seconds_since(last_) >= std::min(longest, ratio_ * cost_); }
  void written(double seconds) { cost_ = seconds, last_ = Clock::now(); }

 private:
  static constexpr double longest = 30;
  double ratio_, cost_ = 0.02;
  Clock::time_point last_ = Clock::now();
};

class RunInProgress {
 public:
  /// Enters the group, and goes on from the run's checkpoint if there is one. `line`: where its progress is shown.
  RunInProgress(Grid& grid, ClaimedRun claimed, TrainingGroup& group, Queue& queue, std::size_t line);

  /// After each epoch that its group trains.
  void epoch_done();
  /// A line in the ledger, if one is wanted at this point of the training.
  void record_if_wanted();
  bool at_end() const { return trainer_.is_done(); }
  void announce_end();
  /// Writes a checkpoint of the state after the last whole epoch, unless that is saved.
  void save_if_changed();

 private:
  std::uint32_t epochs() const { return static_cast<std::uint32_t>(trainer_.epochs_done()); }
  double seconds() const { return seconds_before_ + seconds_since(start_); }
  std::optional<Checkpoint> readable_checkpoint() const;
  void restore();
  void save(const TrainerState& state);
  void record_result(std::uint32_t point);
  TestAnswers answers();
  void show(const EpochScores& scores) const;

  Grid& grid_;
  ClaimedRun claimed_;
  const PlannedRun& run_;
  Queue& queue_;
  std::size_t line_;
  const SharedTask& shared_;
  Split trial_split_;  ///< of all genres
  Split split_;        ///< those of this task
  Trainer trainer_;
  std::filesystem::path path_;
  std::set<std::uint32_t> wanted_;  ///< grid points without a line
  std::size_t saved_epochs_ = 0, epochs_at_start_ = 0;
  double seconds_before_ = 0;  ///< of parts before a resume
  bool diverged_ = false;
  Clock::time_point start_ = Clock::now();
  CheckpointClock clock_;
};

}  // namespace genretree
