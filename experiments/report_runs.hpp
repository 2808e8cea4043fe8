// The reports of folders of runs: of one experiment, of each variant and their comparison, or of a search.
#pragma once

#include <filesystem>
#include <vector>

#include "experiments/report.hpp"
#include "experiments/spec.hpp"

namespace genretree {

/// How far an experiment has come.
struct Outcome {
  /// All that was to be done is: by a process alone or by --report the report of every result, by a shard its runs.
  bool complete = false;
  bool left_out = false;  ///< some clips could not be read
};

/// Writes the report of what the folders hold, parts of one experiment, of one with variants or of a search, into the
/// first of them, and prints its tables. Variants without any result yet are named in a warning and left out. InputError if there is
/// no result at all.
Outcome report_folders(const std::vector<std::filesystem::path>& folders, bool allow_mixed);

/// Sets what the variants' folders hold side by side, in the first of `folders`.
void compare_variants(const std::vector<std::filesystem::path>& folders, bool allow_mixed);

}  // namespace genretree
