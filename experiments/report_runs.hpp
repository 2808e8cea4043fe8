// The reports of folders of runs: of one experiment, or of each variant and their comparison.
#pragma once

#include <filesystem>
#include <vector>

#include "experiments/report.hpp"
#include "experiments/spec.hpp"

namespace genretree {

/// How far an experiment has come.
struct Outcome {
  bool complete = false;  ///< every result is there, and the report is written
  bool left_out = false;  ///< some clips could not be read
};

/// Writes the report of what the folders hold, parts of one experiment or of one with variants, into the first of them,
/// and prints its tables. Variants without any result yet are named in a warning and left out. InputError if there is
/// no result at all.
Outcome report_folders(const std::vector<std::filesystem::path>& folders, bool allow_mixed);

/// The report of an experiment's folder if every shard is done, else a word on what to do for it.
Outcome report_when_complete(const Spec& spec, const DatasetSummary& dataset, const std::filesystem::path& folder,
                             bool allow_mixed);

/// Sets what the variants' folders hold side by side, in the first of `folders`.
void compare_variants(const std::vector<std::filesystem::path>& folders, bool allow_mixed);

}  // namespace genretree
