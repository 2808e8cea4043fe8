// Several experiments in one file: those that differ in the keys that each variant sets.
//
//   variants:
//     adam: {training.optimizer: adam}
//     sgd:  {training.optimizer: sgd, training.learning_rate: 0.01}
//     flat: {tree: null}                   # nothing: the file's key is removed
//
// Or those that a search tries (search_spec.hpp).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "experiments/search_spec.hpp"
#include "experiments/spec.hpp"

namespace genretree {

struct Variant {
  std::string name;        ///< of its folder, and of its row in the comparison
  std::string difference;  ///< "training.optimizer: adam", as it holds: a --set may have taken the file's place
  Spec spec;               ///< an experiment like any other, "optimizers-adam"
};

/// A search, and what each of its candidates has at its keys: [candidates, keys].
struct Search {
  SearchSpec spec;
  std::vector<std::vector<YamlValue>> values;
};

/// An experiment file, which may have variants or a search.
struct ExperimentFile {
  std::string name;
  Spec spec;                      ///< of a file without variants; with a search, what its candidates have in common
  std::vector<Variant> variants;  ///< in the file's order; of a search the candidates "c001", "c002" …
  std::optional<Search> search = {};
};

/// load_spec, but for files that may have `variants` or `search`. A variant's keys take the place of the file's, and
/// --dataset and --set that of both: "training.batch=20" in all variants, "adam:training.batch=20" in one; a key that a
/// search sweeps cannot be set, its `search.candidates` and the like can. InputError with file:line:column, the variant
/// or candidate and the key at what is wrong, also if two are the same experiment.
ExperimentFile load_experiment(const std::filesystem::path& path, const std::vector<std::string>& assignments,
                               const std::string& dataset);

/// True if two experiments differ in nothing but their names.
bool same_experiment(const Spec& a, const Spec& b);

}  // namespace genretree
