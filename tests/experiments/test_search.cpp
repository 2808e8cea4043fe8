// The search: which candidates there are, which of them go on, what is wrong with a file, and the report.
#include <cmath>
#include <limits>
#include <set>
#include <sstream>

#include "core/io/files.hpp"
#include "core/text.hpp"
#include "experiments/do_experiment.hpp"
#include "experiments/search_report.hpp"
#include "experiments/variants.hpp"
#include "tests/support/support.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree {
namespace fs = std::filesystem;
using Catch::Contains;
namespace {

const double none = std::nan("");

SearchSpec search_of(const std::string& text) {
  return read_search(*parse_yaml("search: " + text, "s.yaml").find("search"));
}

std::vector<std::string> texts_of(const std::vector<std::vector<YamlValue>>& candidates) {
  std::vector<std::string> texts;
  for (const std::vector<YamlValue>& values : candidates) {
    std::vector<std::string> parts;
    for (const YamlValue& value : values) parts.push_back(value.one_line());
    texts.push_back(join(parts, " "));
  }
  return texts;
}

// ---------------------------------------------------------------------------------------------------------- candidates

TEST_CASE("method: grid has every combination of the listed values once, the last key the fastest", "[search]") {
  const SearchSpec search = search_of("{method: grid, keys: {training.batch: [5, 7], model.layers: [[a, b], c, d]}}");
  CHECK(texts_of(candidates_of(search, 1)) ==
        std::vector<std::string>{"5 [a, b]", "5 c", "5 d", "7 [a, b]", "7 c", "7 d"});
}

TEST_CASE("random candidates follow from the seed alone, all differ, and more of them begin with the same",
          "[search]") {
  const std::string keys = "keys: {a: [1, 2, 3], b: {from: 0.1, to: 0.5}, c: {from: 2, to: 5}}}";
  const auto drawn = [&](std::uint32_t count, std::uint64_t seed) {
    return texts_of(candidates_of(search_of(fmt::format("{{candidates: {}, {}", count, keys)), seed));
  };
  const std::vector<std::string> few = drawn(5, 3), many = drawn(40, 3);
  CHECK(few == drawn(5, 3));
  CHECK(few != drawn(5, 4));
  CHECK(std::equal(few.begin(), few.end(), many.begin()));
  CHECK(std::set(many.begin(), many.end()).size() == 40);
}

TEST_CASE("values lie in their range: whole numbers between whole ends, which are reached; others of four digits",
          "[search]") {
  const auto drawn = [](const std::string& range) {
    std::vector<double> values;
    for (const auto& candidate : candidates_of(search_of("{candidates: 400, keys: {a: " + range +
                                                         ", b: {from: 0.0, to: "
                                                         "1.0}}}"),
                                               7))
      values.push_back(std::stod(candidate[0].text));
    return values;
  };
  const auto share_below = [](const std::vector<double>& values, double bound) {
    return static_cast<double>(std::ranges::count_if(values, [&](double v) { return v < bound; })) / 400;
  };
  const std::vector<double> whole = drawn("{from: 3, to: 6}"), real = drawn("{from: 0.2, to: 0.6}"),
                            log = drawn("{from: 0.001, to: 0.1, scale: log}"),
                            powers = drawn("{from: 1, to: 128, scale: log}");
  CHECK(std::set(whole.begin(), whole.end()) == std::set<double>{3, 4, 5, 6});
  CHECK(std::ranges::min(real) >= 0.2);
  CHECK(std::ranges::max(real) <= 0.6);
  for (const double value : real) CHECK(std::stod(fmt::format("{:.4g}", value)) == value);
  // five standard deviations of a share of 400 are 0.125
  CHECK(std::abs(share_below(real, 0.4) - 0.5) < 0.125);
  CHECK(std::ranges::min(log) >= 0.001);
  CHECK(std::ranges::max(log) <= 0.1);
  CHECK(std::abs(share_below(log, 0.01) - 0.5) < 0.125);  // half below the geometric mean; linear it would be 0.09
  for (const double value : powers) CHECK(value == std::floor(value));
  CHECK(std::ranges::min(powers) >= 1);
  CHECK(std::ranges::max(powers) <= 128);
  CHECK(std::abs(share_below(powers, 11) - std::log(11) / std::log(129)) < 0.125);
}

TEST_CASE("halving: a part of the candidates goes on, rounded up, to more trials, at last to all", "[search]") {
  const SearchSpec two = search_of("{method: halving, keys: {a: [1, 2]}}");
  CHECK(rungs_of(two, 24, 4) == std::vector<Rung>{{24, 1}, {12, 2}, {6, 4}});
  CHECK(rungs_of(two, 5, 3) == std::vector<Rung>{{5, 1}, {3, 2}, {2, 3}});
  CHECK(rungs_of(two, 2, 8) == std::vector<Rung>{{2, 1}, {1, 2}, {1, 4}, {1, 8}});
  CHECK(rungs_of(search_of("{method: halving, eta: 3, keys: {a: [1]}}"), 20, 9) ==
        std::vector<Rung>{{20, 1}, {7, 3}, {3, 9}});
  CHECK(rungs_of(search_of("{keys: {a: [1]}}"), 24, 4) == std::vector<Rung>{{24, 4}});
}

// ------------------------------------------------------------------------------------------------------------- ranking

Standing standing(std::size_t candidate, std::uint32_t trials, double accuracy, double loss) {
  return {candidate, trials, {accuracy, 0}, {loss, 0}, 1, 1};
}

std::string order(std::vector<Standing> standings, SearchSpec::By by) {
  rank(standings, by);
  std::string text;
  for (const Standing& one : standings) text += std::to_string(one.candidate);
  return text;
}

TEST_CASE("ranks: more trials first, then accuracy, equal ones by loss; no number last; of equals the first",
          "[search]") {
  using By = SearchSpec::By;
  const std::vector<Standing> standings = {
      standing(0, 1, 0.9, 0.1),  standing(1, 2, 0.5, 0.7), standing(2, 2, 0.5, 0.6),        standing(3, 2, none, none),
      standing(4, 2, 0.6, none), standing(5, 2, 0.5, 0.6), standing(6, 2, 0.5 + 1e-12, 0.9)};
  CHECK(order(standings, By::validation_accuracy) == "4251630");
  CHECK(order(standings, By::validation_loss) == "2516340");
}

Result result_of(std::uint32_t epochs, std::uint32_t trial, double accuracy, double test) {
  Result result;
  result.run = fmt::format("e{:03}-t{}", epochs, trial);
  result.epochs = epochs, result.trial = trial;
  result.seconds = 2;
  result.train = {0.125, 0.875};
  result.validation = {1 - accuracy, accuracy};
  result.test = {test, test};
  return result;
}

TEST_CASE("a candidate stands at its best epochs over its first trials that are whole; test results change nothing",
          "[search]") {
  Spec spec;
  spec.grid.epochs = {2, 4}, spec.grid.trials = 3;
  std::vector<Result> results = {result_of(2, 0, 0.5, 0.9), result_of(4, 0, 0.4, 0.1), result_of(2, 1, 0.7, 0.9),
                                 result_of(4, 1, 0.9, 0.1), result_of(2, 2, 0.1, 0.9)};
  const Standing both = standing_of(3, spec, results, 3, SearchSpec::By::validation_accuracy);
  CHECK(both.candidate == 3);
  CHECK(both.trials == 2);  // the third lacks 4 epochs
  CHECK(both.epochs == 4);
  CHECK(both.accuracy.mean == Approx(0.65));
  CHECK(both.loss.mean == Approx(0.35));
  CHECK(both.seconds == 8);
  const Standing one = standing_of(3, spec, results, 1, SearchSpec::By::validation_accuracy);
  CHECK(one.epochs == 2);
  CHECK(one.accuracy.mean == 0.5);
  for (Result& result : results) result.test = {none, none}, result.answers = {}, result.confusion = {};
  CHECK(standing_of(3, spec, results, 3, SearchSpec::By::validation_accuracy).accuracy.mean == both.accuracy.mean);
}

TEST_CASE("a tree stands at the product of its nodes' validation accuracies, mean over genres", "[search]") {
  const Spec spec = parse_spec(parse_yaml(
      "dataset: {name: built-in, genres: [jazz, pop, rock]}\n"
      "tree: {top: {epochs: 3, children: [jazz, low]}, low: {epochs: 1, children: [pop, rock]}}\ngrid: {trials: 1}\n",
      "tree.yaml"));
  std::vector<Result> results = {result_of(3, 0, 0.8, 0), result_of(1, 0, 0.5, 0)};
  results[0].node = "top", results[1].node = "low";
  const Standing tree = standing_of(0, spec, results, 1, SearchSpec::By::validation_accuracy);
  CHECK(tree.accuracy.mean == Approx((0.8 + 0.4 + 0.4) / 3));
  CHECK(std::isnan(tree.loss.mean));
}

// -------------------------------------------------------------------------------------------------------------- errors

constexpr const char* base =
    "experiment: many\ndataset: {name: built-in, genres: [jazz, pop, rock]}\ngrid: {epochs: [2], trials: 2}\n";

ExperimentFile load(const std::string& search, const std::vector<std::string>& assignments = {}) {
  const test::TemporaryFolder folder;
  write_whole_text(folder / "many.yaml", base + search);
  return load_experiment(folder / "many.yaml", assignments, "");
}

TEST_CASE("each candidate is the file with its values, and --set changes the search and the keys it does not sweep",
          "[search]") {
  const std::string search =
      "search: {candidates: 3, keys: {training.batch: {from: 5, to: 9}, tree: [{}, {top: {epochs: "
      "3, children: [jazz, pop, rock]}}]}}";
  CHECK_THAT(test::error_of([&] { load(search); }),
             Contains("grid.epochs is only for"));  // the tree's nodes have their own
  const ExperimentFile file = load("search: {method: grid, keys: {training.batch: [5, 9], model.dropout: [0.1, 0.2]}}",
                                   {"seed=4", "search.keys={training.batch: [6, 9]}"});
  REQUIRE(file.variants.size() == 2);
  CHECK(file.variants[0].name == "c001");
  CHECK(file.variants[1].difference == "training.batch: 9");
  CHECK(file.variants[1].spec.experiment == "many-c002");
  CHECK(file.variants[0].spec.training.batch == 6);
  CHECK(file.variants[0].spec.seed == 4);
  CHECK(file.spec.training.batch == TrainingConfig().batch);
}

TEST_CASE("what is wrong with a search is told with line, key and candidate before anything is trained", "[search]") {
  struct Case {
    const char *search, *message;
  };
  const Case cases[] = {
      {"search: {}", "many.yaml:4:9: search.keys: nothing is swept"},
      {"search: {metod: grid}", "many.yaml:4:10: unknown key 'search.metod' (did you mean 'method'?)"},
      {"search: {method: gird}", "many.yaml:4:18: search.method cannot be 'gird'"},
      {"serach: {}", "many.yaml:4:1: unknown key 'serach' (did you mean 'search'?)"},
      {"search: {method: grid, candidates: 3}", "search.candidates is only for search.method: random or halving"},
      {"search: {candidates: 1, keys: {seed: [1]}}", "many.yaml:4:22: search.candidates cannot be '1'"},
      {"search: {keys: {training.batch: 5}}", "many.yaml:4:33: search.keys cannot hold '5'"},
      {"search: {keys: {training.batch: [5, 6, 5]}}", "many.yaml:4:40: search.keys cannot hold '5'"},
      {"search: {keys: {training.batch: {from: 5}}}", "many.yaml:4:33: search.keys cannot hold a group of keys"},
      {"search: {keys: {model.dropout: {from: 0.5, to: 0.2}}}", "many.yaml:4:48: search.keys cannot hold '0.2'"},
      {"search: {keys: {model.dropout: {from: 0.0, to: 0.2, scale: log}}}", "many.yaml:4:39: search.keys cannot hold"},
      {"search: {method: grid, keys: {model.dropout: {from: 0.1, to: 0.2}}}", "method: grid needs a list of values"},
      {"search: {candidates: 2, keys: {training.optimzer: [adam, sgd]}}",
       "many.yaml:4:32: unknown key 'training.optimzer' (did you mean 'optimizer'?)"},
      {"search: {candidates: 2, keys: {training.batch: [5, 6, 0]}}", "many.yaml:4:55: training.batch cannot be '0'"},
      {"search: {keys: {model.dropout: {from: 0.2, to: 5.0}}}", "many.yaml:4:32: model.dropout cannot be '"},
      {"search: {keys: {model.dropout: {from: 0.2, to: 1.0}}}",  // which is not drawn
       "many.yaml:4:48: model.dropout cannot be '1.0': allowed is a number at least 0 and below 1"},
      {"search: {method: grid, keys: {training.optimizer: [adam, sgd], training.beta1: [0.8, 0.9]}}",
       "(in the candidate 'c003'); 2 of 4 candidates are refused: c003, c004"},
      {"search: {keys: {dataset.split: [{test: 2}, {test: 3}]}}", "search.keys cannot sweep 'dataset.split'"},
      {"search: {keys: {dataset.genres: [[rock, jazz], [rock, pop]]}}", "search.keys cannot sweep 'dataset.genres'"},
      {"search: {keys: {training.select: [last, best-validation]}}", "search.keys cannot sweep 'training.select'"},
      {"search: {keys: {training.patience: [5, 10]}}", "search.keys cannot sweep 'training.patience'"},
      {"search: {candidates: 5, keys: {training.batch: [5, 6]}}", "make no 5 different candidates"},
      {"search: {keys: {seed: [5, 6]}}", "many.yaml:4:17: search.keys cannot sweep 'seed'"},
      {"search: {keys: {grid.trials: [5, 6]}}", "search.keys cannot sweep 'grid.trials'"},
      {"search: {method: grid, keys: {training.learning_rate: [0.001, 1e-3]}}",
       "many.yaml:4:1: the candidates 'c001' and 'c002' are the same experiment"},
      {"variants: {a: {}}\nsearch: {keys: {seed: [1]}}", "many.yaml:5:1: a file has variants or a search, not both"},
  };
  for (const auto& [search, message] : cases) {
    INFO(search);
    CHECK_THAT(test::error_of([&] { load(search); }), Contains(message));
  }
  const std::string good = "search: {candidates: 2, keys: {training.batch: [5, 6]}}";
  CHECK_THAT(test::error_of([&] { load(good, {"training.batch=7"}); }), Contains("the search sweeps training.batch"));
  CHECK_THAT(test::error_of([&] { load(good, {"c001:seed=7"}); }), Contains("has no variants"));
  CHECK_THAT(test::error_of([&] { load(good, {"dataset.split={kind: by-index, test: 5}"}); }),
             Contains("needs validation clips"));
  CHECK_THAT(test::error_of([&] {
               load(good, {"search.method=halving", "grid.trials=1"});
             }),
             Contains("gives the better candidates more trials"));
  CHECK_THAT(test::error_of([&] { load(good, {"tree=learn", "grid.epochs=[2]"}); }), Contains("cannot learn trees"));
}

// -------------------------------------------------------------------------------------------------------------- report

SearchResults three_candidates() {
  SearchResults results;
  SearchPlan& plan = results.plan;
  plan.experiment = "many", plan.description = "3 candidates drawn at random, 2 trials each";
  plan.rungs = {{3, 2}};
  plan.keys = {"training.batch", "model.layers"};
  plan.candidates = {{"c001", {"5", "[{lstm: 4}, {dense: softmax}]"}},
                     {"c002", {"9", "[{lstm: 8}, {dense: softmax}]"}},
                     {"c003", {"7", "[{lstm: 4}, {dense: softmax}]"}}};
  results.standings = {standing(0, 2, 0.25, 1.5), standing(1, 2, 0.75, 0.5), standing(2, 2, 0.5, none)};
  rank(results.standings, plan.by);
  results.best = load("").spec;
  results.best.experiment = "many-best";
  results.dataset = {"music", "a folder", {"jazz", "pop", "rock"}, 30, 15, 6, 9, "0", {}};
  return results;
}

TEST_CASE("the report of a search: candidates by rank, every key drawn, and a table that sorts", "[search]") {
  const test::TemporaryFolder folder;
  write_search_report(folder.path(), three_candidates());
  CHECK_THAT(read_text(folder / "search.csv"),
             Catch::Equals("rank,candidate,training.batch,model.layers,trials,validation_accuracy_mean,"
                           "validation_accuracy_sd,validation_loss,epochs,seconds\n"
                           "1,c002,9,\"[{lstm: 8}, {dense: softmax}]\",2,0.75,0,0.5,1,1.000\n"
                           "2,c003,7,\"[{lstm: 4}, {dense: softmax}]\",2,0.5,0,,1,1.000\n"
                           "3,c001,5,\"[{lstm: 4}, {dense: softmax}]\",2,0.25,0,1.5,1,1.000\n"));
  for (const char* name : {"report.md", "report.html"}) {
    INFO(name);
    const std::string page = read_text(folder / name);
    const std::size_t table = page.find("All candidates");
    REQUIRE(table != std::string::npos);
    CHECK(page.find("c002", table) < page.find("c003", table));
    CHECK(page.find("c003", table) < page.find("c001", table));
    CHECK_THAT(page, Contains("The best: c002") && Contains("The test clips have no part in it"));
    CHECK_THAT(
        page, !Contains("nan") && !Contains("test accuracy, %") && !Contains("test loss") && !Contains("Which genres"));
  }
  const std::string html = read_text(folder / "report.html");
  CHECK_THAT(html, Contains("<table class=\"results lined sortable\">") && Contains("addEventListener(\"click\""));
  for (const char* name : {"parallel.svg", "scatter1.svg", "scatter2.svg"}) CHECK(fs::exists(folder / name));
  CHECK_THAT(read_text(folder / "parallel.svg"), Contains("lstm: 8") && !Contains("softmax"));
}

TEST_CASE("what a folder keeps of a search is read as it was written, and damage is named", "[search]") {
  const test::TemporaryFolder folder;
  const ExperimentFile file = load(
      "search: {method: halving, by: validation_loss, candidates: 3, keys: {training.learning_rate: {from: 0.001, "
      "to: 0.1, scale: log}, training.batch: [5, 6]}}");
  CHECK_FALSE(holds_search(folder.path()));
  const SearchPlan plan = plan_of(file);
  write_search_plan(folder.path(), plan);
  CHECK(holds_search(folder.path()));
  const SearchPlan read = read_search_plan(folder.path());
  CHECK(read.candidates == plan.candidates);
  CHECK(read.rungs == std::vector<Rung>{{3, 1}, {2, 2}});
  CHECK(read.keys == plan.keys);
  CHECK(read.logarithmic == std::vector<std::string>{"training.learning_rate"});
  CHECK(read.by == SearchSpec::By::validation_loss);
  fs::resize_file(folder / "search.json", 20);
  CHECK_THAT(test::error_of([&] { read_search_plan(folder.path()); }), Contains("search.json") && Contains("--resume"));
}

// ----------------------------------------------------------------------------------------------------------- end to end

/// A search for a tiny network on a tiny store.
struct TinySearch {
  test::TemporaryFolder folder;

