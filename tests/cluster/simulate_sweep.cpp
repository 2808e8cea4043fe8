// A sweep on a cluster, but for the training: plans a grid of many runs, divides it into shards, writes the ledgers that
// they would leave, and merges them with what may go wrong: shards that are missing, damaged, or there twice.
//   simulate_sweep FOLDER [--runs 100000] [--shards 1000]
// Prints what each step takes and where the merge would fail; ends as the other tests do.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/io/files.hpp"
#include "experiments/do_experiment.hpp"
#include "experiments/merged_runs.hpp"
#include "experiments/plan.hpp"
#include "experiments/run_folder.hpp"
#include "experiments/runner.hpp"
#include "tests/support/results.hpp"

namespace fs = std::filesystem;
using namespace genretree;

namespace {

std::size_t passed = 0, failed = 0;

void check(bool right, const std::string& what) {
  fmt::print("{}: {}\n", right ? "ok" : "FAILED", what);
  ++(right ? passed : failed);
}

/// Resident memory now, and at most so far, in MB.
double memory_mb(const char* field = "VmRSS:") {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (double kilobytes = 0; word == field && status >> kilobytes) return kilobytes / 1e3;
  return 0;
}

/// Says what a step took.
template <class Step>
auto timed(const std::string& what, Step step) {
  const Clock::time_point start = Clock::now();
  auto result = step();
  fmt::print("    {:<58}{:>8.2f} s, {:.0f} MB resident\n", what, seconds_since(start), memory_mb());
  std::fflush(stdout);
  return result;
}

/// The paper's experiment with more grid points and as many trials as make up `runs`.
ExperimentFile experiment_of(std::size_t runs) {
  const std::vector<std::string> keys = {"dataset.name=built-in", "grid.epochs=[5,10,20,50,100,150,200,250,300,400]",
                                         fmt::format("grid.trials={}", runs / 10)};
  return load_experiment(GENRETREE_SOURCE "/experiments/epoch_sweep.yaml", keys, "");
}

/// What a run of the paper's size would leave: 60 test clips of six genres, and scores of every epoch.
Result invented_result(const Spec& spec, const std::string& hash, const PlannedRun& run) {
  constexpr std::size_t classes = 6, clips = 60;
  Random random({.seed = spec.seed, .point = run.epochs(), .trial = run.trial, .use = RandomUse::shuffle});
  std::uint64_t drawn = 0;
  const auto number = [&] { return random.uniform_at(drawn++); };
  Result result;
  result.run = run.id;
  result.epochs = run.epochs();
  result.trial = run.trial;
  result.seed = spec.seed;
  result.spec_hash = hash;
  result.commit = "0123456789abcdef";
  result.backend = {"cpu", "a processor", "avx2", "interleaved", "fp32", "highway 1.0.3"};
  result.machine = "node, 16 cores";
  result.seconds = run.cost;
  const auto score = [&] { return Score{2 * number(), number()}; };
  for (std::uint32_t epoch = 0; epoch < run.epochs(); ++epoch) result.history.push_back({score(), score(), score()});
  const auto& [train, validation, test] = result.history.back();
  result.train = train, result.validation = validation, result.test = test;
  result.confusion.assign(classes * classes, 0);
  result.validation_confusion.assign(classes * classes, 2);
  for (std::uint32_t clip = 0; clip < clips; ++clip) {
    const std::uint32_t genre = clip / 10;
    result.answers.tracks.push_back(fmt::format("{}/{}.{:05}.au", spec.dataset.genres[genre], genre, clip));
    result.answers.genres.push_back(genre);
    for (std::size_t c = 0; c < classes; ++c) result.answers.probabilities.push_back(number() / classes);
    const auto own = std::span(result.answers.probabilities).last(classes);
    ++result.confusion[genre * classes + static_cast<std::size_t>(std::ranges::max_element(own) - own.begin())];
  }
  return result;
}

DatasetSummary invented_summary(const Spec& spec) {
  DatasetSummary summary;
  summary.name = "SYNTHETIC ledgers";
  summary.source = "nowhere";
  summary.genres = spec.dataset.genres;
  summary.clips = 600, summary.train = 420, summary.validation = 120, summary.test = 60;
  summary.checksum = "0123456789abcdef";
  return summary;
}

/// The bytes of all ledgers.
std::size_t write_ledgers(const fs::path& folder, const Spec& spec,
                          const std::vector<std::vector<PlannedRun>>& shards) {
  const std::string hash = spec_hash(spec);
  std::size_t bytes = 0;
  for (std::size_t shard = 0; shard < shards.size(); ++shard) {
    std::string lines;
    for (const PlannedRun& run : shards[shard]) lines += to_json_line(invented_result(spec, hash, run)) + '\n';
    write_whole_text(ledger_path(folder, shard), lines);
    bytes += lines.size();
  }
  return bytes;
}

/// What merging says when it refuses; "" if it does not.
std::string refusal(const fs::path& folder) {
  try {
    merge_runs({folder}, false);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

void check_plan(const std::vector<PlannedRun>& runs, const std::vector<std::vector<PlannedRun>>& shards) {
  std::set<std::string> ids;
  std::vector<double> costs;
  std::size_t fewest = runs.size(), most = 0;
  for (const std::vector<PlannedRun>& shard : shards) {
    double cost = 0;
    for (const PlannedRun& run : shard) ids.insert(run.id), cost += run.cost;
    costs.push_back(cost);
    fewest = std::min(fewest, shard.size()), most = std::max(most, shard.size());
  }
  const double mean = std::accumulate(costs.begin(), costs.end(), 0.0) / static_cast<double>(costs.size());
  const double slowest = std::ranges::max(costs), longest = runs.front().cost;
  check(ids.size() == runs.size(), fmt::format("each of {} runs is in one of {} shards", runs.size(), shards.size()));
  check(slowest <= mean + longest,
        fmt::format("shards have {} to {} runs; the dearest has {:.0f} epochs to do, {:.2f} % above the mean", fewest,
                    most, slowest, 100 * (slowest / mean - 1)));
}

/// What a shard among many does to know what is done.
void check_index(const fs::path& folder, std::size_t runs) {
  LedgerIndex index = timed("a shard looks at all ledgers for the first time", [&] { return LedgerIndex(folder); });
  check(index.cells().size() == runs && index.origins().size() == 1, "it finds every result");
  timed("and again before each of its runs", [&] { return index.update(), 0; });
}

void check_missing(const fs::path& folder, const ExperimentFile& file, std::size_t shards, std::size_t runs) {
  const fs::path lost = ledger_path(folder, 1), cut = ledger_path(folder, 3);
  const std::string lost_text = read_text(lost), cut_text = read_text(cut);
  const auto lines = static_cast<std::size_t>(std::ranges::count(lost_text, '\n'));
  fs::remove(lost);
  write_whole_text(cut, cut_text.substr(0, cut_text.size() - 100));
  const auto open = timed("--open-shards, one lost and one cut off", [&] { return open_shards(file, folder, shards); });
  check(open == std::vector<std::size_t>{1, 3}, fmt::format("shards {} are to be done again", array_text(open)));
  const MergedRuns merged = timed("the merge of the others", [&] { return merge_runs({folder}, false); });
  check(missing_cells(merged.spec, merged.results).size() == lines + 1 && merged.results.size() == runs - lines - 1,
        fmt::format("it has {} results and names {} that are missing", merged.results.size(), lines + 1));
  write_whole_text(lost, lost_text);
  write_whole_text(cut, cut_text);
}

void check_damaged(const fs::path& folder, const ExperimentFile& file, std::size_t shards) {
  const fs::path first = ledger_path(folder, 0), second = ledger_path(folder, 2);
  const std::string first_text = read_text(first), second_text = read_text(second);
  write_whole_text(first, std::string("\0\0\0\n", 4) + first_text);
  std::string scratched = second_text;
  scratched[scratched.find("\"epochs\"") + 3] = '\n';
  write_whole_text(second, scratched);
  const std::string text = refusal(folder);
  fmt::print("    {}\n", text);
  check(text.find("ledger.0.jsonl:1:") != std::string::npos && text.find("ledger.2.jsonl:1:") != std::string::npos,
        "two damaged shards are refused, both named with their lines");
  check(open_shards(file, folder, shards) == std::vector<std::size_t>{2}, "the shard of the lost result is named");
  write_whole_text(first, first_text);
  write_whole_text(second, second_text);
}

void check_twice(const fs::path& folder, std::size_t shards, std::size_t runs) {
  const fs::path copy = ledger_path(folder, shards + 6);
  const std::string text = read_text(ledger_path(folder, 2));
  write_whole_text(copy, text);
  check(merge_runs({folder}, false).results.size() == runs, "a shard that is there twice counts once");
  std::optional<Result> other = result_from_json_line(text.substr(0, text.find('\n')));
  other->test.loss += 1;
  write_whole_text(copy, to_json_line(*other) + '\n');
  const std::string two = refusal(folder);
  fmt::print("    {}\n", two);
  check(two.find("two different results for") != std::string::npos, "two results of one run that differ are refused");
  other->test.loss -= 1;
  other->backend.target = "avx3";
  write_whole_text(copy, to_json_line(*other) + '\n');
  const std::string mixed = refusal(folder);
  fmt::print("    {}\n", mixed);
  check(mixed.find("computed differently (target: 'avx2' and 'avx3')") != std::string::npos,
        "a shard from another kind of processor is refused");
  fs::remove(copy);
}

}  // namespace

int main(int argc, char** argv) {
  fs::path folder;
  std::size_t runs = 100'000, shards = 1'000;
  CLI::App app("Plans and merges a large sweep from invented ledgers, with what may go wrong.", "simulate_sweep");
  app.add_option("FOLDER", folder, "a new folder for the ledgers")->required();
  app.add_option("--runs", runs, "runs of the grid, a multiple of 10")->capture_default_str();
  app.add_option("--shards", shards, "at least 4")->check(CLI::Range(4, 100'000))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (runs == 0 || runs % 10 != 0) {
    fmt::print(stderr, "error: --runs is {}, but must be a multiple of 10\n", runs);
    return 65;
  }

  const ExperimentFile file = experiment_of(runs);
  const std::vector<PlannedRun> planned = timed("the plan", [&] { return plan_runs(file.spec); });
  const auto divided = timed("its division into shards", [&] { return divide(planned, shards); });
  check_plan(planned, divided);
  RunFolder(folder, file.spec, {0, shards}, false).begin(invented_summary(file.spec));
  const std::size_t bytes = timed("ledgers are written", [&] { return write_ledgers(folder, file.spec, divided); });
  fmt::print("    they have {:.0f} MB\n", static_cast<double>(bytes) / 1e6);

  check_index(folder, runs);
  {
    const MergedRuns merged = timed("the merge of all shards", [&] { return merge_runs({folder}, false); });
    check(missing_cells(merged.spec, merged.results).empty(), "nothing is missing");
    timed("its report", [&] { return write_report(folder, merged.spec, merged.dataset, merged.results), 0; });
    check(fs::exists(folder / "report.html"),
          fmt::format("report.html has {:.1f} MB", static_cast<double>(fs::file_size(folder / "report.html")) / 1e6));
  }
  check_missing(folder, file, shards, runs);
  check_damaged(folder, file, shards);
  check_twice(folder, shards, runs);
  fmt::print("    at most {:.0f} MB were resident\n{} passed, {} failed, 0 skipped\n", memory_mb("VmHWM:"), passed,
             failed);
  return failed != 0;
}
