#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/text.hpp"
#include "experiments/ledger.hpp"
#include "experiments/run_folder.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

/// "grid.trials" → "4", for every key of a document.
void flatten(const YamlValue& value, const std::string& path, std::map<std::string, std::string>& values) {
  if (value.kind != YamlValue::Kind::map) values[path] = value.one_line();
  for (const auto& [key, entry] : value.entries) flatten(entry, path.empty() ? key : path + "." + key, values);
}

/// Without the list of artists, which changes no result but how the split is written.
std::map<std::string, std::string> values_of(Spec spec) {
  spec.dataset.split.artists.clear();
  std::map<std::string, std::string> values;
  flatten(parse_yaml(to_yaml(spec, false), "spec.yaml"), "", values);
  return values;
}

/// Keys that change no result, and those that are compared by what they mean: data by their checksum, list files by
/// spec_hash, a preset by the values that it sets, the backend by what it is, the grid below.
bool may_differ(const std::string& key, bool lists) {
  return key == "experiment" || key == "dataset.name" || key == "dataset.path" || key == "model.preset" ||
         key.starts_with("backend.") || key == "grid.epochs" || key == "grid.trials" ||
         (lists && key.starts_with("dataset.split.") && key != "dataset.split.kind");
}

/// What lies in spec.hash.
std::string hash_line(const Spec& spec) { return spec_hash(spec) + '\n'; }

bool uses_lists(const Spec& spec) { return spec.dataset.split.kind == SplitConfig::Kind::lists; }

bool is_wider(const GridSpec& before, const GridSpec& now) {
  const std::set<std::uint32_t> points(now.epochs.begin(), now.epochs.end());
  return now.trials >= before.trials &&
         std::ranges::all_of(before.epochs, [&](std::uint32_t point) { return points.contains(point); });
}

/// InputError if the folder holds another experiment.
void refuse_other_experiment(const fs::path& path, const Spec& spec) {
  if (!fs::exists(path / "spec.yaml")) return;
  const std::string conflicts = conflicting_keys(load_spec(path / "spec.yaml", {}), spec);
  if (!conflicts.empty()) reject("{} holds another experiment ({}). Choose another --out", path.string(), conflicts);
  if (!fs::exists(path / "spec.hash")) return;
  const std::string before = read_text(path / "spec.hash"), now = hash_line(spec);
  if (before == now) return;
  if (uses_lists(spec))
    reject(
        "{} was begun with other lists of tracks: the content of the files that dataset.split names has changed ({}). "
        "Restore them, or choose another --out",
        path.string(), spec.dataset.split.name);
  reject("{} was begun by a version of the program to which this experiment is another one. Choose another --out",
         path.string());
}

void refuse_what_is_not_resumed(const fs::path& path, const Shard& shard, bool resume) {
  if (fs::exists(ledger_path(path, shard.index)) && !resume)
    reject(
        "{} holds this experiment already. Go on with --resume, or choose another --out; nothing is ever overwritten",
        path.string());
}

}  // namespace

std::string conflicting_keys(const Spec& before, const Spec& now) {
  const std::map<std::string, std::string> a = values_of(before), b = values_of(now);
  std::set<std::string> keys;
  for (const auto& values : {a, b})
    for (const auto& [key, value] : values) keys.insert(key);
  const bool grid_fits = is_wider(before.grid, now.grid) && (now.grid.mode == GridSpec::Mode::independent ||
                                                             before.grid.epochs.back() == now.grid.epochs.back());
  const bool lists = uses_lists(before) && uses_lists(now);
  std::vector<std::string> conflicts;
  for (const std::string& key : keys) {
    const auto text = [&](const auto& values) { return values.contains(key) ? values.at(key) : "nothing"; };
    const bool counts = !may_differ(key, lists) || (key.starts_with("grid.") && !grid_fits);
    if (counts && text(a) != text(b)) conflicts.push_back(fmt::format("{}: {} there, {} here", key, text(a), text(b)));
  }
  return join(conflicts, "; ");
}

void check_run_folder(const fs::path& path, const Spec& spec, const Shard& shard, bool resume) {
  refuse_other_experiment(path, spec);
  refuse_what_is_not_resumed(path, shard, resume);
  fs::path place = fs::absolute(path);
  while (!fs::exists(place)) place = place.parent_path();
  if (!fs::is_directory(place))
    fail("cannot create the folder {}: {} is no folder. Choose another --out", path.string(), place.string());
  make_writable_folder(place);  // it is there: only asks whether it can be written to
}

RunFolder::RunFolder(const fs::path& path, const Spec& spec, const Shard& shard, bool resume)
    : path_((make_writable_folder(path), path)),
      spec_(spec),
      shard_(shard),
      resume_(resume),
      lock_(path / fmt::format("ledger.{}.lock", shard.index),
            fmt::format("another process works on shard {} in {}. Wait for it, or choose another --out", shard.index,
                        path.string())) {
  refuse_other_experiment(path, spec);
  refuse_what_is_not_resumed(path, shard, resume);
}

void RunFolder::begin(const DatasetSummary& dataset) {
  if (const fs::path file = path_ / "dataset.json"; fs::exists(file)) {
    const DatasetSummary before = dataset_summary_from_json(read_text(file), file.string());
    if (before.checksum != dataset.checksum)
      reject("{} was begun with other data ({}). Choose another --out", path_.string(), differences(before, dataset));
  }
  fs::create_directories(path_ / "checkpoints");
  fs::create_directories(path_ / "models");
  remove_stale_temporaries(ledger());
  write_whole_text(path_ / "spec.hash", hash_line(spec_));
  write_whole_text(path_ / "spec.yaml", to_yaml(spec_, false));
  write_whole_text(path_ / "dataset.json", to_json(dataset));
  if (!fs::exists(ledger())) write_whole_text(ledger(), "");
}

fs::path RunFolder::ledger() const { return ledger_path(path_, shard_.index); }

std::unique_ptr<FileLock> RunFolder::try_lock(const std::string& run) const {
  return FileLock::try_to_take(path_ / "checkpoints" / (run + ".lock"));
}

fs::path RunFolder::checkpoint(const std::string& run) const { return path_ / "checkpoints" / (run + ".h5"); }

fs::path RunFolder::model(const PlannedRun& run, std::uint32_t epochs) const {
  const std::string point = epochs == run.epochs() ? "" : fmt::format("-e{:03}", epochs);
  return path_ / "models" / fmt::format("{}{}.h5", run.id, point);
}

}  // namespace genretree
