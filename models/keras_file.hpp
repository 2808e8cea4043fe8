// The layers in an HDF5 file of Keras, whatever its version and layout; what they are good for is judged in
// keras_weights.cpp.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/io/hdf5.hpp"

namespace genretree {

/// One layer and its weights by Keras's names: kernel, recurrent_kernel, bias.
struct KerasLayer {
  std::string name;
  /// Keras's class: "LSTM", "CuDNNLSTM", "Dense", "Dropout", "InputLayer", or another one. Where the file does not tell
  /// and the weights do not either, whatever name is there.
  std::string kind;
  std::map<std::string, Hdf5Array<float>> weights;
  nlohmann::json config;  ///< null where the file does not tell
};

struct KerasFile {
  std::string path;
  std::string layout;              ///< for people: "whole model of Keras 2.1.3", "weights of Keras 3"
  std::string version;             ///< of Keras: "2.1.3", "3"; empty if the file does not tell
  std::vector<KerasLayer> layers;  ///< in their order; in a Keras 3 .weights.h5 the dense ones last
  bool has_config = false;         ///< whether it is a whole model
};

/// InputError if the file is missing, cut off, or none of Keras's.
KerasFile read_keras_file(const std::filesystem::path& path);

}  // namespace genretree
