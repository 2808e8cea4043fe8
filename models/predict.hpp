// From features to the probabilities of the genres: a trained network at work.
#pragma once

#include <span>
#include <vector>

#include "models/classifier.hpp"

namespace genretree {

/// Probabilities [N, C] of the classes for each of N clips of features [N, T, F], by the mean over the classifier's
/// windows of each, if it has a window. `lengths`: [N] frames of each clip that are not padding; empty: all.
std::vector<float> predict(const ClassifierConfig& classifier, std::span<const float> parameters,
                           View<const float, 3> clips, std::span<const std::size_t> lengths, Backend& backend,
                           Queue& queue);
inline std::vector<float> predict(const ClassifierConfig& classifier, std::span<const float> parameters,
                                  View<const float, 3> clips, Backend& backend, Queue& queue) {
  return predict(classifier, parameters, clips, {}, backend, queue);
}

/// Where the windows of a clip begin. Windows of `length` frames follow one another from the first frame on. What is
/// left at the end is dropped if it is shorter than half a window; else it gets a window of its own, which begins so
/// much earlier that it ends with the clip. A clip shorter than one window has the window at 0, to be filled as in
/// training. So the clips that a network was trained on, which are cut to one window, are judged here by that window.
std::vector<std::size_t> window_starts(std::size_t frames, std::size_t length);

/// The mean of N rows of probabilities [N, C].
std::vector<double> mean_probabilities(std::span<const float> probabilities, std::size_t classes);

}  // namespace genretree
