// From clips to a feature store, on all cores.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/progress.hpp"
#include "features/clips.hpp"
#include "features/store.hpp"
#include "kernels/ops.hpp"

namespace genretree {

struct ExtractOptions {
  std::size_t jobs = 1;  ///< workers
  bool strict = false;   ///< the first bad clip ends it
  Progress* progress = nullptr;
  Trace* trace = nullptr;
};

/// Workers where nobody asks for a number: one for each core, but on a GPU at least two, so that one decodes while the
/// other's clip is copied and computed.
std::size_t extraction_workers(Device& device);

struct ExtractSummary {
  std::size_t clips = 0;    ///< in the store
  std::size_t resumed = 0;  ///< of these, taken over from an extraction that was cut off
  std::vector<BadClip> bad;
  /// Tracks whose decoded samples are equal bit for bit: each later one with the first.
  std::vector<std::pair<std::string, std::string>> duplicates;
  double seconds = 0;
};

/// The features [frames, width] of one clip outside any data set: of all its frames, however many. `track` names
/// it in errors, `tables` are those of `config`. InputError if it cannot be used.
std::vector<float> clip_features(const Audio& audio, const std::string& track, const FeatureConfig& config,
                                 const SpectralTables& tables, Backend& backend, Queue& queue);

/// Cuts the features of a clip to config.frames, or fills them with zeros or copies of the last frame: what a store
/// keeps of it.
std::vector<float> fit_to_frames(std::vector<float> features, const FeatureConfig& config);

/// What to give as `source` for the audio of a folder: its canonical path, with the recipe of a corpus that make_corpus
/// wrote there (or to the folder above) before it: "synthetic corpus 1, …, read from /data/made".
std::string source_of_folder(const std::filesystem::path& folder);

/// True if a store's `source` is a synthetic corpus, whose figures are never shown as real music's.
bool is_synthetic(const std::string& source);

/// 16 hex digits that change when a clip is added, changed or gone.
std::string identity_of(const std::vector<Clip>& clips);

/// True if the store was made from these very clips and none that it left out can be used now.
bool is_current(const FeatureStore& store, const std::vector<Clip>& clips, Backend& backend);

/// Extracts the features of all clips into the store at `path`, which is overwritten. Finished clips are kept beside it
/// in `path`.partial while it runs, so that an extraction that was cut off goes on where it was; the store itself
/// appears whole or not at all. Bad clips are left out, reported and named in the store. The result does not depend on
/// `jobs`. InputError if no clip is left, or with `strict` at the first bad one; Interrupted after a stop request.
ExtractSummary extract_features(const std::vector<Clip>& clips, const FeatureConfig& config, const std::string& source,
                                Backend& backend, const std::filesystem::path& path, const ExtractOptions& options);

}  // namespace genretree
