#include <cmath>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <future>
#include <numeric>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/io/files.hpp"
#include "experiments/runner.hpp"
#include "models/checkpoint.hpp"
#include "tests/support/results.hpp"
#include "tests/support/support.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

/// A tiny experiment in a temporary folder, and a way to run it.
struct Experiment {
  test::TemporaryFolder folder;
  Spec spec;
  std::unique_ptr<Backend> backend = make_backend({.device = "cpu"});

  Experiment() {
    write_store(folder / "store.h5", test::tiny_store());
    spec = parse_spec(parse_yaml(test::tiny_experiment(folder / "store.h5"), "tiny.yaml"));
  }
  Data data() const { return load_data(spec, *backend, {}); }
  fs::path path(const std::string& name) const { return folder / name; }

  RunSummary run(const std::string& name, bool resume = false, const Shard& shard = {},
                 const RunnerOptions& options = {}) const {
    RunFolder run_folder(path(name), spec, shard, resume);
    return run_grid(spec, data(), *backend, run_folder, options);
  }
  std::vector<Result> results(const std::string& name) const { return read_results({path(name)}, false); }
};

std::vector<std::string> lines_of(const fs::path& file) {
  std::ifstream stream(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

void write_lines(const fs::path& file, const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  write_whole_text(file, text);
}

TEST_CASE(
    "a grid is done whole: a result for each cell, with history, confusion matrix and provenance; a model for each "
    "run") {
  const Experiment experiment;
  const RunSummary summary = experiment.run("run");
  CHECK(summary.finished == 6);
  CHECK(summary.before == 0);
  const std::vector<Result> results = experiment.results("run");
  REQUIRE(results.size() == 6);
  CHECK(missing_cells(experiment.spec, results).empty());
  for (const Result& result : results) {
    CHECK(result.history.size() == result.epochs);
    CHECK(result.test.loss == result.history.back().test.loss);
    unsigned counted = 0, right = 0;
    for (std::size_t i = 0; i < 9; ++i) counted += result.confusion[i], right += i % 4 == 0 ? result.confusion[i] : 0;
    CHECK(counted == 6);
    CHECK(right / 6.0 == Approx(result.test.accuracy));
    CHECK(result.answers.tracks.size() == 6);
    CHECK(std::accumulate(result.validation_confusion.begin(), result.validation_confusion.end(), 0u) == 6);
    CHECK(result.spec_hash == spec_hash(experiment.spec));
    CHECK(result.backend.backend == "cpu");
    CHECK(!result.commit.empty());
    const SavedModel model = read_model(experiment.path("run") / "checkpoints" / (result.run + ".h5"));
    CHECK(model.model.genres == std::vector<std::string>{"a", "b", "c"});
  }
  CHECK(fs::exists(experiment.path("run") / "spec.yaml"));
  CHECK(fs::exists(experiment.path("run") / "dataset.json"));
}

TEST_CASE("results do not depend on the number of workers: the same ledger, tables and weights bit for bit") {
  Experiment experiment;
  experiment.spec.grid.mode = GENERATE(GridSpec::Mode::independent, GridSpec::Mode::snapshots);
  // in bf16 a thread may have tiles set up for the batches of another run
  experiment.backend = make_backend({.device = "cpu", .precision = GENERATE(as<std::string>(), "fp32", "bf16")});
  for (std::size_t jobs : {1, 2, 3}) {
    const std::string name = fmt::format("jobs{}", jobs);
    experiment.run(name, false, {}, {.jobs = jobs});
    write_report(experiment.path(name), experiment.spec, experiment.data().summary, experiment.results(name));
  }
  const std::vector<Result> one = experiment.results("jobs1");
  REQUIRE(one.size() == 6);
  for (const std::string name : {"jobs2", "jobs3"}) {
    CHECK(test::metrics(experiment.results(name)) == test::metrics(one));
    for (const char* table : {"figure9.csv", "figure10.csv"})
      CHECK(read_text(experiment.path(name) / table) == read_text(experiment.path("jobs1") / table));
    for (const Result& result : one) {
      const auto weights = [&](const std::string& folder) {
        return read_model(experiment.path(folder) / "checkpoints" / (result.run + ".h5")).parameters;
      };
      CHECK(weights(name) == weights("jobs1"));
    }
  }
}

TEST_CASE("a worker takes the longest run first") {
  const Experiment experiment;
  experiment.run("run", false, {}, {.jobs = 1});
  std::vector<std::string> order;
  for (const Result& result : read_ledger(ledger_path(experiment.path("run"), 0), false)) order.push_back(result.run);
  CHECK(order == std::vector<std::string>{"e005-t0", "e005-t1", "e003-t0", "e003-t1", "e002-t0", "e002-t1"});
}

TEST_CASE("shards, in one folder or in several, merge to the same results") {
  const Experiment experiment;
  experiment.run("whole");
  for (std::size_t index = 0; index < 2; ++index) {
    experiment.run("shared", false, {index, 2});
    experiment.run(fmt::format("own{}", index), false, {index, 2});
  }
  const std::vector<std::string> expected = test::metrics(experiment.results("whole"));
  CHECK(test::metrics(experiment.results("shared")) == expected);
  CHECK(test::metrics(read_results({experiment.path("own0"), experiment.path("own1")}, false)) == expected);
  CHECK(missing_cells(experiment.spec, experiment.results("own0")).size() == 3);
  CHECK_THROWS_WITH(experiment.run("shared", false, {1, 3}), Catch::Contains("holds this experiment already"));
  CHECK_THROWS_WITH(experiment.run("shared", false, {2, 3}),
                    Catch::Contains("already"));  // another division: its runs are there
  CHECK(experiment.run("shared", true, {2, 3}).finished == 0);
}

TEST_CASE("a last line whose end is gone is removed from the own ledger, and its run done at once") {
  const Experiment experiment;
  experiment.run("run");
  const fs::path ledger = ledger_path(experiment.path("run"), 0);
  std::string text = read_text(ledger);
  std::fill(text.end() - 200, text.end() - 4, '\0');  // but not "]}}" and the newline
  write_whole_text(ledger, text);
  const RunSummary summary = experiment.run("run", true);
  CHECK(summary.finished == 1);
  CHECK(summary.missing == 0);
}

TEST_CASE("another shard's damaged ledger is no obstacle to a shard") {
  const Experiment experiment;
  experiment.run("run", false, {0, 2});
  experiment.run("run", false, {1, 2});
  const fs::path other = ledger_path(experiment.path("run"), 1);
  write_whole_text(other, "{}\n" + read_text(other));
  const std::string run = read_ledger(ledger_path(experiment.path("run"), 0), false).front().run;
  const fs::path model = experiment.path("run") / "models" / (run + ".h5");
  fs::remove(model);
  const RunSummary summary = experiment.run("run", true, {0, 2});
  CHECK(summary.before == 3);
  CHECK(fs::exists(model));
  CHECK_THROWS_WITH(experiment.run("run", true, {1, 2}), Catch::Contains("ledger.1.jsonl:1:"));
}

TEST_CASE("a run that another process works on is passed over, and missing until somebody does it") {
  const Experiment experiment;
  fs::create_directories(experiment.path("run") / "checkpoints");
  {
    const FileLock held(experiment.path("run") / "checkpoints" / "e003-t1.lock");
    const RunSummary summary = experiment.run("run");
    CHECK(summary.finished == 5);
    CHECK(summary.before == 0);
    CHECK(summary.elsewhere == 1);
    CHECK(missing_cells(experiment.spec, experiment.results("run")) == std::vector<std::string>{"3 epochs, trial 1"});
  }
  CHECK(experiment.run("run", true).finished == 1);
  experiment.run("whole");
  CHECK(test::metrics(experiment.results("run")) == test::metrics(experiment.results("whole")));
}

TEST_CASE("two divisions into shards at work in one folder at the same time do each run once") {
  const Experiment experiment;
  const auto work = [&](const Shard& shard) {
    return std::async(std::launch::async, [&experiment, shard] { return experiment.run("run", true, shard); });
  };
  std::future<RunSummary> all = work({0, 1}), half = work({1, 2});
  const RunSummary a = all.get(), b = half.get();
  CHECK(a.finished + b.finished == 6);
  CHECK(a.finished + a.before + a.elsewhere == 6);
  CHECK(b.finished + b.before + b.elsewhere == 3);
  CHECK(lines_of(ledger_path(experiment.path("run"), 0)).size() +
            lines_of(ledger_path(experiment.path("run"), 1)).size() ==
        6);
  experiment.run("whole");
  CHECK(test::metrics(experiment.results("run")) == test::metrics(experiment.results("whole")));
}

TEST_CASE("what killed processes left of checkpoints is removed, if it belongs to a run that is done now") {
  const Experiment experiment;
  const fs::path folder = experiment.path("run") / "checkpoints";
  fs::create_directories(folder);
  for (const char* name : {"e005-t1.h5.tmp.host.1234", "e999-t1.h5.tmp.host.1234"}) write_whole_text(folder / name, "");
  experiment.run("run");
  CHECK(!fs::exists(folder / "e005-t1.h5.tmp.host.1234"));
  CHECK(fs::exists(folder / "e999-t1.h5.tmp.host.1234"));
}

TEST_CASE("what is there is refused without --resume, and left as it is with it") {
  const Experiment experiment;
  experiment.run("run");
  const std::vector<std::string> before = lines_of(ledger_path(experiment.path("run"), 0));
  CHECK_THROWS_WITH(experiment.run("run"), Catch::Contains("--resume"));
  const RunSummary again = experiment.run("run", true);
  CHECK(again.finished == 0);
  CHECK(again.before == 6);
  CHECK(lines_of(ledger_path(experiment.path("run"), 0)) == before);
}

TEST_CASE("a resumed run has the results of one made in one go, whatever was lost") {
  const Experiment experiment;
  experiment.run("whole");
  experiment.run("run");
  const fs::path ledger = ledger_path(experiment.path("run"), 0);
  std::vector<std::string> lines = lines_of(ledger);
  SECTION("lines, while the final checkpoints are there") { lines.resize(2); }
  SECTION("lines and their checkpoints") {
    lines.resize(3);
    fs::remove_all(experiment.path("run") / "checkpoints");
  }
  SECTION("half of a line") { lines[3].resize(lines[3].size() / 2), lines.resize(4); }
  write_lines(ledger, lines);
  if (lines.size() == 4) fs::resize_file(ledger, fs::file_size(ledger) - 1);  // cut within the line: no newline
  experiment.run("run", true);
  CHECK(lines_of(ledger).size() == 6);
  CHECK(test::metrics(experiment.results("run")) == test::metrics(experiment.results("whole")));
}

TEST_CASE("a run goes on from a checkpoint in its middle, bit for bit") {
  Experiment experiment;
  experiment.run("whole");
  // a folder as a process leaves it that was killed after three of the five epochs of e005-t1
  const Data data = experiment.data();
  const Split split = make_split(data.store, experiment.spec.dataset.split, experiment.spec.seed, 1, false);
  const DeviceDataset dataset(data.store, *experiment.backend);
  const std::unique_ptr<Queue> queue = experiment.backend->device().make_queue();
  Model model;
  model.classifier = classifier_of(experiment.spec, 3);
  model.features = data.store.config;
  model.genres = data.store.genres;
  Trainer trainer(*experiment.backend, *queue, dataset, split, model.classifier, experiment.spec.training,
                  {.seed = experiment.spec.seed, .point = 5, .trial = 1});
  for (int epoch = 0; epoch < 3; ++epoch) trainer.train_epoch();
  RunFolder(experiment.path("run"), experiment.spec, {}, false).begin(data.summary);
  const Result known = experiment.results("whole").front();
  Checkpoint checkpoint{"e005-t1", known.spec_hash, known.commit, known.backend, 1000, trainer.state()};
  const fs::path file = experiment.path("run") / "checkpoints" / "e005-t1.h5";
  write_checkpoint(file, model, checkpoint);

  SECTION("the same program") {
    experiment.run("run", true);
    CHECK(test::metrics(experiment.results("run")) == test::metrics(experiment.results("whole")));
    CHECK(experiment.results("run").back().seconds > 1000);  // it did go on from there
  }
  SECTION("cut off: trained anew, and the other runs too") {
    fs::resize_file(file, fs::file_size(file) / 2);
    experiment.run("run", true);
    CHECK(test::metrics(experiment.results("run")) == test::metrics(experiment.results("whole")));
    CHECK(experiment.results("run").back().seconds < 1000);
    CHECK_NOTHROW(read_checkpoint(file, model));
  }
  SECTION("another backend, in whatever") {
    const auto [name, field] =
        backend_info_fields[GENERATE(range(0, static_cast<int>(std::size(backend_info_fields))))];
    checkpoint.backend.*field = "another";
    write_checkpoint(file, model, checkpoint);
    CHECK_THROWS_WITH(experiment.run("run", true),
                      Catch::Contains(fmt::format("{}: 'another'", name)) && Catch::Contains("--allow-mixed"));
  }
  SECTION("another program") {
    checkpoint.commit = "another";
    write_checkpoint(file, model, checkpoint);
    CHECK_THROWS_WITH(experiment.run("run", true),
                      Catch::Contains("commit: 'another'") && Catch::Contains("--allow-mixed"));
    experiment.run("run", true, {}, {.allow_mixed = true});
    CHECK(experiment.results("run").size() == 6);
  }
  SECTION("another run's file under this name") {
    checkpoint.run = "e005-t0";
    write_checkpoint(file, model, checkpoint);
    CHECK_THROWS_WITH(experiment.run("run", true), Catch::Contains("belongs to another run"));
  }
}

TEST_CASE("results of another backend are not mixed in silence, in whatever it differs") {
  const Experiment experiment;
  experiment.run("run");
  const auto [name, field] = backend_info_fields[GENERATE(range(0, static_cast<int>(std::size(backend_info_fields))))];
  const fs::path ledger = ledger_path(experiment.path("run"), 0);
  Result other = experiment.results("run").front();
  other.backend.*field = "another";
  write_lines(ledger, {to_json_line(other)});
  CHECK_THROWS_WITH(experiment.run("run", true),
                    Catch::Contains(fmt::format("{}: 'another'", name)) && Catch::Contains("--allow-mixed"));
  experiment.run("run", true, {}, {.allow_mixed = true});
  CHECK(lines_of(ledger).size() == 6);
  CHECK_THROWS_WITH(experiment.results("run"), Catch::Contains(name) && Catch::Contains("--allow-mixed"));
  CHECK(read_results({experiment.path("run")}, true).size() == 6);
}

TEST_CASE("snapshots: one training a trial, the last as in independent runs, those on the way not") {
  Experiment experiment;
  experiment.run("independent");
  experiment.spec.grid.mode = GridSpec::Mode::snapshots;
  CHECK(experiment.run("snapshots").finished == 2);
  const std::vector<Result> a = experiment.results("independent"), b = experiment.results("snapshots");
  REQUIRE(b.size() == 6);
  for (std::size_t cell = 0; cell < 6; ++cell) {
    CHECK(b[cell].run == fmt::format("s005-t{}", b[cell].trial));
    CHECK(b[cell].history.size() == b[cell].epochs);
    CHECK(b[cell].confusion.size() == 9);
    if (b[cell].epochs == 5)
      CHECK(a[cell].test.loss == b[cell].test.loss);  // both have the random numbers of the grid point 5
    else
      CHECK(a[cell].test.loss != b[cell].test.loss);
  }
}

TEST_CASE("snapshots resume: only the missing lines are appended") {
  Experiment experiment;
  experiment.spec.grid.mode = GridSpec::Mode::snapshots;
  experiment.run("whole");
  experiment.run("run");
  const fs::path ledger = ledger_path(experiment.path("run"), 0);
  const std::vector<std::string> all = lines_of(ledger);  // t0 at 2, 3, 5, then t1
  REQUIRE(all.size() == 6);
  SECTION("the last lines: from the checkpoints") { write_lines(ledger, {all[0], all[1]}); }
  SECTION("a line behind the checkpoint: by a new training") {
    write_lines(ledger, {all[1], all[2], all[3], all[4], all[5]});
  }
  const std::vector<std::string> kept = lines_of(ledger);
  experiment.run("run", true);
  const std::vector<std::string> now = lines_of(ledger);
  REQUIRE(now.size() == 6);
  CHECK(std::equal(kept.begin(), kept.end(), now.begin()));
  CHECK(test::metrics(experiment.results("run")) == test::metrics(experiment.results("whole")));
}

// ------------------------------------------------------------------------------------------------------ runs in groups

TEST_CASE("runs in groups, with dropout and partial batches, have the results of runs one by one") {
  Experiment experiment;
  experiment.spec.grid.mode = GENERATE(GridSpec::Mode::independent, GridSpec::Mode::snapshots);
  experiment.spec.grid.trials = 4;
  const std::size_t runs = experiment.run("whole").finished;
  const std::vector<std::string> expected = test::metrics(experiment.results("whole"));
  CHECK(runs == (experiment.spec.grid.mode == GridSpec::Mode::snapshots ? 4 : 12));
  SECTION("of one worker, then of two") {
    CHECK(experiment.run("group", false, {}, {.jobs = 3, .slots = 3}).finished == runs);
    CHECK(test::metrics(experiment.results("group")) == expected);
    CHECK(experiment.run("two", false, {}, {.jobs = 4, .slots = 2}).finished == runs);
    CHECK(test::metrics(experiment.results("two")) == expected);
    for (const fs::directory_entry& model : fs::directory_iterator(experiment.path("whole") / "models"))
      CHECK(fs::exists(experiment.path("group") / "models" / model.path().filename()));
  }
  SECTION("resumed after lines were lost") {
    experiment.run("group", false, {}, {.jobs = 3, .slots = 3});
    std::vector<std::string> lines = lines_of(ledger_path(experiment.path("group"), 0));
    lines.resize(5);
    write_lines(ledger_path(experiment.path("group"), 0), lines);
    experiment.run("group", true, {}, {.jobs = 5, .slots = 5});
    CHECK(test::metrics(experiment.results("group")) == expected);
  }
  SECTION("one that another process works on is passed over") {
    fs::create_directories(experiment.path("group") / "checkpoints");
    const std::string held = experiment.spec.grid.mode == GridSpec::Mode::snapshots ? "s005-t1" : "e003-t1";
    {
      const FileLock lock(experiment.path("group") / "checkpoints" / (held + ".lock"), "");
      const RunSummary summary = experiment.run("group", false, {}, {.jobs = 3, .slots = 3});
      CHECK(summary.finished == runs - 1);
      CHECK(summary.elsewhere == 1);
    }
    experiment.run("group", true, {}, {.jobs = 3, .slots = 3});
    CHECK(test::metrics(experiment.results("group")) == expected);
  }
}

/// A log whose process gets SIGINT when the first run is finished.
std::FILE* stopping_log() {
  cookie_io_functions_t functions{};
  functions.write = [](void*, const char* text, std::size_t size) {
    if (std::string_view(text, size).find("finished") != std::string_view::npos) std::raise(SIGINT);
    return static_cast<ssize_t>(size);
  };
  return fopencookie(nullptr, "w", functions);
}

TEST_CASE("a stop saves every run of a group, and all go on bit for bit") {
  Experiment experiment;
  experiment.spec.grid.epochs = {2, 40};  // those of 40 are begun first: they are not done when one of 2 is
  experiment.run("whole");
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {  // a signal cannot be taken back, so it comes to a process of its own
    stop_on_signals();
    try {
      Progress progress(stopping_log());
      experiment.run("group", false, {}, {.jobs = 3, .slots = 3, .progress = &progress});
    } catch (const Interrupted&) {
      _exit(75);
    }
    _exit(1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 75);
  CHECK(experiment.results("group").size() == 1);
  for (const char* run : {"e040-t0", "e040-t1"})
    CHECK(fs::exists(experiment.path("group") / "checkpoints" / fmt::format("{}.h5", run)));
  CHECK(experiment.run("group", true, {}, {.jobs = 3, .slots = 3}).finished == 3);
  CHECK(test::metrics(experiment.results("group")) == test::metrics(experiment.results("whole")));
}

TEST_CASE("a run that fails does not take those beside it in its group with it") {
  Experiment experiment;
  experiment.spec.grid.epochs = {2, 40};
  experiment.run("whole");
  const fs::path wrong = experiment.path("group") / "checkpoints" / "e002-t1.h5";
  RunFolder(experiment.path("group"), experiment.spec, {}, false).begin(experiment.data().summary);
  fs::copy_file(experiment.path("whole") / "checkpoints" / "e002-t0.h5", wrong);
  const RunnerOptions options{.jobs = 3, .slots = 3};
  CHECK_THROWS_WITH(experiment.run("group", true, {}, options), Catch::Contains("belongs to another run"));
  for (const char* run : {"e040-t0", "e040-t1"})
    CHECK(fs::exists(experiment.path("group") / "checkpoints" / fmt::format("{}.h5", run)));
  fs::remove(wrong);
  CHECK(experiment.run("group", true, {}, options).finished == 3);
  CHECK(test::metrics(experiment.results("group")) == test::metrics(experiment.results("whole")));
}

TEST_CASE("a model file that was removed is made again from a checkpoint at just this point; else it is named") {
  Experiment experiment;
  experiment.spec.grid.mode = GridSpec::Mode::snapshots;
  experiment.run("run");
  const fs::path folder = experiment.path("run"), last = folder / "models/s005-t1.h5",
                 on_the_way = folder / "models/s005-t1-e003.h5";
  const std::string before = read_text(last);
  fs::remove(last), fs::remove(on_the_way);
  std::FILE* said = std::tmpfile();
  REQUIRE(said);
  {
    Progress progress(said);
    experiment.run("run", true, {}, {.progress = &progress});
  }
  CHECK(read_text(last) == before);
  CHECK_FALSE(fs::exists(on_the_way));
  std::string text(4096, ' ');
  std::rewind(said);
  text.resize(std::fread(text.data(), 1, text.size(), said));
  std::fclose(said);
  CHECK_THAT(text, Catch::Contains("s005-t1.h5  made again"));
  CHECK_THAT(text, Catch::Contains("s005-t1-e003.h5 is missing and cannot be made again: its checkpoint stands at 5 "
                                   "epochs, not at 3"));
}

/// Runs that end when two epochs have brought no better one, long before their 40 are done.
void make_impatient(Experiment& experiment, GridSpec::Mode mode) {
  experiment.spec.training.optimiser.learning_rate = 0.1;
  experiment.spec.training.select = TrainingConfig::Select::best_validation;
  experiment.spec.training.patience = 2;
  experiment.spec.dataset.window = 4;
  experiment.spec.grid.epochs = {39, 40};
  experiment.spec.grid.mode = mode;
}

TEST_CASE("a run that ends early is recorded at its grid points, with the epoch that it selected") {
  Experiment experiment;
  make_impatient(experiment, GENERATE(GridSpec::Mode::independent, GridSpec::Mode::snapshots));
  CHECK(experiment.run("run").missing == 0);
  const std::vector<Result> results = experiment.results("run");
  REQUIRE(results.size() == 4);
  CHECK(missing_cells(experiment.spec, results).empty());
  for (const Result& result : results) {
    CHECK((result.epochs == 39 || result.epochs == 40));
    REQUIRE(result.history.size() < 39);
    CHECK(result.history.size() == result.selected_epoch + 2);
    const EpochScores& selected = result.history.at(result.selected_epoch - 1);
    CHECK(result.validation.accuracy == selected.validation.accuracy);
    CHECK(result.test.loss == selected.test.loss);
    CHECK(result.train.loss == selected.train.loss);
    unsigned right = 0;
    for (std::size_t genre = 0; genre < 3; ++genre) right += result.confusion[4 * genre];
    CHECK(right / 6.0 == Approx(selected.test.accuracy));
  }
  CHECK(experiment.run("group", false, {}, {.jobs = 3, .slots = 3}).missing == 0);
  CHECK(test::metrics(experiment.results("group")) == test::metrics(results));

  SECTION("there is nothing left to do") { CHECK(experiment.run("run", true).finished == 0); }
  SECTION("a line that is lost comes from the checkpoint") {
    const fs::path ledger = ledger_path(experiment.path("run"), 0);
    std::vector<std::string> lines = lines_of(ledger);
    lines.pop_back();
    write_lines(ledger, lines);
    CHECK(experiment.run("run", true).finished == 1);
    CHECK(test::metrics(experiment.results("run")) == test::metrics(results));
  }
  SECTION("a model that is removed is made again, with the weights of the selected epoch") {
    for (const fs::directory_entry& model : fs::directory_iterator(experiment.path("group") / "models")) {
      const std::string before = read_text(model.path());
      fs::remove(model.path());
      CHECK(experiment.run("group", true).finished == 0);
      REQUIRE(fs::exists(model.path()));
      const bool is_same = read_text(model.path()) == before;
      CHECK(is_same);
    }
    const std::string run = results.back().run;
    CHECK(read_model(experiment.path("run") / "models" / (run + ".h5")).parameters !=
          read_model(experiment.path("run") / "checkpoints" / (run + ".h5")).parameters);
  }
}

TEST_CASE("a folder takes one experiment only, but the grid may grow") {
  Experiment experiment;
  experiment.run("run");
  SECTION("wider") {
    experiment.spec.grid.epochs = {2, 3, 4, 5};
    experiment.spec.grid.trials = 3;
    const RunSummary summary = experiment.run("run", true);
    CHECK(summary.finished == 6);
    CHECK(summary.before == 6);
    CHECK(experiment.results("run").size() == 12);
  }
  SECTION("narrower") {
    experiment.spec.grid.epochs = {2, 3};
    CHECK_THROWS_WITH(experiment.run("run", true), Catch::Contains("grid.epochs: [2, 3, 5] there, [2, 3] here"));
  }
  SECTION("other settings, each named") {
    experiment.spec.training.batch = 8;
    experiment.spec.seed = 1;
    CHECK_THROWS_WITH(experiment.run("run", true),
                      Catch::Contains("seed: 2018 there, 1 here; training.batch: 7 there, 8 here"));
  }
  SECTION("another largest point of snapshots, on which all random numbers rest") {
    experiment.spec.grid.mode = GridSpec::Mode::snapshots;
    experiment.run("snapshots");
    experiment.spec.grid.epochs = {2, 3, 5, 9};
    CHECK_THROWS_WITH(experiment.run("snapshots", true),
                      Catch::Contains("grid.epochs: [2, 3, 5] there, [2, 3, 5, 9] here"));
  }
  SECTION("another preset with the same values") {
    experiment.spec.preset = "keras2018";
    CHECK(experiment.run("run", true).before == 6);
  }
  SECTION("other data under the same name") {
    write_store(experiment.path("store.h5"), test::tiny_store({.clips_per_genre = 11}));
    CHECK_THROWS_WITH(experiment.run("run", true), Catch::Contains("begun with other data"));
  }
}

TEST_CASE("of list files a folder keeps the content, not the place") {
  Experiment experiment;
  const auto use_lists = [&](const std::string& folder, const std::string& third_test_track) {
    fs::create_directories(experiment.path(folder));
    write_whole_text(experiment.path(folder) / "train.txt", "a.00000\nb.00000\nc.00000\n");
    write_whole_text(experiment.path(folder) / "test.txt", "a.00001\nb.00001\n" + third_test_track + "\n");
    SplitConfig& split = experiment.spec.dataset.split;
    split.kind = SplitConfig::Kind::lists;
    split.train_list = experiment.path(folder) / "train.txt";
    split.test_list = experiment.path(folder) / "test.txt";
    split.validation_list.clear();
  };
  use_lists("here", "c.00001");
  CHECK(experiment.run("run").finished == 6);
  use_lists("there", "c.00001");
  fs::remove_all(experiment.path("here"));
  CHECK(experiment.run("run", true).before == 6);
  use_lists("there", "c.00002");
  CHECK_THROWS_WITH(experiment.run("run", true),
                    Catch::Contains("other lists of tracks") && Catch::Contains("dataset.split"));
}

TEST_CASE("two processes cannot work on one shard, and a folder that cannot be written to is refused at once") {
  const Experiment experiment;
  CHECK_NOTHROW(check_run_folder(experiment.path("new/run"), experiment.spec, {}, false));
  CHECK(!fs::exists(experiment.path("new")));
  write_whole_text(experiment.path("file"), "");
  CHECK_THROWS_WITH(check_run_folder(experiment.path("file") / "run", experiment.spec, {}, false),
                    Catch::Contains("cannot create the folder") && Catch::Contains("file"));
  const RunFolder held(experiment.path("run"), experiment.spec, {}, false);
  CHECK_THROWS_WITH(RunFolder(experiment.path("run"), experiment.spec, {}, true),
                    Catch::Contains("another process works on shard 0"));
  CHECK_NOTHROW(RunFolder(experiment.path("run"), experiment.spec, {1, 2}, false));
  CHECK_THROWS_WITH(RunFolder("/proc/run", experiment.spec, {}, false),
                    Catch::Contains("cannot create the folder /proc/run"));
}

TEST_CASE("a training that diverges is recorded as such, and the grid goes on") {
  Experiment experiment;
  experiment.spec.training.optimiser = {.kind = Optimiser::Kind::sgd, .learning_rate = 1e38, .beta1 = 0};
  experiment.spec.training.loss = Loss::logits;
  CHECK(experiment.run("run").finished == 6);
  const std::vector<Result> results = experiment.results("run");
  REQUIRE(results.size() == 6);
  CHECK(std::isnan(results.back().train.loss));
  CHECK(results.back().history.size() == 5);
}

}  // namespace
}  // namespace genretree
