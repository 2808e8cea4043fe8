#include <algorithm>
#include <fmt/format.h>
#include <fstream>

#include "core/io/files.hpp"
#include "experiments/ledger.hpp"
#include "features/store.hpp"
#include "tests/support/support.hpp"
#include "tests/support/timeline.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree {
namespace fs = std::filesystem;
using Catch::Contains;
namespace {

/// The program in a folder of its own, without the user's data sets and caches.
struct Program {
  test::TemporaryFolder folder;

  Program() {
    write_store(folder / "store.h5", test::tiny_store());
    write_whole_text(folder / "tiny.yaml", test::tiny_experiment(folder / "store.h5"));
  }
  std::string command(const std::string& arguments) const {
    return fmt::format(
        "cd {0} && unset GTZAN SLURM_ARRAY_TASK_ID JOB_COMPLETION_INDEX; GENRETREE_CACHE={0}/cache exec {1} {2}",
        folder.path().string(), test::program("run_experiment").string(), arguments);
  }
  test::CommandResult run(const std::string& arguments) const {
    return test::run_command(fmt::format("( {} )", command(arguments)));
  }
  /// That these arguments end with exit code 65 and an error that says `message`.
  void check_refused(const std::string& arguments, const std::string& message) const {
    const test::CommandResult result = run(arguments);
    INFO(arguments << "\n" << result.output);
    CHECK(result.exit_code == 65);
    CHECK_THAT(result.output, Contains(message));
  }
  /// Starts the program, sends it a signal as soon as `condition` (a shell test) holds, and waits for its end.
  test::CommandResult run_until(const std::string& condition, const std::string& signal,
                                const std::string& arguments) const {
    return test::run_command(
        fmt::format("{{ cd {}; ( {} ) & until {} || ! kill -0 $! 2>/dev/null; do sleep 0.01; done; kill -{} $! "
                    "2>/dev/null; wait $!; }}",
                    folder.path().string(), command(arguments), condition, signal));
  }
  /// All results as text, without times.
  std::vector<std::string> metrics(const std::string& name) const {
    std::vector<std::string> lines;
    for (Result& result : read_results({folder / name}, false)) {
      result.seconds = 0;
      lines.push_back(to_json_line(result));
    }
    return lines;
  }
};

constexpr const char* tiny_corpus = R"(
dataset:
  {name: built-in, genres: [metal, blues], clips_per_genre: 3, seconds: 1, split: {train: 1, validation: 1, test: 1}}
features: {frames: 44}
model: {layers: [{lstm: 4}, {dense: softmax}]}
grid: {epochs: [1], trials: 1}
)";

TEST_CASE("run_experiment: from a feature store to the report") {
  const Program program;
  const test::CommandResult result = program.run("tiny.yaml");
  INFO(result.output);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.output, Contains("18 to train, 6 to validate, 6 to test"));
  CHECK_THAT(result.output, Contains("backend     cpu: LSTM interleaved, fp32"));
  CHECK_THAT(result.output, Contains("jobs  ") && Contains(" side by side, 1 MB each and 1 MB for the data: "));
  CHECK_THAT(result.output, Contains(" of this machine's memory that may be taken"));
  CHECK_THAT(result.output, Contains("(6 of 6)"));
  CHECK_THAT(result.output, Contains("Figure 9") && Contains("Figure 10") && Contains("report: runs/tiny/report.html"));
  for (const char* name : {"spec.yaml", "dataset.json", "ledger.0.jsonl", "figure9.csv", "figure10.csv", "report.md",
                           "report.html", "checkpoints/e005-t1.h5", "models/e005-t1.h5"})
    CHECK(fs::exists(program.folder / "runs/tiny" / name));

  const test::CommandResult again = program.run("tiny.yaml");
  CHECK(again.exit_code == 65);
  CHECK_THAT(again.output, Contains("runs/tiny holds this experiment already. Go on with --resume"));
  CHECK_THAT(program.run("tiny.yaml --resume").output, Contains("6 were there already"));
  CHECK_THAT(program.run("tiny.yaml --resume --set training.batch=8").output,
             Contains("training.batch: 7 there, 8 here"));
}

