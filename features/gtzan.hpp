// GTZAN, the data set of Tzanetakis and Cook (2002): what it holds, and what is known to be wrong with it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "features/store.hpp"

namespace genretree {

/// The ten genres, and the six of them that the paper's first experiment uses.
const std::vector<std::string>& gtzan_genres();
const std::vector<std::string>& paper_genres();

/// Tracks of each genre, 00000 … 00099.
inline constexpr int gtzan_tracks_per_genre = 100;

/// A track name taken apart: "blues.00012" is {"blues", 12}.
struct NumberedTrack {
  std::string genre;
  int number;
};

/// nullopt if the name does not end in a dot and five digits.
std::optional<NumberedTrack> numbered_track(std::string_view track);
/// numbered_track_name("blues", 12) is "blues.00012".
std::string numbered_track_name(std::string_view genre, int number);

/// The name under which a data set has a track that a list names as a file: without folder and audio extension, and
/// with a dot where some lists have an underscore.
/// "./blues_00012.wav", "blues/blues.00012.wav" and "blues.00012.au" are all "blues.00012".
std::string track_name(std::string_view listed);

/// True if every track is named as in GTZAN and belongs to one of its genres.
bool has_gtzan_names(const FeatureStore& store);

/// What should be known about a data set before its figures are believed, as short lines for people: bit-exact
/// duplicates (by checksum), and for GTZAN also the known faults that are present, tracks that are missing and tracks
/// of another length than GTZAN's. Looks at genres, tracks, labels, lengths and checksums; genres that the store does
/// not have are not missed.
std::vector<std::string> check_data_set(const FeatureStore& store, bool is_gtzan);

}  // namespace genretree
