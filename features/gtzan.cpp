#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <set>
#include <utility>

#include "core/text.hpp"
#include "features/clips.hpp"
#include "features/gtzan.hpp"

namespace genretree {
namespace {

struct KnownFault {
  const char *track, *fault;
};

/// Tracks that are useless. Sources: jazz.00054 as readers of the copies that circulate since 2020 found it (a .wav
/// file without a header); reggae.00086 from Sturm, "The GTZAN dataset: its contents, its faults, their effects on
/// evaluation, and its future use" (arXiv:1306.1461), which lists many milder faults too: mislabellings, repeated songs
/// and artists.
constexpr std::array known_faults = {
    KnownFault{"jazz.00054", "cannot be decoded in most copies"},
    KnownFault{"reggae.00086", "is noise but for its first 5 seconds"},
};

/// Pairs with the very same samples, found by comparing the checksums of all tracks.
constexpr std::array<std::pair<const char*, const char*>, 8> known_duplicates = {{{"metal.00034", "metal.00094"},
                                                                                  {"metal.00040", "metal.00061"},
                                                                                  {"metal.00041", "metal.00062"},
                                                                                  {"metal.00042", "metal.00063"},
                                                                                  {"metal.00043", "metal.00064"},
                                                                                  {"metal.00044", "metal.00065"},
                                                                                  {"metal.00045", "metal.00066"},
                                                                                  {"metal.00058", "rock.00016"}}};

/// The shortest and the longest track last 1290 and 1320 frames of 512 samples at 22050 Hz.
constexpr double shortest_seconds = 29.9, longest_seconds = 30.7;

bool is_known_duplicate(const std::vector<std::string>& same) {
  return same.size() == 2 && std::any_of(known_duplicates.begin(), known_duplicates.end(), [&](const auto& pair) {
           return same[0] == pair.first && same[1] == pair.second;
         });
}

void note_duplicates(const FeatureStore& store, bool is_gtzan, std::vector<std::string>& notes) {
  std::map<std::uint64_t, std::vector<std::string>> by_checksum;
  for (std::size_t i = 0; i < store.clips(); ++i) by_checksum[store.checksums[i]].push_back(store.tracks[i]);
  std::vector<std::string> known, unknown;
  for (auto& [checksum, same] : by_checksum) {
    if (same.size() < 2) continue;
    std::sort(same.begin(), same.end());
    (is_gtzan && is_known_duplicate(same) ? known : unknown).push_back(join(same, " = "));
  }
  std::sort(known.begin(), known.end());
  std::sort(unknown.begin(), unknown.end());
  if (!known.empty())
    notes.push_back(fmt::format("{} known in GTZAN: {}", count_of(known.size(), "exact duplicate"), join(known)));
  if (!unknown.empty())
    notes.push_back(fmt::format("{}{}: {}", count_of(unknown.size(), "exact duplicate"),
                                is_gtzan ? " not known in GTZAN" : "", join(unknown)));
}

void note_faults(const FeatureStore& store, std::vector<std::string>& notes) {
  for (const KnownFault& known : known_faults)
    if (std::find(store.tracks.begin(), store.tracks.end(), known.track) != store.tracks.end())
      notes.push_back(fmt::format("{} is here; it {}", known.track, known.fault));
}

/// "00003, 00015–00099"
std::string ranges(const std::vector<int>& numbers) {
  std::vector<std::string> parts;
  for (std::size_t first = 0, last; first < numbers.size(); first = last + 1) {
    last = first;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    parts.push_back(first == last ? fmt::format("{:05}", numbers[first])
                                  : fmt::format("{:05}–{:05}", numbers[first], numbers[last]));
  }
  return join(parts);
}

void note_missing(const FeatureStore& store, std::vector<std::string>& notes) {
  const std::set<std::string> present(store.tracks.begin(), store.tracks.end());
  for (const std::string& genre : store.genres) {
    std::vector<int> missing;
    for (int number = 0; number < gtzan_tracks_per_genre; ++number)
      if (!present.contains(numbered_track_name(genre, number))) missing.push_back(number);
    if (missing.empty()) continue;
    const bool only_the_corrupt_one = genre == "jazz" && missing == std::vector{54};
    notes.push_back(fmt::format("{}: {} of {} tracks, without {}{}", genre, gtzan_tracks_per_genre - missing.size(),
                                gtzan_tracks_per_genre, ranges(missing),
                                only_the_corrupt_one ? ", which cannot be decoded in most copies" : ""));
  }
}

void note_lengths(const FeatureStore& store, std::vector<std::string>& notes) {
  std::vector<std::string> odd;
  for (std::size_t i = 0; i < store.clips(); ++i) {
    const double seconds =
        static_cast<double>(store.lengths[i]) * static_cast<double>(store.config.hop) / store.config.sample_rate;
    if (seconds < shortest_seconds || seconds > longest_seconds)
      odd.push_back(fmt::format("{} ({:.1f} s)", store.tracks[i], seconds));
  }
  if (!odd.empty())
    notes.push_back(fmt::format("{} not as long as GTZAN's, {} to {} s: {}", count_of(odd.size(), "track"),
                                shortest_seconds, longest_seconds, join(odd)));
}

bool all_digits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

const std::vector<std::string>& gtzan_genres() {
  static const std::vector<std::string> genres = {"blues", "classical", "country", "disco",  "hiphop",
                                                  "jazz",  "metal",     "pop",     "reggae", "rock"};
  return genres;
}

const std::vector<std::string>& paper_genres() {
  static const std::vector<std::string> genres = {"classical", "hiphop", "jazz", "metal", "pop", "reggae"};
  return genres;
}

std::optional<NumberedTrack> numbered_track(std::string_view track) {
  constexpr std::size_t digits = 5;
  if (track.size() < digits + 2 || track[track.size() - digits - 1] != '.') return std::nullopt;
  const std::string_view number = track.substr(track.size() - digits);
  if (!all_digits(number)) return std::nullopt;
  return NumberedTrack{std::string(track.substr(0, track.size() - digits - 1)), std::stoi(std::string(number))};
}

std::string numbered_track_name(std::string_view genre, int number) { return fmt::format("{}.{:05}", genre, number); }

std::string track_name(std::string_view listed) {
  const std::filesystem::path file = std::filesystem::path(listed).filename();
  std::string name = has_audio_extension(file) ? file.stem().string() : file.string();
  const std::size_t underscore = name.rfind('_');
  if (underscore != std::string::npos) {
    std::string with_dot = name;
    with_dot[underscore] = '.';
    if (numbered_track(with_dot)) return with_dot;
  }
  return name;
}

bool has_gtzan_names(const FeatureStore& store) {
  return std::all_of(store.tracks.begin(), store.tracks.end(), [](const std::string& track) {
    const auto numbered = numbered_track(track);
    return numbered && numbered->number < gtzan_tracks_per_genre &&
           std::find(gtzan_genres().begin(), gtzan_genres().end(), numbered->genre) != gtzan_genres().end();
  });
}

std::vector<std::string> check_data_set(const FeatureStore& store, bool is_gtzan) {
  std::vector<std::string> notes;
  if (is_gtzan) {
    note_missing(store, notes);
    note_faults(store, notes);
    note_lengths(store, notes);
  }
  note_duplicates(store, is_gtzan, notes);
  return notes;
}

}  // namespace genretree
