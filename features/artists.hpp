// Who made which track: to see whether songs of one artist lie in training and test, which makes a classifier look
// better than it is on music of artists that it has not heard. Pampalk, Flexer and Widmer, "Improvements of audio-based
// music similarity and genre classification" (ISMIR 2005), call what is to be avoided by the artist filter.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "features/split.hpp"
#include "features/store.hpp"

namespace genretree {

/// Artist, or number of a group of artists, by track: its track_name(), after the folder that it is listed in if there
/// is one ("blues/blues.00012").
using Artists = std::map<std::string, std::string>;

/// Reads a list of artists: on each line "TRACK<TAB>ARTIST" or "TRACK ::: ARTIST ::: TITLE". Blank lines and those that
/// begin with # count for nothing; a line without an artist says that it is not known; lines may end in CR LF. Tracks
/// may be named as in the lists of a split. InputError, with the line's number, if a line is neither, or gives a track
/// another artist than a line before; and if there is no artist at all.
Artists read_artists(const std::filesystem::path& path);

/// [clips] The artist of each clip, "" where it is not known. A clip is looked for as the data set names it, then as
/// "genre/track". Where the data set has its file name only once, the file name alone will do, whichever folder it is
/// listed in, unless the data set names another or the list gives several artists.
std::vector<std::string> artists_of_clips(const FeatureStore& dataset, const Artists& artists);

/// Artists with clips in both of two sets.
struct SharedArtists {
  std::vector<std::string> names;  ///< those with the most clips in the second set first, equals by name
  std::size_t clips = 0;           ///< of the second set, by these artists
};

/// first, second: indices of clips. Clips without a known artist are passed over.
SharedArtists shared_artists(const std::vector<std::string>& artist_of, const std::vector<std::uint32_t>& first,
                             const std::vector<std::uint32_t>& second);

/// What is to be said of a split, for people.
struct ArtistReport {
  std::vector<std::string> warnings;  ///< on artists on both sides of training and test, or validation and test
  std::vector<std::string> notes;     ///< of how many clips it is known that there are none; clips without an artist
};

/// trials: the split of each trial, or the one split of all of them. list: see read_artists. InputError, too, if it
/// knows the artist of no clip of the data set.
ArtistReport check_artists(const FeatureStore& dataset, std::span<const Split> trials,
                           const std::filesystem::path& list);

}  // namespace genretree
