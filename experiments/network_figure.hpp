// The paper's Figure 6: the network, layer by layer, as SVG.
#pragma once

#include <string>
#include <vector>

#include "experiments/spec.hpp"

namespace genretree {

/// A layer of a network, or its input.
struct NetworkLayer {
  std::string name;   ///< "LSTM 128"
  std::string shape;  ///< of its output for one clip: "1293 × 128"; of a stage of a CNN after its pooling
  std::size_t parameters = 0;
};

/// The input and the layers of the classifier that the trainer builds for so many frames; their parameters are all of
/// parameter_count().
std::vector<NetworkLayer> network_layers(const ClassifierConfig& classifier, std::size_t frames);

/// The experiment's network, or with a tree that of each of its nodes; where the tree is still to be learned, that of
/// all genres, and what a node's differs in. `heading` stands above. Transparent, in the page's own colour; the same
/// text for the same experiment.
std::string draw_network(const Spec& spec, const std::vector<std::string>& genres, const std::string& heading);

}  // namespace genretree