/// The paper's network and small batches, so that there is time to stop it in the middle.
constexpr const char* long_runs =
    "tiny.yaml --jobs 2 --set grid.epochs=[5,30,120] --set training.batch=2 --set 'model.layers=[{lstm: 128}, {lstm: "
    "32}, {dense: softmax}]'";

TEST_CASE("run_experiment --trace: a timeline whose phases nest, of workers that overlap") {
  const Program program;
  const std::string arguments = std::string(long_runs) + " --set grid.epochs=[20] --trace new/trace.json";
  const test::CommandResult result = program.run(arguments);
  INFO(result.output);
  REQUIRE(result.exit_code == 0);
  const test::Timeline timeline = test::read_timeline(program.folder / "new/trace.json");
  CHECK(timeline.lanes.size() == 2);
  const std::set<std::string> phases = timeline.phases();
  for (const char* phase : {"e020-t0", "e020-t1", "epoch 1", "epoch 20", "training step", "evaluation", "gather",
                            "dropout masks", "forward", "loss", "backward", "update", "checkpoint", "result"})
    CHECK(phases.contains(phase));
  CHECK(timeline.crossing().empty());
  CHECK(timeline.overlap("e020-t0", "e020-t1"));
  CHECK(timeline.overlap("training step", "training step"));

  // what is done does not change, and a file that cannot be written is refused before it is
  REQUIRE(program.run(std::string(long_runs) + " --set grid.epochs=[20] --out untraced").exit_code == 0);
  CHECK(program.metrics("untraced") == program.metrics("runs/tiny"));
  program.check_refused("tiny.yaml --out nothing --trace .", "it is a folder");
  program.check_refused("tiny.yaml --explain --trace trace.json", "--trace has no timeline to write with --explain");
  program.check_refused("--report untraced --trace trace.json", "--trace has no timeline to write with --report");
  CHECK_FALSE(fs::exists(program.folder / "nothing"));
}

TEST_CASE("run_experiment: stopped or killed at any moment, --resume ends with the results of an uninterrupted run") {
  const Program program;
  const std::string arguments = long_runs;
  REQUIRE(program.run(arguments + " --out whole").exit_code == 0);
  const std::vector<std::string> expected = program.metrics("whole");
  REQUIRE(expected.size() == 6);

  // in the middle of the longest runs; when there are some results; as soon as it goes on
  CHECK(program.run_until("[ -e run/checkpoints/e120-t0.h5 ]", "KILL", arguments + " --out run").exit_code == 128 + 9);
  CHECK(program.metrics("run").size() < 6);
  for (const char* condition : {"[ -s run/ledger.0.jsonl ]", "true"})
    program.run_until(condition, "KILL", arguments + " --out run --resume");
  const test::CommandResult last = program.run(arguments + " --out run --resume");
  INFO(last.output);
  CHECK(last.exit_code == 0);
  CHECK(program.metrics("run") == expected);
  std::ifstream ledger(program.folder / "run/ledger.0.jsonl");
  std::size_t lines = 0;
  for (std::string line; std::getline(ledger, line);) ++lines;
  CHECK(lines == 6);  // nothing was done twice

  // an engine may send SIGTERM several times
  for (const auto& [folder, signal, number] : {std::tuple("term", "TERM", 15),
                                               {"terms", "TERM $!; kill -TERM $!; sleep 0.02; kill -TERM", 15},
                                               {"int", "INT", 2}}) {
    const test::CommandResult stopped = program.run_until(fmt::format("[ -e {}/checkpoints ]", folder), signal,
                                                          fmt::format("{} --out {}", arguments, folder));
    INFO(stopped.output);
    CHECK(stopped.exit_code == 75);
    CHECK_THAT(stopped.output, Contains(fmt::format("stopped by signal {}; what was finished is saved", number)));
    CHECK(program.metrics(folder).size() < 6);
    CHECK(program.run(fmt::format("{} --out {} --resume", arguments, folder)).exit_code == 0);
    CHECK(program.metrics(folder) == expected);
  }
}

TEST_CASE("run_experiment: snapshots survive kill -9 too") {
  const Program program;
  const std::string arguments = std::string(long_runs) + " --set grid.mode=snapshots";
  REQUIRE(program.run(arguments + " --out whole").exit_code == 0);
  CHECK(program.run_until("[ -s run/ledger.0.jsonl ]", "KILL", arguments + " --out run").exit_code == 128 + 9);
  CHECK(program.run(arguments + " --out run --resume").exit_code == 0);
  CHECK(program.metrics("run") == program.metrics("whole"));
}

