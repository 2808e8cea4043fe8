#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <xxhash.h>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/io/lock.hpp"
#include "core/text.hpp"
#include "experiments/data.hpp"
#include "features/artists.hpp"
#include "features/corpus.hpp"
#include "features/extract.hpp"
#include "features/gtzan.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

constexpr const char* built_in = "built-in";

std::string hash(const std::string& text) { return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size())); }

fs::path variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// -------------------------------------------------------------------------------------------------- where the data are

fs::path find_gtzan() {
  constexpr const char* ways_out =
      "Three ways out:\n"
      "  1. fetch_gtzan DIR downloads it; then add --dataset DIR\n"
      "  2. --dataset FOLDER, if you have it already (the folder that holds blues/, classical/, …)\n"
      "  3. --dataset built-in runs everything at once with synthetic music, whose figures say nothing about GTZAN";
  if (const fs::path place = variable("GTZAN"); !place.empty()) {
    if (!fs::is_directory(place))
      reject("GTZAN was not found: $GTZAN is {}, which is no folder. {}", place.string(), ways_out);
    return place;
  }
  for (const char* place : {"data/gtzan", "data/genres", "data/genres_original"})
    if (fs::is_directory(place)) return place;
  reject(
      "GTZAN was not found: $GTZAN is not set, and data/gtzan, data/genres and data/genres_original are no folders "
      "here. {}",
      ways_out);
}

fs::path path_of(const DatasetSpec& dataset) {
  const fs::path path = dataset.path.empty() && dataset.name == "gtzan" ? find_gtzan() : dataset.path;
  if (path.empty()) reject("the data set '{}' has no path. Give dataset.path, or --dataset FOLDER", dataset.name);
  if (!fs::exists(path))
    reject("the data set {} does not exist. Give another with --dataset FOLDER, or try --dataset built-in",
           path.string());
  return fs::canonical(path);
}

// ---------------------------------------------------------------------------------------------------------- extraction

/// What computed features: "cpu, avx3, highway 1.0.3, glibc 2.36". A target without what follows a "+", by which the
/// LSTM alone is computed; "" for a store that does not say.
std::string features_by(const std::string& backend, const std::string& target, const std::string& libraries) {
  if (backend.empty()) return "";
  return fmt::format("{}, {}, {}", backend, target.substr(0, target.find('+')), libraries);
}

/// The name of the store in the cache: changes with every feature parameter, with every file of the data set, and with
/// all that computes the features, so that nobody trains on those of another backend because it came first.
fs::path cache_file(const DatasetSpec& dataset, const FeatureConfig& features, const std::vector<Clip>& clips,
                    const BackendInfo& backend, const fs::path& cache) {
  std::string name = dataset.name;
  std::ranges::replace_if(
      name, [](unsigned char c) { return !std::isalnum(c) && c != '-'; }, '_');
  return cache / fmt::format("{}-{}.h5", name,
                             hash(to_json(features) + identity_of(clips) +
                                  features_by(backend.backend, backend.target, backend.libraries)));
}

/// The features of `clips`, from the cache if they are there and none of the clips left out can be used by now.
FeatureStore cached_features(const Spec& spec, const std::vector<Clip>& clips, const std::string& source,
                             Backend& backend, const DataOptions& options) {
  make_writable_folder(options.cache);
  const fs::path path = cache_file(spec.dataset, spec.features, clips, backend.info(), options.cache);
  const FileLock lock(path.string() + ".lock");  // another process that wants the same waits, then reads
  if (fs::exists(path)) {
    try {
      FeatureStore store = read_store(path);
      if (is_current(store, clips, backend)) return store;
      warn(fmt::format("{} does not fit the files any more; the features are extracted anew", path.string()));
    } catch (const InputError& error) {
      warn(fmt::format("{}; the features are extracted anew", error.what()));
    }
  }
  ExtractOptions extract;
  extract.jobs = options.jobs;
  extract.progress = options.progress;
  extract.trace = options.trace;
  extract_features(clips, spec.features, source, backend, path, extract);
  return read_store(path);
}

