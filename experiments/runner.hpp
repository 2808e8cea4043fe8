// Does the runs of an experiment: side by side on a pool of workers, saved as they go, resumable at any moment. A worker
// takes the longest open run after another, or several at once, which advance together in a group.
//
// What lies in a run's folder, and when it is written:
//   spec.yaml, spec.hash          at the start: the experiment, and spec_hash of it
//   dataset.json                  at the start: what it runs on
//   ledger.<shard>.lock           held while a process works on the shard
//   checkpoints/<run>.lock        held while a process works on the run
//   checkpoints/<run>.h5          after an epoch, as often as it costs little, at a stop, and at each result before its
//                                 line
//   models/<run>.h5               at each result before its line: the network, for `classify`; of snapshots, a point on
//                                 the way is <run>-e<epochs>.h5. One that was removed is made again by a resume if the
//                                 checkpoint stands at just this point
//   models/tree-t<trial>.h5       when all nodes of a trial are there: the whole tree (make_tree_models)
//   ledger.<shard>.jsonl          a line for each result, when it is there
// Two processes may share a folder, even if their shards overlap: a run belongs to the one that holds its lock, and the
// other passes it over. A process that dies at any moment leaves each of these whole (a last line of the ledger may be
// cut). A resumed run goes on from its checkpoint; a result whose line is there is not written again.
//
// A line of the ledger holds what the classifier says of each test clip of the trial. A tree's nodes are runs like any
// others, each on its own clips of the one split of its trial, but asked about all test clips, so that the tree can be
// decoded wherever its lines lie.
//
// A training that diverges (its loss is no number) is announced and goes on to its end: the grid stays complete, and
// its result says null.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "core/progress.hpp"
#include "experiments/data.hpp"
#include "experiments/ledger.hpp"
#include "experiments/run_folder.hpp"
#include "experiments/spec.hpp"

namespace genretree {

struct RunnerOptions {
  std::size_t jobs = 1;      ///< runs at once
  std::size_t slots = 1;     ///< how many of these a worker has in a group; 1: each has a worker of its own
  bool allow_mixed = false;  ///< resume although backend or program have changed
  bool strict = false;       ///< missing tracks are errors
  Progress* progress = nullptr;
  Trace* trace = nullptr;
};

struct RunSummary {
  std::size_t finished = 0;   ///< runs of this shard that were done now
  std::size_t before = 0;     ///< that were there already
  std::size_t elsewhere = 0;  ///< that another process works on
  std::size_t missing = 0;    ///< results of the whole experiment, whichever shard's, that are not there yet
  double seconds = 0;
};

/// What computes an experiment's networks: stands in its header, checkpoints, ledgers and model files. After
/// choose_algorithm it is final.
BackendInfo info_of(const Spec& spec, const Backend& backend);

/// Those of the runs of which a result is missing.
std::vector<PlannedRun> runs_left(const std::vector<PlannedRun>& runs, const std::set<Cell>& done);

/// Does all runs of the folder's shard that it does not have yet. InputError if there are checkpoints of them and the
/// folder is not resumed, or if what is there was computed by another backend or program. A checkpoint that cannot be
/// read is announced, and its run trained anew. Interrupted after a signal, with everything saved.
RunSummary run_grid(const Spec& spec, const Data& data, Backend& backend, RunFolder& folder,
                    const RunnerOptions& options);

/// Cells of the experiment that have no result: "50 epochs, trial 2".
std::vector<std::string> missing_cells(const Spec& spec, const std::set<Cell>& done);
std::vector<std::string> missing_cells(const Spec& spec, const std::vector<Result>& results);

}  // namespace genretree