  TinySearch() {
    write_store(folder / "store.h5", test::tiny_store());
    write_whole_text(folder / "tiny.yaml",
                     test::tiny_experiment(folder / "store.h5") +
                         "search: {method: halving, candidates: 4, keys: {training.learning_rate: {from: 0.001, to: "
                         "0.1, scale: log}, training.batch: {from: 3, to: 18}}}\n");
  }
  Outcome run(const std::string& name, ExperimentOptions options = {}) const {
    options.cache = folder / "cache";
    return do_file(load_experiment(folder / "tiny.yaml", {"grid.epochs=[2]"}, ""), folder / name, options);
  }
  std::size_t trainings(const std::string& name) const {
    std::size_t lines = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder / name))
      if (entry.path().extension() == ".jsonl")
        lines += static_cast<std::size_t>(std::ranges::count(read_text(entry.path()), '\n'));
    return lines;
  }
  /// search.csv without seconds.
  std::string table(const std::string& name) const {
    std::istringstream csv(read_text(folder / name / "search.csv"));
    std::string text;
    for (std::string line; std::getline(csv, line);) text += line.substr(0, line.rfind(',')) + '\n';
    return text;
  }
};

TEST_CASE("a search from the file to best.yaml: halving trains 4 + 2 trials, a resume nothing, and best.yaml runs",
          "[search]") {
  const TinySearch search;
  CHECK(search.run("run").complete);
  CHECK(search.trainings("run") == 6);
  const std::string table = search.table("run");
  std::vector<Standing> first_rung;
  for (std::size_t i = 0; i < 4; ++i) {
    const MergedRuns runs = merge_runs({search.folder / "run" / fmt::format("c{:03}", i + 1)}, false);
    first_rung.push_back(standing_of(i, runs.spec, runs.results, 1, SearchSpec::By::validation_accuracy));
  }
  rank(first_rung, SearchSpec::By::validation_accuracy);
  std::set<std::size_t> best_of_first, in_last;
  for (std::size_t i = 0; i < 2; ++i) best_of_first.insert(first_rung[i].candidate);
  for (const Standing& one : read_search_results({search.folder / "run"}, false).standings)
    if (one.trials == 2) in_last.insert(one.candidate);
  CHECK(in_last == best_of_first);
  CHECK(in_last != std::set<std::size_t>{0, 1});                    // the first two would be no choice
  CHECK_FALSE(fs::exists(search.folder / "run/c001/report.html"));  // it would show test accuracies
  CHECK_THAT(test::error_of([&] { search.run("run"); }), Contains("Go on with --resume"));
  CHECK(search.run("run", {.resume = true}).complete);
  CHECK(search.trainings("run") == 6);
  CHECK(search.table("run") == table);

  fs::remove(search.folder / "run/search.csv");
  CHECK(report_folders({search.folder / "run"}, false).complete);
  CHECK(search.table("run") == table);

  const ExperimentFile best = load_experiment(search.folder / "run/best.yaml", {}, "");
  CHECK_FALSE(best.search.has_value());
  CHECK(best.name == "tiny-best");
  CHECK(best.spec.grid.trials == 2);
  ExperimentOptions options;
  options.cache = search.folder / "cache";
  CHECK(do_file(best, search.folder / "best", options).complete);
  const SearchResults results = read_search_results({search.folder / "run"}, false);
  const std::vector<Result> again = read_results({search.folder / "best"}, false);
  REQUIRE(again.size() == 2);
  CHECK((again[0].validation.accuracy + again[1].validation.accuracy) / 2 == results.standings[0].accuracy.mean);
}

