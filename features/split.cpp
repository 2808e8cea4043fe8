#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>
#include <xxhash.h>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/random.hpp"
#include "core/text.hpp"
#include "features/clips.hpp"
#include "features/gtzan.hpp"
#include "features/split.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

using Indices = std::vector<std::uint32_t>;

/// The clips of one genre, in alphabetical order of their tracks.
Indices clips_of_genre(const FeatureStore& dataset, std::size_t genre) {
  Indices clips;
  for (std::uint32_t i = 0; i < dataset.clips(); ++i)
    if (dataset.labels[i] == static_cast<std::int32_t>(genre)) clips.push_back(i);
  std::sort(clips.begin(), clips.end(), [&](auto a, auto b) { return dataset.tracks[a] < dataset.tracks[b]; });
  return clips;
}

// --- by index and random: places in a genre ---

/// Places 0 … test_end - 1 of a genre are test, those up to validation_end validation, those up to train_end training.
struct Bounds {
  std::size_t test_end, validation_end, train_end;
};

/// `places`: of the genre, which fractions are shares of. Rounding the ends, not the sizes, leaves no place over when
/// the shares sum to one.
Bounds bounds_of(const SplitConfig& config, std::size_t places) {
  const double scale = config.fractions ? static_cast<double>(places) : 1;
  const auto end = [&](double sum) { return static_cast<std::size_t>(std::floor(scale * sum + 0.5)); };
  Bounds bounds{end(config.test), end(config.test + config.validation),
                end(config.test + config.validation + config.train)};
  if (config.train == 0) bounds.train_end = std::max(places, bounds.validation_end);
  return bounds;
}

void check_sizes(const SplitConfig& config) {
  for (const auto& [set, size] :
       {std::pair("train", config.train), {"validation", config.validation}, {"test", config.test}}) {
    if (!(size >= 0) || (config.fractions ? size > 1 : size != std::floor(size)))
      reject("the split '{}' has {}: {}, but {}", config.name, set, size,
             config.fractions ? "a share lies between 0 and 1" : "a count of tracks is a whole number from 0");
  }
  if (config.test == 0) reject("the split '{}' has test: 0, but every genre needs test tracks", config.name);
  if (config.fractions && config.train + config.validation + config.test > 1 + 1e-9)
    reject("the shares of the split '{}' sum to {}, but there is only 1 to divide", config.name,
           config.train + config.validation + config.test);
}

/// What the clip at `place` of its genre becomes.
void assign(std::uint32_t clip, std::size_t place, const Bounds& bounds, Split& split) {
  if (place < bounds.test_end)
    split.test.push_back(clip);
  else if (place < bounds.validation_end)
    split.validation.push_back(clip);
  else if (place < bounds.train_end)
    split.train.push_back(clip);
}

/// The number in each track's name, or nothing unless all are named "GENRE.NNNNN" with numbers of their own.
std::optional<std::vector<std::size_t>> track_numbers(const FeatureStore& dataset, const Indices& clips) {
  std::vector<std::size_t> numbers;
  for (const std::uint32_t clip : clips) {
    const auto track = numbered_track(dataset.tracks[clip]);
    if (!track || (!numbers.empty() && static_cast<std::size_t>(track->number) <= numbers.back())) return std::nullopt;
    numbers.push_back(static_cast<std::size_t>(track->number));
  }
  return numbers;
}

/// Names those of the places 0 … expected - 1 that no track has.
void note_missing(const FeatureStore& dataset, std::size_t genre, const Indices& clips, std::size_t expected,
                  Split& split) {
  const auto numbers = track_numbers(dataset, clips);
  if (!numbers) {
    if (clips.size() < expected)
      split.missing.push_back(fmt::format("{}: {} of {} tracks", dataset.genres[genre], clips.size(), expected));
    return;
  }
  const std::set<std::size_t> present(numbers->begin(), numbers->end());
  const std::string name = clips.empty() ? dataset.genres[genre] : numbered_track(dataset.tracks[clips[0]])->genre;
  for (std::size_t number = 0; number < expected; ++number)
    if (!present.contains(number)) split.missing.push_back(numbered_track_name(name, static_cast<int>(number)));
}

void split_by_index(const FeatureStore& dataset, const SplitConfig& config, Split& split) {
  for (std::size_t genre = 0; genre < dataset.genres.size(); ++genre) {
    const Indices clips = clips_of_genre(dataset, genre);
    const auto numbers = track_numbers(dataset, clips);
    const Bounds bounds = bounds_of(config, numbers && !numbers->empty() ? numbers->back() + 1 : clips.size());
    for (std::size_t i = 0; i < clips.size(); ++i) assign(clips[i], numbers ? (*numbers)[i] : i, bounds, split);
    note_missing(dataset, genre, clips, bounds.train_end, split);
  }
}

