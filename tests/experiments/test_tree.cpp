// A tree as an experiment: its file and the errors in it, its plan, its runs, what they leave behind, and its report.
#include <fstream>
#include <numeric>
#include <set>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/text.hpp"
#include "experiments/model_files.hpp"
#include "experiments/paper.hpp"
#include "experiments/report.hpp"
#include "experiments/runner.hpp"
#include "experiments/summary.hpp"
#include "experiments/task.hpp"
#include "experiments/tree_figure.hpp"
#include "experiments/tree_summary.hpp"
#include "models/tree_file.hpp"
#include "tests/support/results.hpp"
#include "tests/support/support.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree {
namespace fs = std::filesystem;
using Catch::Contains;
namespace {

// --------------------------------------------------------------------------------------------------------------- file

std::string file_with(const std::string& tree) {
  return "dataset: {name: built-in, genres: [jazz, pop, rock]}\n" + tree;
}

Spec spec_of(const std::string& text) { return parse_spec(parse_yaml(text, "tree.yaml")); }

std::string error_of(const std::string& text) {
  return test::error_of([&] { spec_of(text); });
}

Spec paper_spec() { return load_spec(fs::path(GENRETREE_SOURCE) / "experiments/genre_tree.yaml", {}); }

TEST_CASE("a tree in a file is read, and written back so that it reads the same", "[tree]") {
  const Spec spec =
      spec_of(file_with("tree:\n  top: {epochs: 3, children: [loud, jazz]}\n"
                        "  loud: {children: [rock, pop], epochs: 5}\ngrid: {trials: 2}"));
  REQUIRE(spec.tree.nodes().size() == 2);
  CHECK(spec.tree.nodes()[1] == TreeNode{"loud", 5, {"rock", "pop"}});
  CHECK(spec.tree.genres() == std::vector<std::string>{"jazz", "pop", "rock"});
  for (const bool documented : {false, true}) {
    INFO(to_yaml(spec, documented));
    const Spec again = spec_of(to_yaml(spec, documented));
    CHECK(again.tree.nodes() == spec.tree.nodes());
    CHECK(to_yaml(again, false) == to_yaml(spec, false));
  }
  CHECK_THAT(to_yaml(spec, false), Contains("\n  loud: {epochs: 5, children: [rock, pop]}\n") && !Contains("mode:"));
  CHECK(spec_of("tree: {}").tree.empty());
  CHECK(spec_of(to_yaml(spec_of("tree: {}"), true)).tree.empty());
}

TEST_CASE("a wrong tree is refused at its line and column", "[tree]") {
  struct Case {
    const char *tree, *message;
  };
  const Case cases[] = {
      {"tree:\n  top: {epochs: 3, children: [rock, pop]}", "tree.yaml:2:1: tree: the genre 'jazz' has no place"},
      {"tree:\n  top: {epochs: 3, children: [rock, pop, jaz]}",
       "tree.yaml:3:42: tree: 'jaz' is neither a node of the tree nor a genre of the data set (did you mean 'jazz'?); "
       "genres are jazz, pop, rock"},
      {"tree:\n  top: {epochs: 3, children: [x, pop]}\n  x: {epochs: 1, children: [rock, jazz, pop]}",
       "tree.yaml:4:41: tree: 'pop' has a place below 'top' already"},
      {"tree:\n  x: {epochs: 1, children: [y, pop]}\n  y: {epochs: 1, children: [x, jazz, rock]}",
       "tree.yaml:3:3: tree: the nodes x → y → x go round in a cycle"},
      {"tree:\n  x: {epochs: 1, children: [jazz, pop]}\n  y: {epochs: 1, children: [rock, z]}\n"
       "  z: {epochs: 1, children: []}",
       "tree.yaml:5:3: tree: 'z' has no children"},
      {"tree:\n  x: {epochs: 1, children: [jazz, pop]}\n  y: {epochs: 1, children: [rock, z]}\n",
       "tree.yaml:4:35: tree: 'z' is neither"},
      {"tree:\n  x: {epochs: 1, children: [jazz, pop]}\n  pop: {epochs: 1, children: [rock, jazz]}\n",
       "tree.yaml:4:3: tree: 'pop' is a genre"},
      {"tree:\n  top: {epoch: 3, children: [rock, pop, jazz]}",
       "tree.yaml:3:9: unknown key 'tree.top.epoch' (did you mean 'epochs'?); known here: epochs, children"},
      {"tree:\n  top: {children: [rock, pop, jazz]}", "tree.yaml:3:3: tree.top: 'epochs' is missing"},
      {"tree:\n  top: {epochs: 3}", "tree.yaml:3:3: tree.top: 'children' is missing"},
      {"tree:\n  top: {epochs: 0, children: [rock, pop, jazz]}",
       "tree.yaml:3:17: tree.top.epochs cannot be '0': allowed is a whole number from 1 to 1000000"},
      {"tree:\n  top: {epochs: 3, children: rock}",
       "tree.yaml:3:30: tree.top.children cannot be 'rock': allowed is a list of nodes and genres"},
      {"tree:\n  top: {epochs: 3, children: [rock, [pop, jazz]]}",
       "tree.yaml:3:37: tree.top.children cannot hold a list"},
      {"tree:\n  top: [rock, pop, jazz]", "tree.yaml:3:8: tree.top cannot be a list"},
      {"tree:\n  ../top: {epochs: 3, children: [rock, pop, jazz]}", "tree.yaml:3:3: tree: '../top' cannot name a node"},
      {"tree:\n  tree: {epochs: 3, children: [rock, pop, jazz]}", "tree.yaml:3:3: tree: 'tree' cannot name a node"},
      {"tree: [jazz]", "tree.yaml:2:7: tree cannot be a list"},
      {"tree:\n  top: {epochs: 3, children: [rock, pop, jazz]}\ngrid: {epochs: [3]}",
       "tree.yaml:4:8: grid.epochs is only for an experiment without a tree"},
  };
  for (const Case& c : cases) {
    INFO(c.tree);
    CHECK_THAT(error_of(file_with(c.tree)), Contains(c.message));
  }
  CHECK_THAT(
      error_of(file_with("tree:\n  x: {epochs: 1, children: [jazz, pop]}\n  y: {epochs: 1, children: [rock, x]}\n"
                         "  z: {epochs: 1, children: [x, y]}\n")),
      Contains("tree.yaml:5:29: tree: 'x' has a place below 'y' already"));
  CHECK_THAT(error_of("dataset: {name: mine, path: music}\ntree: {top: {epochs: 1, children: [a, b]}}"),
             Contains("tree.yaml:2:1: tree: dataset.genres must name the genres"));
}

TEST_CASE("test_fraction is short for a random split with the rest for training", "[tree]") {
  const SplitConfig split = spec_of("dataset: {split: {test_fraction: 0.3}}").dataset.split;
  CHECK(split.kind == SplitConfig::Kind::random);
  CHECK(split.fractions);
  CHECK(split.test == 0.3);
  CHECK(split.train == 0);  // what is left
  CHECK(to_yaml(spec_of("dataset: {split: {test_fraction: 0.3}}"), false) ==
        to_yaml(spec_of("dataset: {split: {kind: random, test: 0.3}}"), false));
  CHECK_THAT(error_of("dataset: {split: {test_fraction: 0.3, test: 0.3}}"), Contains("stands beside test_fraction"));
  CHECK_THAT(error_of("dataset: {split: {test_fraction: 25}}"), Contains("tree.yaml:1:34") && Contains("below 1"));
  CHECK_THAT(error_of("dataset: {split: {kind: by-index, test_fraction: 0.25}}"), Contains("by-index counts tracks"));
}

TEST_CASE("the shipped tree is the paper's, whose products are its 52.975 % and 52.73 %", "[tree]") {
  const Spec spec = paper_spec();
  const GenreTree& tree = spec.tree;
  CHECK(is_paper_tree(tree));
  std::vector<double> accuracies;
  std::vector<std::uint32_t> epochs;
  for (std::size_t node = 0; node < tree.nodes().size(); ++node) {
    REQUIRE(paper_node(tree, node));
    accuracies.push_back(paper_node(tree, node)->accuracy);
    epochs.push_back(tree.nodes()[node].epochs);
  }
  CHECK(epochs == std::vector<std::uint32_t>{35, 20, 35, 40, 20, 20, 40});
  CHECK(mean_over_paths(tree, accuracies) == Approx(paper_mean_of_products).margin(5e-5));
  CHECK(mean_over_genres(tree, accuracies) == Approx(paper_mean_of_products_by_genre).margin(1e-4));
  for (const std::size_t last : tree.last_nodes())
    CHECK(path_product(tree, last, accuracies) == Approx(paper_path_product(*paper_node(tree, last))).margin(6e-5));
  CHECK(spec.features.first_coefficient == 0);
  CHECK(spec.features.coefficients == 14);
  CHECK(spec.features.frames == 1293);

  const GenreTree other({{"all", 1, tree.genres()}}, tree.genres());
  CHECK_FALSE(is_paper_tree(other));
  CHECK(paper_node(other, 0) == nullptr);
}

TEST_CASE("a changed tree is another experiment; a grid's hash does not know of trees", "[tree]") {
  const std::string yaml = "tree:\n  top: {epochs: 3, children: [rock, pop, jazz]}";
  const Spec spec = spec_of(file_with(yaml));
  CHECK(spec_hash(spec_of(file_with("tree:\n  top: {epochs: 4, children: [rock, pop, jazz]}"))) != spec_hash(spec));
  CHECK(spec_hash(spec_of(file_with(""))) == spec_hash(spec_of(file_with("tree: {}"))));
  CHECK_THAT(conflicting_keys(spec, spec_of(file_with("tree:\n  top: {epochs: 4, children: [rock, pop, jazz]}"))),
             Contains("tree.top.epochs: 3 there, 4 here"));
}

// --------------------------------------------------------------------------------------------------------------- plan

TEST_CASE("the plan of a tree: a run for each node and trial, the longest first, each with random numbers of its own",
          "[tree]") {
  Spec spec = paper_spec();
  spec.grid.trials = 2;
  const std::vector<PlannedRun> runs = plan_runs(spec);
  std::vector<std::string> order;
  std::set<std::uint32_t> nodes;
  for (const PlannedRun& run : runs) {
    order.push_back(run.id);
    nodes.insert(run.key.node);
    CHECK(run.key.point == run.epochs());
    CHECK(run.key.trial == run.trial);
    CHECK(run.key.node == run.task + 1);  // 0 is a single classifier's
    CHECK(run.cells() == std::vector<Cell>{{run.node, run.epochs(), run.trial}});
  }
  CHECK(order == std::vector<std::string>{"music-t0", "music-t1", "mild-t0", "mild-t1", "sub-strong-1-t0",
                                          "sub-mild-2-t0", "sub-strong-1-t1", "sub-mild-2-t1", "strong-t0", "strong-t1",
                                          "sub-strong-2-t0", "sub-mild-1-t0", "sub-strong-2-t1", "sub-mild-1-t1"});
  CHECK(nodes.size() == 7);
  CHECK(runs[0].cost == 35);  // all ten genres
  CHECK(runs[8].cost == 10);  // strong: five of them, 20 epochs
  CHECK(cells_of(spec).size() == 14);
}

// --------------------------------------------------------------------------------------------------------------- runs

/// Four genres of a tiny store under a tree of three nodes.
struct Experiment {
  test::TemporaryFolder folder;
  Spec spec;
  std::unique_ptr<Backend> backend = make_backend({.device = "cpu"});

