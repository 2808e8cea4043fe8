// Several experiments in one file: how they are read, what is wrong with them, and how they stand side by side.
#include <cmath>
#include <sstream>

#include "core/io/files.hpp"
#include "core/text.hpp"
#include "experiments/bootstrap.hpp"
#include "experiments/comparison.hpp"
#include "experiments/paper.hpp"
#include "experiments/summary.hpp"
#include "experiments/variants.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace fs = std::filesystem;
using Catch::Contains;
namespace {

constexpr const char* base =
    "experiment: many\ndataset: {name: built-in, genres: [jazz, pop, rock]}\ngrid: {epochs: [2, 4], trials: 2}\n";

/// The file many.yaml in a folder of its own.
struct File {
  test::TemporaryFolder folder;
  fs::path path = folder / "many.yaml";

  explicit File(const std::string& variants) { write_whole_text(path, base + variants); }
  ExperimentFile load(const std::vector<std::string>& assignments = {}, const std::string& dataset = "") const {
    return load_experiment(path, assignments, dataset);
  }
};

TEST_CASE("a file without variants is one experiment", "[variants]") {
  const ExperimentFile file = File("").load({"seed=3"});
  CHECK(file.variants.empty());
  CHECK(file.name == "many");
  CHECK(file.spec.seed == 3);
}

TEST_CASE("each variant is the file with its keys: scalars, lists, maps, and nothing for a key that is removed",
          "[variants]") {
  const ExperimentFile file = File(
                                  "training: {batch: 20}\n"
                                  "variants:\n"
                                  "  plain: {}\n"
                                  "  slow: {training.optimizer: sgd, training.learning_rate: 0.5}\n"
                                  "  two: {dataset.genres: [jazz, pop], training.batch: null}\n"
                                  "  tree:\n"
                                  "    tree: {top: {epochs: 3, children: [jazz, low]}, low: {epochs: 1, children: "
                                  "[pop, rock]}}\n"
                                  "    grid.epochs: null\n"
                                  "  split: {dataset.split: {kind: random, train: 5, validation: 2, test: 3}}\n")
                                  .load();
  CHECK(file.name == "many");
  REQUIRE(file.variants.size() == 5);
  const auto& [plain, slow, two, tree, split] =
      std::tie(file.variants[0], file.variants[1], file.variants[2], file.variants[3], file.variants[4]);
  CHECK(plain.spec.experiment == "many-plain");
  CHECK(plain.difference == "the file as it stands");
  CHECK(plain.spec.training.batch == 20);
  CHECK(slow.spec.training.optimiser.kind == Optimiser::Kind::sgd);
  CHECK(slow.spec.training.optimiser.learning_rate == 0.5);
  CHECK(slow.difference == "training.optimizer: sgd, training.learning_rate: 0.5");
  CHECK(two.spec.dataset.genres == std::vector<std::string>{"jazz", "pop"});
  CHECK(two.spec.training.batch == TrainingConfig().batch);  // the default, not the file's
  CHECK(two.difference == "dataset.genres: [jazz, pop], training.batch: none");
  REQUIRE(tree.spec.tree.nodes().size() == 2);
  CHECK(tree.difference == "tree: {…}, grid.epochs: none");
  CHECK(split.spec.dataset.split.kind == SplitConfig::Kind::random);
  CHECK(split.spec.dataset.split.validation == 2);
}

TEST_CASE("--set and --dataset take the place of a variant's keys, in all variants", "[variants]") {
  const File file("variants:\n  a: {training.batch: 5, seed: 1}\n  b: {training.batch: 6}\n");
  const ExperimentFile loaded = file.load({"training.batch=9", "dataset.seconds=2"}, "built-in");
  for (const Variant& variant : loaded.variants) {
    CHECK(variant.spec.training.batch == 9);
    CHECK(variant.spec.dataset.corpus.seconds == 2);
  }
  CHECK_THAT(test::error_of([&] {
               file.load({"training.batch=9", "seed=1"});
             }),
             Contains("many.yaml:4:1: the variants 'a' and 'b' are the same experiment"));
}

TEST_CASE("--set VARIANT:KEY=VALUE is for one variant; what differs is what holds", "[variants]") {
  const File file("variants:\n  a: {training.batch: 5}\n  b: {}\n");
  const ExperimentFile loaded = file.load({"training.batch=9", "b:seed=7"});
  CHECK(loaded.variants[0].difference == "training.batch: 9");
  CHECK(loaded.variants[1].difference == "seed: 7");
  CHECK(loaded.variants[0].spec.seed != 7);
  CHECK(loaded.variants[1].spec.seed == 7);
  CHECK(loaded.variants[1].spec.training.batch == 9);
  CHECK_THAT(test::error_of([&] { file.load({"c:seed=7"}); }),
             Contains("has no variant 'c'") && Contains("its variants are a, b"));
  CHECK_THAT(test::error_of([] { File("").load({"c:seed=7"}); }), Contains("has no variants; write --set seed=7"));
}

TEST_CASE("of a long split its name differs, a group that the file lacks may be set whole", "[variants]") {
  const ExperimentFile file = File(
                                  "variants:\n"
                                  "  lists: {dataset.split: {kind: lists, train: a/long/way/to/the/lists/train.txt, "
                                  "test: a/long/way/to/the/lists/test.txt}}\n"
                                  "  short: {dataset.split: {test_fraction: 0.5}}\n"
                                  "  group: {training: {batch: 7}}\n")
                                  .load();
  CHECK(file.variants[0].difference == "dataset.split: lists train.txt, test.txt");
  CHECK(file.variants[1].difference == "dataset.split: {test_fraction: 0.5}");
  CHECK(file.variants[2].spec.training.batch == 7);
}

TEST_CASE("experiments are the same if they differ in their names only", "[variants]") {
  const ExperimentFile file = File("variants:\n  a: {}\n  b: {seed: 1}\n").load();
  Spec renamed = file.variants[0].spec;
  renamed.experiment = "other";
  CHECK(same_experiment(renamed, file.variants[0].spec));
  CHECK_FALSE(same_experiment(file.variants[0].spec, file.variants[1].spec));
}

TEST_CASE("what is wrong with variants is told with line, variant and key", "[variants]") {
  struct Case {
    const char *variants, *message;
  };
  const Case cases[] = {
      {"variants: adam", "many.yaml:4:11: variants cannot be"},
      {"variants: {}", "many.yaml:4:11: variants cannot be empty"},
      {"variants: {a b: {seed: 1}}", "many.yaml:4:12: 'a b' cannot name a variant"},
      {"variants: {a: [seed]}", "many.yaml:4:15: the variant 'a' cannot be a list"},
      {"variants:\n  a: {training.optimzer: adam}", "many.yaml:5:7: unknown key 'training.optimzer' (did you mean"},
      {"variants:\n  a: {training.optimzer: adam}", "(in the variant 'a')"},
      {"variants:\n  a: {traning.optimizer: adam}", "many.yaml:5:7: unknown key 'traning' (did you mean 'training'?)"},
      {"variant: {a: {seed: 1}}", "many.yaml:4:1: unknown key 'variant' (did you mean 'variants'?)"},
      {"variants:\n  a: {seed: 1}\n  A: {seed: 2}",
       "many.yaml:6:3: the variants 'a' and 'A' differ in upper and lower"},
      {"variants:\n  a: {grid: {trials: 3}}",
       "many.yaml:5:7: the variant 'a' sets all of 'grid', and the file's other keys of it would be lost; write "
       "grid.trials: 3"},
      {"variants:\n  a: {seed: x}", "many.yaml:5:13: seed cannot be 'x'"},
      {"variants:\n  a: {tree: null}", "many.yaml:5:7: the variant 'a' removes 'tree', which the file does not have"},
      {"variants:\n  a: {training..batch: 3}",
       "many.yaml:5:7: the key 'training..batch' of the variant 'a' has an empty part"},
      {"variants:\n  a: {experiment: x}", "many.yaml:5:7: the variant 'a' cannot set 'experiment'"},
      {"variants:\n  a: {tree: {x: {epochs: 1, children: [jazz, pop]}}, grid.epochs: null}",
       "tree: the genre 'rock' has no place"},
  };
  for (const auto& [variants, message] : cases) {
    const File file(variants);
    CHECK_THAT(test::error_of([&] { file.load(); }), Contains(message));
  }
}

// --------------------------------------------------------------------------------------------------------- comparison

constexpr const char* one_node =
    "variants: {tree: {tree: {top: {epochs: 1, children: [jazz, pop, rock]}}, "
    "grid.epochs: null}, flat: {}}\n";

/// What a classifier of three genres says that is right about the first `right` of four clips.
TestAnswers answers_of(std::size_t right) {
  TestAnswers answers = {{"jazz.1", "jazz.2", "pop.1", "rock.1"}, {0, 0, 1, 2}, {}};
  for (std::size_t clip = 0; clip < 4; ++clip)
    for (std::uint32_t genre = 0; genre < 3; ++genre)
      answers.probabilities.push_back((genre == answers.genres[clip]) == (clip < right) ? 0.6f : 0.2f);
  return answers;
}

/// A result of the grid above with one epoch of history for each of its epochs.
Result result_of(std::uint32_t epochs, std::uint32_t trial, double validation, std::size_t right) {
  Result result;
  result.run = fmt::format("e{:03}-t{}", epochs, trial);
  result.epochs = epochs;
  result.trial = trial;
  result.train = {1, 0.5};
  result.validation = {1, validation};
  result.test = {1, static_cast<double>(right) / 4};
  result.history.assign(epochs, {result.train, result.validation, result.test});
  result.confusion = {1, 1, 0, 0, 1, 0, 0, 0, 1};
  result.answers = answers_of(right);
  return result;
}

/// The same of the tree's only node.
Result node_result(std::uint32_t trial, std::size_t right) {
  Result result = result_of(1, trial, 0.5, right);
  result.run = fmt::format("top-t{}", trial);
  result.node = "top";
  return result;
}

/// A tree of one node and a grid, with hand-made results on this data set.
Comparison tree_and_grid(const std::string& dataset) {
  const ExperimentFile file = File(one_node).load();
  const DatasetSummary summary = {dataset, "a folder", {"jazz", "pop", "rock"}, 30, 15, 6, 9, "0", {}};
  const std::vector<Result> nodes = {node_result(0, 4), node_result(1, 2)};
  const std::vector<Result> grid = {result_of(2, 0, 0.75, 1), result_of(2, 1, 0.75, 2), result_of(4, 0, 0.25, 4),
                                    result_of(4, 1, 0.5, 4)};
  Comparison comparison{"many", {}, {}};
  for (std::size_t i = 0; i < 2; ++i)
    comparison.variants.push_back(
        {file.variants[i].name, file.variants[i].difference, {file.variants[i].spec, summary, i ? grid : nodes}});
  return comparison;
}

TEST_CASE("comparison.csv: a tree end to end, a grid at the point that validation chose, though another tests better",
          "[variants]") {
  const test::TemporaryFolder folder;
  write_comparison(folder.path(), tree_and_grid("music"));
  std::istringstream csv(read_text(folder / "comparison.csv"));
  std::string heading, tree, flat, rest;
  REQUIRE((std::getline(csv, heading) && std::getline(csv, tree) && std::getline(csv, flat)));
  CHECK_FALSE(std::getline(csv, rest));
  const std::string sd = fmt::format("{}", std::sqrt(0.125)), flat_sd = fmt::format("{}", std::sqrt(0.03125));
  CHECK(heading ==
        "variant,difference,shown,trials,training_clips,test_clips,validation_accuracy_mean,validation_accuracy_sd,"
        "test_accuracy_mean,test_accuracy_sd,soft_accuracy_mean,soft_accuracy_sd,paper,test_accuracy_low,"
        "test_accuracy_high,soft_accuracy_low,soft_accuracy_high,above_first,above_first_low,above_first_high");
  CHECK_THAT(tree, Catch::StartsWith("tree,\"tree: {top: {epochs: 1, children: [jazz, pop, rock]}}, grid.epochs: "
                                     "none\",tree of 1 node,2,15,9,,,0.75," +
                                     sd + ",0.75," + sd + ",,") &&
                       Catch::EndsWith(",,,"));  // nothing is above itself
  CHECK_THAT(flat, Catch::StartsWith("flat,the file as it stands,\"2 epochs, best of 2\",2,15,9,0.75,0,"
                                     "0.375," +
                                     flat_sd + ",,,,") &&
                       Contains(",,,-0.375,"));
}

/// The lines of a text that begin so.
std::string lines_with(const std::string& text, const std::string& begin) {
  std::istringstream lines(text);
  std::string found;
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(begin)) found += line + '\n';
  return found;
}

