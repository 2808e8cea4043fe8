// The `tree` of an experiment file: nodes by name, each with its epochs and its children.
//
//   tree:
//     music:  {epochs: 35, children: [strong, mild]}
//     strong: {epochs: 20, children: [metal, rock]}
//     mild:   {epochs: 35, children: [jazz, blues, classical]}
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/io/yaml.hpp"
#include "models/genre_tree.hpp"

namespace genretree {

/// A map of nodes as a tree over these genres. InputError with file:line:column at the node, key or child that is
/// wrong: an unknown or missing key, a wrong value, or any TreeProblem.
GenreTree read_tree(const YamlValue& map, const std::vector<std::string>& genres);

/// True for `learn` and `{learn: {epochs: 30}}`, where no tree is given (a node of this name has children).
bool asks_for_learned_tree(const YamlValue& value);
/// The epochs of each of its nodes; by default 30, the mean of the paper's seven. InputError at what is wrong.
std::uint32_t read_learned_tree_epochs(const YamlValue& value);

/// The tree as YAML that reads back to it, a node a line, each on a new line and indented; "{}" for no tree.
std::string write_tree(const GenreTree& tree);

}  // namespace genretree