  Experiment() {
    write_store(folder / "store.h5", test::tiny_store({.genres = 4}));
    spec = spec_of(fmt::format(R"(
dataset: {{name: tiny, path: "{}", genres: [a, b, c, d], split: {{kind: random, train: 6, validation: 2, test: 2}}}}
features: {{coefficients: [0, 4], frames: 6}}
model: {{layers: [{{lstm: 5}}, {{dense: softmax}}], dropout: 0.1}}
training: {{batch: 7, learning_rate: 0.02}}
tree:
  top:   {{epochs: 3, children: [abd, c]}}
  abd:   {{epochs: 2, children: [a, bd]}}
  bd:    {{epochs: 4, children: [d, b]}}
grid: {{trials: 2}}
)",
                               (folder / "store.h5").string()));
  }
  Data data() const { return load_data(spec, *backend, {}); }
  fs::path path(const std::string& name) const { return folder / name; }
  RunSummary run(const std::string& name, bool resume = false, const Shard& shard = {}, std::size_t jobs = 1) const {
    RunFolder run_folder(path(name), spec, shard, resume);
    return run_grid(spec, data(), *backend, run_folder, {.jobs = jobs});
  }
  std::vector<Result> results(const std::string& name) const { return read_results({path(name)}, false); }
  void report(const std::string& name) const { write_report(path(name), spec, data().summary, results(name)); }
};

