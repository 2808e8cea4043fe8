// Several experiments in one file: those that differ in the keys that each variant sets.
//
//   variants:
//     adam: {training.optimizer: adam}
//     sgd:  {training.optimizer: sgd, training.learning_rate: 0.01}
//     flat: {tree: null}                   # nothing: the file's key is removed
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiments/spec.hpp"

namespace genretree {

struct Variant {
  std::string name;        ///< of its folder, and of its row in the comparison
  std::string difference;  ///< "training.optimizer: adam", as it holds: a --set may have taken the file's place
  Spec spec;               ///< an experiment like any other, "optimizers-adam"
};

/// An experiment file, which may have variants.
struct ExperimentFile {
  std::string name;
  Spec spec;                      ///< of a file without variants
  std::vector<Variant> variants;  ///< in the file's order
};

/// load_spec, but for files that may have `variants`. A variant's keys take the place of the file's, and --dataset and
/// --set that of both: "training.batch=20" in all variants, "adam:training.batch=20" in one. InputError with
/// file:line:column, the variant and the key at what is wrong, also if two variants are the same experiment.
ExperimentFile load_experiment(const std::filesystem::path& path, const std::vector<std::string>& assignments,
                               const std::string& dataset);

/// True if two experiments differ in nothing but their names.
bool same_experiment(const Spec& a, const Spec& b);

}  // namespace genretree
