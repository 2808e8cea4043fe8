// The picture of a tree, as SVG: the root above, genres below.
#pragma once

#include <string>
#include <vector>

#include "models/genre_tree.hpp"

namespace genretree {

/// Lines of text below each name; there may be none.
struct TreeLabels {
  std::vector<std::vector<std::string>> nodes, genres;
};

/// Transparent, as wide as its texts need, in the page's own colour; the same text for the same tree and labels.
std::string draw_tree(const GenreTree& tree, const std::string& title, const TreeLabels& labels);

}  // namespace genretree