/// The number that a track draws.
std::uint64_t draw(const std::string& track, std::uint64_t seed, std::uint32_t trial) {
  const std::uint64_t name = XXH3_64bits(track.data(), track.size());
  const auto low = static_cast<std::uint32_t>(name), high = static_cast<std::uint32_t>(name >> 32);
  Random random({.seed = seed, .trial = trial, .node = low, .batch = high, .use = RandomUse::split});
  const std::uint64_t first = random.next();
  return first << 32 | random.next();
}

/// Clips with the same samples, which belong in one set, and the number that the first of them drew.
struct Drawn {
  std::uint64_t number;
  Indices clips;
};

std::vector<Drawn> draw_genre(const FeatureStore& dataset, const Indices& clips, std::uint64_t seed,
                              std::uint32_t trial) {
  std::vector<Drawn> drawn;
  std::map<std::uint64_t, std::size_t> place_of;  // in `drawn`, by checksum
  for (const std::uint32_t clip : clips) {
    const auto [place, is_new] = place_of.emplace(dataset.checksums[clip], drawn.size());
    if (is_new) drawn.push_back({draw(dataset.tracks[clip], seed, trial), {}});
    drawn[place->second].clips.push_back(clip);
  }
  std::stable_sort(drawn.begin(), drawn.end(), [](const Drawn& a, const Drawn& b) { return a.number < b.number; });
  return drawn;
}

/// Moves clips to `set`, which has room for so many of them; what does not fit waits for the next set.
void take(std::vector<Drawn>& drawn, std::size_t room, Indices& set) {
  for (Drawn& same : drawn) {
    if (same.clips.size() > room) continue;
    room -= same.clips.size();
    set.insert(set.end(), same.clips.begin(), same.clips.end());
    same.clips.clear();
  }
}

void split_at_random(const FeatureStore& dataset, const SplitConfig& config, std::uint64_t seed, std::uint32_t trial,
                     Split& split) {
  for (std::size_t genre = 0; genre < dataset.genres.size(); ++genre) {
    const Indices clips = clips_of_genre(dataset, genre);
    const Bounds bounds = bounds_of(config, clips.size());
    std::vector<Drawn> drawn = draw_genre(dataset, clips, seed, trial);
    take(drawn, bounds.test_end, split.test);
    take(drawn, bounds.validation_end - bounds.test_end, split.validation);
    take(drawn, bounds.train_end - bounds.validation_end, split.train);
    if (!config.fractions)
      note_missing(dataset, genre, clips, bounds.train_end > clips.size() ? bounds.train_end : 0, split);
  }
}

// --- lists ---

/// One line of a list file.
struct ListedTrack {
  std::string file;   ///< as it stands there
  std::string genre;  ///< from the second column, a name as in GTZAN, or the folder; empty if nothing tells
  std::string where;  ///< "train.txt:12"
};

std::string genre_of(const std::string& file, const std::string& second_column) {
  if (!second_column.empty()) return second_column;
  const auto numbered = numbered_track(track_name(file));
  if (numbered && std::find(gtzan_genres().begin(), gtzan_genres().end(), numbered->genre) != gtzan_genres().end())
    return numbered->genre;
  return fs::path(file).lexically_normal().parent_path().filename().string();
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") + 1 - first);
}

std::vector<ListedTrack> read_list(const fs::path& path) {
  std::vector<ListedTrack> listed;
  std::istringstream lines(read_text(path));
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const std::string_view content = trimmed(line);
    if (content.empty() || content.starts_with('#')) continue;
    const std::size_t tab = content.find('\t');
    const std::string file(trimmed(content.substr(0, tab)));
    const std::string genre(tab == std::string_view::npos ? "" : trimmed(content.substr(tab)));
    listed.push_back({file, genre_of(file, genre), fmt::format("{}:{}", path.string(), number)});
  }
  if (listed.empty()) reject("the list {} names no track", path.string());
  return listed;
}

using TrackIndex = std::map<std::string, std::uint32_t>;

/// The clip that a line means: the data set's track is the file as listed, "genre/track", or the file's name alone.
std::optional<std::uint32_t> find_clip(const TrackIndex& index, const ListedTrack& listed) {
  const fs::path file = listed.file;
  const std::string stem = (has_audio_extension(file) ? file.stem() : file.filename()).string();
  for (const std::string& name : {listed.file, listed.genre + "/" + stem, stem, track_name(listed.file)})
    if (const auto found = index.find(name); found != index.end()) return found->second;
  return std::nullopt;
}

void split_by_lists(const FeatureStore& dataset, const SplitConfig& config, Split& split) {
  if (config.train_list.empty() || config.test_list.empty())
    reject("the split '{}' needs a list of training tracks and a list of test tracks", config.name);
  TrackIndex index;
  for (std::uint32_t i = 0; i < dataset.clips(); ++i) index[dataset.tracks[i]] = i;
  std::map<std::uint32_t, std::string> taken;
  const auto take = [&](const fs::path& list, Indices& set) {
    if (list.empty()) return;
    for (const ListedTrack& listed : read_list(list)) {
      const bool known_genre =
          std::find(dataset.genres.begin(), dataset.genres.end(), listed.genre) != dataset.genres.end();
      if (!known_genre && !listed.genre.empty()) continue;
      const auto clip = find_clip(index, listed);
      if (!clip) {
        split.missing.push_back(track_name(listed.file));
        continue;
      }
      const auto [first, is_new] = taken.emplace(*clip, listed.where);
      if (!is_new)
        reject("{} is listed twice: at {} and at {}. A track belongs to one set, once", dataset.tracks[*clip],
               first->second, listed.where);
      set.push_back(*clip);
    }
  };
  take(config.train_list, split.train);
  take(config.validation_list, split.validation);
  take(config.test_list, split.test);
}

