// `tree: learn`: how it is written, which splits it takes, and what follows from a flat classifier's results.
#include <cmath>

#include "core/io/files.hpp"
#include "core/text.hpp"
#include "experiments/report.hpp"
#include "experiments/run_folder.hpp"
#include "experiments/tree_learning.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

using Catch::Contains;

Spec spec_of(const std::string& text) {
  return parse_spec(
      parse_yaml("dataset: {name: built-in, genres: [jazz, pop, rock], clips_per_genre: 10, split: {train: "
                 "5, validation: 2, test: 3}}\n" +
                     text,
                 "learn.yaml"));
}
std::string error_of(const std::string& text) {
  return test::error_of([&] { parse_spec(parse_yaml(text, "learn.yaml")); });
}

/// A flat classifier's result in which pop and rock are taken for each other on the validation clips, jazz never.
Result flat_result(std::uint32_t epochs, std::uint32_t trial, double validation_accuracy) {
  Result result;
  result.epochs = epochs;
  result.trial = trial;
  result.validation = {1, validation_accuracy};
  result.validation_confusion = {2, 0, 0, 0, 1, 1, 0, 1, 1};
  return result;
}

TEST_CASE("tree: learn is read, written and explained so that it reads the same", "[learned]") {
  const Spec spec = spec_of("tree: learn\ngrid: {epochs: [3, 6]}");
  CHECK(spec.learned_tree_epochs == 30);
  CHECK(spec.tree.empty());
  CHECK(spec.grid.epochs == std::vector<std::uint32_t>{3, 6});  // of the flat classifier
  CHECK(spec_of("tree: {learn: {epochs: 4}}").learned_tree_epochs == 4);
  CHECK(spec_of("tree: {learn: {}}").learned_tree_epochs == 30);
  for (const bool documented : {false, true})
    CHECK(to_yaml(parse_spec(parse_yaml(to_yaml(spec, documented), "learn.yaml")), false) == to_yaml(spec, false));
  // a node may have the name
  CHECK(spec_of("tree: {learn: {epochs: 4, children: [jazz, pop, rock]}}").tree.nodes().size() == 1);
}

TEST_CASE("tree: learn needs validation clips that are test clips of no trial", "[learned]") {
  const std::string genres = "dataset: {name: built-in, genres: [jazz, pop, rock], split: ";
  CHECK_THAT(error_of(genres + "{test_fraction: 0.25}}\ntree: learn"),
             Contains("learn.yaml:2:7") && Contains("validation clips of one trial are test clips of another") &&
                 Contains("{kind: by-index, train: 65, validation: 10, test: 25}"));
  CHECK_THAT(error_of(genres + "random-420-120-60}\ntree: learn"), Contains("draws the sets anew"));
  CHECK_THAT(error_of(genres + "{train: 75, test: 25}}\ntree: learn"), Contains("has none. Write one such as"));
  CHECK_THAT(error_of(genres + "{kind: lists, train: a.txt, test: b.txt}}\ntree: learn"), Contains("has none"));
  CHECK(error_of(genres + "{kind: lists, train: a, validation: b, test: c}}\ntree: learn") == "no error");
  CHECK_THAT(error_of("tree: {learn: {epoch: 3}}"), Contains("learn.yaml:1:16: unknown key 'tree.learn.epoch'"));
  CHECK_THAT(error_of("tree: {learn: {epochs: 0}}"), Contains("tree.learn.epochs cannot be '0'"));
  CHECK_THAT(error_of("tree: {learn: 3}"), Contains("learn.yaml:1:15: tree.learn cannot be '3'"));
  CHECK_THAT(error_of("tree: lern"), Contains("tree cannot be 'lern'"));
}