TEST_CASE("a search gives the same whatever goes side by side, was lost on the way, or is divided", "[search]") {
  const TinySearch search;
  search.run("whole", {.jobs = 1});
  const std::string table = search.table("whole");
  search.run("three", {.jobs = 3});
  CHECK(search.table("three") == table);

  // a candidate of the last rung loses all but its first trial, another its ledger's only line
  const SearchResults results = read_search_results({search.folder / "whole"}, false);
  const auto ledger = [&](std::size_t place) {
    return search.folder / "three" / results.plan.candidates[results.standings[place].candidate].name /
           "ledger.0.jsonl";
  };
  const std::string lines = read_text(ledger(0));
  write_whole_text(ledger(0), lines.substr(0, lines.find('\n') + 1));
  write_whole_text(ledger(3), "");
  search.run("three", {.resume = true});
  CHECK(search.table("three") == table);

  // each shard waits for the other at the end of the first rung
  const ExperimentFile file = load_experiment(search.folder / "tiny.yaml", {"grid.epochs=[2]"}, "");
  const auto shard = [&](std::size_t index) {
    return search.run("parts", {.shard = {index, 2}, .resume = true}).complete;
  };
  CHECK(open_shards(file, search.folder / "parts", 2) == std::vector<std::size_t>{0, 1});
  CHECK_FALSE(shard(0));
  CHECK(open_shards(file, search.folder / "parts", 2) == std::vector<std::size_t>{1});
  CHECK(shard(1));
  CHECK(open_shards(file, search.folder / "parts", 2) == std::vector<std::size_t>{0});
  CHECK(shard(0));
  CHECK(open_shards(file, search.folder / "parts", 2).empty());
  CHECK(report_folders({search.folder / "parts"}, false).complete);
  CHECK(search.table("parts") == table);
  CHECK(search.trainings("parts") == 6);
}

