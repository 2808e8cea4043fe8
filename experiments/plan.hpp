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
  return {spec.stack, classes, spec.cnn, spec.initialisation};
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
  double cost = 0;                    ///< floating point operations

  std::uint32_t epochs() const { return points.back(); }
  std::vector<Cell> cells() const;  ///< that its results fill
};

/// Floating point operations of one epoch of training and evaluation: forward 2 for each weight, clip and frame (of a
/// CNN's kernels: pixel), 4 more backward.
double epoch_cost(const Spec& spec, std::size_t train_clips, std::size_t evaluated_clips);

/// Orders runs by their cost, the dearest first and equals as they were: workers that take them in this order are done
/// at nearly the same time, for only short runs are left at the end.
void put_longest_first(std::vector<PlannedRun>& runs);

/// All runs of the grid or the tree, the longest first. cost_of_epoch: of each of tasks_of().
std::vector<PlannedRun> plan_runs(const Spec& spec, const std::vector<double>& cost_of_epoch);

/// Every result that the experiment has when it is done.
std::vector<Cell> cells_of(const Spec& spec);

/// One part of a grid that is divided between processes.
struct Shard {
  std::size_t index = 0, count = 1;
};

/// "i/N" with i from zero; "auto/N" takes i from SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX. InputError on anything
/// else.
Shard parse_shard(std::string_view text);

/// The runs of one shard: each run, the longest first, goes to the shard with the least cost so far (the first of
/// equals), so that every process finds the same division.
std::vector<PlannedRun> runs_of_shard(const std::vector<PlannedRun>& runs, const Shard& shard);

/// When the last of `workers` ends if each takes the next of `seconds` as soon as it is free.
double finishing_time(const std::vector<double>& seconds, std::size_t workers);

}  // namespace genretree
