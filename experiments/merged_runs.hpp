// What lies in the folders of an experiment's runs, put together: the parts that shards have done, or grids of which
// one went on from the other.
#pragma once

#include <filesystem>
#include <vector>

#include "experiments/ledger.hpp"
#include "experiments/report.hpp"
#include "experiments/spec.hpp"

namespace genretree {

struct MergedRuns {
  Spec spec;  ///< with every grid point and trial that any of the folders has
  DatasetSummary dataset;
  std::vector<Result> results;  ///< see read_results
};

/// InputError if a folder is none of runs, or if they hold different experiments or were made from different data.
MergedRuns merge_runs(const std::vector<std::filesystem::path>& folders, bool allow_mixed);

}  // namespace genretree
