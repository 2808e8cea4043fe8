// Who made which track: to see whether songs of one artist lie in training and test, which makes a classifier look
// better than it is on music of artists that it has not heard. Pampalk, Flexer and Widmer, "Improvements of audio-based
// music similarity and genre classification" (ISMIR 2005), call what is to be avoided by the artist filter.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "features/split.hpp"
#include "features/store.hpp"

namespace genretree {

/// Artist, or number of a group of artists, by track_name().
using Artists = std::map<std::string, std::string>;

/// Reads a list of artists: on each line "TRACK<TAB>ARTIST" or "TRACK ::: ARTIST ::: TITLE". Blank lines and those that
/// begin with # count for nothing; a line without an artist says that it is not known; lines may end in CR LF. Tracks
/// may be named as in the lists of a split. InputError, with the line's number, if a line is neither, or gives a track
/// another artist than a line before; and if there is no artist at all.
Artists read_artists(const std::filesystem::path& path);

/// Artists with clips in both of two sets.
struct SharedArtists {
  std::vector<std::string> names;  ///< those with the most clips in the second set first, equals by name
  std::size_t clips = 0;           ///< of the second set, by these artists
};

/// first, second: indices of clips. Clips without a known artist are passed over.
SharedArtists shared_artists(const FeatureStore& dataset, const Artists& artists,
                             const std::vector<std::uint32_t>& first, const std::vector<std::uint32_t>& second);

/// What is to be said of a split, for people.
struct ArtistReport {
  std::vector<std::string> warnings;  ///< on artists on both sides of training and test, or validation and test
  std::vector<std::string> notes;     ///< that there are none; tracks whose artist is not known
};
ArtistReport check_artists(const FeatureStore& dataset, const Split& split, const Artists& artists);

}  // namespace genretree
