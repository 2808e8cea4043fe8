// The genre tree: instead of one classifier for all genres, one at each node that tells its children apart, and the
// ways from their answers to a genre. Structure and arithmetic only: pure functions of their arguments. A tree is read
// from a file by experiments/tree_spec.hpp, its nodes are trained as runs like any others, and experiments/
// tree_summary.hpp decodes what they say.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace genretree {

/// One classifier of the tree. Its classes are its children: nodes or genres, by name.
struct TreeNode {
  std::string name;
  std::uint32_t epochs = 0;  ///< of its training
  std::vector<std::string> children;

  bool operator==(const TreeNode&) const = default;
};

/// What is wrong with a tree, and where: with a child of a node, with a node, or (neither) with the whole.
struct TreeProblem {
  std::string message;
  std::optional<std::size_t> node, child;
};

/// The first thing that keeps these nodes from being one tree over exactly these genres, or nothing: a node with a
/// genre's name or fewer than two children, a child that is neither node nor genre or stands twice, a cycle, several
/// roots or none, a genre without a place.
std::optional<TreeProblem> find_problem(const std::vector<TreeNode>& nodes, const std::vector<std::string>& genres);

/// A step from the root to a genre: this class of this node.
struct TreeStep {
  std::size_t node, child;

  bool operator==(const TreeStep&) const = default;
};

/// A tree over some genres; by default none at all.
class GenreTree {
 public:
  GenreTree() = default;
  /// InputError on a problem.
  GenreTree(std::vector<TreeNode> nodes, std::vector<std::string> genres);

  bool empty() const { return nodes_.empty(); }
  const std::vector<TreeNode>& nodes() const { return nodes_; }
  const std::vector<std::string>& genres() const { return genres_; }
  /// From the root to a genre: at least one step.
  const std::vector<TreeStep>& path(std::size_t genre) const { return paths_[genre]; }
  /// The child of a node that a genre lies in, or nothing if it lies elsewhere in the tree.
  std::optional<std::size_t> child_of(std::size_t node, std::size_t genre) const;
  /// The genres below a node, ascending.
  std::vector<std::size_t> genres_below(std::size_t node) const;
  /// The genres that lie below each child of a node, by name; a child that is a genre has itself. [children]
  std::vector<std::vector<std::string>> genres_below_children(std::size_t node) const;
  /// Nodes that have a genre among their children: the ends of the paths, in the order of nodes().
  std::vector<std::size_t> last_nodes() const;

 private:
  std::vector<TreeNode> nodes_;
  std::vector<std::string> genres_;
  std::vector<std::vector<TreeStep>> paths_;  ///< of each genre
};

/// What every node says about one clip: [nodes][children] probabilities.
using NodeProbabilities = std::vector<std::span<const float>>;

/// Hard routing, the paper's multi-step classifier: from the root on, always to the most probable child (the first of
/// equals), down to a genre. Nodes off this way are not asked.
std::size_t route_hard(const GenreTree& tree, const NodeProbabilities& probabilities);

/// Soft routing: the probability of a genre is the product of the probabilities along its path. They sum to 1 over the
/// genres, since the children of each node do. [genres]
std::vector<double> route_soft(const GenreTree& tree, const NodeProbabilities& probabilities);

/// The most probable (the first of equals).
std::size_t most_probable(std::span<const double> probabilities);

/// The paper's estimate: the product of the accuracies of the nodes along the path that ends with `last_node`.
double path_product(const GenreTree& tree, std::size_t last_node, std::span<const double> node_accuracies);
/// Its mean over the last nodes, each counted once however many genres it has, as the paper takes it.
double mean_over_paths(const GenreTree& tree, std::span<const double> node_accuracies);
/// Its mean over the genres.
double mean_over_genres(const GenreTree& tree, std::span<const double> node_accuracies);

}  // namespace genretree