TEST_CASE("a search and other experiments do not share a folder; a dry run writes nothing", "[search]") {
  const TinySearch search;
  ExperimentOptions dry;
  dry.dry_run = true;
  search.run("dry", dry);
  CHECK_FALSE(fs::exists(search.folder / "dry"));
  search.run("run");
  write_whole_text(search.folder / "plain.yaml", test::tiny_experiment(search.folder / "store.h5"));
  const ExperimentFile plain = load_experiment(search.folder / "plain.yaml", {}, "");
  CHECK_THAT(test::error_of([&] { do_file(plain, search.folder / "run", {}); }), Contains("holds a search"));
  fs::create_directory(search.folder / "other");
  write_whole_text(search.folder / "other/spec.yaml", "");
  CHECK_THAT(test::error_of([&] { search.run("other"); }), Contains("holds another experiment"));
}

TEST_CASE("the search that comes with the program is read", "[search]") {
  const ExperimentFile file = load_experiment(fs::path(GENRETREE_SOURCE) / "experiments/quick_search.yaml", {}, "");
  CHECK(file.variants.size() == 12);
  CHECK_THAT(documented_yaml(file.search->spec), Contains("# How many are drawn") && Contains("candidates: 12"));
  CHECK(read_search(*parse_yaml(documented_yaml(file.search->spec), "again").find("search")).keys.size() == 4);
}

}  // namespace
}  // namespace genretree
