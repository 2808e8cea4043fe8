#include <fmt/format.h>
#include <span>

#include "core/error.hpp"
#include "core/progress.hpp"
#include "core/text.hpp"
#include "experiments/comparison.hpp"
#include "experiments/merged_runs.hpp"
#include "experiments/model_files.hpp"
#include "experiments/plan.hpp"
#include "experiments/report_runs.hpp"
#include "experiments/runner.hpp"
#include "experiments/search_report.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

/// The first of many names, and how many more there are.
std::string some_of(const std::vector<std::string>& names) {
  constexpr std::size_t most = 28;  // the paper's grid
  if (names.size() <= most) return join(names);
  return fmt::format("{} and {} more", join(std::span(names).first(most)), names.size() - most);
}

/// Puts the trees whose nodes are all there together, and says which could not be.
void make_trees(const std::vector<fs::path>& folders, const Spec& spec, const std::vector<Result>& results) {
  for (const std::string& problem : make_tree_models(folders, spec, results)) warn(problem);
}

/// Writes the report of one experiment's folders into the first of them.
Outcome report_experiment(const std::vector<fs::path>& folders, bool allow_mixed) {
  const fs::path& folder = folders.front();
  const auto [spec, dataset, results] = merge_runs(folders, allow_mixed);
  if (results.empty()) reject("{} has no results yet", folder.string());
  const std::vector<std::string> missing = missing_cells(spec, results);
  if (!missing.empty())
    warn(fmt::format("{} of {} results are missing: {}", missing.size(), cells_of(spec).size(), some_of(missing)));
  make_trees(folders, spec, results);
  write_report(folder, spec, dataset, results);
  fmt::print("\n{}\nreport: {}\n", tables_as_text(spec, dataset, results), (folder / "report.html").string());
  return {missing.empty(), dataset.left_out > 0};
}

}  // namespace

Outcome report_folders(const std::vector<fs::path>& folders, bool allow_mixed) {
  if (holds_search(folders.front())) return report_search(folders, allow_mixed);
  if (!holds_variants(folders.front())) return report_experiment(folders, allow_mixed);
  Outcome all{true, false};
  for (const auto& [name, difference] : read_variant_names(folders.front()).variants) {
    const std::vector<fs::path> own = folders_of_variant(folders, name);
    const Outcome outcome = has_results(own) ? report_experiment(own, allow_mixed) : Outcome{};
    all.complete = all.complete && outcome.complete;
    all.left_out = all.left_out || outcome.left_out;
  }
  compare_variants(folders, allow_mixed);
  return all;
}

void compare_variants(const std::vector<fs::path>& folders, bool allow_mixed) {
  const Comparison comparison = read_comparison(folders, allow_mixed);
  if (!comparison.without_results.empty()) warn(without_results_text(comparison));
  write_comparison(folders.front(), comparison);
  fmt::print("\n{}\ncomparison: {}\n", comparison_as_text(comparison), (folders.front() / "report.html").string());
}

}  // namespace genretree