constexpr const char* tables[] = {"table3.csv", "nodes.csv", "table4.csv", "confusion.csv", "decoded.csv"};

TEST_CASE("all nodes of a trial share its split: no clip is for training in one and for testing in another", "[tree]") {
  const Experiment experiment;
  const Data data = experiment.data();
  for (std::uint32_t trial = 0; trial < 2; ++trial) {
    const Split split = make_split(data.store, experiment.spec.dataset.split, experiment.spec.seed, trial, false);
    std::set<std::uint32_t> train, test;
    std::size_t of_top = 0;
    for (const ClassifierTask& task : tasks_of(experiment.spec, data.store.genres)) {
      const Split own = clips_of(task, data.store, split);
      CHECK(own.train.size() == 3 * own.test.size());
      train.insert(own.train.begin(), own.train.end());
      test.insert(own.test.begin(), own.test.end());
      test.insert(own.validation.begin(), own.validation.end());
      of_top = std::max(of_top, own.train.size());
      const std::vector<std::int32_t> labels = labels_of(task, data.store);
      for (const std::uint32_t clip : own.train)
        CHECK(task.class_of[static_cast<std::size_t>(data.store.labels[clip])] ==
              static_cast<std::size_t>(labels[clip]));
    }
    CHECK(of_top == 24);
    CHECK(std::ranges::none_of(test, [&](std::uint32_t clip) { return train.contains(clip); }));
  }
  const std::vector<ClassifierTask> tasks = tasks_of(experiment.spec, {"a", "b", "c", "d"});
  CHECK(tasks[1].class_of == std::vector<std::optional<std::size_t>>{0, 1, std::nullopt, 1});
}

