// Trains the candidates of a search, rung by rung.
#pragma once

#include <filesystem>
#include <vector>

#include "experiments/do_experiment.hpp"

namespace genretree {

/// Each candidate in the folder of its name in `out`, several side by side, and the report when all are done. Which go
/// on to the next rung follows from the results in the folder, so that a search that was stopped goes on where it was.
/// A shard does its part of a rung; of halving it ends incomplete where other shards have to end theirs first. InputError
/// before anything is trained if a folder holds something else or a backend cannot compute a candidate.
Outcome do_search(const ExperimentFile& file, const std::filesystem::path& out, const ExperimentOptions& options);

/// open_shards for a search: those that have something left to do on the rung that is not complete yet.
std::vector<std::size_t> open_shards_of_search(const ExperimentFile& file, const std::filesystem::path& out,
                                               std::size_t count);

}  // namespace genretree
