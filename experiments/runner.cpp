#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/io/files.hpp"
#include "core/text.hpp"
#include "core/worker_pool.hpp"
#include "experiments/model_files.hpp"
#include "experiments/run_in_progress.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

std::set<Cell> cells_of(const std::vector<Result>& results) {
  std::set<Cell> cells;
  for (const Result& result : results) cells.insert(result.cell());
  return cells;
}

/// Looks at what all shards have done by now. InputError if something of it was computed in another way.
void update_index(Grid& grid) {
  grid.index.update();
  for (const auto& [computation, run] : grid.index.origins()) {
    const auto& [hash, commit, backend] = computation;
    if (hash != grid.hash)
      reject("{} holds results of another experiment (spec hash {}, here {}). Choose another --out",
             grid.folder.path().string(), hash, grid.hash);
    const std::string difference = differences(backend, commit, grid.info, grid.commit);
    if (!grid.options.allow_mixed && !difference.empty())
      reject(
          "{} in {} was computed differently ({}), so results may differ in their last bits. Resume where it was "
          "begun, or add --allow-mixed",
          run, grid.folder.path().string(), difference);
  }
}

/// What is done by now of a run, whichever shard has done it.
std::set<Cell> cells_done(Grid& grid, const PlannedRun& run) {
  const std::lock_guard lock(grid.ledger_mutex);
  update_index(grid);
  std::set<Cell> done;
  for (const Cell& cell : run.cells())
    if (grid.index.cells().contains(cell)) done.insert(cell);
  return done;
}

/// Without --resume nothing of these runs may be there, not even from another division into shards.
void refuse_what_is_there(const Grid& grid, const std::vector<PlannedRun>& runs) {
  for (const PlannedRun& run : runs)
    if (fs::exists(grid.folder.checkpoint(run.id)))
      reject("{} holds the run {} already. Go on with --resume, or choose another --out; nothing is ever overwritten",
             grid.folder.path().string(), run.id);
}

/// Runs that nobody has begun, the longest first. Thread-safe.
class OpenRuns {
 public:
  OpenRuns(const Grid& grid, const std::vector<PlannedRun>& runs) : grid_(grid) {
    for (const PlannedRun& run : runs) waiting_.push_back(&run);
  }

  /// Takes the first that may enter a group of this size, or the first of all. Throws Interrupted if there is one, but
  /// a stop is requested.
  const PlannedRun* take(const std::optional<GroupSize>& group) {
    const std::lock_guard lock(mutex_);
    const auto first =
        std::ranges::find_if(waiting_, [&](const PlannedRun* run) { return !group || fits(size_alone(*run), *group); });
    if (first == waiting_.end()) return nullptr;
    throw_if_stop_requested();
    const PlannedRun* run = *first;
    waiting_.erase(first);
    return run;
  }

  /// The size of a group for a run, and for all others that may enter it at some time.
  GroupSize size_with_others(const PlannedRun& first, std::size_t slots) {
    GroupSize size = size_alone(first);
    if (slots == 1) return size;
    const std::lock_guard lock(mutex_);
    for (const PlannedRun* run : waiting_) {
      const GroupSize& alone = size_alone(*run);
      if (alone.training_rows != size.training_rows) continue;
      size.slots = std::min(size.slots + 1, slots);
      size.evaluation_rows = std::max(size.evaluation_rows, alone.evaluation_rows);
      size.classes = std::max(size.classes, alone.classes);
    }
    return size;
  }

 private:
  const GroupSize& size_alone(const PlannedRun& run) const { return grid_.tasks[run.task].alone; }
  static bool fits(const GroupSize& alone, const GroupSize& group) {
    return alone.training_rows == group.training_rows && alone.evaluation_rows <= group.evaluation_rows &&
           alone.classes <= group.classes;
  }

  const Grid& grid_;
  std::mutex mutex_;
  std::vector<const PlannedRun*> waiting_;
};

/// A run, unless another process works on it or has done it in the meantime.
std::optional<ClaimedRun> claim(Grid& grid, const PlannedRun& run) {
  std::unique_ptr<FileLock> lock = grid.folder.try_lock(run.id);
  if (!lock) {
    ++grid.elsewhere, --grid.runs;
    grid.say(fmt::format("{}  passed over: another process works on it", run.id));
    return std::nullopt;
  }
  remove_stale_temporaries(grid.folder.checkpoint(run.id));
  for (const std::uint32_t epochs : run.points) remove_stale_temporaries(grid.folder.model(run, epochs));
  std::set<Cell> done = cells_done(grid, run);
  if (done.size() == run.points.size()) {
    --grid.runs;
    return std::nullopt;
  }
  return ClaimedRun{&run, std::move(lock), std::move(done)};
}

