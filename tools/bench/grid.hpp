// The paper's grid, and its hours.
#pragma once

#include <fmt/format.h>
#include <string>

#include "experiments/plan.hpp"

namespace genretree::bench {

/// The paper's experiment on a store; its grid is epoch_sweep.yaml's. mode: independent or snapshots.
inline Spec paper_spec(const std::string& store, const std::string& mode) {
  return parse_spec(parse_yaml(fmt::format(R"(
experiment: bench
dataset: {{name: made-up, path: "{}", split: paper-420-120-60}}
features: {{coefficients: [1, 13], frames: 1293}}
grid: {{epochs: [5, 10, 20, 50, 100, 200, 400], trials: 4, mode: {}}}
)",
                                           store, mode),
                               "bench"));
}

/// Hours that the grid takes if each worker does an epoch in so many seconds.
inline double hours_of(const Spec& spec, double seconds_per_epoch, std::size_t workers) {
  std::vector<double> seconds;
  for (const PlannedRun& run : plan_runs(spec)) seconds.push_back(run.epochs() * seconds_per_epoch);
  return finishing_time(seconds, workers) / 3600;
}

}  // namespace genretree::bench