TEST_CASE("a tree is done whole: a result for each node and trial, with what it says of every test clip", "[tree]") {
  const Experiment experiment;
  CHECK(experiment.run("run").finished == 6);
  const std::vector<Result> results = experiment.results("run");
  REQUIRE(results.size() == 6);
  CHECK(missing_cells(experiment.spec, results).empty());
  for (const Result& result : results) {
    INFO(result.run);
    const auto node = std::ranges::find(experiment.spec.tree.nodes(), result.node, &TreeNode::name);
    const std::size_t index = static_cast<std::size_t>(node - experiment.spec.tree.nodes().begin()), classes = 2;
    CHECK(result.run == fmt::format("{}-t{}", node->name, result.trial));
    CHECK(result.history.size() == node->epochs);
    REQUIRE(result.answers.tracks.size() == 8);
    REQUIRE(result.answers.probabilities.size() == 8 * classes);
    std::vector<std::uint32_t> confusion(classes * classes, 0);
    for (std::size_t clip = 0; clip < 8; ++clip) {
      const float* p = &result.answers.probabilities[clip * classes];
      CHECK(p[0] + p[1] == Approx(1).margin(1e-6));
      CHECK(result.answers.tracks[clip][0] == "abcd"[result.answers.genres[clip]]);
      if (const auto child = experiment.spec.tree.child_of(index, result.answers.genres[clip]))
        ++confusion[*child * classes + (p[1] > p[0] ? 1 : 0)];
    }
    CHECK(confusion == result.confusion);  // counted on its own clips in another way
    CHECK(result_from_json_line(to_json_line(result))->answers == result.answers);
  }
}

TEST_CASE("a tree does not depend on the number of workers: ledger and tables bit for bit", "[tree]") {
  const Experiment experiment;
  for (const std::size_t jobs : {1, 3}) {
    experiment.run(fmt::format("jobs{}", jobs), false, {}, jobs);
    experiment.report(fmt::format("jobs{}", jobs));
  }
  CHECK(test::metrics(experiment.results("jobs3")) == test::metrics(experiment.results("jobs1")));
  for (const char* table : tables)
    CHECK(read_text(experiment.path("jobs3") / table) == read_text(experiment.path("jobs1") / table));
}

TEST_CASE("nodes of unequal classes and clips that train in groups have the results of nodes one by one", "[tree]") {
  Experiment experiment;
  experiment.spec.tree = GenreTree({{"top", 3, {"ab", "c", "d"}}, {"ab", 5, {"a", "b"}}}, {"a", "b", "c", "d"});
  experiment.spec.training.batch = GENERATE(7, 15);  // top has 24 clips to train on, ab 12: by 15 no group takes both
  experiment.run("alone");
  RunFolder folder(experiment.path("group"), experiment.spec, {}, false);
  const RunnerOptions options{.jobs = 3, .slots = 3};
  CHECK(run_grid(experiment.spec, experiment.data(), *experiment.backend, folder, options).finished == 4);
  CHECK(test::metrics(experiment.results("group")) == test::metrics(experiment.results("alone")));
  // what lies in files has each node's own layout
  for (const char* model : {"models/top-t0.h5", "models/ab-t1.h5"})
    CHECK(read_model(experiment.path("group") / model).parameters ==
          read_model(experiment.path("alone") / model).parameters);
}

TEST_CASE("a tree resumes and merges from shards to the same results", "[tree]") {
  const Experiment experiment;
  experiment.run("whole");
  const std::vector<std::string> expected = test::metrics(experiment.results("whole"));
  SECTION("lines lost, their checkpoints there") {
    experiment.run("run");
    const std::string ledger = read_text(ledger_path(experiment.path("run"), 0));
    write_whole_text(ledger_path(experiment.path("run"), 0), ledger.substr(0, ledger.find('\n') + 100));
    const RunSummary summary = experiment.run("run", true);
    CHECK(summary.before == 1);
    CHECK(summary.finished == 5);
    CHECK(test::metrics(experiment.results("run")) == expected);
  }
  SECTION("shards in folders of their own") {
    for (std::size_t index = 0; index < 2; ++index) experiment.run(fmt::format("own{}", index), false, {index, 2});
    CHECK(missing_cells(experiment.spec, experiment.results("own0")).size() == 3);
    CHECK(test::metrics(read_results({experiment.path("own0"), experiment.path("own1")}, false)) == expected);
  }
}

