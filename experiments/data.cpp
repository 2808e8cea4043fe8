#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <xxhash.h>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/io/lock.hpp"
#include "core/text.hpp"
#include "experiments/data.hpp"
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

/// The name of the store in the cache: changes with every feature parameter and with every file of the data set.
fs::path cache_file(const DatasetSpec& dataset, const FeatureConfig& features, const std::vector<Clip>& clips,
                    const fs::path& cache) {
  std::string identity = to_json(features);
  for (const Clip& clip : clips) identity += "\n" + clip.genre + "\t" + clip.track + "\t" + clip.identity;
  std::string name = dataset.name;
  std::ranges::replace_if(
      name, [](unsigned char c) { return !std::isalnum(c) && c != '-'; }, '_');
  return cache / fmt::format("{}-{}.h5", name, hash(identity));
}

/// The features of `clips`, from the cache if they are there.
FeatureStore cached_features(const Spec& spec, const std::vector<Clip>& clips, const std::string& source,
                             Backend& backend, const DataOptions& options) {
  make_writable_folder(options.cache);
  const fs::path path = cache_file(spec.dataset, spec.features, clips, options.cache);
  const FileLock lock(path.string() + ".lock");  // another process that wants the same waits, then reads
  if (fs::exists(path)) {
    try {
      return read_store(path);
    } catch (const InputError& error) {
      warn(fmt::format("{}; the features are extracted anew", error.what()));
    }
  }
  ExtractOptions extract;
  extract.jobs = options.jobs;
  extract.progress = options.progress;
  const ExtractSummary summary = extract_features(clips, spec.features, source, backend, path, extract);
  for (const BadClip& bad : summary.bad) warn(fmt::format("{} is left out: {}", bad.track, bad.reason));
  return read_store(path);
}

/// Clips of the folder that are not in the store, because they could not be used.
std::vector<std::string> left_out(const std::vector<Clip>& clips, const FeatureStore& store) {
  const std::set<std::string> used(store.tracks.begin(), store.tracks.end());
  std::vector<std::string> names;
  for (const Clip& clip : clips)
    if (!used.contains(clip.track)) names.push_back(clip.track);
  return names;
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

std::string data_checksum(const FeatureStore& store) {
  std::string text = to_json(store.config) + join(store.genres);
  for (std::size_t clip = 0; clip < store.clips(); ++clip)
    text += fmt::format("\n{}\t{}\t{:016x}", store.tracks[clip], store.labels[clip], store.checksums[clip]);
  return hash(text);
}

// -------------------------------------------------------------------------------------------- three kinds of data sets

/// Extracts all genres, so that the cache serves every choice of them; `genres` (empty: all) are kept.
FeatureStore from_clips(const Spec& spec, const std::vector<Clip>& clips, const std::string& source, Backend& backend,
                        const DataOptions& options, std::vector<std::string>& notes) {
  const std::vector<std::string>& genres = spec.dataset.genres;
  const std::vector<Clip> wanted = genres.empty() ? clips : select_genres(clips, genres);
  FeatureStore store = cached_features(spec, clips, source, backend, options);
  const std::vector<std::string> missing = left_out(wanted, store);
  if (!missing.empty()) {
    const std::string note = fmt::format("left out, because unreadable: {}", join(missing));
    if (options.strict) reject("{}. Mend or remove these files, or go on without them by leaving out --strict", note);
    notes.push_back(note);
  }
  return store;
}

constexpr const char* synthetic_name = "SYNTHETIC corpus (not GTZAN)";

Data load_built_in(const Spec& spec, Backend& backend, const DataOptions& options) {
  Data data;
  const CorpusConfig& corpus = spec.dataset.corpus;
  data.store = from_clips(spec, corpus_clips(corpus), corpus_recipe(corpus), backend, options, data.summary.notes);
  data.summary.name = synthetic_name;
  return data;
}

/// The recipe of a corpus that make_corpus wrote to this folder or the one above; empty if it is none.
std::string recipe_of_corpus(const fs::path& folder) {
  for (const fs::path& place : {folder, folder.parent_path()})
    if (fs::exists(place / "corpus.txt")) {
      const std::string text = read_text(place / "corpus.txt");
      return text.substr(0, text.find('\n'));
    }
  return "";
}

Data load_files(const Spec& spec, Backend& backend, const DataOptions& options) {
  const fs::path path = path_of(spec.dataset);
  Data data;
  if (fs::is_directory(path))
    data.store = from_clips(spec, scan_audio_folder(path), path.string(), backend, options, data.summary.notes);
  else
    data.store = read_matching_store(path, spec.features);

  if (const std::string recipe = recipe_of_corpus(data.store.source); !recipe.empty()) {
    data.summary.name = synthetic_name;
    data.store.source = fmt::format("{}, read from {}", recipe, data.store.source);
  } else {
    data.summary.name = spec.dataset.name == "gtzan" && has_gtzan_names(data.store) ? "GTZAN" : path.stem().string();
  }
  return data;
}

}  // namespace

void use_dataset(DatasetSpec& dataset, const std::string& argument) {
  if (argument == built_in || argument == "gtzan") {
    dataset.name = argument;
    dataset.path.clear();
    return;
  }
  dataset.path = fs::absolute(argument).lexically_normal();
  if (!dataset.path.has_filename()) dataset.path = dataset.path.parent_path();  // "music/"
  if (dataset.name == built_in) dataset.name = dataset.path.stem().string();
}

fs::path default_cache() {
  if (const fs::path own = variable("GENRETREE_CACHE"); !own.empty()) return own;
  if (const fs::path shared = variable("XDG_CACHE_HOME"); !shared.empty()) return shared / "genretree";
  if (const fs::path home = variable("HOME"); !home.empty()) return home / ".cache" / "genretree";
  reject(
      "there is no place for extracted features: neither GENRETREE_CACHE, XDG_CACHE_HOME nor HOME is set. Give --cache "
      "DIR");
}

Data load_data(const Spec& spec, Backend& backend, const DataOptions& options) {
  Data data =
      spec.dataset.name == built_in ? load_built_in(spec, backend, options) : load_files(spec, backend, options);
  if (!spec.dataset.genres.empty()) data.store = select_genres(data.store, spec.dataset.genres);
  const Split split = make_split(data.store, spec.dataset.split, spec.seed, 0, options.strict);

  DatasetSummary& summary = data.summary;
  summary.source = data.store.source;
  summary.genres = data.store.genres;
  summary.clips = data.store.clips();
  summary.train = split.train.size();
  summary.validation = split.validation.size();
  summary.test = split.test.size();
  summary.checksum = data_checksum(data.store);
  if (!split.missing.empty()) summary.notes.push_back("missing from the split: " + join(split.missing));
  std::ranges::move(check_data_set(data.store, summary.name == "GTZAN"), std::back_inserter(summary.notes));
  return data;
}

}  // namespace genretree
