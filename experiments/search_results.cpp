#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "experiments/comparison.hpp"
#include "experiments/fields.hpp"
#include "experiments/search_results.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

constexpr const char* plan_file = "search.json";

/// Higher is better, and no number is worst. Means of the same answers in another order may differ in their last bits.
int compare(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(b) - std::isnan(a);
  a = std::round(1e9 * a), b = std::round(1e9 * b);
  return (a > b) - (a < b);
}

bool is_better(const Standing& a, const Standing& b, SearchSpec::By by) {
  const int by_accuracy = by == SearchSpec::By::validation_accuracy ? compare(a.accuracy.mean, b.accuracy.mean) : 0;
  return by_accuracy != 0 ? by_accuracy > 0 : compare(-a.loss.mean, -b.loss.mean) > 0;
}

/// A range says what its axis is; of a list one that spans a factor of 20.
bool is_logarithmic(const SweptKey& key) {
  if (key.is_range()) return key.is_log();
  double low = 1e300, high = 0, number = 0;
  for (const YamlValue& value : key.values.items) {
    if (!read_real(value, number) || number <= 0) return false;
    low = std::min(low, number), high = std::max(high, number);
  }
  return high / low >= 20;
}

Standing grid_standing(const Spec& spec, const std::vector<Result>& results, SearchSpec::By by) {
  Standing best;
  for (const std::uint32_t epochs : spec.grid.epochs) {
    std::vector<double> accuracies, losses;
    for (const Result& result : results)
      if (result.epochs == epochs) {
        accuracies.push_back(result.validation.accuracy);
        losses.push_back(result.validation.loss);
      }
    Standing standing;
    standing.accuracy = spread_of(accuracies), standing.loss = spread_of(losses), standing.epochs = epochs;
    if (best.epochs == 0 || is_better(standing, best, by)) best = standing;
  }
  return best;
}

/// `trials`: of which all nodes are there.
Standing tree_standing(const Spec& spec, const std::vector<Result>& results, std::uint32_t trials) {
  std::vector<double> products;
  for (std::uint32_t trial = 0; trial < trials; ++trial) {
    std::vector<double> accuracies;
    for (const TreeNode& node : spec.tree.nodes())
      for (const Result& result : results)
        if (result.trial == trial && result.node == node.name) accuracies.push_back(result.validation.accuracy);
    products.push_back(mean_over_genres(spec.tree, accuracies));
  }
  Standing standing;
  standing.accuracy = spread_of(products), standing.loss = spread_of({});
  return standing;
}

/// Trials from the first on of which every result is there.
std::uint32_t whole_trials(const Spec& spec, const std::vector<Result>& results, std::uint32_t most) {
  const std::size_t cells = spec.tree.empty() ? spec.grid.epochs.size() : spec.tree.nodes().size();
  std::uint32_t trials = 0;
  while (trials < most && std::cmp_equal(std::ranges::count(results, trials, &Result::trial), cells)) ++trials;
  return trials;
}

/// Of a run's several results (snapshots) the last includes the others' time.
double seconds_of(const std::vector<Result>& results) {
  std::map<std::string, double> longest;
  for (const Result& result : results) longest[result.run] = std::max(longest[result.run], result.seconds);
  double sum = 0;
  for (const auto& [run, seconds] : longest) sum += seconds;
  return sum;
}

/// Candidates that a rung lacks, over all rungs.
std::size_t missing_from(const std::vector<Rung>& rungs, const std::vector<Standing>& standings) {
  std::size_t missing = 0;
  for (const auto& [candidates, trials] : rungs) {
    const auto have = static_cast<std::size_t>(
        std::ranges::count_if(standings, [&](const Standing& standing) { return standing.trials >= trials; }));
    missing += candidates - std::min(have, candidates);
  }
  return missing;
}

}  // namespace

SearchPlan plan_of(const ExperimentFile& file) {
  const Search& search = *file.search;
  SearchPlan plan;
  plan.experiment = file.name;
  plan.by = search.spec.by;
  plan.rungs = rungs_of(search.spec, file.variants.size(), file.spec.grid.trials);
  plan.description = describe(search.spec, plan.rungs);
  for (const SweptKey& key : search.spec.keys) {
    plan.keys.push_back(key.key);
    if (is_logarithmic(key)) plan.logarithmic.push_back(key.key);
  }
  for (std::size_t i = 0; i < file.variants.size(); ++i) {
    plan.candidates.push_back({file.variants[i].name, {}});
    for (const YamlValue& value : search.values[i]) plan.candidates.back().values.push_back(value.one_line());
  }
  return plan;
}

bool holds_search(const fs::path& folder) { return fs::exists(folder / plan_file); }