// ------------------------------------------------------------------------------------------------------------- models

/// Makes the trees of a folder's trials; what cannot be made, as one text.
std::string make_trees(const Experiment& experiment, const std::vector<fs::path>& folders) {
  return join(make_tree_models(folders, experiment.spec, read_results(folders, false)), "\n");
}

TEST_CASE("a node's model says what it was asked, and on how many clips of its own it was trained", "[tree]") {
  const Experiment experiment;
  experiment.run("run");
  const SavedModel abd = read_model(experiment.path("run/models/abd-t1.h5"));
  CHECK(abd.model.node == "abd");
  CHECK(abd.model.genres == std::vector<std::string>{"a", "bd"});
  CHECK(abd.model.below == std::vector<std::vector<std::string>>{{"a"}, {"b", "d"}});
  CHECK_THAT(abd.origin, Contains("node abd of a tree") && Contains("trained for 2 epochs on 18 clips of"));
  const DatasetSummary data = dataset_summary_from_json(
      Hdf5File::open(experiment.path("run/models/abd-t1.h5")).attribute<std::string>("/", "data"));
  CHECK(data.train == 18);
  CHECK(data.validation == 6);
  CHECK(data.test == 6);
  CHECK(data.clips == 30);
  CHECK(data.genres == std::vector<std::string>{"a", "b", "d"});
}

TEST_CASE("the tree of a trial goes into one file when all of its nodes are there, whichever shard they come from",
          "[tree]") {
  const Experiment experiment;
  std::vector<fs::path> own;
  for (std::size_t index = 0; index < 3; ++index) {
    experiment.run(fmt::format("own{}", index), false, {index, 3});
    own.push_back(experiment.path(fmt::format("own{}", index)));
  }
  CHECK(make_trees(experiment, {own[0]}).empty());
  CHECK_FALSE(fs::exists(tree_model_path(own[0], 0)));  // nodes are missing, and that is no error
  CHECK(make_trees(experiment, own).empty());
  experiment.run("run");
  CHECK(make_trees(experiment, {experiment.path("run")}).empty());
  for (std::uint32_t trial = 0; trial < 2; ++trial) {
    CHECK_FALSE(fs::exists(tree_model_path(own[1], trial)));
    const SavedNetworks tree = read_tree_model(tree_model_path(own[0], trial));
    CHECK(tree.tree.nodes() == experiment.spec.tree.nodes());
    CHECK(tree.tree.genres() == experiment.spec.tree.genres());
    CHECK_THAT(tree.origin, Contains(fmt::format("tree of 3 nodes trained on 24 clips of store, trial {}", trial)));
    const SavedNetworks same = read_tree_model(tree_model_path(experiment.path("run"), trial));
    for (std::size_t node = 0; node < 3; ++node) {
      const std::string file = fmt::format("run/models/{}-t{}.h5", tree.tree.nodes()[node].name, trial);
      CHECK(tree.networks[node].parameters == read_model(experiment.path(file)).parameters);
      CHECK(tree.networks[node].parameters == same.networks[node].parameters);
    }
  }
}

TEST_CASE("model files that somebody removed are made again, or it is said why not", "[tree]") {
  const Experiment experiment;
  experiment.run("run");
  const fs::path folder = experiment.path("run"), node = folder / "models/abd-t1.h5", tree = tree_model_path(folder, 1);
  CHECK(make_trees(experiment, {folder}).empty());
  const std::string node_before = read_text(node), tree_before = read_text(tree);
  fs::remove(node), fs::remove(tree);
  SECTION("from the checkpoint, and the tree from its nodes") {
    experiment.run("run", true);
    CHECK(read_text(node) == node_before);
    CHECK(make_trees(experiment, {folder}).empty());
    CHECK(read_text(tree) == tree_before);
  }
  SECTION("the checkpoint is gone too") {
    fs::remove(folder / "checkpoints/abd-t1.h5");
    experiment.run("run", true);
    CHECK_FALSE(fs::exists(node));
    CHECK_THAT(make_trees(experiment, {folder}),
               Contains("tree-t1.h5 cannot be made: ") && Contains("models/abd-t1.h5 is missing") && !Contains("t0"));
  }
  SECTION("a file of another trial lies in the place of a node") {
    fs::copy_file(folder / "models/abd-t0.h5", node);
    CHECK_THAT(make_trees(experiment, {folder}), Contains("abd-t1.h5 belongs to another node, trial or experiment"));
    CHECK_FALSE(fs::exists(tree));
  }
}