/// The next open run that may enter a group of this size, or the next of all.
std::optional<ClaimedRun> claim_next(Grid& grid, OpenRuns& open, const std::optional<GroupSize>& group) {
  while (!grid.failed) {
    const PlannedRun* run = open.take(group);
    if (!run) break;
    if (std::optional<ClaimedRun> claimed = claim(grid, *run)) return claimed;
  }
  return std::nullopt;
}

/// Runs that a worker trains side by side. One that is done makes room for the next open one. The group ends with the
/// last of them.
class RunsTogether {
 public:
  RunsTogether(Grid& grid, OpenRuns& open, Worker& worker, const GroupSize& size, const std::string& name)
      : grid_(grid),
        open_(open),
        worker_(worker),
        size_(size),
        phase_(worker.queue, name),
        trainings_(grid.backend, worker.queue, grid.tasks.front().dataset, grid.tasks.front().model.classifier,
                   grid.spec.training, size),
        slots_(size.slots) {}

  void do_all(ClaimedRun first) {
    try {
      enter(0, std::move(first));
      for (fill(); !empty() && !grid_.failed; fill()) {
        trainings_.train_epoch();
        for (std::unique_ptr<RunInProgress>& run : slots_) {
          if (!run) continue;
          run->epoch_done();
          settle(run);
        }
      }
    } catch (const Interrupted&) {
      save_all();
      throw;
    } catch (...) {
      grid_.failed = true;
      save_what_can_be();
      throw;
    }
    save_all();  // if a run on another worker failed; else none is left
  }

 private:
  bool empty() const {
    return std::ranges::none_of(slots_, [](const auto& run) { return run != nullptr; });
  }

  void enter(std::size_t slot, ClaimedRun claimed) {
    const std::size_t line = worker_.index * grid_.options.slots + slot;
    slots_[slot] = std::make_unique<RunInProgress>(grid_, std::move(claimed), trainings_, worker_.queue, line);
    settle(slots_[slot]);
  }

  void fill() {
    if (slots_.size() == 1) return;  // it is its run's alone, of just this size
    for (std::size_t slot = 0; slot < slots_.size(); ++slot)
      while (!slots_[slot]) {
        std::optional<ClaimedRun> next = claim_next(grid_, open_, size_);
        if (!next) return;
        enter(slot, std::move(*next));
      }
  }

  /// What is due at a point of a run's training; at its end it goes.
  void settle(std::unique_ptr<RunInProgress>& run) {
    run->record_if_wanted();
    if (!run->at_end()) return;
    run->announce_end();
    run.reset();
  }

  void save_all() {
    std::exception_ptr first;  // one that cannot be saved must not lose the others
    for (const std::unique_ptr<RunInProgress>& run : slots_) {
      try {
        if (run) run->save_if_changed();
      } catch (...) {
        if (!first) first = std::current_exception();
      }
    }
    if (first) std::rethrow_exception(first);
  }

  /// After an error, which is the one to report.
  void save_what_can_be() noexcept {
    try {
      save_all();
    } catch (...) {
    }
  }

  Grid& grid_;
  OpenRuns& open_;
  Worker& worker_;
  GroupSize size_;
  Phase phase_;
  TrainingGroup trainings_;
  std::vector<std::unique_ptr<RunInProgress>> slots_;
};

/// Does open runs until none is left, at most `slots` at once.
void do_open_runs(Grid& grid, OpenRuns& open, Worker& worker, std::size_t slots) {
  while (std::optional<ClaimedRun> first = claim_next(grid, open, std::nullopt)) {
    const GroupSize size = open.size_with_others(*first->run, slots);
    const std::string name =
        size.slots == 1 ? first->run->id : fmt::format("a group of up to {}", count_of(size.slots, "run"));
    RunsTogether(grid, open, worker, size, name).do_all(std::move(*first));
  }
}