TEST_CASE("run_experiment: shards in one folder or in several, merged by --report") {
  const Program program;
  const test::CommandResult first = program.run("tiny.yaml --out run --shard 0/2");
  CHECK(first.exit_code == 0);
  CHECK_THAT(first.output, Contains("3 of 6 results are still missing") && Contains("--report run"));
  CHECK(!fs::exists(program.folder / "run/report.html"));
  const test::CommandResult half = program.run("--report run");
  CHECK(half.exit_code == 4);  // a report, but of a part
  CHECK_THAT(half.output, Contains("3 of 6 results are missing: "));
  CHECK(fs::exists(program.folder / "run/report.html"));

  CHECK(program.run("tiny.yaml --out other --shard 1/2").exit_code == 0);
  const test::CommandResult second = program.run("tiny.yaml --out run --shard 1/2");
  CHECK(second.exit_code == 0);
  CHECK_THAT(second.output, Contains("All 6 results are there") && Contains("run_experiment --report run"));
  fs::remove(program.folder / "run/ledger.1.jsonl");
  const test::CommandResult merged = program.run("--report run other");
  CHECK(merged.exit_code == 0);
  CHECK_THAT(merged.output, !Contains("missing"));
  CHECK(program.run("tiny.yaml --out whole").exit_code == 0);
  CHECK(read_text(program.folder / "run/figure9.csv") == read_text(program.folder / "whole/figure9.csv"));
}

TEST_CASE("run_experiment: --open-shards says which shards have something left; --shard all/N what they have to do") {
  const Program program;
  const auto open = [&](const std::string& shards) {  // a script reads the standard output, which warnings are not on
    const test::CommandResult result = program.run("tiny.yaml --out run 2>/dev/null --open-shards " + shards);
    CHECK(result.exit_code == 0);
    return result.output;
  };
  CHECK(open("4") == "0-3\n");
  CHECK(open("10") == "0-5\n");  // there are but six runs
  CHECK(!fs::exists(program.folder / "run"));
  REQUIRE(program.run("tiny.yaml --out run --shard 1/4").exit_code == 0);
  CHECK(open("4") == "0,2-3\n");
  const test::CommandResult plan = program.run("tiny.yaml --out run --resume --dry-run --shard all/4");
  INFO(plan.output);
  CHECK(plan.exit_code == 0);
  CHECK_THAT(plan.output,
             Contains("1              0        0   nothing to do") && Contains("The last shard ends after"));
  CHECK_THAT(program.run("tiny.yaml --dry-run --shard all/4").output, Contains("6 runs, 20 epochs"));

  // a line that is damaged is warned of, and its result counts as missing
  const std::string ledger = read_text(program.folder / "run/ledger.1.jsonl");
  write_whole_text(program.folder / "run/ledger.1.jsonl", "{}\n" + ledger.substr(ledger.find('\n') + 1));
  CHECK(open("4") == "0-3\n");
  CHECK_THAT(program.run("tiny.yaml --out run --open-shards 4").output,
             Contains("ledger.1.jsonl:1: this line is no result"));
  program.check_refused("tiny.yaml --out run --open-shards 4 --set seed=1", "run holds another experiment (seed");
  program.check_refused("tiny.yaml --out run --open-shards 0", "--open-shards");
  program.check_refused("tiny.yaml --shard all/4", "is for --dry-run");
  program.check_refused("tiny.yaml --shard all/4x --dry-run", "--shard");
  program.check_refused("--report run --open-shards 4", "two things");
}

TEST_CASE("run_experiment: the variants of a file are divided among all shards, not each among the first") {
  const Program program;
  write_whole_text(program.folder / "three.yaml", test::tiny_experiment(program.folder / "store.h5") +
                                                      "variants:\n  a: {}\n  b: {seed: 1}\n  c: {seed: 2}\n");
  CHECK(program.run("three.yaml --out run --open-shards 40").output == "0-17\n");
  const test::CommandResult shard = program.run("three.yaml --out run --shard 7/40");
  CHECK(shard.exit_code == 0);
  CHECK(!program.metrics("run/b").empty());
  CHECK(program.metrics("run/a").empty());
  CHECK(program.run("three.yaml --out run --open-shards 40").output == "0-6,8-17\n");
  program.check_refused("tiny.yaml --out run --open-shards 4", "run holds an experiment with variants");
}

