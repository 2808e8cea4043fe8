#include <algorithm>
#include <fmt/format.h>
#include <limits>
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

/// The folder that a track lies in and its name, or its name alone.
std::string key_of(std::string_view track) {
  const std::string folder = std::filesystem::path(track).lexically_normal().parent_path().filename().string();
  return folder.empty() ? track_name(track) : folder + "/" + track_name(track);
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
  return Entry{key_of(track), std::string(trimmed(rest.substr(0, rest.find(separator))))};
}

/// The first few names, and "…" for others.
std::string some(const std::vector<std::string>& names) {
  constexpr std::size_t shown = 5;
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min(shown, names.size()));
  return join({names.begin(), end}) + (names.size() > shown ? ", …" : "");
}

using Clips = std::vector<std::uint32_t>;

std::size_t known(const std::vector<std::string>& artist_of, const Clips& clips) {
  return static_cast<std::size_t>(
      std::ranges::count_if(clips, [&](std::uint32_t clip) { return !artist_of[clip].empty(); }));
}

/// The least and the largest of some counts.
struct Range {
  std::size_t least = std::numeric_limits<std::size_t>::max(), largest = 0;

  void add(std::size_t count) { least = std::min(least, count), largest = std::max(largest, count); }
  std::string text() const {
    return least == largest ? fmt::format("{}", least) : fmt::format("{} to {}", least, largest);
  }
};

/// What test clips share with another set, in all trials that have both.
struct Sides {
  std::size_t trials_with_shared = 0;  ///< trials with artists on both sides
  Range artists, shared_clips;         ///< of these trials
  SharedArtists worst;                 ///< of the trial with the most such test clips
  Range known_test, test;              ///< test clips whose artist is known, and all
  Range known_other, other;            ///< the same of the other set
};

Sides sides_of(const std::vector<std::string>& artist_of, std::span<const Split> trials, Clips Split::*set) {
  Sides sides;
  for (const Split& split : trials) {
    const Clips& other = split.*set;
    if (other.empty()) continue;
    sides.known_test.add(known(artist_of, split.test)), sides.test.add(split.test.size());
    sides.known_other.add(known(artist_of, other)), sides.other.add(other.size());
    const SharedArtists shared = shared_artists(artist_of, other, split.test);
    if (shared.names.empty()) continue;
    ++sides.trials_with_shared;
    sides.artists.add(shared.names.size()), sides.shared_clips.add(shared.clips);
    if (shared.clips > sides.worst.clips) sides.worst = shared;
  }
  return sides;
}

std::string warning_on(const Sides& sides, const char* set, std::size_t trials) {
  const std::size_t with = sides.trials_with_shared;
  const std::string where = trials == 1      ? "Songs"
                            : with == trials ? fmt::format("In each of {} trials songs", trials)
                                             : fmt::format("In {} of {} trials songs", with, trials);
  return fmt::format(
      "{} of {} {} lie in {} and test, with {} of {} test {}: {}. On music of artists that it has not heard, the "
      "classifier may be worse than these figures.",
      where, sides.artists.text(), sides.artists.largest == 1 ? "artist" : "artists", set, sides.shared_clips.text(),
      sides.test.text(), sides.test.largest == 1 ? "clip" : "clips", some(sides.worst.names));
}

/// That there are none, as far as artists are known.
std::string note_on(const Sides& sides, const char* set, std::size_t trials) {
  const std::string where = trials == 1 ? "" : fmt::format("in each of {} trials, ", trials);
  if (sides.known_test.largest == 0)
    return fmt::format("artists: {}that of no test clip is known, so that nothing says whether {} has songs of theirs",
                       where, set);
  return fmt::format(
      "artists: {}of the {} of {} test clips whose artist is known, none shares its artist with {}, where that of {} "
      "of {} clips is known",
      where, sides.known_test.text(), sides.test.text(), set, sides.known_other.text(), sides.other.text());
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

std::vector<std::string> artists_of_clips(const FeatureStore& dataset, const Artists& artists) {
  std::map<std::string, std::size_t> clips_named;
  for (const std::string& track : dataset.tracks) ++clips_named[track_name(track)];
  std::map<std::string, std::set<std::string>> by_name;  // artists of all tracks of a name, in whichever folder
  for (const auto& [track, artist] : artists) by_name[track_name(track)].insert(artist);

  const auto artist_of = [&](std::size_t clip) -> std::string {
    const std::string &track = dataset.tracks[clip], name = track_name(track);
    const std::string& genre = dataset.genres[static_cast<std::size_t>(dataset.labels[clip])];
    for (const std::string& key : {track, key_of(track), genre + "/" + name})
      if (const auto found = artists.find(key); found != artists.end()) return found->second;
    if (clips_named.at(name) > 1) return "";
    if (const auto found = artists.find(name); found != artists.end()) return found->second;
    const auto found = by_name.find(name);
    const bool names_folder = key_of(track) != name;
    return names_folder || found == by_name.end() || found->second.size() > 1 ? "" : *found->second.begin();
  };
  std::vector<std::string> result;
  for (std::size_t clip = 0; clip < dataset.clips(); ++clip) result.push_back(artist_of(clip));
  return result;
}

SharedArtists shared_artists(const std::vector<std::string>& artist_of, const std::vector<std::uint32_t>& first,
                             const std::vector<std::uint32_t>& second) {
  std::set<std::string> there;
  for (const std::uint32_t clip : first) there.insert(artist_of[clip]);
  std::map<std::string, std::size_t> clips_by;
  for (const std::uint32_t clip : second)
    if (!artist_of[clip].empty() && there.contains(artist_of[clip])) ++clips_by[artist_of[clip]];
  SharedArtists shared;
  for (const auto& [artist, clips] : clips_by) {
    shared.names.push_back(artist);
    shared.clips += clips;
  }
  std::ranges::stable_sort(shared.names, [&](const auto& a, const auto& b) { return clips_by.at(a) > clips_by.at(b); });
  return shared;
}

ArtistReport check_artists(const FeatureStore& dataset, std::span<const Split> trials,
                           const std::filesystem::path& list) {
  const std::vector<std::string> artist_of = artists_of_clips(dataset, read_artists(list));
  if (std::ranges::all_of(artist_of, &std::string::empty))
    reject(
        "{} knows the artist of none of the data set's {}. Its tracks must be named as in the data set, such as {}; "
        "give "
        "dataset.split.artists the list of this data set, or leave it out",
        list.string(), count_of(dataset.clips(), "clip"), some(dataset.tracks));
  ArtistReport report;
  for (const auto& [name, set] : {std::pair("training", &Split::train), {"validation", &Split::validation}}) {
    const Sides sides = sides_of(artist_of, trials, set);
    if (sides.other.largest == 0) continue;  // there is no such set
    if (sides.trials_with_shared > 0)
      report.warnings.push_back(warning_on(sides, name, trials.size()));
    else
      report.notes.push_back(note_on(sides, name, trials.size()));
  }
  std::set<std::string> unknown;
  for (const Split& split : trials)
    for (const auto* set : {&split.train, &split.validation, &split.test})
      for (const std::uint32_t clip : *set)
        if (artist_of[clip].empty()) unknown.insert(dataset.tracks[clip]);
  if (!unknown.empty())
    report.notes.push_back(fmt::format("artists: the list does not know that of {}: {}",
                                       count_of(unknown.size(), "clip"), some({unknown.begin(), unknown.end()})));
  return report;
}

}  // namespace genretree
