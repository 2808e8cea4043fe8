// The model file: a network with everything that is needed to classify with it, and a word on how it came to be. What
// run_experiment leaves in models/, what convert_weights makes, what classify reads. A checkpoint (checkpoint.hpp) is a
// model file with the state of its training beside it.
//
//   attributes of the root    format = 1, kind = "classifier", origin = one line on where the model comes from,
//                             features = the FeatureConfig as JSON, or "unknown"; and texts on how it was trained
//                             (see Details)
//   /genres                   strings [C], in the order of the classes; of a tree's node its children
//   /below/genres             of a tree's node only: strings, the genres that lie below its children,
//   /below/children           and int32, below which child each of them lies. Then the root has the attribute node, too
//   /model                    attributes inputs, gate, dropout, recurrent_dropout; and where they are not the plain
//                             network's: bidirectional = 1, readout, layer_dropout, window (frames)
//   /model/lstm               kernel float32 [in, 4H], recurrent_kernel [H, 4H], bias [4H], blocks i, f, c, o;
//                             further layers are lstm_1, lstm_2, … as in Keras
//   /model/lstm/backward      the same of the layer that hears the sequence backwards, if it is bidirectional
//   /model/normalization      mean float32 [in], scale [in], if the inputs are normalised
//   /model/dense              kernel float32 [H, C], bias [C]
//
// A CNN has in their place:
//   /model                    attributes network = "cnn", inputs (bands), frames, channels, units, dropout,
//                             standardise, initialisation
//   /model/stages             int64 [stages, 2]: filters and pool of each
//   /model/normalization      mean float32 [bands], scale [bands], if the inputs are standardised
//   /model/conv2d             kernel float32 [4, 4, in, filters], bias [filters]; further stages are conv2d_1, …
//   /model/dense, dense_1     kernel and bias of the hidden and of the softmax layer
//
// So that a file in which a bit has flipped is refused, /model has the attribute checksum (of genres, /below and the
// network), the root features_checksum: 16 hex digits. Whoever changes a file by hand removes them.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/io/hdf5.hpp"
#include "features/spectral.hpp"
#include "models/classifier.hpp"

namespace genretree {

/// A network that knows what it listens to and what it answers.
struct Model {
  ClassifierConfig classifier;
  std::optional<FeatureConfig> features;          ///< none: unknown, as of a converted network
  std::vector<std::string> genres;                ///< [classes]; of a tree's node its children
  std::string node{};                             ///< of a tree; "": a single classifier
  std::vector<std::vector<std::string>> below{};  ///< [children] of a tree's node: the genres below each
};

/// How a model was made, as texts that become attributes of the root: {"run", "e050-t2"}, {"seed", "2018"}, ….
using Details = std::vector<std::pair<std::string, std::string>>;

/// A model as a file holds it.
struct SavedModel {
  Model model;
  std::vector<float> parameters;  ///< in ParameterLayout or CnnLayout
  std::string origin;             ///< one line: "trained for 50 epochs on …", "converted from …"
};

/// What `kind` says of a file that holds one classifier.
inline constexpr const char* classifier_kind = "classifier";

/// Writes the whole file or nothing.
void write_model(const std::filesystem::path& path, const SavedModel& saved, const Details& details = {});

/// The network of a model file, or of a checkpoint. InputError if the file is missing, cut off, no model, of another
/// kind or format, if a tensor is missing or has another shape than the others ask for, or if a weight is no number.
SavedModel read_model(const std::filesystem::path& path);

/// "LSTM 128, LSTM 32, dense 6"; "bidirectional LSTM 64, mean and maximum over time, dense 6"; "conv 149 pool 4, conv 73 pool 2, dense 1024, dense 10"
std::string describe(const ClassifierConfig& classifier);

/// "last frame", "mean", "maximum", "mean and maximum"
std::string_view describe(Readout readout);

/// Keras's names for the layers of a stack: lstm, lstm_1, lstm_2, …
std::string lstm_layer_name(std::size_t layer);

/// "last", "mean", "max", "mean_max"
std::string_view name_of(Readout readout);
inline constexpr Readout readouts[] = {Readout::last, Readout::mean, Readout::max, Readout::mean_max};

/// "sigmoid", "hard_sigmoid", "hard_sigmoid_keras3"
std::string_view name_of(Gate gate);
std::optional<Gate> gate_named(std::string_view name);
const std::vector<std::string>& gate_names();

// ------------------------------------------------------------------- parts, for files that hold more than a classifier

/// Writes everything but the details into a new file.
void write_model(Hdf5File& file, const Model& model, std::span<const float> parameters, const std::string& origin);

/// Writes the network alone: genres, /below, /model and the origin, without format, kind and features.
void write_network(Hdf5File& file, const Model& model, std::span<const float> parameters, const std::string& origin);

/// Opens a model file after a look at its format and kind.
Hdf5File open_model(const std::filesystem::path& path, const std::string& kind = classifier_kind);

/// What the attribute kind of a model file says. InputError if it is none.
std::string kind_of_model(const std::filesystem::path& path);

/// Writes format, kind and features, as every kind of model file begins.
void write_header(Hdf5File& file, const std::string& kind, const std::optional<FeatureConfig>& features);

/// What the attribute `features` says: a configuration, or nothing if they are unknown.
std::optional<FeatureConfig> read_features(const Hdf5File& file);

/// What write_network wrote, of a model with these features.
SavedModel read_network(const Hdf5File& file, const std::optional<FeatureConfig>& features);

/// The weights of a network of known shape, after a check of every tensor's.
std::vector<float> read_parameters(const Hdf5File& file, const ClassifierConfig& classifier);

}  // namespace genretree
