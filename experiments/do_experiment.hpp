// From an experiment to its report: data, runs, and what follows from them. A tree that is to be learned is two
// experiments, one after the other; variants are several, and in the end they are compared; a search is many.
#pragma once

#include <filesystem>
#include <optional>

#include "core/trace.hpp"
#include "experiments/data.hpp"
#include "experiments/plan.hpp"
#include "experiments/report_runs.hpp"
#include "experiments/run_header.hpp"
#include "experiments/variants.hpp"

namespace genretree {

/// How an experiment is done; nothing of it changes a result.
struct ExperimentOptions {
  Shard shard;
  std::optional<std::size_t> jobs;  ///< nothing: as many as cores and memory allow
  std::filesystem::path cache;      ///< of extracted features; empty: default_cache()
  bool resume = false;              ///< go on where the folder's runs stopped
  bool dry_run = false;             ///< only says what would be done
  bool plan_of_shards = false;      ///< in a dry run: by each of the shards
  bool allow_mixed = false;         ///< accepts results of other backends or program versions
  bool strict = false;              ///< bad or missing clips are errors
  Trace* trace = nullptr;           ///< gets the phases of all workers
};

/// All of the file in the folder `out`: its experiment, or its variants one after another, each with all workers, and
/// their comparison if all of them are complete, or its search. InputError, before any feature is extracted, if a folder holds
/// something else or a backend cannot compute an experiment.
Outcome do_file(const ExperimentFile& file, const std::filesystem::path& out, const ExperimentOptions& options);

/// The shards, ascending, that have something left to do of what the folder `out` lacks. Damaged lines of ledgers are
/// warned of, and their results count as missing. InputError if the folder holds another experiment.
std::vector<std::size_t> open_shards(const ExperimentFile& file, const std::filesystem::path& out, std::size_t count);

// ------------------------------------------------------------------------------------- of which a search is made as well

/// The backend of an experiment in `folder`. Where a trial would choose the algorithm, it keeps to the one of the
/// results that are there, so that a resumed run ends as it was begun. InputError if there are none in a shard: another
/// one, begun at the same time, may choose otherwise, and their results could not be merged.
BackendChoice backend_in(const std::filesystem::path& folder, const Spec& spec, const Shard& shard);

DataOptions data_options_of(const ExperimentOptions& options, Backend& backend, Progress& progress);

/// Lets the backend choose its algorithm for so many runs, and says how many go side by side; `jobs`: nothing for auto.
Workers chosen_workers(const Spec& spec, const Data& data, Backend& backend, std::size_t runs,
                       std::optional<std::size_t> jobs);

/// InputError if the folder holds several experiments.
void check_no_variants(const std::filesystem::path& out);

/// Refuses what doing the experiment would, as far as it can be known before any feature is extracted. `twin`: of a tree
/// that is to be learned, the folder of the same classifier, or empty.
void check_experiment(const Spec& spec, const std::filesystem::path& out, const std::filesystem::path& twin,
                      const ExperimentOptions& options);

}  // namespace genretree