TEST_CASE("the interval of a difference is paired, on the same test clips only, whatever the number of trials",
          "[variants]") {
  // right over two trials, clip by clip: tree 2 2 1 1, flat 2 1 0 0; the difference of each is 0, -1, -1, -1 of 2
  Comparison comparison = tree_and_grid("music");
  const std::vector<TrackCount> tree = {{"jazz.1", 2, 2}, {"jazz.2", 2, 2}, {"pop.1", 1, 2}, {"rock.1", 1, 2}};
  const Interval expected = difference_interval({{"jazz.1", 2, 2}, {"jazz.2", 1, 2}, {"pop.1", 0, 2}, {"rock.1", 0, 2}},
                                                tree, comparison.variants[0].runs.spec.seed);
  CHECK(expected.high <= 0);
  // variances over trials: 0.125 and 0.03125; (0.125 + 0.03125) / 2 = 0.078125 is 28.0 points squared
  const std::string text = comparison_as_text(comparison), row = lines_with(text, "flat minus tree");
  CHECK_THAT(row, Contains("-37.5 " + shown_percent(expected) + " ") && Contains(" 28.0 "));
  const Interval soft = accuracy_interval(tree, comparison.variants[0].runs.spec.seed);
  CHECK_THAT(text, Contains("75.0 ± 35.4 " + shown_percent(soft) + "  75.0 ± 35.4 " + shown_percent(soft)));

  std::vector<Result>& results = comparison.variants[1].runs.results;
  std::vector<Result> all = results;
  std::erase_if(results, [](const Result& result) { return result.trial == 1; });
  CHECK_THAT(lines_with(comparison_as_text(comparison), "flat minus tree"), Contains("-50.0 ["));
  const test::TemporaryFolder folder;
  write_comparison(folder.path(), comparison);
  CHECK_THAT(read_text(folder / "report.md"),
             Contains("Not all variants have the same number of trials") && !Contains("have the same test clips"));

  results = all;
  for (Result& result : results) result.answers.tracks[3] = "rock.2";
  CHECK_THAT(comparison_as_text(comparison), !Contains("minus"));
}

