#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <set>

#include "core/error.hpp"
#include "experiments/plan.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

Spec paper_grid(GridSpec::Mode mode = GridSpec::Mode::independent) {
  Spec spec;
  spec.features.coefficients = 13;
  spec.stack = {.inputs = 13, .units = {128, 32}};
  spec.grid.mode = mode;
  return spec;
}

TEST_CASE("the paper's grid: 28 runs with stable names, the longest first") {
  const std::vector<PlannedRun> runs = plan_runs(paper_grid(), {1.0});
  REQUIRE(runs.size() == 28);
  CHECK(runs[0].id == "e400-t0");
  CHECK(runs[3].id == "e400-t3");
  CHECK(runs[4].id == "e200-t0");
  CHECK(runs[27].id == "e005-t3");
  double epochs = 0;
  std::set<std::string> names;
  for (const PlannedRun& run : runs) {
    epochs += run.cost;
    names.insert(run.id);
    CHECK(run.points == std::vector<std::uint32_t>{run.epochs()});
    CHECK(run.key.seed == 2018);
    CHECK(run.key.point == run.epochs());
    CHECK(run.key.trial == run.trial);
  }
  CHECK(epochs == 3140);
  CHECK(names.size() == 28);
}

TEST_CASE("runs are ordered by what they cost, across classifiers of different size") {
  Spec small = paper_grid();
  small.stack.units = {16};
  small.grid.epochs = {5, 400};
  Spec large = paper_grid();
  large.grid.epochs = {10, 20};
  std::vector<PlannedRun> runs = plan_runs(small, {epoch_cost(small, 420, 180)});
  std::ranges::move(plan_runs(large, {epoch_cost(large, 420, 180)}), std::back_inserter(runs));
  put_longest_first(runs);
  // a weight of the small one is used 400 times, but the large one has 92,672 of them against 1,856
  std::vector<std::string> order;
  for (const PlannedRun& run : runs) order.push_back(run.id);
  CHECK(order == std::vector<std::string>{"e020-t0", "e020-t1", "e020-t2", "e020-t3", "e010-t0", "e010-t1", "e010-t2",
                                          "e010-t3", "e400-t0", "e400-t1", "e400-t2", "e400-t3", "e005-t0", "e005-t1",
                                          "e005-t2", "e005-t3"});
  CHECK(std::ranges::is_sorted(runs, std::ranges::greater{}, &PlannedRun::cost));
}

TEST_CASE("workers that take the longest first end together") {
  const auto finish = [](const std::vector<PlannedRun>& runs, std::size_t workers) {
    std::vector<double> costs;
    for (const PlannedRun& run : runs) costs.push_back(run.cost);
    return finishing_time(costs, workers);
  };
  const std::vector<PlannedRun> runs = plan_runs(paper_grid(), {1.0});
  for (std::size_t workers : {1, 2, 3, 4}) {
    INFO(workers);
    CHECK(finish(runs, workers) <= std::ceil(3140.0 / static_cast<double>(workers)) + 5);  // 5: the shortest run
  }
  CHECK(finish(runs, 28) == 400);
  const std::vector<PlannedRun> shortest_first(runs.rbegin(), runs.rend());
  CHECK(finish(shortest_first, 3) > finish(runs, 3) + 150);
  CHECK(finish(plan_runs(paper_grid(GridSpec::Mode::snapshots), {1.0}), 2) == 800);
}

TEST_CASE("snapshots: a run a trial, with the random numbers of the largest grid point") {
  Spec spec = paper_grid(GridSpec::Mode::snapshots);
  spec.grid.epochs = {50, 5, 400, 5};
  const std::vector<PlannedRun> runs = plan_runs(spec, {1.0});
  REQUIRE(runs.size() == 4);
  CHECK(runs[2].id == "s400-t2");
  CHECK(runs[2].points == std::vector<std::uint32_t>{5, 50, 400});
  CHECK(runs[2].key.point == 400);
  CHECK(runs[2].key.trial == 2);
}

TEST_CASE("the cost of an epoch is counted in floating point operations") {
  // 2 for each weight of the LSTM layers, 1293 frames and 35 clips: 8.39e9 forward; backward costs twice that again
  const double weights = 4 * 128 * (13 + 128) + 4 * 32 * (128 + 32), forward = 2 * weights * 1293 * 35;
  CHECK(forward == Approx(8.39e9).epsilon(1e-3));
  CHECK(epoch_cost(paper_grid(), 0, 35) == forward);
  CHECK(epoch_cost(paper_grid(), 35, 0) == 3 * forward);
  CHECK(plan_runs(paper_grid(), {2.5})[0].cost == 1000);
}

TEST_CASE("shards divide the runs: each is in one of them, and their costs are near to each other") {
  const std::vector<PlannedRun> runs = plan_runs(paper_grid(), {1.0});
  for (std::size_t count : {1, 2, 3, 4, 7, 28, 40}) {
    std::multiset<std::string> names;
    double least = 1e9, most = 0;
    for (std::size_t index = 0; index < count; ++index) {
      double cost = 0;
      for (const PlannedRun& run : runs_of_shard(runs, {index, count})) names.insert(run.id), cost += run.cost;
      least = std::min(least, cost), most = std::max(most, cost);
    }
    CHECK(names.size() == 28);
    for (const PlannedRun& run : runs) CHECK(names.count(run.id) == 1);
    if (count <= 4) CHECK(most - least <= 10);
    CHECK(most <= 3140.0 / static_cast<double>(count) + 400);
  }
}

TEST_CASE("--shard: from zero, or from the cluster's variables") {
  CHECK(parse_shard("0/1").count == 1);
  CHECK(parse_shard("3/4").index == 3);
  for (const char* bad : {"", "1", "4/4", "-1/4", "1/0", "a/4", "1/4x", "1/", "/4", "1.0/4"})
    CHECK_THROWS_AS(parse_shard(bad), InputError);

  ::unsetenv("SLURM_ARRAY_TASK_ID"), ::unsetenv("JOB_COMPLETION_INDEX");
  CHECK_THROWS_WITH(parse_shard("auto/4"), Catch::Contains("JOB_COMPLETION_INDEX"));
  ::setenv("JOB_COMPLETION_INDEX", "2", 1);
  CHECK(parse_shard("auto/4").index == 2);
  ::setenv("SLURM_ARRAY_TASK_ID", "3", 1);
  CHECK(parse_shard("auto/4").index == 3);
  CHECK_THROWS_WITH(parse_shard("auto/3"), Catch::Contains("0 … 2"));
  ::unsetenv("SLURM_ARRAY_TASK_ID"), ::unsetenv("JOB_COMPLETION_INDEX");
}

TEST_CASE("the time for all: each worker takes the next run when it is free") {
  CHECK(finishing_time({5, 4, 3, 3}, 1) == 15);
  CHECK(finishing_time({5, 4, 3, 3}, 2) == 8);  // 5 + 3 and 4 + 3
  CHECK(finishing_time({5, 4, 3, 3}, 9) == 5);
  CHECK(finishing_time({}, 2) == 0);
}

}  // namespace
}  // namespace genretree