// --- checks of the result ---

void note_duplicates(const FeatureStore& dataset, Split& split) {
  struct Placed {
    std::string track, set;
    auto operator<=>(const Placed&) const = default;
  };
  std::map<std::uint64_t, std::vector<Placed>> by_checksum;
  for (const auto& [name, set] :
       {std::pair("train", &split.train), {"validation", &split.validation}, {"test", &split.test}})
    for (const std::uint32_t clip : *set) by_checksum[dataset.checksums[clip]].push_back({dataset.tracks[clip], name});
  for (auto& [checksum, same] : by_checksum) {
    if (std::all_of(same.begin(), same.end(), [&](const Placed& one) { return one.set == same[0].set; })) continue;
    std::sort(same.begin(), same.end());
    std::vector<std::string> texts;
    for (const Placed& one : same) texts.push_back(fmt::format("{} ({})", one.track, one.set));
    split.duplicates_across.push_back(join(texts, " = "));
  }
  std::sort(split.duplicates_across.begin(), split.duplicates_across.end());
}

/// What a set asks of each genre, for a message.
std::string wanted(const SplitConfig& config) {
  if (config.kind == SplitConfig::Kind::lists) return "is what its lists name";
  const auto size = [&](double value) { return value == 0 ? std::string("the rest") : fmt::format("{}", value); };
  return fmt::format("takes test {}, validation {} and training {} {} of each genre{}", config.test, config.validation,
                     size(config.train), config.fractions ? "as shares" : "tracks",
                     config.kind == SplitConfig::Kind::by_index ? ", in this order" : "");
}

void check_every_genre(const FeatureStore& dataset, const SplitConfig& config, const Split& split) {
  for (const auto& [what, set] : {std::pair("training", &split.train), {"test", &split.test}}) {
    for (std::size_t genre = 0; genre < dataset.genres.size(); ++genre) {
      if (std::any_of(set->begin(), set->end(),
                      [&](auto clip) { return dataset.labels[clip] == static_cast<std::int32_t>(genre); }))
        continue;
      reject(
          "the genre '{}' has no {} clip: the split '{}' {}, and the data set has {} of this genre. Add tracks, leave "
          "the genre out, or choose another split",
          dataset.genres[genre], what, config.name, wanted(config),
          count_of(clips_of_genre(dataset, genre).size(), "track"));
    }
  }
}

void reject_missing(const SplitConfig& config, const std::vector<std::string>& missing) {
  constexpr std::size_t shown = 10;
  const std::vector<std::string> first(missing.begin(),
                                       missing.begin() + static_cast<std::ptrdiff_t>(std::min(shown, missing.size())));
  reject("the split '{}' needs {} that the data set lacks: {}{}. Without --strict the split goes on without them",
         config.name, count_of(missing.size(), "track"), join(first), missing.size() > shown ? ", …" : "");
}

}  // namespace

SplitConfig named_split(const std::string& name) {
  SplitConfig config;
  config.name = name;
  if (name == "paper-420-120-60")
    config.kind = SplitConfig::Kind::by_index;
  else if (name == "random-420-120-60")
    config.kind = SplitConfig::Kind::random;
  else
    reject(
        "there is no split named '{}'{}; allowed are paper-420-120-60 and random-420-120-60, or a split of your own "
        "as a map",
        name, did_you_mean(name, std::vector<std::string>{"paper-420-120-60", "random-420-120-60"}));
  return config;
}

Split make_split(const FeatureStore& dataset, const SplitConfig& config, std::uint64_t seed, std::uint32_t trial,
                 bool strict) {
  if (dataset.genres.size() < 2)
    reject("the data set has {}{}, but a classifier needs at least two genres",
           count_of(dataset.genres.size(), "genre"), dataset.genres.empty() ? "" : " (" + dataset.genres[0] + ")");
  Split split;
  if (config.kind == SplitConfig::Kind::lists) {
    split_by_lists(dataset, config, split);
  } else {
    check_sizes(config);
    if (config.kind == SplitConfig::Kind::by_index)
      split_by_index(dataset, config, split);
    else
      split_at_random(dataset, config, seed, trial, split);
  }
  if (strict && !split.missing.empty()) reject_missing(config, split.missing);
  check_every_genre(dataset, config, split);
  note_duplicates(dataset, split);
  for (Indices* set : {&split.train, &split.validation, &split.test}) std::sort(set->begin(), set->end());
  return split;
}

}  // namespace genretree
