// Exchange of weights with Keras: its HDF5 files in, its `.weights.h5` out.
//
// What is read (any number of LSTM layers of any size, then one dense softmax layer; Dropout and Input between them):
//   Keras 2, whole model or weights   (model_weights/)LAYER/… as the attributes layer_names and weight_names tell;
//   Keras 3, whole model in .h5       names of layers and weights are free. Attributes that were too large for HDF5 are
//                                     in parts: name0, name1, …. CuDNNLSTM is read as the LSTM that it computes
//   Keras 3, weights (.weights.h5)    layers/lstm/cell/vars/{0,1,2}, layers/lstm_1/…, layers/dense/vars/{0,1}; the
//                                     number in a group's name is the layer's place among those of its class
// Only whole models tell how they compute (model_config): activations, direction of time. Of weights alone this is
// assumed, and the assumptions are listed for the user. Sources: keras/src/saving/saving_lib.py and
// keras/src/legacy/saving/legacy_h5_format.py of Keras 3.15; keras/engine/saving.py of Keras 2.2.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "models/classifier.hpp"

namespace genretree {

/// A classifier as a Keras file describes it. Its rates of dropout are 0: they change nothing once it is trained.
struct KerasClassifier {
  ClassifierConfig classifier;
  std::vector<float> parameters;      ///< in ParameterLayout, which is Keras's own
  std::string layout;                 ///< "whole model of Keras 2.1.3", "weights of Keras 3", …
  std::optional<std::size_t> frames;  ///< that it was built for, where the file fixes them
  std::vector<std::string> notes;     ///< what the file does not say and how it was taken, a sentence each
};

/// Reads a file of any kind above. `gate` is what the user says of the gates' activation: needed where the file does
/// not tell and its version of Keras had no single default, an InputError where the file says otherwise. InputError
/// too if the file is missing, cut off, none of Keras's, or holds anything else than such a stack (GRU, Bidirectional,
/// use_bias=False, a hidden dense layer, …): it names the layer and what is allowed.
KerasClassifier read_keras(const std::filesystem::path& path, std::optional<Gate> gate);

/// Writes a Keras 3 `.weights.h5`, the whole file or nothing. InputError if the name does not end in .weights.h5,
/// which Keras insists on.
void write_keras(const std::filesystem::path& path, const ClassifierConfig& classifier,
                 const std::vector<float>& parameters);

/// The lines of Python that build the same network in Keras 3 and load `file` into it.
std::string keras_recipe(const ClassifierConfig& classifier, const std::string& file);

}  // namespace genretree
