#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <queue>
#include <utility>

#include "core/error.hpp"
#include "core/text.hpp"
#include "experiments/plan.hpp"

namespace genretree {
namespace {

std::vector<std::uint32_t> sorted_points(const GridSpec& grid) {
  std::vector<std::uint32_t> points = grid.epochs;
  std::ranges::sort(points);
  points.erase(std::unique(points.begin(), points.end()), points.end());
  return points;
}

/// A run called NAME-tTRIAL; tree_runs adds what a node has besides.
PlannedRun make_run(const std::string& name, std::vector<std::uint32_t> points, std::uint32_t trial,
                    std::uint64_t seed) {
  PlannedRun run;
  run.id = fmt::format("{}-t{}", name, trial);
  run.trial = trial;
  run.key = RandomKey{.seed = seed, .point = points.back(), .trial = trial};
  run.cost = points.back();
  run.points = std::move(points);
  return run;
}

std::vector<PlannedRun> grid_runs(const Spec& spec, std::uint32_t trial) {
  const std::vector<std::uint32_t> points = sorted_points(spec.grid);
  if (spec.grid.mode == GridSpec::Mode::snapshots)
    return {make_run(fmt::format("s{:03}", points.back()), points, trial, spec.seed)};
  std::vector<PlannedRun> runs;
  for (const std::uint32_t point : points)
    runs.push_back(make_run(fmt::format("e{:03}", point), {point}, trial, spec.seed));
  return runs;
}

std::vector<PlannedRun> tree_runs(const Spec& spec, std::uint32_t trial) {
  std::vector<PlannedRun> runs;
  for (std::size_t node = 0; node < spec.tree.nodes().size(); ++node) {
    const auto& [name, epochs, children] = spec.tree.nodes()[node];
    PlannedRun run = make_run(name, {epochs}, trial, spec.seed);
    run.task = node;
    run.node = name;
    run.key.node = static_cast<std::uint32_t>(node + 1);
    run.cost *=
        static_cast<double>(spec.tree.genres_below(node).size()) / static_cast<double>(spec.tree.genres().size());
    runs.push_back(std::move(run));
  }
  return runs;
}

bool parse_number(std::string_view text, std::size_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

/// The index that a cluster gives to this process.
std::string_view cluster_index() {
  for (const char* name : {"SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"})
    if (const char* value = std::getenv(name)) return value;
  reject(
      "--shard auto/N needs SLURM_ARRAY_TASK_ID (a Slurm array job) or JOB_COMPLETION_INDEX (an indexed Kubernetes "
      "job), but neither is set. Say i/N");
}

}  // namespace

void put_longest_first(std::vector<PlannedRun>& runs) {
  std::ranges::stable_sort(runs, std::ranges::greater{}, &PlannedRun::cost);
}

std::vector<Cell> PlannedRun::cells() const {
  std::vector<Cell> cells;
  for (const std::uint32_t point : points) cells.push_back({node, point, trial});
  return cells;
}

std::vector<PlannedRun> plan_runs(const Spec& spec) {
  std::vector<PlannedRun> runs;
  for (std::uint32_t trial = 0; trial < spec.grid.trials; ++trial)
    std::ranges::move(spec.tree.empty() ? grid_runs(spec, trial) : tree_runs(spec, trial), std::back_inserter(runs));
  put_longest_first(runs);
  return runs;
}

std::vector<Cell> cells_of(const Spec& spec) {
  std::vector<Cell> cells;
  const auto add = [&](const std::string& node, std::uint32_t epochs) {
    for (std::uint32_t trial = 0; trial < spec.grid.trials; ++trial) cells.push_back({node, epochs, trial});
  };
  for (const TreeNode& node : spec.tree.nodes()) add(node.name, node.epochs);
  if (spec.tree.empty())
    for (const std::uint32_t epochs : spec.grid.epochs) add("", epochs);
  return cells;
}

Shard parse_shard(std::string_view text) {
  const std::size_t slash = text.find('/');
  Shard shard;
  const std::string_view index = text.substr(0, slash);
  if (slash == std::string_view::npos || !parse_number(text.substr(slash + 1), shard.count) || shard.count == 0 ||
      shard.count > most_shards)
    reject("--shard is '{}', but must be i/N or auto/N (with --dry-run also all/N) with N from 1 to {}, e.g. 0/4", text,
           most_shards);
  const std::string_view number = index == "auto" ? cluster_index() : index;
  if (!parse_number(number, shard.index) || shard.index >= shard.count)
    reject("--shard {}: the index is '{}', but must be 0 … {} (shards count from zero)", text, number, shard.count - 1);
  return shard;
}

std::vector<std::vector<PlannedRun>> divide(const std::vector<PlannedRun>& runs, std::size_t count, std::size_t first) {
  using Load = std::pair<double, std::size_t>;  // cost so far, shard, counted from the first
  std::priority_queue<Load, std::vector<Load>, std::greater<>> least_first;
  for (std::size_t shard = 0; shard < count; ++shard) least_first.emplace(0.0, shard);
  std::vector<std::vector<PlannedRun>> shards(count);
  for (const PlannedRun& run : runs) {
    const auto [load, shard] = least_first.top();
    least_first.pop();
    shards[(first + shard) % count].push_back(run);
    least_first.emplace(load + run.cost, shard);
  }
  return shards;
}

std::string array_text(const std::vector<std::size_t>& ascending) {
  std::vector<std::string> ranges;
  for (auto first = ascending.begin(); first != ascending.end();) {
    auto end = first + 1;
    while (end != ascending.end() && *end == *(end - 1) + 1) ++end;
    ranges.push_back(end - first == 1 ? fmt::format("{}", *first) : fmt::format("{}-{}", *first, *(end - 1)));
    first = end;
  }
  return join(ranges, ",");
}

double finishing_time(const std::vector<double>& seconds, std::size_t workers) {
  std::vector<double> load(std::max<std::size_t>(1, workers), 0.0);
  for (double time : seconds) *std::min_element(load.begin(), load.end()) += time;
  return *std::max_element(load.begin(), load.end());
}

}  // namespace genretree
