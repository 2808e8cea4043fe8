// From an experiment's data set to its features in memory: finds the audio, extracts what is not in the cache yet, and
// says what was found.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/progress.hpp"
#include "core/trace.hpp"
#include "experiments/report.hpp"
#include "experiments/spec.hpp"
#include "features/clips.hpp"
#include "features/store.hpp"

namespace genretree {

/// What is trained on.
struct Data {
  FeatureStore store;
  DatasetSummary summary;
  std::vector<Clip> clips;  ///< all of the data set's audio, in any order; empty where it is a feature store
};

struct DataOptions {
  std::filesystem::path cache;  ///< folder for extracted features
  std::size_t jobs = 1;         ///< workers of an extraction
  bool strict = false;          ///< a bad or missing clip is an error
  Progress* progress = nullptr;
  Trace* trace = nullptr;
};

/// $GENRETREE_CACHE, else $XDG_CACHE_HOME/genretree, else ~/.cache/genretree.
std::filesystem::path default_cache();

/// The experiment's data set, its genres in the experiment's order. Features of audio are extracted once for each set
/// of files, feature parameters and backend and kept in the cache; a feature store is read as it is, whatever computed
/// it. InputError if the data are missing, or if a store has other features than the experiment wants.
Data load_data(const Spec& spec, Backend& backend, const DataOptions& options);

/// The same before it is divided, for what needs no split: the summary's train, validation and test stay 0, and its
/// notes say nothing about the split.
Data load_features(const Spec& spec, Backend& backend, const DataOptions& options);

}  // namespace genretree
