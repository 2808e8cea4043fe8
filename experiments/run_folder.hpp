// The folder of an experiment's runs: whose it is, and who may work in it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "core/io/lock.hpp"
#include "experiments/plan.hpp"
#include "experiments/report.hpp"
#include "experiments/spec.hpp"

namespace genretree {

/// Every key in which two experiments differ so that their results cannot stand in one folder: "seed: 2018 there, 1
/// here; …", or "". Names, paths, backend, a preset with the same values and a grid that has become wider do not count.
std::string conflicting_keys(const Spec& before, const Spec& now);

/// What the constructor of RunFolder and begin() would refuse, as far as it can be known before anything is made:
/// another experiment in the folder, this shard there already and not resumed, a folder that cannot be written to.
void check_run_folder(const std::filesystem::path& path, const Spec& spec, const Shard& shard, bool resume);

/// A folder that this process alone uses for one shard. What lies in it is told in runner.hpp.
class RunFolder {
 public:
  /// Makes the folder and locks the shard. InputError if it holds another experiment (which names the keys that differ),
  /// or if this shard is there already and `resume` is not set. Error if another process works on the shard or the
  /// folder cannot be written to.
  RunFolder(const std::filesystem::path& path, const Spec& spec, const Shard& shard, bool resume);

  /// Writes spec.hash, spec.yaml and dataset.json, and the ledger if there is none. InputError if the folder was begun
  /// with other data.
  void begin(const DatasetSummary& dataset);

  const std::filesystem::path& path() const { return path_; }
  const Shard& shard() const { return shard_; }
  bool resume() const { return resume_; }
  std::filesystem::path ledger() const;
  std::filesystem::path checkpoint(const std::string& run) const;
  /// The network at a grid point: models/e050-t2.h5, or models/s400-t2-e050.h5 for a point on the way.
  std::filesystem::path model(const PlannedRun& run, std::uint32_t epochs) const;
  /// The lock of one run, or nullptr if another process works on it.
  std::unique_ptr<FileLock> try_lock(const std::string& run) const;

 private:
  std::filesystem::path path_;
  const Spec& spec_;
  Shard shard_;
  bool resume_;
  FileLock lock_;
};

}  // namespace genretree
