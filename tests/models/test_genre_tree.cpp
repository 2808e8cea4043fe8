// The genre tree by itself: what is one, and both ways through it and the product estimate worked by hand.
#include "core/error.hpp"
#include "models/genre_tree.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

const std::vector<std::string> genres = {"a", "b", "c", "d"};

/// top ─ x ─ y ─ a, b      paths of three, two and one step
///   └ d   └ c
std::vector<TreeNode> lopsided() { return {{"y", 1, {"a", "b"}}, {"top", 2, {"x", "d"}}, {"x", 3, {"y", "c"}}}; }

NodeProbabilities views(const std::vector<std::vector<float>>& probabilities) {
  return {probabilities.begin(), probabilities.end()};
}

TEST_CASE("a tree knows the path to each genre, and what lies below each node, in whatever order it is written") {
  const GenreTree tree(lopsided(), genres);
  CHECK(tree.path(0) == std::vector<TreeStep>{{1, 0}, {2, 0}, {0, 0}});
  CHECK(tree.path(1) == std::vector<TreeStep>{{1, 0}, {2, 0}, {0, 1}});
  CHECK(tree.path(2) == std::vector<TreeStep>{{1, 0}, {2, 1}});
  CHECK(tree.path(3) == std::vector<TreeStep>{{1, 1}});
  CHECK(tree.child_of(2, 1) == 0u);
  CHECK(tree.child_of(2, 2) == 1u);
  CHECK_FALSE(tree.child_of(2, 3).has_value());
  CHECK(tree.genres_below(2) == std::vector<std::size_t>{0, 1, 2});
  CHECK(tree.genres_below(1) == std::vector<std::size_t>{0, 1, 2, 3});
  CHECK(tree.last_nodes() == std::vector<std::size_t>{0, 1, 2});
  CHECK(GenreTree().empty());
}

TEST_CASE("hard routing follows the most probable child, soft routing the greatest product: worked by hand") {
  const GenreTree tree(lopsided(), genres);
  // y: a, b;  top: x, d;  x: y, c
  const std::vector<std::vector<float>> clip = {{0.25f, 0.75f}, {0.625f, 0.375f}, {0.5f, 0.5f}};
  CHECK(route_hard(tree, views(clip)) == 1);  // x, then y (the first of equals), then b
  const std::vector<double> soft = route_soft(tree, views(clip));
  CHECK(soft == std::vector<double>{0.625 * 0.5 * 0.25, 0.625 * 0.5 * 0.75, 0.625 * 0.5, 0.375});
  CHECK(soft[0] + soft[1] + soft[2] + soft[3] == 1);
  CHECK(most_probable(soft) == 3);  // although the root prefers x

  CHECK(route_hard(tree, views({{0.25f, 0.75f}, {0.25f, 0.75f}, {0.5f, 0.5f}})) == 3);
  CHECK(route_hard(tree, views({{0.25f, 0.75f}, {0.75f, 0.25f}, {0.25f, 0.75f}})) == 2);
  CHECK(most_probable(std::vector<double>{0.25, 0.375, 0.375}) == 1);  // the first of equals
}

TEST_CASE("a tree of one node is a single classifier: both ways end at its most probable class") {
  const GenreTree flat({{"top", 1, genres}}, genres);
  const std::vector<std::vector<float>> clip = {{0.125f, 0.25f, 0.5f, 0.125f}};
  CHECK(route_hard(flat, views(clip)) == 2);
  CHECK(most_probable(route_soft(flat, views(clip))) == 2);
  CHECK(mean_over_paths(flat, std::vector{0.75}) == 0.75);
}

TEST_CASE("the product estimate: accuracies along each path, each path once or each genre once") {
  const GenreTree tree(lopsided(), genres);
  const std::vector<double> accuracies = {0.9, 0.8, 0.5};  // y, top, x
  CHECK(path_product(tree, 0, accuracies) == Approx(0.36));
  CHECK(path_product(tree, 1, accuracies) == Approx(0.8));
  CHECK(path_product(tree, 2, accuracies) == Approx(0.4));
  CHECK(mean_over_paths(tree, accuracies) == Approx((0.36 + 0.8 + 0.4) / 3));
  CHECK(mean_over_genres(tree, accuracies) == Approx((2 * 0.36 + 0.8 + 0.4) / 4));
}

TEST_CASE("what is no tree is told with its place: the node and the child") {
  struct Case {
    std::vector<TreeNode> nodes;
    std::optional<std::size_t> node, child;
    const char* message;
  };
  const Case cases[] = {
      {{}, {}, {}, "no nodes"},
      {{{"top", 1, {"a", "b", "c"}}}, {}, {}, "the genre 'd' has no place in the tree"},
      {{{"top", 1, {"x", "d"}}, {"x", 1, {"a", "b", "d", "c"}}}, 1, 2, "'d' has a place below 'top' already"},
      {{{"top", 1, {"a", "a", "b", "c", "d"}}}, 0, 1, "'a' has a place below 'top' already"},
      {{{"top", 1, {"x", "y"}}, {"x", 1, {"a", "b"}}, {"y", 1, {"c", "d", "x"}}}, 2, 2, "'x' has a place below 'top'"},
      {{{"top", 1, {"a", "b", "c", "d", "e"}}}, 0, 4, "'e' is neither a node of the tree nor a genre"},
      {{{"top", 1, {"strng", "c", "d"}}, {"strong", 1, {"a", "b"}}}, 0, 0, "did you mean 'strong'?"},
      {{{"a", 1, {"b", "c", "d"}}}, 0, {}, "'a' is a genre"},
      {{{"top", 1, {"x", "b", "c", "d"}}, {"x", 1, {"a"}}}, 1, {}, "'x' has a single child, a"},
      {{{"top", 1, {"a", "b", "c", "d", "x"}}, {"x", 1, {}}}, 1, {}, "'x' has no children"},
      {{{"top", 1, {"a", "b", "c", "d"}}, {"top", 1, {"a", "b"}}}, 1, {}, "two nodes named 'top'"},
      {{{"x", 1, {"y", "a", "b"}}, {"y", 1, {"x", "c", "d"}}}, 0, {}, "x → y → x go round in a cycle"},
      {{{"top", 1, {"top", "a", "b", "c", "d"}}},
       0,
       {},
       "top → top go round in a cycle. A node's children are nodes below it or genres: take top out of the children of "
       "top"},
      {{{"top", 1, {"a", "b"}}, {"x", 1, {"y", "c"}}, {"y", 1, {"x", "d"}}}, 1, {}, "x → y → x go round"},
      {{{"top", 1, {"a", "b"}}, {"other", 1, {"c", "d"}}},
       1,
       {},
       "'other' is a child of no node, and neither is 'top'"},
  };
  for (const Case& c : cases) {
    INFO(c.message);
    const std::optional<TreeProblem> problem = find_problem(c.nodes, genres);
    REQUIRE(problem.has_value());
    CHECK(problem->node == c.node);
    CHECK(problem->child == c.child);
    CHECK_THAT(problem->message, Catch::Contains(c.message));
    CHECK_THROWS_AS(GenreTree(c.nodes, genres), InputError);
  }
  CHECK_FALSE(find_problem(lopsided(), genres).has_value());
}

}  // namespace
}  // namespace genretree
