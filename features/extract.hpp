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
};

/// A clip that could not be used, and why.
struct BadClip {
  std::string track, reason;
};

struct ExtractSummary {
  std::size_t clips = 0;    ///< in the store
  std::size_t resumed = 0;  ///< of these, taken over from an extraction that was cut off
  std::vector<BadClip> bad;
  /// Tracks whose decoded samples are equal bit for bit: each later one with the first.
  std::vector<std::pair<std::string, std::string>> duplicates;
  double seconds = 0;
};

/// Extracts the features of all clips into the store at `path`, which is overwritten. Finished clips are kept beside it
/// in `path`.partial while it runs, so that an extraction that was cut off goes on where it was; the store itself
/// appears whole or not at all. Bad clips are left out and reported. The result does not depend on `jobs`. InputError
/// if no clip is left, or with `strict` at the first bad one; Interrupted after a stop request.
ExtractSummary extract_features(const std::vector<Clip>& clips, const FeatureConfig& config, const std::string& source,
                                Backend& backend, const std::filesystem::path& path, const ExtractOptions& options);

}  // namespace genretree
