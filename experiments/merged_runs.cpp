#include <algorithm>
#include <set>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "experiments/merged_runs.hpp"
#include "experiments/run_folder.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

/// The summary in the first folder; InputError if another was made from other data.
DatasetSummary common_dataset(const std::vector<fs::path>& folders) {
  for (const fs::path& folder : folders)
    if (!fs::exists(folder / "spec.yaml") || !fs::exists(folder / "dataset.json"))
      reject(
          "{} is not a folder of runs: it has no spec.yaml and dataset.json. Give the folder that --out named, e.g. "
          "runs/epoch_sweep",
          folder.string());
  const auto dataset_of = [](const fs::path& folder) {
    const fs::path file = folder / "dataset.json";
    return dataset_summary_from_json(read_text(file), file.string());
  };
  const DatasetSummary first = dataset_of(folders.front());
  for (const fs::path& folder : folders)
    if (const DatasetSummary other = dataset_of(folder); other.checksum != first.checksum)
      reject("{} and {} were made from different data and cannot be merged ({})", folders.front().string(),
             folder.string(), differences(first, other));
  return first;
}

/// The folders' experiment, with every grid point and trial that any of them has; InputError that names the keys if
/// they differ in more than that.
Spec common_spec(const std::vector<fs::path>& folders) {
  Spec common = load_spec(folders.front() / "spec.yaml", {});
  std::set<std::uint32_t> epochs;
  for (const fs::path& folder : folders) {
    const GridSpec grid = load_spec(folder / "spec.yaml", {}).grid;
    epochs.insert(grid.epochs.begin(), grid.epochs.end());
    common.grid.trials = std::max(common.grid.trials, grid.trials);
  }
  common.grid.epochs.assign(epochs.begin(), epochs.end());
  for (const fs::path& folder : folders)
    if (const std::string keys = conflicting_keys(load_spec(folder / "spec.yaml", {}), common); !keys.empty())
      reject("{} holds another experiment than {} and cannot be merged with it ({})", folder.string(),
             folders.front().string(), keys);
  return common;
}

}  // namespace

MergedRuns merge_runs(const std::vector<fs::path>& folders, bool allow_mixed) {
  const DatasetSummary dataset = common_dataset(folders);
  const Spec spec = common_spec(folders);
  return {spec, dataset, read_results(folders, allow_mixed)};
}

}  // namespace genretree