void write_search_plan(const fs::path& folder, const SearchPlan& plan) {
  nlohmann::ordered_json rungs = nlohmann::json::array(), candidates = nlohmann::json::array();
  for (const auto& [count, trials] : plan.rungs) rungs.push_back({{"candidates", count}, {"trials", trials}});
  for (const auto& [name, values] : plan.candidates) candidates.push_back({{"name", name}, {"values", values}});
  const bool by_loss = plan.by == SearchSpec::By::validation_loss;
  make_writable_folder(folder);
  write_whole_text(folder / plan_file, nlohmann::ordered_json{{"experiment", plan.experiment},
                                                              {"description", plan.description},
                                                              {"by_loss", by_loss},
                                                              {"rungs", rungs},
                                                              {"keys", plan.keys},
                                                              {"logarithmic", plan.logarithmic},
                                                              {"candidates", candidates}}
                                               .dump(2) +
                                           "\n");
}

SearchPlan read_search_plan(const fs::path& folder) {
  const fs::path file = folder / plan_file;
  try {
    const nlohmann::json json = nlohmann::json::parse(read_text(file));
    SearchPlan plan;
    plan.experiment = json.at("experiment"), plan.description = json.at("description");
    plan.by = json.at("by_loss") ? SearchSpec::By::validation_loss : SearchSpec::By::validation_accuracy;
    plan.keys = json.at("keys").get<std::vector<std::string>>();
    plan.logarithmic = json.at("logarithmic").get<std::vector<std::string>>();
    for (const nlohmann::json& rung : json.at("rungs"))
      plan.rungs.push_back({rung.at("candidates"), rung.at("trials")});
    for (const nlohmann::json& candidate : json.at("candidates")) {
      plan.candidates.push_back({candidate.at("name"), candidate.at("values")});
      if (plan.candidates.back().values.size() != plan.keys.size())
        reject("{}: the candidate {} has {} values for {} keys. Run the experiment again with --resume", file.string(),
               plan.candidates.back().name, plan.candidates.back().values.size(), plan.keys.size());
    }
    return plan;
  } catch (const nlohmann::json::exception& error) {
    reject("{}, which says what is searched, is damaged: {}. Run the experiment again with --resume", file.string(),
           error.what());
  }
}

Standing standing_of(std::size_t candidate, const Spec& spec, const std::vector<Result>& results, std::uint32_t trials,
                     SearchSpec::By by) {
  const std::uint32_t whole = whole_trials(spec, results, trials);
  std::vector<Result> counted;
  std::ranges::copy_if(results, std::back_inserter(counted),
                       [&](const Result& result) { return result.trial < whole; });
  Standing standing = spec.tree.empty() ? grid_standing(spec, counted, by) : tree_standing(spec, counted, whole);
  standing.candidate = candidate;
  standing.trials = whole;
  standing.seconds = seconds_of(counted);
  return standing;
}

void rank(std::vector<Standing>& standings, SearchSpec::By by) {
  std::ranges::stable_sort(standings, {}, &Standing::candidate);
  std::ranges::stable_sort(standings, [&](const Standing& a, const Standing& b) {
    return a.trials != b.trials ? a.trials > b.trials : is_better(a, b, by);
  });
}

SearchResults read_search_results(const std::vector<fs::path>& folders, bool allow_mixed) {
  SearchResults results;
  results.plan = read_search_plan(folders.front());
  const SearchPlan& plan = results.plan;
  for (const fs::path& folder : folders)
    if (const SearchPlan other = read_search_plan(folder);
        other.experiment != plan.experiment || other.keys != plan.keys || other.candidates != plan.candidates)
      reject("{} holds another search than {} and cannot be merged with it", folder.string(), folders.front().string());
  std::vector<MergedRuns> runs;
  for (std::size_t i = 0; i < plan.candidates.size(); ++i) {
    const std::vector<fs::path> own = folders_of_variant(folders, plan.candidates[i].name);
    if (!has_results(own)) continue;
    MergedRuns merged = merge_runs(own, allow_mixed);
    const Standing standing = standing_of(i, merged.spec, merged.results, plan.rungs.back().trials, plan.by);
    if (standing.trials == 0) continue;
    results.standings.push_back(standing);
    merged.results.resize(1);  // the others with their answers are large
    runs.push_back(std::move(merged));
  }
  if (results.standings.empty()) reject("no candidate in {} has results yet", folders.front().string());
  std::vector<std::size_t> candidates;
  for (const Standing& standing : results.standings) candidates.push_back(standing.candidate);
  rank(results.standings, plan.by);
  const auto best = std::ranges::find(candidates, results.standings.front().candidate) - candidates.begin();
  MergedRuns& first = runs[static_cast<std::size_t>(best)];
  results.best = first.spec;
  results.best.experiment = plan.experiment + "-best";
  results.best.grid.trials = plan.rungs.back().trials;
  if (results.best.tree.empty() && results.best.grid.mode == GridSpec::Mode::independent)
    results.best.grid.epochs = {results.standings.front().epochs};  // that won, not those that it beat
  results.dataset = first.dataset;
  results.computed = first.results.front();
  results.missing = missing_from(plan.rungs, results.standings);
  return results;
}

}  // namespace genretree