TEST_CASE("run_experiment: a shard or run that another process works on may be tried again") {
  const Program program;
  REQUIRE(program.run("tiny.yaml --out run").exit_code == 0);
  fs::create_directories(program.folder / "busy/checkpoints");
  const test::CommandResult passed_over =
      test::run_command(fmt::format("flock {} sh -c '{}'", (program.folder / "busy/checkpoints/e005-t1.lock").string(),
                                    program.command("tiny.yaml --out busy --resume")));
  CHECK(passed_over.exit_code == 75);
  CHECK_THAT(passed_over.output, Contains("1 of 6 results are still missing") && Contains("--report busy"));
  const test::CommandResult second =
      test::run_command(fmt::format("flock {} sh -c '{}'", (program.folder / "run/ledger.0.lock").string(),
                                    program.command("tiny.yaml --out run --resume")));
  CHECK(second.exit_code == 1);  // not 65: the other will end
  CHECK_THAT(second.output, Contains("another process works on shard 0 in run"));
}

TEST_CASE("run_experiment: two divisions into shards at once in one folder do no run twice") {
  const Program program;
  const std::string arguments = "tiny.yaml --out run --resume --set grid.epochs=[20,30,40] --jobs 1 --shard ";
  const test::CommandResult both = test::run_command(
      fmt::format("( {} ) & ( {} ); wait", program.command(arguments + "0/1"), program.command(arguments + "1/2")));
  INFO(both.output);
  const std::string first = read_text(program.folder / "run/ledger.0.jsonl"),
                    second = read_text(program.folder / "run/ledger.1.jsonl");
  CHECK(std::ranges::count(first + second, '\n') == 6);
  CHECK(program.metrics("run").size() == 6);
}

TEST_CASE("run_experiment: --report takes every grid point and trial of all folders, and refuses other experiments") {
  const Program program;
  REQUIRE(program.run("tiny.yaml --out a --set grid.epochs=[2,3]").exit_code == 0);
  REQUIRE(program.run("tiny.yaml --out b --set grid.epochs=[3,5] --set grid.trials=3").exit_code == 0);
  const test::CommandResult merged = program.run("--report a b");
  INFO(merged.output);
  CHECK(merged.exit_code == 4);
  CHECK_THAT(merged.output, Contains("1 of 9 results are missing: 2 epochs, trial 2"));
  const std::string table = read_text(program.folder / "a/figure9.csv");
  for (const char* cell : {"\n2,0,", "\n2,1,", "\n3,0,", "\n3,1,", "\n3,2,", "\n5,0,", "\n5,1,", "\n5,2,"})
    CHECK_THAT(table, Contains(cell));

  REQUIRE(program.run("tiny.yaml --out c --set training.batch=8 --set seed=1").exit_code == 0);
  const test::CommandResult refused = program.run("--report a c");
  CHECK(refused.exit_code == 65);
  CHECK_THAT(refused.output, Contains("c holds another experiment than a") &&
                                 Contains("seed: 1 there, 2018 here; training.batch: 8 there, 7 here"));
}

TEST_CASE("run_experiment: on a full disk it stops with the reason, and --resume ends with all results") {
  const Program program;
  REQUIRE(program.run("tiny.yaml --out whole").exit_code == 0);
  // no file may grow beyond a block of 512 or 1024 bytes: spec.hash fits, checkpoints do not
  const test::CommandResult full =
      test::run_command(fmt::format("( trap '' XFSZ; ulimit -f 1; {} )", program.command("tiny.yaml --out run")));
  INFO(full.output);
  CHECK(full.exit_code == 1);
  CHECK_THAT(full.output, Contains("error: cannot write run/") && Contains("File too large") && Contains("Free some"));
  CHECK(program.run("tiny.yaml --out run --resume").exit_code == 0);
  CHECK(program.metrics("run") == program.metrics("whole"));
}

