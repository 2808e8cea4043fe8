// A whole genre tree in one model file: every node's network, and how they hang together. What run_experiment leaves as
// models/tree-t<trial>.h5 when all nodes of a trial are trained, and what classify follows from the root to a genre.
//
//   attributes of the root   as in model_file.hpp, with kind = "tree"; texts on the training that all nodes share
//   /genres                  strings [G], all genres of the tree
//   /nodes                   strings [N], in the order of the experiment
//   /node/<name>             attribute epochs (int64), texts on the training of this node, and what model_file.hpp says
//                            of /genres (here the node's children), /below and /model of a single model
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "models/genre_tree.hpp"
#include "models/model_file.hpp"

namespace genretree {

/// The networks of a model file: one at each node of a tree, or a single one.
struct SavedNetworks {
  GenreTree tree;                    ///< empty: there is a single network
  std::vector<SavedModel> networks;  ///< [nodes of the tree] or [1]; all with the same features and inputs
  std::string origin;                ///< one line
};

/// What `kind` says of a file that holds a tree.
inline constexpr const char* tree_kind = "tree";

/// Writes the whole file or nothing. `common` becomes attributes of the root, `details` of each node's group.
/// Error if the networks are not those of the tree's nodes, or the details not of as many.
void write_tree_model(const std::filesystem::path& path, const SavedNetworks& saved, const Details& common,
                      const std::vector<Details>& details);

/// InputError if the file is missing, cut off or no tree, if its nodes do not make one tree over its genres, if a
/// node's network has other classes than the node has children, or for what read_model refuses in a network.
SavedNetworks read_tree_model(const std::filesystem::path& path);

/// The networks of a model file of either kind.
SavedNetworks read_networks(const std::filesystem::path& path);

}  // namespace genretree
