// From an experiment to its runs: what each trains, which random numbers it draws, what it costs, and which shard does
// it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/random.hpp"
#include "experiments/ledger.hpp"
#include "experiments/spec.hpp"

namespace genretree {

/// The classifier of an experiment for so many classes.
inline ClassifierConfig classifier_of(const Spec& spec, std::size_t classes) {
  return {spec.stack, classes, spec.cnn, spec.initialisation, spec.dataset.window};
}

/// One training of one classifier.
struct PlannedRun {
  /// Stable: "e050-t2" (50 epochs, trial 2), "s400-t2" for all snapshots of trial 2, or "strong-t2" for a tree's node
  std::string id;
  std::size_t task = 0;  ///< which of tasks_of()
  std::string node;      ///< of the tree; "" in a grid
  std::uint32_t trial = 0;
  std::vector<std::uint32_t> points;  ///< epochs after which a result is wanted, ascending; the last ends the run
  RandomKey key;                      ///< seed, point = the last of `points`, trial, node: 0 in a grid, else from 1
  double cost = 0;                    ///< in epochs over the clips of all genres

  std::uint32_t epochs() const { return points.back(); }
  std::vector<Cell> cells() const;  ///< that its results fill
};

/// Orders runs by their cost, the dearest first and equals as they were: workers that take them in this order are done
/// at nearly the same time, for only short runs are left at the end.
void put_longest_first(std::vector<PlannedRun>& runs);

/// All runs of the grid or the tree, the longest first. What a tree's node costs is reckoned as if all genres had as
/// many clips, so that a plan, and with it the division into shards, follows from the experiment file alone.
std::vector<PlannedRun> plan_runs(const Spec& spec);

/// Every result that the experiment has when it is done.
std::vector<Cell> cells_of(const Spec& spec);

/// One part of a grid that is divided between processes.
struct Shard {
  std::size_t index = 0, count = 1;
  std::size_t first = 0;  ///< that the division begins with: the variants of a file begin where the one before ended
};

/// "i/N" with i from zero; "auto/N" takes i from SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX. InputError on anything
/// else.
Shard parse_shard(std::string_view text);

/// Shards of a grid at most.
inline constexpr std::size_t most_shards = 100'000;

/// The runs of each of `count` shards: each run, the longest first, goes to the shard with the least cost so far (of
/// equals the next one from `first` on), so that every process finds the same division, and no shard has much more to do
/// than another.
std::vector<std::vector<PlannedRun>> divide(const std::vector<PlannedRun>& runs, std::size_t count,
                                            std::size_t first = 0);

/// Indices of shards as Slurm's --array takes them: "0-3,7".
std::string array_text(const std::vector<std::size_t>& ascending);

/// When the last of `workers` ends if each takes the next of `seconds` as soon as it is free.
double finishing_time(const std::vector<double>& seconds, std::size_t workers);

}  // namespace genretree