TEST_CASE("run_experiment: a checkpoint that is cut is named, and its run trained anew") {
  const Program program;
  REQUIRE(program.run("tiny.yaml --out run").exit_code == 0);
  const std::vector<std::string> expected = program.metrics("run");
  write_whole_text(program.folder / "run/ledger.0.jsonl", "");
  fs::resize_file(program.folder / "run/checkpoints/e005-t1.h5", 1000);
  const test::CommandResult resumed = program.run("tiny.yaml --out run --resume");
  INFO(resumed.output);
  CHECK(resumed.exit_code == 0);
  CHECK_THAT(resumed.output, Contains("warning: the checkpoint run/checkpoints/e005-t1.h5 cannot be used, so e005-t1 "
                                      "is trained anew"));
  CHECK(program.metrics("run") == expected);

  fs::resize_file(program.folder / "run/dataset.json", 20);
  const test::CommandResult damaged = program.run("--report run");
  CHECK(damaged.exit_code == 65);
  CHECK_THAT(damaged.output, Contains("run/dataset.json") && Contains("Delete it"));
  fs::remove(program.folder / "run/dataset.json");
  CHECK(program.run("tiny.yaml --out run --resume").exit_code == 0);
  CHECK(program.run("--report run").exit_code == 0);
}

TEST_CASE("run_experiment: what it needs at the end is looked for before anything is extracted") {
  const Program program;
  const test::CommandResult no_gnuplot =
      test::run_command(fmt::format("( PATH={}; {} )", program.folder.path().string(), program.command("tiny.yaml")));
  CHECK(no_gnuplot.exit_code == 1);
  CHECK_THAT(no_gnuplot.output, Contains("apt-get install gnuplot-nox"));
  CHECK(!fs::exists(program.folder / "runs"));

  const std::string corpus = "corpus.yaml --out run";
  write_whole_text(program.folder / "corpus.yaml", tiny_corpus);
  REQUIRE(program.run(corpus).exit_code == 0);
  fs::remove_all(program.folder / "cache");
  CHECK(program.run(corpus).exit_code == 65);
  CHECK(program.run(corpus + " --resume --set seed=3").exit_code == 65);
  CHECK(!fs::exists(program.folder / "cache"));
}

TEST_CASE("run_experiment: the experiments that come with the program, in small, from start to end") {
  const Program program;
  const std::string small =
      " --set dataset.clips_per_genre=3 --set dataset.seconds=1 --set 'dataset.split={kind: by-index, train: 1, "
      "validation: 1, test: 1}' --set features.frames=44 --set 'model.layers=[{lstm: 4}, {dense: softmax}]' --set "
      "grid.trials=1 --set grid.epochs=[1,2]";
  const std::string folder = (fs::path(GENRETREE_SOURCE) / "experiments").string();

  const test::CommandResult quick = program.run(folder + "/quick_sweep.yaml" + small);
  INFO(quick.output);
  CHECK(quick.exit_code == 0);
  CHECK_THAT(quick.output, Contains("SYNTHETIC") && Contains("report: runs/quick_sweep/report.html"));
  CHECK(program.metrics("runs/quick_sweep").size() == 2);

  const test::CommandResult epochs = program.run(folder + "/epoch_sweep.yaml --dataset built-in" + small);
  INFO(epochs.output);
  CHECK(epochs.exit_code == 0);
  CHECK_THAT(epochs.output, Contains("SYNTHETIC") && Contains("compat: librosa-0.6") &&
                                Contains("(classical, hiphop, jazz, metal, pop, reggae)"));
  CHECK_THAT(read_text(program.folder / "runs/epoch_sweep/report.md"), Contains("not GTZAN") && !Contains("1.8864"));
}

