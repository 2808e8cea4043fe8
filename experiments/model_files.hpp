// What an experiment leaves in the folder models/: the network of every result, and of a tree each trial's whole tree.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiments/data.hpp"
#include "experiments/ledger.hpp"
#include "experiments/spec.hpp"
#include "features/split.hpp"
#include "models/model_file.hpp"

namespace genretree {

/// Writes the network of a result with a word on how it was trained. `data` is what the experiment runs on; the file
/// names of it what this network was asked for: `split`, its own clips.
void write_result_model(const std::filesystem::path& path, const Spec& spec, const Data& data, const Split& split,
                        const Result& result, const SavedModel& network);

/// Where the tree of a trial lies in the folder of its runs: models/tree-t2.h5.
std::filesystem::path tree_model_path(const std::filesystem::path& folder, std::uint32_t trial);

/// Makes one file of each trial's tree in the first folder, if all nodes have results and their model files lie in any
/// of the folders, and it is not there already. Returns what could not be made, and why: "models/tree-t0.h5 …". Nothing
/// to do without a tree.
std::vector<std::string> make_tree_models(const std::vector<std::filesystem::path>& folders, const Spec& spec,
                                          const std::vector<Result>& results);

}  // namespace genretree
