// The feature store: one HDF5 file with the features of a whole data set.
//
//   /features   float32 [clips, frames, width]      /labels  int32 [clips], index into /genres
//   /genres     strings                                    /tracks  strings [clips]
//   /lengths    int32 [clips], frames before padding or cutting
//   /checksums  uint64 [clips], of the decoded samples (Audio::checksum)
//   /left_out/genres, /left_out/tracks, /left_out/reasons  strings, of clips that could not be used
//   attributes of the root: format = 1, parameters = the FeatureConfig as JSON, complete = 1, and as texts source,
//   identity, backend, target and libraries (see FeatureStore); a store that other programs made may lack these texts
//   and /left_out
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/tensor.hpp"
#include "features/spectral.hpp"

namespace genretree {

/// A clip that could not be used, and why.
struct BadClip {
  std::string genre, track, reason;
};

/// A feature store in memory; also the data set that is trained on.
struct FeatureStore {
  FeatureConfig config;
  std::string source;                      ///< where the audio came from: see source_of_folder
  std::string identity;                    ///< of all clips, the ones left out too: see identity_of
  std::string backend, target, libraries;  ///< what computed the features: see BackendInfo
  std::vector<BadClip> left_out;
  std::vector<std::string> genres;
  std::vector<std::string> tracks;       ///< [clips]
  std::vector<std::int32_t> labels;      ///< [clips]
  std::vector<std::int32_t> lengths;     ///< [clips]
  std::vector<std::uint64_t> checksums;  ///< [clips]
  std::vector<float> features;           ///< [clips, frames, width]

  std::size_t clips() const { return tracks.size(); }
  View<const float, 3> view() const { return view_of(features.data(), clips(), config.frames, config.width()); }
};

/// Writes the whole file or nothing.
void write_store(const std::filesystem::path& path, const FeatureStore& store);

/// InputError if the file is missing, cut off, of another format, or inconsistent.
FeatureStore read_store(const std::filesystem::path& path);

/// The part of a store that belongs to these genres; labels become indices into `genres`. InputError that names a genre
/// without clips.
FeatureStore select_genres(const FeatureStore& store, const std::vector<std::string>& genres);

}  // namespace genretree
