// The ledger: one line of JSON for each finished result, appended and flushed; what a report is made from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/ops.hpp"
#include "models/trainer.hpp"

namespace genretree {

/// Which result it is: a grid has one for each number of epochs and trial, a tree for each node and trial.
struct Cell {
  std::string node;  ///< "" in a grid
  std::uint32_t epochs = 0, trial = 0;

  auto operator<=>(const Cell&) const = default;
  std::string name() const;  ///< "50 epochs, trial 2", or "strong, trial 2"
};

/// What a classifier says of all test clips of its trial. Those of a tree's node are all clips too, also of genres
/// elsewhere in the tree, for the way through the tree may lead them here. Decoding, confusion matrices and intervals
/// of accuracies need nothing else.
struct TestAnswers {
  std::vector<std::string> tracks;    ///< [clips]
  std::vector<std::uint32_t> genres;  ///< [clips] the true ones
  std::vector<float> probabilities;   ///< [clips, classes]

  bool operator==(const TestAnswers&) const = default;
};

/// What was measured at one grid point, or of one node of a tree, in one trial.
struct Result {
  std::string run;   ///< id of the run: "e050-t2", "s400-t2" for all snapshots of a trial, "strong-t2" of a node
  std::string node;  ///< of the tree; "" in a grid
  std::uint32_t epochs = 0;
  std::uint32_t trial = 0;  ///< from 0
  std::uint64_t seed = 0;
  std::string spec_hash;
  std::string commit;  ///< of the program
  BackendInfo backend;
  std::string machine;                   ///< host name, cores
  double seconds = 0;                    ///< wall time in its group up to this point, resumed parts included
  Score train, validation, test;         ///< at the end
  std::vector<EpochScores> history;      ///< of every epoch that was trained; fewer than `epochs` if it ended early
  std::uint32_t selected_epoch = 0;      ///< from 1: the one whose weights and scores these are
  std::vector<std::uint32_t> confusion;  ///< test set, [classes, classes], true class by row
  TestAnswers answers;
  std::vector<std::uint32_t> validation_confusion = {};  ///< [classes, classes], empty without a validation set

  Cell cell() const { return {node, epochs, trial}; }
  /// Of the classifier: rows of its confusion matrix.
  std::size_t classes() const;
};

std::string to_json_line(const Result& result);
/// nullopt if the line is cut or no result.
std::optional<Result> result_from_json_line(const std::string& line);

/// Ledger files of a run's folder: ledger.<shard>.jsonl, shards from zero.
std::filesystem::path ledger_path(const std::filesystem::path& folder, std::size_t shard);

/// The shards that have a ledger in the folder, ascending.
std::vector<std::size_t> ledger_shards(const std::filesystem::path& folder);

/// All results in one ledger file; a last line that was cut off is left out (and removed from the file if `repair`). A
/// bad line before the last is an InputError with its number, as is a line of an older program, without answers.
std::vector<Result> read_ledger(const std::filesystem::path& path, bool repair);

/// All results of the folders' ledgers, sorted by node, epochs and trial, each cell once. InputError on damaged
/// ledgers, which names them all, on mixed spec hashes, on two results for one cell that differ, and on mixed commits
/// or backends; with `allow_mixed` the latter pass, and of two results for one cell the first counts.
std::vector<Result> read_results(const std::vector<std::filesystem::path>& folders, bool allow_mixed);

/// A damaged line, "FILE:NUMBER", with what to do about it.
std::string damaged_line_text(const std::string& line);

/// What computed a result: those for which it differs may differ in their last bits.
struct Computation {
  std::string spec_hash, commit;
  BackendInfo backend;

  bool operator==(const Computation&) const = default;
};

/// Which results the ledgers of a folder hold, without the results themselves: of each line only the beginning is
/// understood, and update() reads only the lines that were added since. A shard among a thousand looks at the others'
/// ledgers in this way before each of its runs.
class LedgerIndex {
 public:
  /// Reads what is there; a folder that is not there has no results. Error if a ledger cannot be read.
  explicit LedgerIndex(std::filesystem::path folder);
  void update();

  const std::set<Cell>& cells() const { return cells_; }
  /// In the order in which they were met, each with a run that it computed.
  struct Origin {
    Computation computation;
    std::string run;
  };
  const std::vector<Origin>& origins() const { return origins_; }
  /// Whole lines that are seen to be no results, by their beginning and end: "runs/sweep/ledger.3.jsonl:5".
  const std::vector<std::string>& damaged_lines() const { return damaged_; }

 private:
  /// How far a ledger was read: behind so many whole lines.
  struct Place {
    std::size_t bytes = 0, lines = 0;
  };
  /// False if the ledger is shorter than it was.
  bool read_from(Place& place, const std::filesystem::path& ledger);
  void add(std::string_view line, const std::filesystem::path& ledger, std::size_t number);

  std::filesystem::path folder_;
  std::map<std::size_t, Place> places_;  ///< by shard
  std::set<Cell> cells_;
  std::vector<Origin> origins_;
  std::vector<std::string> damaged_;
};

/// Everything in which two computations differ that may change the last bits of a result: "target: 'AVX2' and 'AVX3';
/// commit: …", or "".
std::string differences(const BackendInfo& backend_before, const std::string& commit_before,
                        const BackendInfo& backend_now, const std::string& commit_now);

}  // namespace genretree