// -------------------------------------------------------------------------------------------------------------- stores

/// Names the parameters in which two feature configurations differ.
std::string differing_parameters(const FeatureConfig& store, const FeatureConfig& wanted) {
  const auto a = nlohmann::ordered_json::parse(to_json(store)), b = nlohmann::ordered_json::parse(to_json(wanted));
  std::vector<std::string> found;
  for (const auto& [key, value] : b.items())
    if (!a.contains(key) || a[key] != value)
      found.push_back(fmt::format("{}: {} in the store, {} in the experiment", key,
                                  a.contains(key) ? a[key].dump() : "nothing", value.dump()));
  return join(found, "; ");
}

FeatureStore read_matching_store(const fs::path& path, const FeatureConfig& wanted) {
  FeatureStore store = read_store(path);
  if (store.config != wanted)
    reject("{} has other features than the experiment ({}). Extract them anew, or change the experiment's features",
           path.string(), differing_parameters(store.config, wanted));
  return store;
}

// ------------------------------------------------------------------------------------------------------------- summary

/// Clips of the folder that could not be used, and why. Empty if there are none.
std::string left_out(const FeatureStore& store) {
  std::vector<std::string> clips;
  for (const BadClip& bad : store.left_out) clips.push_back(fmt::format("{} ({})", bad.track, bad.reason));
  return clips.empty() ? "" : fmt::format("left out: {}", join(clips, "; "));
}

/// Tracks that the split misses. Those that GTZAN lacks are named by check_data_set already; only of a list it is not
/// known which of them it asks for.
std::vector<std::string> missing(const Split& split, const SplitConfig& config, bool is_gtzan) {
  std::vector<std::string> tracks = split.missing;
  if (is_gtzan && config.kind != SplitConfig::Kind::lists)
    std::erase_if(tracks, [](const std::string& track) {
      const auto numbered = numbered_track(track);
      return numbered && numbered->number < gtzan_tracks_per_genre;
    });
  return tracks;
}

/// The split of every trial where each draws its own, else the one that all share. `first`: of the first trial.
std::vector<Split> splits_of_trials(const FeatureStore& store, const Spec& spec, const Split& first) {
  std::vector<Split> trials = {first};
  if (spec.dataset.split.kind == SplitConfig::Kind::random)
    for (std::uint32_t trial = 1; trial < spec.grid.trials; ++trial)
      trials.push_back(make_split(store, spec.dataset.split, spec.seed, trial, false));
  return trials;
}

/// Warns of artists on both sides of a split, if there is a list of artists.
void add_artists(const FeatureStore& store, const std::vector<Split>& trials, const fs::path& artists,
                 DatasetSummary& summary) {
  if (artists.empty()) return;
  ArtistReport report = check_artists(store, trials, artists);
  std::ranges::move(report.warnings, std::back_inserter(summary.warnings));
  std::ranges::move(report.notes, std::back_inserter(summary.notes));
}

/// Warns of tracks with the same samples on both sides of a split.
void add_duplicates(const std::vector<Split>& trials, DatasetSummary& summary) {
  for (std::size_t trial = 0; trial < trials.size(); ++trial)
    if (const auto& groups = trials[trial].duplicates_across; !groups.empty())
      summary.warnings.push_back(fmt::format("{}{} of bit-exact duplicates in different sets: {}",
                                             trials.size() > 1 ? fmt::format("In trial {}: ", trial) : "",
                                             count_of(groups.size(), "group"), join(groups, "; ")));
}

std::string data_checksum(const FeatureStore& store) {
  std::string text = to_json(store.config) + join(store.genres);
  for (std::size_t clip = 0; clip < store.clips(); ++clip)
    text += fmt::format("\n{}\t{}\t{:016x}", store.tracks[clip], store.labels[clip], store.checksums[clip]);
  return hash(
      fmt::format("{}\n{:016x}", text, XXH3_64bits(store.features.data(), std::span(store.features).size_bytes())));
}

