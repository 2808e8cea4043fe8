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

/// A value on one line: "4", "[5, 10]", "{lstm: 128}".
std::string one_line(const YamlValue& value) {
  std::vector<std::string> parts;
  for (const YamlValue& item : value.items) parts.push_back(one_line(item));
  for (const auto& [key, entry] : value.entries) parts.push_back(key + ": " + one_line(entry));
  if (value.kind == YamlValue::Kind::sequence) return fmt::format("[{}]", join(parts));
  if (value.kind == YamlValue::Kind::map) return fmt::format("{{{}}}", join(parts));
  return value.text;
}

/// "grid.trials" → "4", for every key of a document.
void flatten(const YamlValue& value, const std::string& path, std::map<std::string, std::string>& values) {
  if (value.kind != YamlValue::Kind::map) values[path] = one_line(value);
  for (const auto& [key, entry] : value.entries) flatten(entry, path.empty() ? key : path + "." + key, values);
}

std::map<std::string, std::string> values_of(const Spec& spec) {
  std::map<std::string, std::string> values;
  flatten(parse_yaml(to_yaml(spec, false), "spec.yaml"), "", values);
  return values;
}

/// Keys that change no result, and those that are compared by what they mean: data by their checksum, the backend by
/// what it is, the grid below.
bool may_differ(const std::string& key) {
  return key == "experiment" || key == "dataset.name" || key == "dataset.path" || key.starts_with("backend.") ||
         key == "grid.epochs" || key == "grid.trials";
}

bool is_wider(const GridSpec& before, const GridSpec& now) {
  const std::set<std::uint32_t> points(now.epochs.begin(), now.epochs.end());
  return now.trials >= before.trials &&
         std::ranges::all_of(before.epochs, [&](std::uint32_t point) { return points.contains(point); });
}

}  // namespace

std::string conflicting_keys(const Spec& before, const Spec& now) {
  const std::map<std::string, std::string> a = values_of(before), b = values_of(now);
  std::set<std::string> keys;
  for (const auto& values : {a, b})
    for (const auto& [key, value] : values) keys.insert(key);
  const bool grid_fits = is_wider(before.grid, now.grid) && (now.grid.mode == GridSpec::Mode::independent ||
                                                             before.grid.epochs.back() == now.grid.epochs.back());
  std::vector<std::string> conflicts;
  for (const std::string& key : keys) {
    const auto text = [&](const auto& values) { return values.contains(key) ? values.at(key) : "nothing"; };
    const bool counts = !may_differ(key) || (key.starts_with("grid.") && !grid_fits);
    if (counts && text(a) != text(b)) conflicts.push_back(fmt::format("{}: {} there, {} now", key, text(a), text(b)));
  }
  if (conflicts.empty() && spec_hash(before) != spec_hash(now))
    conflicts.push_back("dataset.split: its list files have other content now");
  return join(conflicts, "; ");
}

RunFolder::RunFolder(const fs::path& path, const Spec& spec, const Shard& shard, bool resume)
    : path_((make_writable_folder(path), path)),
      spec_(spec),
      shard_(shard),
      resume_(resume),
      lock_(path / fmt::format("ledger.{}.lock", shard.index),
            fmt::format("another process works on shard {} in {}. Wait for it, or choose another --out", shard.index,
                        path.string())) {
  if (fs::exists(path_ / "spec.yaml")) {
    const std::string conflicts = conflicting_keys(load_spec(path_ / "spec.yaml", {}), spec);
    if (!conflicts.empty()) reject("{} holds another experiment ({}). Choose another --out", path_.string(), conflicts);
  }
  if (fs::exists(ledger()) && !resume)
    reject(
        "{} holds this experiment already. Go on with --resume, or choose another --out; nothing is ever overwritten",
        path_.string());
}

void RunFolder::begin(const DatasetSummary& dataset) {
  if (const fs::path file = path_ / "dataset.json"; fs::exists(file)) {
    const DatasetSummary before = dataset_summary_from_json(read_text(file));
    if (before.checksum != dataset.checksum)
      reject(
          "{} was begun with other data ({}, {} clips, checksum {}; now {}, {} clips, checksum {}). Choose another "
          "--out",
          path_.string(), before.name, before.clips, before.checksum, dataset.name, dataset.clips, dataset.checksum);
  }
  fs::create_directories(path_ / "checkpoints");
  write_whole_text(path_ / "spec.yaml", to_yaml(spec_, false));
  write_whole_text(path_ / "dataset.json", to_json(dataset));
  if (!fs::exists(ledger())) write_whole_text(ledger(), "");
}

fs::path RunFolder::ledger() const { return ledger_path(path_, shard_.index); }
fs::path RunFolder::checkpoint(const std::string& run) const { return path_ / "checkpoints" / (run + ".h5"); }

}  // namespace genretree