TEST_CASE("run_experiment: the trees that come with the program, in small, from start to end; killed and resumed") {
  const Program program;
  std::string small =
      " --dataset built-in --set dataset.clips_per_genre=4 --set dataset.seconds=1 --set features.frames=44 --set "
      "'model.layers=[{lstm: 4}, {dense: softmax}]' --set grid.trials=1";
  for (const char* node : {"strong", "mild", "sub-strong-1", "sub-strong-2", "sub-mild-1", "sub-mild-2"})
    small += fmt::format(" --set tree.{}.epochs=1", node);
  for (const std::string name : {"quick_tree", "genre_tree"}) {
    const std::string file = (fs::path(GENRETREE_SOURCE) / "experiments" / (name + ".yaml")).string(),
                      arguments = file + small + " --set tree.music.epochs=2";
    const test::CommandResult dry = program.run(arguments + " --dry-run");
    INFO(dry.output);
    CHECK(dry.exit_code == 0);
    CHECK_THAT(dry.output, Contains("7 runs, 8 epochs") && Contains("sub-strong-1-t0"));

    const test::CommandResult whole = program.run(arguments);
    INFO(whole.output);
    CHECK(whole.exit_code == 0);
    CHECK_THAT(whole.output, Contains("7 runs of training") && Contains("30 to train, 0 to validate, 10 to test") &&
                                 Contains("Table 4") && !Contains("52.975") && !Contains("nan"));
    CHECK_THAT(read_text(program.folder / "runs" / name / "report.md"), Contains("SYNTHETIC"));
    CHECK_THAT(program.run(file + " --set grid.epochs=[2]").output, Contains("grid.epochs is only for"));

    const std::string killed = arguments + " --out killed-" + name;
    program.run_until(fmt::format("[ -s killed-{}/ledger.0.jsonl ]", name), "KILL", killed + " --jobs 1");
    CHECK(program.run(killed + " --resume").exit_code == 0);
    for (const char* table : {"table3.csv", "table4.csv", "decoded.csv"})
      CHECK(read_text(program.folder / ("killed-" + name) / table) ==
            read_text(program.folder / "runs" / name / table));
  }
}

/// A flat classifier, a tree by hand and a learned tree.
constexpr const char* tiny_variants = R"(
variants:
  flat: {}
  hand: {tree: {top: {epochs: 1, children: [loud, blues]}, loud: {epochs: 1, children: [metal, pop]}}, grid.epochs: null}
  learned: {tree: {learn: {epochs: 1}}}
dataset: {name: built-in, genres: [metal, blues, pop], clips_per_genre: 6, seconds: 1,
          split: {train: 2, validation: 2, test: 2}}
features: {frames: 44}
model: {layers: [{lstm: 4}, {dense: softmax}]}
grid: {epochs: [1, 2], trials: 1}
)";

