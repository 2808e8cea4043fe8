// The checkpoint: a model file (model_file.hpp) with everything that is needed to train the network further. Its model
// is that of the last epoch, whichever will be selected.
//
//   attributes of the root    those of a model file, run, spec_hash, commit, seconds of training so far, and of
//                             BackendInfo: backend, device, target, algorithm, precision, libraries
//   /genres, /model/…         as in a model file
//   /training/step            int64, updates done
//   /training/moments         float32 [2, P]: m and v of the optimiser, P in ParameterLayout or CnnLayout
//   /training/history         float64 [epochs, 6]: loss and accuracy of training, validation, test
//   /training/best_epoch      int64, from 1, and /training/best float32 [P]: where the best epoch's weights are selected
#pragma once

#include <filesystem>
#include <string>

#include "models/model_file.hpp"
#include "models/trainer.hpp"

namespace genretree {

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

/// What computed a checkpoint, whatever its model. InputError if the file is missing, cut off or of another format.
BackendInfo read_checkpoint_backend(const std::filesystem::path& path);

}  // namespace genretree