TEST_CASE("the best grid point by validation accuracy gives the confusion, summed over its trials, and the tree",
          "[learned]") {
  const Spec spec = spec_of("tree: {learn: {epochs: 4}}\ngrid: {epochs: [3, 6], trials: 2}"), flat = flat_spec(spec);
  CHECK(flat.experiment == "learn-flat");
  CHECK(flat.tree.empty());
  CHECK(flat.learned_tree_epochs == 0);
  std::vector<Result> results = {flat_result(3, 0, 0.75), flat_result(3, 1, 0.5), flat_result(6, 0, 0.25),
                                 flat_result(6, 1, 0.5)};
  results[2].validation_confusion = {1, 1, 0, 1, 1, 0, 0, 0, 2};  // of another tree, but not the best
  const TreeOrigin origin = tree_origin(flat, results);
  CHECK(origin.epochs == 3);
  CHECK(origin.trials == 2);
  CHECK(origin.validation_accuracy == 0.625);
  CHECK(origin.confusion == std::vector<std::uint32_t>{4, 0, 0, 0, 2, 2, 0, 2, 2});
  const Spec learned = with_learned_tree(spec, origin);
  REQUIRE(learned.tree.nodes().size() == 2);
  CHECK(learned.tree.nodes()[0] == TreeNode{"all", 4, {"jazz", "pop-rock"}});
  CHECK(learned.tree.nodes()[1] == TreeNode{"pop-rock", 4, {"pop", "rock"}});

  // a plain tree from then on: the same experiment as one with the same tree in the file
  const Spec plain = parse_spec(parse_yaml(to_yaml(learned, false), "spec.yaml"));
  CHECK(conflicting_keys(plain, learned).empty());
  CHECK(spec_hash(plain) == spec_hash(learned));
  CHECK_THAT(conflicting_keys(plain, with_learned_tree(spec_of("tree: learn"), origin)), Contains("epochs"));

  results[0].validation_confusion.clear();
  CHECK_THAT(test::error_of([&] { tree_origin(flat, results); }), Contains("does not say what run"));
  for (Result& result : results) result.validation = {std::nan(""), std::nan("")};
  CHECK_THROWS_WITH(tree_origin(flat, results), Contains("no training of learn-flat has a validation accuracy"));
}

TEST_CASE("a learned tree's report says how it was learned, from the file beside its runs", "[learned]") {
  const test::TemporaryFolder folder;
  const TreeOrigin origin = {{"jazz", "pop", "rock"}, {4, 0, 0, 0, 2, 2, 0, 2, 2}, 3, 2, 0.625};
  CHECK_FALSE(read_tree_origin(folder.path()).has_value());
  write_tree_origin(folder.path(), origin);
  CHECK(read_tree_origin(folder.path())->confusion == origin.confusion);
  const Spec learned = with_learned_tree(spec_of("tree: {learn: {epochs: 4}}\ngrid: {trials: 1}"), origin);
  Result node = flat_result(4, 0, 0.5);
  node.run = "all-t0";
  node.node = "all";
  node.train = node.test = {1, 0.5};
  node.history.assign(4, {node.train, node.validation, node.test});
  node.confusion = {1, 0, 0, 1};
  node.answers = {{"jazz.1", "pop.1"}, {0, 1}, {0.9f, 0.1f, 0.2f, 0.8f}};
  write_report(folder.path(), learned, {"music", "a folder", origin.genres, 10, 5, 2, 3, "0", {}}, {node});
  for (const char* name : {"report.md", "report.html"})
    CHECK_THAT(read_text(folder / name), Contains("How the tree was learned") && Contains("average linkage") &&
                                             Contains("3 epochs") && Contains("from which the tree was learned"));
  CHECK_THAT(read_text(folder / "report.md"), Contains("1 of 2 nodes joins genres that were never confused; its place "
                                                       "follows the order of the genres only"));
  ReportContent content;
  add_tree_origin(content, {origin.genres, {3, 1, 0, 0, 2, 2, 0, 2, 2}, 3, 2, 0.625});  // jazz is once taken for pop
  REQUIRE(content.tables.size() == 1);
  CHECK_THAT(join(content.tables[0].notes), !Contains("never confused"));
  std::filesystem::resize_file(folder / "learned_tree.json", 10);
  CHECK_THAT(test::error_of([&] { read_tree_origin(folder.path()); }), Contains("learned_tree.json"));
}

}  // namespace
}  // namespace genretree
