#include <algorithm>
#include <map>

#include "core/error.hpp"
#include "core/text.hpp"
#include "models/genre_tree.hpp"

namespace genretree {
namespace {

/// Node by name.
using NodeIndex = std::map<std::string, std::size_t>;

NodeIndex index_of(const std::vector<TreeNode>& nodes) {
  NodeIndex index;
  for (std::size_t i = 0; i < nodes.size(); ++i) index.emplace(nodes[i].name, i);
  return index;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

/// The node of which `name` is a child, if there is one.
std::optional<std::size_t> parent_of(const std::vector<TreeNode>& nodes, const std::string& name) {
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (contains(nodes[i].children, name)) return i;
  return std::nullopt;
}

std::optional<TreeProblem> problem_of_node(const std::vector<TreeNode>& nodes, const std::vector<std::string>& genres,
                                           std::size_t node) {
  const auto& [name, epochs, children] = nodes[node];
  if (contains(genres, name))
    return TreeProblem{fmt::format("'{}' is a genre, so no node can have this name; choose another", name), node, {}};
  if (index_of(nodes).at(name) != node)
    return TreeProblem{fmt::format("there are two nodes named '{}'; rename one", name), node, {}};
  if (children.size() < 2)
    return TreeProblem{fmt::format("'{}' has {}, but a classifier needs two classes or more", name,
                                   children.empty() ? "no children" : fmt::format("a single child, {}", children[0])),
                       node,
                       {}};
  return std::nullopt;
}

std::optional<TreeProblem> problem_of_child(const std::vector<TreeNode>& nodes, const std::vector<std::string>& genres,
                                            const NodeIndex& index, std::size_t node, std::size_t child) {
  const std::string& name = nodes[node].children[child];
  if (!contains(genres, name) && !index.contains(name)) {
    std::vector<std::string> known = genres;
    for (const TreeNode& other : nodes) known.push_back(other.name);
    return TreeProblem{fmt::format("'{}' is neither a node of the tree nor a genre of the data set{}; genres are {}",
                                   name, did_you_mean(name, known), join(genres)),
                       node, child};
  }
  const std::vector<std::string>& siblings = nodes[node].children;
  const std::size_t first_parent = *parent_of(nodes, name);
  const bool again = first_parent != node || contains({siblings.begin(), siblings.begin() + child}, name);
  if (again)
    return TreeProblem{
        fmt::format("'{}' has a place below '{}' already; a genre or node stands in the tree once, remove one", name,
                    nodes[first_parent].name),
        node, child};
  return std::nullopt;
}

/// Every child has one parent by now: going up from a node either ends at a root or goes round.
std::optional<TreeProblem> find_cycle(const std::vector<TreeNode>& nodes) {
  for (std::size_t start = 0; start < nodes.size(); ++start) {
    std::string way = nodes[start].name;
    std::size_t steps = 0;
    for (std::optional<std::size_t> up = start; (up = parent_of(nodes, nodes[*up].name)) && steps < nodes.size();
         ++steps) {
      way = fmt::format("{} → {}", nodes[*up].name, way);
      if (*up == start)
        return TreeProblem{fmt::format("the nodes {} go round in a cycle. A node's children are nodes below it or "
                                       "genres: take {} out of the children of {}",
                                       way, nodes[start].name, nodes[*parent_of(nodes, nodes[start].name)].name),
                           start,
                           {}};
    }
  }
  return std::nullopt;
}

std::optional<TreeProblem> find_second_root(const std::vector<TreeNode>& nodes) {
  std::optional<std::size_t> root;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (parent_of(nodes, nodes[i].name)) continue;
    if (root)
      return TreeProblem{fmt::format("'{}' is a child of no node, and neither is '{}'; a tree has one root: make one "
                                     "of them a child, or remove it",
                                     nodes[i].name, nodes[*root].name),
                         i,
                         {}};
    root = i;
  }
  return std::nullopt;
}

std::vector<TreeStep> path_to(const std::vector<TreeNode>& nodes, const std::string& name) {
  const std::optional<std::size_t> parent = parent_of(nodes, name);
  if (!parent) return {};
  std::vector<TreeStep> path = path_to(nodes, nodes[*parent].name);
  const auto child = std::ranges::find(nodes[*parent].children, name) - nodes[*parent].children.begin();
  path.push_back({*parent, static_cast<std::size_t>(child)});
  return path;
}

}  // namespace

std::optional<TreeProblem> find_problem(const std::vector<TreeNode>& nodes, const std::vector<std::string>& genres) {
  if (nodes.empty()) return TreeProblem{"the tree has no nodes", {}, {}};
  const NodeIndex index = index_of(nodes);
  for (std::size_t node = 0; node < nodes.size(); ++node) {
    if (auto problem = problem_of_node(nodes, genres, node)) return problem;
    for (std::size_t child = 0; child < nodes[node].children.size(); ++child)
      if (auto problem = problem_of_child(nodes, genres, index, node, child)) return problem;
  }
  if (auto problem = find_cycle(nodes)) return problem;
  if (auto problem = find_second_root(nodes)) return problem;
  for (const std::string& genre : genres)
    if (!parent_of(nodes, genre))
      return TreeProblem{
          fmt::format("the genre '{}' has no place in the tree; make it a child of a node, or leave it out of "
                      "dataset.genres",
                      genre),
          {},
          {}};
  return std::nullopt;
}

GenreTree::GenreTree(std::vector<TreeNode> nodes, std::vector<std::string> genres)
    : nodes_(std::move(nodes)), genres_(std::move(genres)) {
  if (const auto problem = find_problem(nodes_, genres_)) reject("tree: {}", problem->message);
  for (const std::string& genre : genres_) paths_.push_back(path_to(nodes_, genre));
}

std::optional<std::size_t> GenreTree::child_of(std::size_t node, std::size_t genre) const {
  const auto step = std::ranges::find(paths_[genre], node, &TreeStep::node);
  return step == paths_[genre].end() ? std::nullopt : std::optional(step->child);
}

std::vector<std::size_t> GenreTree::genres_below(std::size_t node) const {
  std::vector<std::size_t> below;
  for (std::size_t genre = 0; genre < genres_.size(); ++genre)
    if (child_of(node, genre)) below.push_back(genre);
  return below;
}

std::vector<std::vector<std::string>> GenreTree::genres_below_children(std::size_t node) const {
  std::vector<std::vector<std::string>> below(nodes_[node].children.size());
  for (const std::size_t genre : genres_below(node)) below[*child_of(node, genre)].push_back(genres_[genre]);
  return below;
}

std::vector<std::size_t> GenreTree::last_nodes() const {
  std::vector<std::size_t> last;
  for (std::size_t node = 0; node < nodes_.size(); ++node)
    if (std::ranges::any_of(paths_, [&](const auto& path) { return path.back().node == node; })) last.push_back(node);
  return last;
}

std::size_t route_hard(const GenreTree& tree, const NodeProbabilities& probabilities) {
  const auto answer = [&](std::size_t node) {
    return static_cast<std::size_t>(std::ranges::max_element(probabilities[node]) - probabilities[node].begin());
  };
  for (std::size_t genre = 0; genre < tree.genres().size(); ++genre)
    if (std::ranges::all_of(tree.path(genre), [&](const TreeStep& step) { return answer(step.node) == step.child; }))
      return genre;
  fail("a way through the tree ended at no genre");
}

std::vector<double> route_soft(const GenreTree& tree, const NodeProbabilities& probabilities) {
  std::vector<double> products(tree.genres().size(), 1);
  for (std::size_t genre = 0; genre < products.size(); ++genre)
    for (const auto& [node, child] : tree.path(genre)) products[genre] *= probabilities[node][child];
  return products;
}

std::size_t most_probable(std::span<const double> probabilities) {
  return static_cast<std::size_t>(std::ranges::max_element(probabilities) - probabilities.begin());
}

double path_product(const GenreTree& tree, std::size_t last_node, std::span<const double> node_accuracies) {
  const auto ends_here = [&](std::size_t genre) { return tree.path(genre).back().node == last_node; };
  for (std::size_t genre = 0; genre < tree.genres().size(); ++genre) {
    if (!ends_here(genre)) continue;
    double product = 1;
    for (const TreeStep& step : tree.path(genre)) product *= node_accuracies[step.node];
    return product;
  }
  fail("the node {} of the tree has no genre among its children", last_node);
}

double mean_over_paths(const GenreTree& tree, std::span<const double> node_accuracies) {
  const std::vector<std::size_t> last = tree.last_nodes();
  double sum = 0;
  for (const std::size_t node : last) sum += path_product(tree, node, node_accuracies);
  return sum / static_cast<double>(last.size());
}

double mean_over_genres(const GenreTree& tree, std::span<const double> node_accuracies) {
  double sum = 0;
  for (std::size_t genre = 0; genre < tree.genres().size(); ++genre)
    sum += path_product(tree, tree.path(genre).back().node, node_accuracies);
  return sum / static_cast<double>(tree.genres().size());
}

}  // namespace genretree
