#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <functional>
#include <iterator>

#include "core/error.hpp"
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
PlannedRun make_run(const std::string& name, std::vector<std::uint32_t> points, std::uint32_t trial, std::uint64_t seed,
                    double cost_of_epoch) {
  PlannedRun run;
  run.id = fmt::format("{}-t{}", name, trial);
  run.trial = trial;
  run.key = RandomKey{.seed = seed, .point = points.back(), .trial = trial};
  run.cost = points.back() * cost_of_epoch;
  run.points = std::move(points);
  return run;
}

std::vector<PlannedRun> grid_runs(const Spec& spec, std::uint32_t trial, double cost_of_epoch) {
  const std::vector<std::uint32_t> points = sorted_points(spec.grid);
  if (spec.grid.mode == GridSpec::Mode::snapshots)
    return {make_run(fmt::format("s{:03}", points.back()), points, trial, spec.seed, cost_of_epoch)};
  std::vector<PlannedRun> runs;
  for (const std::uint32_t point : points)
    runs.push_back(make_run(fmt::format("e{:03}", point), {point}, trial, spec.seed, cost_of_epoch));
  return runs;
}

std::vector<PlannedRun> tree_runs(const Spec& spec, std::uint32_t trial, const std::vector<double>& cost_of_epoch) {
  std::vector<PlannedRun> runs;
  for (std::size_t node = 0; node < spec.tree.nodes().size(); ++node) {
    const auto& [name, epochs, children] = spec.tree.nodes()[node];
    runs.push_back(make_run(name, {epochs}, trial, spec.seed, cost_of_epoch[node]));
    runs.back().task = node;
    runs.back().node = name;
    runs.back().key.node = static_cast<std::uint32_t>(node + 1);
  }
  return runs;
}

bool parse_number(std::string_view text, std::size_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

/// Of one clip on its way forward, without the softmax layer.
double multiplications_of_clip(const Spec& spec) {
  double sum = 0;
  const auto add = [&](const ParameterLayout::Tensor& kernel, std::size_t times) {
    sum += static_cast<double>(kernel.size()) * static_cast<double>(times);
  };
  if (spec.cnn) {
    const CnnLayout layout(*spec.cnn, 1);
    for (std::size_t s = 0; s < layout.stages.size(); ++s) {
      const CnnConfig::Image image = spec.cnn->image(s);
      add(layout.stages[s].kernel, image.rows * image.columns);
    }
    add(layout.hidden.kernel, 1);
    return sum;
  }
  for (const ParameterLayout::Layer& layer : ParameterLayout(spec.stack, 1).layers)
    add(layer.kernel, spec.features.frames), add(layer.recurrent, spec.features.frames);
  return sum;
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

double epoch_cost(const Spec& spec, std::size_t train_clips, std::size_t evaluated_clips) {
  return 2 * multiplications_of_clip(spec) *
         (3 * static_cast<double>(train_clips) + static_cast<double>(evaluated_clips));
}

void put_longest_first(std::vector<PlannedRun>& runs) {
  std::ranges::stable_sort(runs, std::ranges::greater{}, &PlannedRun::cost);
}

std::vector<Cell> PlannedRun::cells() const {
  std::vector<Cell> cells;
  for (const std::uint32_t point : points) cells.push_back({node, point, trial});
  return cells;
}

std::vector<PlannedRun> plan_runs(const Spec& spec, const std::vector<double>& cost_of_epoch) {
  std::vector<PlannedRun> runs;
  for (std::uint32_t trial = 0; trial < spec.grid.trials; ++trial)
    std::ranges::move(
        spec.tree.empty() ? grid_runs(spec, trial, cost_of_epoch.front()) : tree_runs(spec, trial, cost_of_epoch),
        std::back_inserter(runs));
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
  if (slash == std::string_view::npos || !parse_number(text.substr(slash + 1), shard.count) || shard.count == 0)
    reject("--shard is '{}', but must be i/N or auto/N with N ≥ 1, e.g. 0/4", text);
  const std::string_view number = index == "auto" ? cluster_index() : index;
  if (!parse_number(number, shard.index) || shard.index >= shard.count)
    reject("--shard {}: the index is '{}', but must be 0 … {} (shards count from zero)", text, number, shard.count - 1);
  return shard;
}

std::vector<PlannedRun> runs_of_shard(const std::vector<PlannedRun>& runs, const Shard& shard) {
  std::vector<double> load(shard.count, 0.0);
  std::vector<PlannedRun> mine;
  for (const PlannedRun& run : runs) {
    const auto least = std::min_element(load.begin(), load.end());
    *least += run.cost;
    if (static_cast<std::size_t>(least - load.begin()) == shard.index) mine.push_back(run);
  }
  return mine;
}

double finishing_time(const std::vector<double>& seconds, std::size_t workers) {
  std::vector<double> load(std::max<std::size_t>(1, workers), 0.0);
  for (double time : seconds) *std::min_element(load.begin(), load.end()) += time;
  return *std::max_element(load.begin(), load.end());
}

}  // namespace genretree
