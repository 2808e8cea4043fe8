// From an experiment to its report: data, runs, and what follows from them. A tree that is to be learned is two
// experiments, one after the other; variants are several, and in the end they are compared.
#pragma once

#include <filesystem>
#include <optional>

#include "core/trace.hpp"
#include "experiments/plan.hpp"
#include "experiments/report_runs.hpp"
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
/// their comparison if all of them are complete. InputError, before any feature is extracted, if a folder holds
/// something else or a backend cannot compute an experiment.
Outcome do_file(const ExperimentFile& file, const std::filesystem::path& out, const ExperimentOptions& options);

/// The shards, ascending, that have something left to do of what the folder `out` lacks. Damaged lines of ledgers are
/// warned of, and their results count as missing. InputError if the folder holds another experiment.
std::vector<std::size_t> open_shards(const ExperimentFile& file, const std::filesystem::path& out, std::size_t count);

}  // namespace genretree