TEST_CASE("run_experiment: variants and a learned tree end in one comparison, stopped, sharded, or reported anew") {
  const Program program;
  write_whole_text(program.folder / "many.yaml", tiny_variants);
  const auto comparison = [&](const std::string& folder) {
    return read_text(program.folder / folder / "comparison.csv");
  };
  const test::CommandResult dry = program.run("many.yaml --dry-run");
  INFO(dry.output);
  CHECK(dry.exit_code == 0);
  CHECK_THAT(dry.output, Contains("variant     hand (tree: {…}, grid.epochs: none)") &&
                             Contains("2 of 2 results are missing. Its nodes are not known before"));
  CHECK(!fs::exists(program.folder / "runs"));

  const test::CommandResult whole = program.run("many.yaml --out whole");
  INFO(whole.output);
  REQUIRE(whole.exit_code == 0);
  CHECK_THAT(whole.output, Contains("The variants side by side") && Contains("comparison: whole/report.html"));
  for (const char* name : {"report.md", "report.html", "comparison.csv", "flat/report.html", "hand/figure14.svg",
                           "learned/figure14.svg", "learned/learned_tree.json"})
    CHECK(fs::exists(program.folder / "whole" / name));
  CHECK_THAT(read_text(program.folder / "whole/learned/spec.yaml"), Contains("all: {epochs: 1") && !Contains("learn:"));
  CHECK_THAT(read_text(program.folder / "whole/learned/report.md"),
             Contains("How the tree was learned") && Contains("../flat/report.html"));
  CHECK(!fs::exists(program.folder / "whole/learned/flat"));  // the variant flat is the same: trained once
  CHECK_THAT(whole.output, Contains("In brackets, 95 %: bootstrap interval"));

  const std::string expected = comparison("whole");
  CHECK(program.run("many.yaml --out whole").exit_code == 65);
  fs::remove(program.folder / "whole/comparison.csv");
  CHECK_THAT(program.run("many.yaml --out whole --resume").output, Contains("2 were there already"));
  CHECK(comparison("whole") == expected);
  fs::remove(program.folder / "whole/comparison.csv");
  fs::remove(program.folder / "whole/learned/report.html");
  CHECK(program.run("--report whole").exit_code == 0);
  CHECK(comparison("whole") == expected);
  CHECK(fs::exists(program.folder / "whole/learned/report.html"));

  program.run_until("[ -s half/flat/ledger.0.jsonl ]", "KILL", "many.yaml --out half --jobs 1");
  CHECK(program.run("many.yaml --out half --resume").exit_code == 0);
  CHECK(comparison("half") == expected);

  const test::CommandResult first = program.run("many.yaml --out parts --shard 0/2");
  CHECK_THAT(first.output, Contains("1 of 2 results are missing. When they are there, go on with --resume"));
  CHECK(!fs::exists(program.folder / "parts/report.html"));
  CHECK(first.exit_code == 75);  // the tree has to wait for the other shard
  CHECK(program.run("many.yaml --out parts --open-shards 2").output == "1\n");
  CHECK(program.run("many.yaml --out parts --shard 1/2").exit_code == 0);
  CHECK(program.run("many.yaml --out parts --open-shards 2").output == "0\n");  // the tree that was learned by now
  CHECK(program.run("many.yaml --out parts --shard 0/2 --resume").exit_code == 0);
  CHECK(program.run("many.yaml --out parts --open-shards 2").output == "\n");
  CHECK(program.run("--report parts").exit_code == 0);
  CHECK(comparison("parts") == expected);

  fs::remove_all(program.folder / "parts/learned");
  const test::CommandResult two = program.run("--report parts");
  CHECK(two.exit_code == 4);
  CHECK_THAT(two.output, Contains("not compared, for they have no results yet: learned"));
  CHECK_THAT(comparison("parts"), Contains("\nhand,") && !Contains("\nlearned,"));

  const test::CommandResult own = program.run("many.yaml --out own --set learned:grid.epochs=[1]");
  CHECK(own.exit_code == 0);
  CHECK(fs::exists(program.folder / "own/learned/flat/report.html"));  // no variant is the same
  CHECK_THAT(comparison("own"), Contains("grid.epochs: [1]"));

  program.check_refused("many.yaml --out whole --resume --set seed=1",
                        "whole/flat holds another experiment (seed: 2018 there");
  program.check_refused("tiny.yaml --out whole", "whole holds an experiment with variants");
  program.check_refused("many.yaml --out whole --resume --set experiment=other",
                        "whole holds the comparison of another experiment, many");
  write_whole_text(program.folder / "fewer.yaml", "experiment: many\nvariants: {flat: {}, new: {seed: 3}}\n");
  program.check_refused("fewer.yaml --out whole --resume",
                        "whole holds a variant 'hand', which the file does not have");
  program.check_refused("many.yaml --out whole/flat", "whole/flat holds an experiment without variants");
  program.check_refused("many.yaml --set 'dataset.split={test_fraction: 0.5}'", "draws the sets anew for each trial");
  CHECK_THAT(program.run("many.yaml --explain").output, Contains("--- # variant learned") && Contains("# How the"));
}

TEST_CASE("run_experiment: --dry-run lists every run and writes nothing; --explain documents every key") {
  const Program program;
  const test::CommandResult dry = program.run("tiny.yaml --dry-run");
  INFO(dry.output);
  CHECK(dry.exit_code == 0);
  for (const char* run : {"e005-t0", "e005-t1", "e003-t0", "e003-t1", "e002-t0", "e002-t1"})
    CHECK_THAT(dry.output, Contains(run));
  CHECK_THAT(dry.output, Contains("6 runs, 20 epochs") && Contains("in all"));
  CHECK_THAT(dry.output, Contains("No run was trained") && Contains(" MB each and 1 MB for the data: "));
  CHECK(!fs::exists(program.folder / "runs"));
  REQUIRE(program.run("tiny.yaml --shard 0/2").exit_code == 0);
  const test::CommandResult rest = program.run("tiny.yaml --dry-run --resume");
  CHECK(rest.exit_code == 0);
  CHECK_THAT(rest.output, Contains("3 runs, ") && !Contains("e005-t0"));
  const test::CommandResult file_last = program.run("--set grid.trials=1 --set seed=6 tiny.yaml --explain");
  CHECK(file_last.exit_code == 0);
  CHECK_THAT(file_last.output, Contains("trials: 1") && Contains("seed: 6"));
  const test::CommandResult explained = program.run("tiny.yaml --explain --set seed=5");
  CHECK(explained.exit_code == 0);
  CHECK_THAT(explained.output, Contains("seed: 5") && Contains("# Trainings of each grid point"));
}