TEST_CASE("a tree is decoded only where all nodes of a trial are there and saw the same clips", "[tree]") {
  const Experiment experiment;
  experiment.run("run");
  std::vector<Result> results = experiment.results("run");
  CHECK(decode_trials(experiment.spec.tree, results).size() == 2);
  SECTION("one is missing") {
    std::erase_if(results, [](const Result& result) { return result.run == "bd-t1"; });
    CHECK(missing_cells(experiment.spec, results) == std::vector<std::string>{"bd, trial 1"});
    const std::vector<TreeTrial> trials = decode_trials(experiment.spec.tree, results);
    REQUIRE(trials.size() == 1);
    CHECK(trials[0].trial == 0);
    write_report(experiment.path("run"), experiment.spec, experiment.data().summary, results);
    CHECK_THAT(read_text(experiment.path("run") / "report.md"), Contains("5 of 6 nodes' trainings are finished"));
    std::erase_if(results, [](const Result& result) { return result.node == "top"; });
    write_report(experiment.path("run"), experiment.spec, experiment.data().summary, results);
    CHECK_THAT(read_text(experiment.path("run") / "report.md"),
               !Contains("## Table 4") && Contains("No trial has all nodes of the tree"));
    CHECK_THAT(read_text(experiment.path("run") / "table4.csv"), !Contains("\n0") && !Contains("nan"));
  }
  SECTION("one saw others") {
    std::swap(results[0].answers.tracks[0], results[0].answers.tracks[1]);
    CHECK_THROWS_WITH(decode_trials(experiment.spec.tree, results), Contains("did not see the same test clips"));
  }
}

// ------------------------------------------------------------------------------------------------------------- report

/// A result of a node of the paper's tree that is sure of the right child for each of ten clips, one a genre, and where
/// the genre lies elsewhere of its first child.
Result sure_result(const GenreTree& tree, std::size_t node, std::uint32_t trial) {
  Result result;
  result.node = tree.nodes()[node].name;
  result.run = fmt::format("{}-t{}", result.node, trial);
  result.epochs = tree.nodes()[node].epochs;
  result.trial = trial;
  result.spec_hash = "0123456789abcdef";
  const std::size_t children = tree.nodes()[node].children.size();
  result.confusion.assign(children * children, 1);
  result.train = result.test = {0.5, 0.75};
  result.validation = {std::nan(""), std::nan("")};
  result.history.assign(result.epochs, {result.train, result.validation, result.test});
  for (std::uint32_t genre = 0; genre < tree.genres().size(); ++genre) {
    result.answers.tracks.push_back(tree.genres()[genre] + ".00000");
    result.answers.genres.push_back(genre);
    const std::size_t right = tree.child_of(node, genre).value_or(0);
    for (std::size_t child = 0; child < children; ++child)
      result.answers.probabilities.push_back(child == right ? 0.9f : 0.1f / static_cast<float>(children - 1));
  }
  return result;
}

/// All nodes are right, but that the root leans to the wrong side for the jazz clip in trial 1, where nodes on that
/// side do not know: hard routing ends wrong, soft routing right.
std::vector<Result> nearly_sure(const GenreTree& tree) {
  std::vector<Result> results;
  const auto jazz = static_cast<std::size_t>(std::ranges::find(tree.genres(), "jazz") - tree.genres().begin());
  for (std::uint32_t trial = 0; trial < 2; ++trial)
    for (std::size_t node = 0; node < tree.nodes().size(); ++node) {
      Result result = sure_result(tree, node, trial);
      float* p = &result.answers.probabilities[jazz * tree.nodes()[node].children.size()];
      if (trial == 1 && node == 0) p[0] = 0.6f, p[1] = 0.4f;
      if (trial == 1 && result.node == "strong") p[0] = 0.5f, p[1] = 0.5f;
      results.push_back(std::move(result));
    }
  return results;
}

DatasetSummary ten_genres(const std::string& name, const GenreTree& tree) {
  return {name, "/data", tree.genres(), 40, 30, 0, 10, "00000000000000aa", {}, 0};
}

