// The feature store: one HDF5 file with the features of a whole data set.
//
//   /features   float32 [clips, frames, coefficients]      /labels  int32 [clips], index into /genres
//   /genres     strings                                    /tracks  strings [clips]
//   /lengths    int32 [clips], frames before padding or cutting
//   /checksums  uint64 [clips], of the decoded samples (Audio::checksum)
//   attributes of the root: format = 1, parameters = the FeatureConfig as JSON, complete = 1, source = where the audio
//   came from
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/tensor.hpp"
#include "features/spectral.hpp"

namespace genretree {

/// A feature store in memory; also the data set that is trained on.
struct FeatureStore {
  FeatureConfig config;
  std::string source;
  std::vector<std::string> genres;
  std::vector<std::string> tracks;       ///< [clips]
  std::vector<std::int32_t> labels;      ///< [clips]
  std::vector<std::int32_t> lengths;     ///< [clips]
  std::vector<std::uint64_t> checksums;  ///< [clips]
  std::vector<float> features;           ///< [clips, frames, coefficients]

  std::size_t clips() const { return tracks.size(); }
  View<const float, 3> view() const { return view_of(features.data(), clips(), config.frames, config.coefficients); }
};

/// Writes the whole file or nothing.
void write_store(const std::filesystem::path& path, const FeatureStore& store);

/// InputError if the file is missing, cut off, of another format, or inconsistent.
FeatureStore read_store(const std::filesystem::path& path);

/// The part of a store that belongs to these genres; labels become indices into `genres`. InputError that names a genre
/// without clips.
FeatureStore select_genres(const FeatureStore& store, const std::vector<std::string>& genres);

}  // namespace genretree
