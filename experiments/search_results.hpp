// How far the candidates of a search have come, and which are best: by their validation results alone.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "experiments/merged_runs.hpp"
#include "experiments/search_spec.hpp"
#include "experiments/summary.hpp"
#include "experiments/variants.hpp"

namespace genretree {

/// What a search's folder keeps of it: search.json.
struct SearchPlan {
  std::string experiment, description;  ///< "quick_search"; "24 candidates drawn at random, …"
  SearchSpec::By by = SearchSpec::By::validation_accuracy;
  std::vector<Rung> rungs;
  std::vector<std::string> keys;
  std::vector<std::string> logarithmic;  ///< those of the keys that have a logarithmic axis
  struct Candidate {
    std::string name;                 ///< "c001", also its folder's
    std::vector<std::string> values;  ///< [keys] as YAML

    bool operator==(const Candidate&) const = default;
  };
  std::vector<Candidate> candidates;
};

SearchPlan plan_of(const ExperimentFile& file);
bool holds_search(const std::filesystem::path& folder);
void write_search_plan(const std::filesystem::path& folder, const SearchPlan& plan);
/// InputError if the file is damaged.
SearchPlan read_search_plan(const std::filesystem::path& folder);

/// What one candidate is worth on the validation clips. Nothing of a test clip is in it.
struct Standing {
  std::size_t candidate = 0;
  std::uint32_t trials = 0;  ///< of which all results are there
  Spread accuracy, loss;     ///< over these; NaN: none, or diverged
  std::uint32_t epochs = 0;  ///< the best of the candidate's grid points; 0 for a tree
  double seconds = 0;        ///< of all its trainings
};

/// The standing after the first `trials` at most. Of a grid at its best point by `by`; a tree's accuracy is the paper's
/// estimate, the product of its nodes' validation accuracies down to a genre, mean over genres, and it has no loss.
Standing standing_of(std::size_t candidate, const Spec& spec, const std::vector<Result>& results, std::uint32_t trials,
                     SearchSpec::By by);

/// The best first: more trials before fewer, for halving gives them to the better; then by `by`, no number last; of
/// equal accuracies, of which few clips have many, the lower loss; then the first candidate.
void rank(std::vector<Standing>& standings, SearchSpec::By by);

/// A search as its report shows it.
struct SearchResults {
  SearchPlan plan;
  std::vector<Standing> standings;  ///< of the candidates with all results of at least one trial, ranked
  Spec best;                        ///< the first one's experiment, with the trials of the last rung
  DatasetSummary dataset;           ///< the first one's
  Result computed;                  ///< one of the first one's results, for what computed it
  std::size_t missing = 0;          ///< candidates that have still to be trained on some rung
};

/// What lies in folders each of which holds a search, or that of one shard. InputError if no candidate has results.
SearchResults read_search_results(const std::vector<std::filesystem::path>& folders, bool allow_mixed);

}  // namespace genretree