TEST_CASE("the report of a tree: Tables 3 and 4 with the paper's values, the confusion, and why the product differs",
          "[tree]") {
  const test::TemporaryFolder folder;
  Spec spec = paper_spec();
  spec.grid.trials = 2;
  const std::vector<Result> results = nearly_sure(spec.tree);
  const std::vector<TreeTrial> trials = decode_trials(spec.tree, results);
  REQUIRE(trials.size() == 2);
  CHECK(trials[0].accuracy(&DecodedClip::hard) == 1);
  CHECK(trials[1].accuracy(&DecodedClip::hard) == 0.9);
  CHECK(trials[1].accuracy(&DecodedClip::soft) == 1);  // 0.4 · 0.9 · 0.9 for jazz, 0.6 · 0.5 · 0.9 for hiphop
  CHECK(trials[1].reached[0] == 0.9);
  CHECK(trials[1].reached[2] == 1);  // the jazz clip does not reach it

  write_report(folder.path(), spec, ten_genres("GTZAN", spec.tree), results);
  for (const char* file : {"report.md", "report.html"}) {
    const std::string page = read_text(folder / file);
    INFO(file);
    CHECK_THAT(page, Contains("Table 3: each node on its own genres, means over trials, the paper") &&
                         Contains("Table 4: the whole tree, end to end"));
    for (const char* value : {"80.0", "81.6", "74.6", "88.0", "78.0", "84.0", "48.7", "57.45", "50.92", "54.84",
                              "52.975", "52.73", "46.87", "LSTM2a", "not measured"})
      CHECK_THAT(page, Contains(value));
    for (const char* ours : {"95.0 ± 7.1", "100.0 ± 0.0", "42.2", "music × strong × sub-strong-1",
                             "Hard routing, 2 trials", "Why the product is not the accuracy"})
      CHECK_THAT(page, Contains(ours));
    CHECK_THAT(page, Contains("errors for independent"));
    CHECK_THAT(page, Contains("Figure 14: the tree") && !Contains("Figure 11") && !Contains("Figure 9"));
  }
  CHECK_THAT(read_text(folder / "table4.csv"),
             Contains("trial,hard_accuracy,soft_accuracy,hard_mean_recall,soft_mean_recall,product_over_paths,"
                      "product_over_genres\n0,1,1,1,1,0.421875,") &&
                 Contains("\n1,0.9,1,0.9,1,0.421875,") && Contains("\nmean,0.95,1,0.95,1,") && Contains("\nsd,0.07") &&
                 Contains("\npaper,,,,,0.52975,0.5273\n"));
  for (const std::string& page : {read_text(folder / "report.md"), read_text(folder / "report.html")}) {
    CHECK_THAT(page, Contains("40 of GTZAN") && Contains("1,000 tracks: not the paper") && Contains("mean recall"));
    CHECK(page.find("genres below it") < page.find("Table 3: each node"));
    CHECK(page.find("Table 3: each node") < page.find("Table 4: the whole tree"));
  }
  CHECK_THAT(read_text(folder / "table3.csv"), Contains("node,epochs,trials,") && Contains(",paper_test_accuracy\n") &&
                                                   Contains("strong,20,2,,,,,0.75,0,"));
  CHECK_THAT(read_text(folder / "decoded.csv"), Contains("\n1,jazz.00000,jazz,hiphop,jazz\n"));
  CHECK_THAT(read_text(folder / "confusion.csv"),
             Contains("\n1,hard,jazz,0,0,0,0,1,0,0,0,0,0\n") && Contains("\n1,soft,jazz,0,0,0,0,0,1,0,0,0,0\n"));
  CHECK_THAT(tables_as_text(spec, ten_genres("GTZAN", spec.tree), results), Contains("Table 4") && Contains("52.975"));
}

TEST_CASE("mean recall weighs all genres alike, whatever their clips, and leaves out those without any", "[tree]") {
  const TreeTrial trial{.clips = {{"a", 0, 0, 0}, {"b", 0, 0, 0}, {"c", 0, 0, 1}, {"d", 1, no_genre, 1}},
                        .node_accuracies = {},
                        .reached = {},
                        .genres = 3,
                        .diverged = {}};
  CHECK(trial.accuracy(&DecodedClip::hard) == 0.75);
  CHECK(trial.mean_recall(&DecodedClip::hard) == 0.5);
  CHECK(trial.mean_recall(&DecodedClip::soft) == Approx(5.0 / 6));
}

TEST_CASE("a node that diverged is wrong wherever it has a say, and the report says so", "[tree]") {
  const test::TemporaryFolder folder;
  Spec spec = paper_spec();
  spec.grid.trials = 2;
  std::vector<Result> results = nearly_sure(spec.tree);
  for (Result& result : results)
    if (result.node == "strong" && result.trial == 0) std::ranges::fill(result.answers.probabilities, std::nanf(""));
  const std::vector<TreeTrial> trials = decode_trials(spec.tree, results);
  CHECK(trials[0].diverged == std::vector<std::string>{"strong"});
  CHECK(trials[1].diverged.empty());
  const auto strong = static_cast<std::size_t>(std::ranges::find(spec.tree.nodes(), "strong", &TreeNode::name) -
                                               spec.tree.nodes().begin());
  const std::size_t below = spec.tree.genres_below(strong).size();
  CHECK(trials[0].accuracy(&DecodedClip::hard) == Approx(1 - static_cast<double>(below) / 10));
  CHECK(trials[0].accuracy(&DecodedClip::soft) == 0);
  CHECK(trials[0].reached[strong] == 0);
  const std::vector<std::uint32_t> counts = trials[0].confusion(&DecodedClip::hard);
  CHECK(std::accumulate(counts.begin(), counts.end(), 0u) == 10 - below);

  write_report(folder.path(), spec, ten_genres("GTZAN", spec.tree), results);
  CHECK_THAT(read_text(folder / "report.md"), Contains("strong (trial 0)") && Contains("counts every clip as wrong"));
  CHECK_THAT(read_text(folder / "table4.csv"), Contains("\nlow,") && Contains("\nhigh,") && !Contains("nan"));
  CHECK_THAT(read_text(folder / "decoded.csv"), Contains("\n0,metal.00000,metal,,\n"));
}