// -------------------------------------------------------------------------------------------- three kinds of data sets

/// Extracts all genres, so that the cache serves every choice of them.
FeatureStore from_clips(const Spec& spec, const std::vector<Clip>& clips, const std::string& source, Backend& backend,
                        const DataOptions& options) {
  if (!spec.dataset.genres.empty()) select_genres(clips, spec.dataset.genres);  // a wrong name is told before the work
  return cached_features(spec, clips, source, backend, options);
}

constexpr const char* synthetic_name = "SYNTHETIC corpus (not GTZAN)";

Data load_built_in(const Spec& spec, Backend& backend, const DataOptions& options) {
  Data data;
  const CorpusConfig& corpus = spec.dataset.corpus;
  data.clips = corpus_clips(corpus);
  data.store = from_clips(spec, data.clips, corpus_recipe(corpus), backend, options);
  data.summary.name = synthetic_name;
  return data;
}

Data load_files(const Spec& spec, Backend& backend, const DataOptions& options) {
  const fs::path path = path_of(spec.dataset);
  Data data;
  if (fs::is_directory(path)) {
    const std::string source = source_of_folder(path);
    data.clips = scan_audio_folder(path);
    data.store = from_clips(spec, data.clips, source, backend, options);
    if (!is_synthetic(data.store.source)) data.store.source = source;  // the cache may have it from another place
  } else {
    data.store = read_matching_store(path, spec.features);
  }
  if (is_synthetic(data.store.source))
    data.summary.name = synthetic_name;
  else
    data.summary.name = spec.dataset.name == "gtzan" && has_gtzan_names(data.store) ? "GTZAN" : path.stem().string();
  return data;
}

}  // namespace

fs::path default_cache() {
  if (const fs::path own = variable("GENRETREE_CACHE"); !own.empty()) return own;
  if (const fs::path shared = variable("XDG_CACHE_HOME"); !shared.empty()) return shared / "genretree";
  if (const fs::path home = variable("HOME"); !home.empty()) return home / ".cache" / "genretree";
  reject(
      "there is no place for extracted features: neither GENRETREE_CACHE, XDG_CACHE_HOME nor HOME is set. Give --cache "
      "DIR");
}

Data load_features(const Spec& spec, Backend& backend, const DataOptions& options) {
  Data data =
      spec.dataset.name == built_in ? load_built_in(spec, backend, options) : load_files(spec, backend, options);
  if (!spec.dataset.genres.empty()) data.store = select_genres(data.store, spec.dataset.genres);
  const std::string unusable = left_out(data.store);
  if (options.strict && !unusable.empty())
    reject("{}. Mend or remove these files, or go on without them by leaving out --strict", unusable);

  DatasetSummary& summary = data.summary;
  summary.source = data.store.source;
  summary.features_by = features_by(data.store.backend, data.store.target, data.store.libraries);
  summary.genres = data.store.genres;
  summary.clips = data.store.clips();
  summary.left_out = data.store.left_out.size();
  summary.checksum = data_checksum(data.store);
  if (!unusable.empty()) summary.notes.push_back(unusable);
  std::ranges::move(check_data_set(data.store, summary.name == "GTZAN"), std::back_inserter(summary.notes));
  return data;
}

Data load_data(const Spec& spec, Backend& backend, const DataOptions& options) {
  Data data = load_features(spec, backend, options);
  const Split split = make_split(data.store, spec.dataset.split, spec.seed, 0, options.strict);

  DatasetSummary& summary = data.summary;
  summary.train = split.train.size();
  summary.validation = split.validation.size();
  summary.test = split.test.size();
  if (const auto tracks = missing(split, spec.dataset.split, summary.name == "GTZAN"); !tracks.empty())
    summary.notes.push_back("missing from the split: " + join(tracks));
  const std::vector<Split> trials = splits_of_trials(data.store, spec, split);
  add_duplicates(trials, summary);
  add_artists(data.store, trials, spec.dataset.split.artists, summary);
  return data;
}

}  // namespace genretree