TEST_CASE("every two of up to five variants are subtracted, of more each from the first", "[variants]") {
  const Comparison two = tree_and_grid("music");
  Comparison comparison = two;
  const auto pairs_with = [&](std::size_t variants) {
    comparison.variants.resize(2, two.variants[1]);
    for (std::size_t i = 2; i < variants; ++i) {
      comparison.variants.push_back(two.variants[1]);
      comparison.variants.back().name = fmt::format("flat{}", i);
    }
    const std::string text = comparison_as_text(comparison);
    std::size_t pairs = 0;
    for (std::size_t at = text.find(" minus "); at != std::string::npos; at = text.find(" minus ", at + 1)) ++pairs;
    return pairs;
  };
  CHECK(pairs_with(3) == 3);
  CHECK_THAT(comparison_as_text(comparison), Contains("flat2 minus flat "));
  CHECK(pairs_with(5) == 10);
  CHECK(pairs_with(6) == 5);
}

TEST_CASE("of several splits the data are said once, and the numbers of clips where they differ", "[variants]") {
  Comparison comparison = tree_and_grid("music");
  CHECK_THAT(comparison_as_text(comparison), !Contains("training clips"));
  MergedRuns& flat = comparison.variants[1].runs;
  flat.spec.dataset.split.name = "another";
  flat.spec.dataset.name = comparison.variants[0].runs.spec.dataset.name = "music";
  flat.dataset.train = 17;
  const test::TemporaryFolder folder;
  write_comparison(folder.path(), comparison);
  const std::string page = read_text(folder / "report.md");
  CHECK_THAT(page, Contains("Data: music, 30 clips of 3 genres. Splits: tree: paper-420-120-60 (by index); "
                            "flat: another (by index)."));
  CHECK_THAT(page, Contains("| training clips |") && Contains("| 17 |") && !Contains("| test clips |") &&
                       Contains("trained on the same number"));
}

