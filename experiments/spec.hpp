// An experiment file as typed values. Every key has its default, its range and its line of documentation in one place:
// spec.cpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/io/yaml.hpp"
#include "features/corpus.hpp"
#include "features/spectral.hpp"
#include "features/split.hpp"
#include "kernels/backends.hpp"
#include "models/classifier.hpp"
#include "models/genre_tree.hpp"

namespace genretree {

struct DatasetSpec {
  std::string name = "gtzan";  ///< gtzan | built-in | any name for a folder of genres
  /// Folder of audio files, or a feature store (.h5); empty: GTZAN's usual places, or none for built-in.
  std::filesystem::path path;
  std::vector<std::string> genres;  ///< empty: all that the data set has
  SplitConfig split;
  std::size_t window = 0;  ///< frames that the classifier hears at once; 0: the whole clip
  CorpusConfig corpus;     ///< of the built-in data set
};

inline constexpr std::uint32_t most_epochs = 1'000'000;  ///< of a training

struct GridSpec {
  std::vector<std::uint32_t> epochs = {5, 10, 20, 50, 100, 200, 400};
  std::uint32_t trials = 4;
  enum class Mode {
    independent,  ///< each grid point and trial is a training of its own, as in the paper
    snapshots,    ///< each trial is trained once to the largest grid point and evaluated at each
  } mode = Mode::independent;
};

/// A whole experiment: a grid of trainings of one classifier or, with a tree, trials of the tree's classifiers.
struct Spec {
  std::string experiment;
  std::uint64_t seed = 2018;
  DatasetSpec dataset;
  FeatureConfig features;
  std::string preset = "paper";  ///< paper | keras2018: sets the defaults of model and training
  NetworkConfig stack;           ///< `inputs` follows from the features
  std::optional<CnnConfig> cnn;  ///< in place of the stack; `frames` and `bands` follow from the features
  Initialisation initialisation = Initialisation::he;  ///< of the CNN
  TrainingConfig training;
  GenreTree tree;  ///< over dataset.genres; empty: one classifier for all genres
  /// `tree: learn`: the tree is still to be learned from a classifier of all genres (learned_tree.hpp), and each of its
  /// nodes is trained for so many epochs; 0: the tree is as it stands.
  std::uint32_t learned_tree_epochs = 0;
  GridSpec grid;  ///< of a tree only the trials count
  BackendConfig backend;
};

/// Reads a document strictly: an unknown key, a wrong type or a value out of range is an InputError with
/// file:line:column and "did you mean".
Spec parse_spec(const YamlValue& document);

/// Reads a file, gives it the data set of `--dataset` (none if it is empty), applies `--set key=value` assignments, and
/// only then judges the whole. `dataset`: "built-in", "gtzan" (its usual places), or the path of a folder of audio or
/// of a feature store; it takes the place of the file's dataset.name and dataset.path, and the file's keys of another
/// kind of data set are forgotten.
Spec load_spec(const std::filesystem::path& path, const std::vector<std::string>& assignments,
               const std::string& dataset = "");

/// What load_spec does with a document before it judges it.
YamlValue changed_document(YamlValue document, const std::vector<std::string>& assignments, const std::string& dataset);

/// Puts `value` at a key of the file such as "training.batch", or removes the key where the value is nothing. False if
/// there is no such place.
bool change_key(YamlValue& document, const std::string& key, const YamlValue& value);

/// The fully resolved experiment as YAML that parse_spec reads back to the same Spec; with `documented`, each key with
/// its line of documentation and what is allowed.
std::string to_yaml(const Spec& spec, bool documented);

/// 16 hex digits over everything in the file that changes a result: seed, genres, recipe of the built-in corpus, split
/// (with the content of list files, without the list of artists, which only warns), features, model, training, grid
/// mode. Not over the grid's points, trials or backend, so that a wider grid can go on from a narrower one's runs; but
/// over the largest grid point of `snapshots`, whose random numbers depend on it. Not over the data set's name and
/// path, so that it is the same on every machine: the data themselves are compared by DatasetSummary::checksum.
std::string spec_hash(const Spec& spec);

}  // namespace genretree