TEST_CASE("run_experiment: the built-in corpus is called synthetic, and its features are extracted once") {
  const Program program;
  write_whole_text(program.folder / "corpus.yaml", tiny_corpus);
  const test::CommandResult result = program.run("corpus.yaml --dataset built-in");
  INFO(result.output);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.output, Contains("data        SYNTHETIC corpus (not GTZAN): 6 clips in 2 genres (metal, blues)"));
  CHECK_THAT(read_text(program.folder / "runs/corpus/report.md"), Contains("**SYNTHETIC corpus (not GTZAN)"));

  const auto stores = [&] {
    std::vector<std::pair<fs::path, fs::file_time_type>> found;
    for (const auto& entry : fs::directory_iterator(program.folder / "cache"))
      if (entry.path().extension() == ".h5") found.emplace_back(entry.path(), entry.last_write_time());
    return found;
  };
  const auto before = stores();
  REQUIRE(before.size() == 1);
  CHECK(program.run("corpus.yaml --out other --set dataset.genres=[pop,rock]").exit_code ==
        0);  // all genres are in the cache
  CHECK(stores() == before);
  CHECK(program.run("corpus.yaml --out third --set features.frames=40").exit_code == 0);
  CHECK(stores().size() == 2);
}

TEST_CASE("run_experiment: clips that could not be read are told by the exit code 3") {
  const Program program;
  for (const std::string genre : {"one", "two"}) {
    fs::create_directories(program.folder / "audio" / genre);
    for (const char* name : {"librosa_plain.au", "librosa_stereo.wav", "librosa_8khz.flac"})
      fs::copy_file(test::golden(name), program.folder / "audio" / genre / (genre + name));
  }
  const std::string arguments =
      "tiny.yaml --dataset audio --set features.frames=9 --set 'dataset.split={train: 1, validation: 1, test: 1}' ";
  CHECK(program.run(arguments + "--out good").exit_code == 0);
  write_whole_text(program.folder / "audio/two/text.wav", "This is no music.");
  const test::CommandResult result = program.run(arguments + "--out bad");
  INFO(result.output);
  CHECK(result.exit_code == 3);
  CHECK_THAT(result.output, Contains("text") && Contains("report: bad/report.html"));
  CHECK(program.run("--report bad").exit_code == 3);
  CHECK(program.run(arguments + "--out strict --strict").exit_code == 65);
}

TEST_CASE("run_experiment: what cannot work is refused with exit code 65 and a way out") {
  const Program program;
  write_whole_text(program.folder / "gtzan.yaml", "dataset: {name: gtzan}\n");
  fs::create_directories(program.folder / "experiments");
  fs::copy(program.folder / "tiny.yaml", program.folder / "experiments/sweep.yaml");
  program.check_refused("", "no experiment file was given");
  program.check_refused("none.yaml", "there is no experiment file none.yaml");
  program.check_refused("sweep", "say run_experiment experiments/sweep.yaml");
  program.check_refused("tiny.yaml --nonsense", "--nonsense");
  program.check_refused("tiny.yaml --jobs 0", "--jobs is '0'");
  program.check_refused("tiny.yaml --shard 2/2", "--shard 2/2");
  program.check_refused("tiny.yaml --backend abacus", "abacus");
  program.check_refused("tiny.yaml --dataset nowhere", "/nowhere does not exist. Give another");
  program.check_refused("tiny.yaml --set features.frames=7", "frames: 6 in the store, 7 in the experiment");
  program.check_refused("gtzan.yaml", "fetch_gtzan DIR");
  program.check_refused("gtzan.yaml", "--dataset built-in");
  program.check_refused("--report nowhere", "nowhere is not a folder of runs");
  program.check_refused("tiny.yaml --report runs", "--report takes folders and no experiment file");
  CHECK(!fs::exists(program.folder / "runs"));

  write_whole_text(program.folder / "file", "");
  const test::CommandResult unwritable = program.run("tiny.yaml --out file/run");
  CHECK(unwritable.exit_code == 1);
  CHECK_THAT(unwritable.output, Contains("cannot create the folder file/run"));
}

}  // namespace
}  // namespace genretree