TEST_CASE("without a validation set a grid shows its last point", "[variants]") {
  Comparison comparison = tree_and_grid("music");
  for (Result& result : comparison.variants[1].runs.results) result.validation = {std::nan(""), std::nan("")};
  CHECK_THAT(comparison_as_text(comparison), Contains("4 epochs, last of 2") && !Contains("validation, %"));
}

TEST_CASE("the comparison's pages hold every variant, the trees and what the numbers mean", "[variants]") {
  const test::TemporaryFolder folder;
  write_comparison(folder.path(), tree_and_grid("music"));
  for (const char* name : {"report.md", "report.html"}) {
    INFO(name);
    const std::string page = read_text(folder / name);
    CHECK_THAT(page, Contains("The variants side by side") && Contains("75.0 ± 35.4") && Contains("37.5 ± 17.7"));
    CHECK_THAT(page, Contains("tree: the tree") && Contains("flat: 2 epochs"));
    CHECK_THAT(page, Contains("Differences on the same test clips") && Contains("is no proof") &&
                         Contains("bootstrap interval") && Contains("other data than these"));
    CHECK_THAT(page, !Contains("Figure 10") && !Contains("nan"));
  }
  Comparison other = tree_and_grid("music");
  for (Result& result : other.variants[1].runs.results) result.answers.tracks[3] = "rock.2";
  for (Result& result : other.variants[1].runs.results) result.commit = "c0ffee";
  write_comparison(folder.path(), other);
  CHECK_THAT(read_text(folder / "report.md"), Contains("Not all variants have the same test clips") &&
                                                  Contains("flat was not computed as tree was (commit: "));
}

