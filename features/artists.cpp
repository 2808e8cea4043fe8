#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/text.hpp"
#include "features/artists.hpp"
#include "features/gtzan.hpp"

namespace genretree {
namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") + 1 - first);
}

/// A line's track and artist; nothing if it is in neither format.
struct Entry {
  std::string track, artist;
};
std::optional<Entry> entry_of(std::string_view line) {
  const std::string_view separator = line.find(":::") != std::string_view::npos ? ":::" : "\t";
  const std::size_t at = line.find(separator);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view rest = line.substr(at + separator.size());
  const std::string_view track = trimmed(line.substr(0, at));
  if (track.empty()) return std::nullopt;
  return Entry{track_name(track), std::string(trimmed(rest.substr(0, rest.find(separator))))};
}

/// The artist of a clip, or "". A data set may name its tracks "genre/track".
std::string artist_of(const FeatureStore& dataset, const Artists& artists, std::uint32_t clip) {
  for (const std::string& name : {dataset.tracks[clip], track_name(dataset.tracks[clip])})
    if (const auto found = artists.find(name); found != artists.end()) return found->second;
  return "";
}

/// The first few names, and "…" for others.
std::string some(const std::vector<std::string>& names) {
  constexpr std::size_t shown = 5;
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min(shown, names.size()));
  return join({names.begin(), end}) + (names.size() > shown ? ", …" : "");
}

}  // namespace

Artists read_artists(const std::filesystem::path& path) {
  Artists artists;
  std::istringstream lines(read_text(path));
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (const std::string_view content = trimmed(line); content.empty() || content.starts_with('#')) continue;
    const std::optional<Entry> entry = entry_of(line);
    if (!entry)
      reject(
          "{}:{}: '{}' names no track and artist. A line of a list of artists is TRACK<tab>ARTIST, or TRACK ::: ARTIST "
          "::: TITLE, or begins with #",
          path.string(), number, first_characters(trimmed(line), 60));
    if (entry->artist.empty()) continue;
    const auto [first, is_new] = artists.emplace(entry->track, entry->artist);
    if (!is_new && first->second != entry->artist)
      reject("{}:{}: {} is by '{}' here, but by '{}' on a line before. Keep the one that is right", path.string(),
             number, entry->track, entry->artist, first->second);
  }
  if (artists.empty()) reject("the list of artists {} names no artist", path.string());
  return artists;
}

SharedArtists shared_artists(const FeatureStore& dataset, const Artists& artists,
                             const std::vector<std::uint32_t>& first, const std::vector<std::uint32_t>& second) {
  std::set<std::string> there;
  for (const std::uint32_t clip : first) there.insert(artist_of(dataset, artists, clip));
  std::map<std::string, std::size_t> clips_by;
  for (const std::uint32_t clip : second)
    if (const std::string artist = artist_of(dataset, artists, clip); !artist.empty() && there.contains(artist))
      ++clips_by[artist];
  SharedArtists shared;
  for (const auto& [artist, clips] : clips_by) {
    shared.names.push_back(artist);
    shared.clips += clips;
  }
  std::ranges::stable_sort(shared.names, [&](const auto& a, const auto& b) { return clips_by.at(a) > clips_by.at(b); });
  return shared;
}

ArtistReport check_artists(const FeatureStore& dataset, const Split& split, const Artists& artists) {
  ArtistReport report;
  for (const auto& [name, set] : {std::pair("training", &split.train), {"validation", &split.validation}}) {
    if (set->empty()) continue;
    const SharedArtists shared = shared_artists(dataset, artists, *set, split.test);
    if (shared.names.empty())
      report.notes.push_back(fmt::format("artists: no artist is on both sides, {} and test", name));
    else
      report.warnings.push_back(fmt::format(
          "{} lie in {} and test, with {} of {}: {}. On music of artists that it has not heard, the classifier may be "
          "worse than these figures.",
          shared.names.size() == 1 ? "Songs of 1 artist" : fmt::format("Songs of {} artists", shared.names.size()),
          name, shared.clips, count_of(split.test.size(), "test clip"), some(shared.names)));
  }
  std::vector<std::string> unknown;
  for (const auto* set : {&split.train, &split.validation, &split.test})
    for (const std::uint32_t clip : *set)
      if (artist_of(dataset, artists, clip).empty()) unknown.push_back(dataset.tracks[clip]);
  std::ranges::sort(unknown);
  if (!unknown.empty())
    report.notes.push_back(
        fmt::format("artists: the list does not know that of {}: {}", count_of(unknown.size(), "clip"), some(unknown)));
  return report;
}

}  // namespace genretree
