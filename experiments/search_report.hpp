// The report of a search: the best candidate, all of them in a table that sorts, and what they have at each key against
// what they are worth on the validation clips. Nothing of a test clip is in it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiments/report_runs.hpp"
#include "experiments/search_results.hpp"

namespace genretree {

/// Writes what report_search does into `folder`.
void write_search_report(const std::filesystem::path& folder, const SearchResults& results);

/// Writes search.csv (a row for each candidate, the best first), best.yaml (the best one's experiment, for
/// run_experiment), report.md, a self-contained report.html and its figures into the first of the folders, each of which
/// holds the search or one shard of it. InputError if no candidate has results.
Outcome report_search(const std::vector<std::filesystem::path>& folders, bool allow_mixed);

}  // namespace genretree
