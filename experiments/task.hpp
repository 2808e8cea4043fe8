// What each classifier of an experiment is asked: a grid has one, which tells all genres apart; a tree has one at each
// node, which tells apart the children that the genres below it lie in. Whatever trains, saves or reports a classifier
// takes a task and need not know which of the two it is.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "experiments/spec.hpp"
#include "features/split.hpp"
#include "features/store.hpp"

namespace genretree {

struct ClassifierTask {
  std::string node;                                  ///< of the tree; "" for the single classifier of a grid
  std::vector<std::string> classes;                  ///< [C] genres or children
  std::vector<std::optional<std::size_t>> class_of;  ///< [genres] nothing: a genre that is not asked for
};

/// One task for a grid over these genres, one for each node of a tree in its order.
std::vector<ClassifierTask> tasks_of(const Spec& spec, const std::vector<std::string>& genres);

/// Of all clips the class, and 0 for those of genres that are not asked for. [clips]
std::vector<std::int32_t> labels_of(const ClassifierTask& task, const FeatureStore& dataset);

/// The confusion matrix of what a classifier says of clips, [classes, classes], true class by row: the most probable
/// class, of equals the first. Clips of genres that are not asked for are left out. genres: [clips]; probabilities:
/// [clips, classes].
std::vector<std::uint32_t> confusion_of(const ClassifierTask& task, std::span<const std::uint32_t> genres,
                                        std::span<const float> probabilities);

/// The clips of a split whose genres are asked for. All nodes of a tree take their clips from the one split of their
/// trial in this way, so that no clip is for training in one and for testing in another.
Split clips_of(const ClassifierTask& task, const FeatureStore& dataset, const Split& split);

}  // namespace genretree