TEST_CASE("the whole tree has intervals, and each node says what its largest class alone would reach", "[tree]") {
  const test::TemporaryFolder folder;
  Spec spec = paper_spec();
  spec.grid.trials = 2;
  std::vector<Result> results = nearly_sure(spec.tree);
  for (Result& result : results)
    if (result.node == spec.tree.nodes()[0].name) result.confusion = {5, 1, 1, 1};
  const std::vector<TreeTrial> trials = decode_trials(spec.tree, results);
  const Interval hard = tree_interval(trials, &DecodedClip::hard, spec.seed);
  CHECK(hard.low == Approx(0.85));  // one of ten tracks is wrong in one of two trials
  CHECK(hard.high == 1);
  const std::vector<GridPoint> points = summarise(spec, results);
  CHECK(points[0].largest_class() == 0.75);
  CHECK(points[0].test_clips() == "8");
  std::vector<Result> unequal = results;  // a random split may give a node other numbers of clips in each trial
  unequal[0].confusion = {5, 1, 1, 2};
  CHECK(summarise(spec, unequal)[0].test_clips() == "8.5");
  CHECK(track_counts(spec, points[0].trials).size() == 10);
  CHECK(track_counts(spec, points[2].trials).size() == spec.tree.genres_below(2).size());  // of its own genres only
  write_report(folder.path(), spec, ten_genres("GTZAN", spec.tree), results);
  for (const char* file : {"report.md", "report.html"})
    CHECK_THAT(read_text(folder / file),
               Contains("95 % interval") && Contains("85.0, 100.0") && Contains("argest class") && Contains("75.0"));
  CHECK_THAT(read_text(folder / "table3.csv"),
             Contains(",test_clips,largest_class_accuracy,paper_test_accuracy\n") && Contains(",8,0.75,"));
  CHECK_THAT(read_text(folder / "report.md"), Contains("| node | trials | test clips |") && Contains("| 2 | 8 |"));
  CHECK_THAT(read_text(folder / "report.html"), Contains(">test clips</th>") && Contains("<td>2</td><td>8</td>"));
}

TEST_CASE("the picture of a tree: a box for each node, a line to each child, texts that cannot break it", "[tree]") {
  const GenreTree tree({{"top", 1, {"x", "rhythm & blues"}}, {"x", 1, {"a<b", "c"}}}, {"a<b", "c", "rhythm & blues"});
  const std::string svg = draw_tree(tree, "a & b", {{{"90.0 %"}, {"75.0 %", "paper 80.0 %"}}, {{}, {"50.0 %"}, {}}});
  const auto count = [&](const std::string& part) {
    std::size_t n = 0;
    for (std::size_t at = svg.find(part); at != std::string::npos; at = svg.find(part, at + 1)) ++n;
    return n;
  };
  CHECK(count("<rect") == 2);
  CHECK(count("<path") == 4);
  CHECK(count("<text") == 9);
  CHECK_THAT(svg, Contains("<title>a &amp; b</title>") && Contains(">rhythm &amp; blues<") && Contains(">a&lt;b<") &&
                      Contains(">paper 80.0 %<") && Contains("currentColor"));
}

TEST_CASE("the paper's values stand neither beside other data nor, for the whole, beside another tree", "[tree]") {
  const test::TemporaryFolder folder;
  Spec spec = paper_spec();
  spec.grid.trials = 2;
  write_report(folder / "other", spec, ten_genres("SYNTHETIC corpus (not GTZAN)", spec.tree), nearly_sure(spec.tree));
  for (const char* value : {"81.6", "52.975", "46.87", "not measured"})
    CHECK_THAT(read_text(folder / "other/report.md"), !Contains(value));
  CHECK_THAT(read_text(folder / "other/table4.csv"), !Contains("paper"));

  std::vector<TreeNode> nodes = spec.tree.nodes();
  nodes[3].children = {"hiphop", "metal", "pop"};
  nodes[4].children = {"rock", "reggae"};
  spec.tree = GenreTree(nodes, spec.tree.genres());
  write_report(folder / "tree", spec, ten_genres("GTZAN", spec.tree), nearly_sure(spec.tree));
  CHECK_THAT(read_text(folder / "tree/report.md"), Contains("80.0") && !Contains("52.975"));  // its root is the paper's
}

}  // namespace
}  // namespace genretree