/// Makes the model file of a result again from the run's checkpoint. Returns "", or why that cannot be.
std::string remake_model(const Grid& grid, const PlannedRun& run, const Result& result) {
  const SharedTask& shared = grid.tasks[run.task];
  try {
    Checkpoint checkpoint = read_checkpoint(grid.folder.checkpoint(run.id), shared.model);
    if (checkpoint.run != run.id || checkpoint.spec_hash != grid.hash) return "its checkpoint belongs to another run";
    if (const std::size_t epochs = checkpoint.state.history.size(); epochs != result.history.size())
      return fmt::format("its checkpoint stands at {}, not at {}", count_of(epochs, "epoch"), result.history.size());
    const Split split = make_split(grid.data.store, grid.spec.dataset.split, grid.spec.seed, run.trial, false);
    write_result_model(grid.folder.model(run, result.epochs), grid.spec, grid.data,
                       clips_of(shared.task, grid.data.store, split), result,
                       {shared.model, checkpoint.state.selected(), ""});
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

void remake_and_say(const Grid& grid, const PlannedRun& run, const Result& result) {
  const std::unique_ptr<FileLock> lock = grid.folder.try_lock(run.id);
  if (!lock) return;  // another process works on it
  const std::string path = grid.folder.model(run, result.epochs).string();
  const std::string problem = remake_model(grid, run, result);
  grid.say(problem.empty() ? fmt::format("{}  made again", path)
                           : fmt::format("warning: {} is missing and cannot be made again: {}", path, problem));
}

/// Model files that somebody removed are made again where that is possible without training, and named where it is not.
void remake_models(const Grid& grid, const std::vector<PlannedRun>& runs) {
  std::map<Cell, const PlannedRun*> without;
  for (const PlannedRun& run : runs)
    for (const Cell& cell : run.cells())
      if (grid.index.cells().contains(cell) && !fs::exists(grid.folder.model(run, cell.epochs))) without[cell] = &run;
  for (const std::size_t shard : ledger_shards(grid.folder.path())) {
    if (without.empty()) return;
    try {
      for (const Result& result : read_ledger(ledger_path(grid.folder.path(), shard), false))
        if (const auto found = without.find(result.cell()); found != without.end()) {
          remake_and_say(grid, *found->second, result);
          without.erase(found);
        }
    } catch (const InputError& error) {  // another shard's affair
      grid.say(fmt::format("warning: {}", error.what()));
    }
  }
}

}  // namespace

std::vector<PlannedRun> runs_left(const std::vector<PlannedRun>& runs, const std::set<Cell>& done) {
  std::vector<PlannedRun> left;
  std::ranges::copy_if(runs, std::back_inserter(left), [&](const PlannedRun& run) {
    return std::ranges::any_of(run.cells(), [&](const Cell& cell) { return !done.contains(cell); });
  });
  return left;
}

BackendInfo info_of(const Spec& spec, const Backend& backend) { return spec.cnn ? backend.cnn_info() : backend.info(); }

RunSummary run_grid(const Spec& spec, const Data& data, Backend& backend, RunFolder& folder,
                    const RunnerOptions& options) {
  const Clock::time_point start = Clock::now();
  folder.begin(data.summary);
  read_ledger(folder.ledger(), true);  // mends its end, and knows that all other lines are whole
  Grid grid{spec, data, backend, folder, options};
  const auto [index, count, first] = folder.shard();
  const std::vector<PlannedRun> runs = divide(plan_runs(spec), count, first)[index];
  if (!folder.resume()) refuse_what_is_there(grid, runs);
  update_index(grid);
  for (const std::string& line : grid.index.damaged_lines()) grid.say("warning: " + damaged_line_text(line));
  const std::vector<PlannedRun> left = runs_left(runs, grid.index.cells());
  grid.runs = left.size();
  OpenRuns open(grid, left);
  const std::size_t slots = std::min(options.slots, options.jobs);
  const std::size_t workers = std::min(options.jobs / slots, left.size());
  const auto work = [&](std::size_t, Worker& worker) {
    try {
      do_open_runs(grid, open, worker, slots);
    } catch (...) {
      grid.failed = true;
      throw;
    }
  };
  run_on_workers(backend.device(), workers, workers, work, options.trace);
  update_index(grid);
  if (folder.resume()) remake_models(grid, runs);
  return {grid.finished, runs.size() - grid.finished - grid.elsewhere, grid.elsewhere,
          missing_cells(spec, grid.index.cells()).size(), seconds_since(start)};
}

std::vector<std::string> missing_cells(const Spec& spec, const std::set<Cell>& done) {
  std::vector<std::string> missing;
  for (const Cell& cell : cells_of(spec))
    if (!done.contains(cell)) missing.push_back(cell.name());
  return missing;
}

std::vector<std::string> missing_cells(const Spec& spec, const std::vector<Result>& results) {
  return missing_cells(spec, cells_of(results));
}

}  // namespace genretree
