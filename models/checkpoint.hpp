// The model file: a network with everything that is needed to classify with it, and, while its run goes on, to train it
// further. A finished run's last checkpoint is its model.
//
//   attributes of the root    format = 1, run, spec_hash, commit, features = the FeatureConfig as JSON,
//                             seconds of training so far, and of BackendInfo: backend, device, target, algorithm,
//                             precision, libraries
//   /genres                   strings [C], in the order of the classes
//   /model                    attributes inputs, gate, dropout, recurrent_dropout
//   /model/lstm               kernel float32 [in, 4H], recurrent_kernel [H, 4H], bias [4H], blocks i, f, c, o;
//                             further layers are lstm_1, lstm_2, … as in Keras
//   /model/dense              kernel float32 [H, C], bias [C]
//   /training/step            int64, updates done
//   /training/moments         float32 [2, P]: m and v of the optimiser, P in ParameterLayout
//   /training/history         float64 [epochs, 6]: loss and accuracy of training, validation, test
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "features/spectral.hpp"
#include "models/trainer.hpp"

namespace genretree {

/// A network that knows what it listens to and what it answers.
struct Model {
  ClassifierConfig classifier;
  FeatureConfig features;
  std::vector<std::string> genres;  ///< [classes]
};

/// Where a training stands.
struct Checkpoint {
  std::string run;        ///< id in its experiment
  std::string spec_hash;  ///< of the experiment
  std::string commit;     ///< of the program
  BackendInfo backend;    ///< that computed it
  double seconds = 0;     ///< of training so far
  TrainerState state;
};

/// Writes the whole file or nothing.
void write_checkpoint(const std::filesystem::path& path, const Model& model, const Checkpoint& checkpoint);

/// InputError if the file is missing, cut off, of another format, or not a model of this shape.
Checkpoint read_checkpoint(const std::filesystem::path& path, const Model& model);

/// The network of a model file and its weights in ParameterLayout, whatever was trained.
struct SavedModel {
  Model model;
  std::vector<float> parameters;
};
SavedModel read_model(const std::filesystem::path& path);

}  // namespace genretree
