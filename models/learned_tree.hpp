// A genre tree from what a classifier of all genres takes for what: genres that it confuses go together, and are told
// apart by a classifier of their own. A pure function of the confusion matrix.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/genre_tree.hpp"

namespace genretree {

/// A binary tree, its root first, then level by level.
struct LearnedTree {
  GenreTree tree;
  std::vector<double> similarity;  ///< [nodes] of a node's two children; 0: never confused, joined in `genres`' order
};

/// Agglomerative clustering with average linkage (Sokal and Michener 1958, "UPGMA").
/// - Rows become shares: P(a, b) = n(a, b) / Σ_c n(a, c), how often clips of genre a are taken for b.
/// - S(a, b) = (P(a, b) + P(b, a)) / 2 is the similarity of two genres.
/// - The similarity of two groups A, B is the mean of S(a, b) over all a in A and b in B.
/// - Each genre begins as a group. The two most similar groups become one, a node whose children they are, until one is
///   left, the root. Of equally similar pairs the one whose first genre comes first in `genres` is taken, then the one
///   whose second group's first genre does.
/// A node is called by its genres if these are two or three ("metal-rock"), else by the first and the number of the
/// others ("blues-and-4-more"), the root "all"; what a node's name cannot hold becomes '_', and a name that is taken
/// gets a number.
/// confusion: [genres, genres] counts, true genre by row. epochs: of each node. InputError if a genre has no clip.
LearnedTree learn_tree(std::span<const std::uint32_t> confusion, const std::vector<std::string>& genres,
                       std::uint32_t epochs);

}  // namespace genretree
