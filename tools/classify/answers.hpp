// What the networks of a model file say of audio files and of the clips of feature stores.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "models/tree_file.hpp"

namespace genretree {

/// What is said of one clip, or why nothing is.
struct Answer {
  std::filesystem::path input;
  std::string track, label;                  ///< of a clip in a store: its name, and the genre that the store says
  std::vector<std::vector<float>> networks;  ///< [networks][classes] each one's probabilities, means over windows
  std::size_t windows = 1;
  std::string error;  ///< empty: none
};

/// The model's decisions on one clip.
struct Decision {
  std::size_t best = 0;               ///< of a single network: the most probable class; of a tree: genre, hard routing
  std::size_t soft = 0;               ///< of a tree: the most probable genre
  std::vector<double> probabilities;  ///< of the classes of a single network, or of a tree's genres by soft routing
  std::vector<TreeStep> path;         ///< of a tree: the way of hard routing, from the root to the genre
};

/// Routes what the networks of a tree say, or takes the most probable class of a single one.
Decision decide(const SavedNetworks& model, const Answer& answer);

/// The names that Decision::best counts: a tree's genres, or the classes of a single network.
const std::vector<std::string>& names_of_answers(const SavedNetworks& model);

/// read_networks; InputError that says what to do also if the file is cut off or, as an audio file in its place, no
/// model at all.
SavedNetworks read_given_model(const std::filesystem::path& path);

/// Answers for all inputs in their order, several at a time; a store has one for each clip. A bad input has an answer
/// that says so. A clip longer than the model's frames is cut into windows (window_starts); each network's
/// probabilities are averaged over them before a tree routes.
std::vector<Answer> classify_inputs(const std::vector<std::filesystem::path>& inputs, const SavedNetworks& model,
                                    std::size_t jobs, Backend& backend);

/// InputError if there is audio among the inputs, but the model does not know its features.
void refuse_audio_without_features(const std::filesystem::path& model_path,
                                   const std::vector<std::filesystem::path>& inputs, const SavedNetworks& model);

/// How often the model agrees with the labels of stores.
struct Agreement {
  std::size_t clips = 0;         ///< whose genre the model can answer
  std::size_t other_genres = 0;  ///< clips of genres that it cannot
  std::size_t right = 0;       ///< at the genre (of a tree by hard routing), or at the child that the genre lies below
  std::size_t right_soft = 0;  ///< of a tree, by soft routing
};

/// Over all clips of stores that were answered.
Agreement agreement_of(const SavedNetworks& model, const std::vector<Answer>& answers);

}  // namespace genretree
