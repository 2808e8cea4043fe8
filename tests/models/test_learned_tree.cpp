// A tree from a confusion matrix, against clusterings worked by hand.
#include "models/learned_tree.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

using Catch::Contains;
using Counts = std::vector<std::uint32_t>;

TEST_CASE("the two genres that are most taken for each other go together; groups count by their mean", "[learned]") {
  // shares: a→b .4, b→a .2: S(a,b) = .3.  c→d .1, d→c 0: S(c,d) = .05.  a→c .1: S(a,c) = .05.  b→d .2: S(b,d) = .1.
  // {a,b} first. Then S({a,b},c) = (.05 + 0)/2 = .025, S({a,b},d) = (0 + .1)/2 = .05, S(c,d) = .05: a tie, in which
  // the pair of the earlier genre wins: {a,b,d}, and c last: (.05 + 0 + .05)/3 = .0333.
  const LearnedTree learned =
      learn_tree(Counts{5, 4, 1, 0, 2, 6, 0, 2, 0, 0, 9, 1, 0, 0, 0, 10}, {"a", "b", "c", "d"}, 7);
  REQUIRE(learned.tree.nodes().size() == 3);
  CHECK(learned.tree.nodes()[0] == TreeNode{"all", 7, {"a-b-d", "c"}});
  CHECK(learned.tree.nodes()[1] == TreeNode{"a-b-d", 7, {"a-b", "d"}});
  CHECK(learned.tree.nodes()[2] == TreeNode{"a-b", 7, {"a", "b"}});
  REQUIRE(learned.similarity.size() == 3);
  CHECK(learned.similarity[0] == Approx(0.1 / 3));
  CHECK(learned.similarity[1] == Approx(0.05));
  CHECK(learned.similarity[2] == Approx(0.3));
}

TEST_CASE("two pairs join before anything else, and the nodes stand level by level", "[learned]") {
  const LearnedTree learned =
      learn_tree(Counts{6, 0, 4, 0, 0, 5, 0, 5, 4, 0, 6, 0, 0, 5, 1, 4}, {"a", "b", "c", "d"}, 1);
  REQUIRE(learned.tree.nodes().size() == 3);
  CHECK(learned.tree.nodes()[0].children == std::vector<std::string>{"a-c", "b-d"});
  CHECK(learned.tree.nodes()[1] == TreeNode{"a-c", 1, {"a", "c"}});
  CHECK(learned.tree.nodes()[2] == TreeNode{"b-d", 1, {"b", "d"}});
}

TEST_CASE("rows count by their shares: a genre with many clips is not more like the others", "[learned]") {
  // a→b 30 of 100, b→a none: S = .15. b→c 1 of 2: S = .25, though it is a single clip.
  const LearnedTree learned = learn_tree(Counts{70, 30, 0, 0, 1, 1, 0, 0, 5}, {"a", "b", "c"}, 1);
  CHECK(learned.tree.nodes()[0].children == std::vector<std::string>{"a", "b-c"});
}

TEST_CASE("a perfect classifier confuses nothing: the order of the genres decides every tie", "[learned]") {
  Counts perfect(25, 0);
  for (std::size_t genre = 0; genre < 5; ++genre) perfect[genre * 6] = 3;
  const LearnedTree learned = learn_tree(perfect, {"a", "b", "c", "d", "e"}, 1);
  REQUIRE(learned.tree.nodes().size() == 4);
  CHECK(learned.tree.nodes()[0].children == std::vector<std::string>{"a-and-3-more", "e"});
  CHECK(learned.tree.nodes()[1].children == std::vector<std::string>{"a-b-c", "d"});
  CHECK(learned.similarity == std::vector<double>(4, 0.0));
}

TEST_CASE("the tree follows the genres wherever they stand in the list, but for ties", "[learned]") {
  const LearnedTree one = learn_tree(Counts{8, 2, 0, 3, 6, 1, 0, 1, 9}, {"a", "b", "c"}, 1),
                    other = learn_tree(Counts{9, 1, 0, 1, 6, 3, 0, 2, 8}, {"c", "b", "a"}, 1);
  CHECK(one.tree.nodes()[1].children == std::vector<std::string>{"a", "b"});
  CHECK(other.tree.nodes()[1].children == std::vector<std::string>{"b", "a"});
  CHECK(one.similarity == other.similarity);
}

TEST_CASE("nodes have names that a file and a folder can hold, each only once", "[learned]") {
  const Counts counts = {6, 4, 0, 4, 6, 0, 0, 0, 9};
  CHECK(learn_tree(counts, {"R&B", "hip hop", "all"}, 1).tree.nodes()[1].name == "R_B-hip_hop");
  CHECK(learn_tree(counts, {"R&B", "hip hop", "all"}, 1).tree.nodes()[0].name == "all.2");  // "all" is a genre
  CHECK(learn_tree(counts, {"!a", "b", "n_a-b"}, 1).tree.nodes()[1].name == "n_a-b.2");
}

TEST_CASE("what no tree can be learned from is refused", "[learned]") {
  const auto error = [](const Counts& counts, const std::vector<std::string>& genres) {
    return test::error_of([&] { learn_tree(counts, genres, 1); });
  };
  CHECK_THAT(error({5, 0, 0, 0}, {"a", "b"}), Contains("no validation clip is of the genre 'b'"));
  CHECK_THAT(error({5, 0, 0}, {"a", "b"}), Contains("a confusion matrix of 3 entries"));
  CHECK_THAT(error({5}, {"a"}), Contains("over 1 genre cannot"));
}

}  // namespace
}  // namespace genretree