TEST_CASE("the paper's value stands beside its tree on GTZAN, and beside nothing else", "[variants]") {
  Comparison comparison = tree_and_grid("GTZAN");
  CHECK_THAT(comparison_as_text(comparison), !Contains("52.975"));
  const Spec paper = load_spec(fs::path(GENRETREE_SOURCE) / "experiments/genre_tree.yaml", {});
  const PaperResult known = paper_result(paper.dataset.genres, paper.tree, 0);
  CHECK(known.accuracy == 0.52975);
  CHECK(known.what == "product estimate");
  CHECK(std::isnan(paper_result(paper.dataset.genres, {}, 35).accuracy));

  MergedRuns& runs = comparison.variants[0].runs;
  runs.spec = paper;
  runs.dataset.genres = paper.dataset.genres;
  runs.results.clear();
  for (const TreeNode& node : paper.tree.nodes()) {
    const std::uint32_t children = static_cast<std::uint32_t>(node.children.size());
    Result result = node_result(0, 1);
    result.node = node.name, result.run = node.name + "-t0", result.epochs = node.epochs;
    result.confusion.assign(children * children, 1);
    result.answers = {{"jazz.1"}, {5}, std::vector<float>(children, 1.0f / static_cast<float>(children))};
    runs.results.push_back(result);
  }
  CHECK_THAT(comparison_as_text(comparison), Contains("52.975¹"));
  runs.dataset.name = "music";
  CHECK_THAT(comparison_as_text(comparison), !Contains("52.975"));
}

TEST_CASE("which variants a folder holds is kept in it, and a damaged list is named", "[variants]") {
  const test::TemporaryFolder folder;
  CHECK_FALSE(holds_variants(folder.path()));
  write_variant_names(folder.path(), {"many", {{"a", "seed: 1"}, {"b", "seed: 2"}}});
  CHECK(holds_variants(folder.path()));
  CHECK(read_variant_names(folder.path()).experiment == "many");
  CHECK(read_variant_names(folder.path()).variants[1] == std::pair<std::string, std::string>("b", "seed: 2"));
  fs::resize_file(folder / "comparison.json", 20);
  CHECK_THAT(test::error_of([&] { read_variant_names(folder.path()); }),
             Contains("comparison.json") && Contains("--resume"));
  CHECK(folders_of_variant({folder.path()}, "c").empty());
  CHECK_FALSE(has_results({}));
}

TEST_CASE("the comparisons that come with the program are read", "[variants]") {
  const auto names = [](const std::string& file) {
    std::vector<std::string> found;
    for (const Variant& variant :
         load_experiment(fs::path(GENRETREE_SOURCE) / "experiments" / (file + ".yaml"), {}, "").variants)
      found.push_back(variant.name);
    return join(found);
  };
  CHECK(names("optimizers") == "adam, rmsprop, sgd");
  CHECK(names("feng") == "two, three, four");
  CHECK(names("tree_comparison") == "flat, paper, learned");
  CHECK(names("quick_comparison") == "flat, paper, learned");
}

TEST_CASE("every experiment file that comes with the program can be read") {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(GENRETREE_SOURCE) / "experiments"))
    if (entry.path().extension() == ".yaml") {
      INFO(entry.path().string());
      CHECK_NOTHROW(load_experiment(entry.path(), {}, ""));
      ++files;
    }
  CHECK(files >= 19);
}

TEST_CASE("the files of the strong recipe have one and the same recipe") {
  const auto recipe = [](const char* file) {
    const ExperimentFile read = load_experiment(std::filesystem::path(GENRETREE_SOURCE) / "experiments" / file, {}, "");
    const Spec& spec = read.variants.empty() ? read.spec : read.variants.front().spec;
    const std::string text = to_yaml(spec, false);
    const std::size_t features = text.find("\nfeatures:");
    return fmt::format("window {}{}", spec.dataset.window, text.substr(features, text.find("\ntree:") - features));
  };
  CHECK(recipe("strong_tree.yaml") == recipe("strong_lstm.yaml"));
  CHECK(recipe("strong_without.yaml") == recipe("strong_lstm.yaml"));
}

}  // namespace
}  // namespace genretree
