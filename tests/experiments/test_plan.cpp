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
  spec.stack = StackConfig{.inputs = 13, .units = {128, 32}};
  spec.grid.mode = mode;
  return spec;
}

TEST_CASE("the paper's grid: 28 runs with stable names, the longest first") {
  const std::vector<PlannedRun> runs = plan_runs(paper_grid());
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

TEST_CASE("workers that take the longest first end together") {
  const auto finish = [](const std::vector<PlannedRun>& runs, std::size_t workers) {
    std::vector<double> costs;
    for (const PlannedRun& run : runs) costs.push_back(run.cost);
    return finishing_time(costs, workers);
  };
  const std::vector<PlannedRun> runs = plan_runs(paper_grid());
  for (std::size_t workers : {1, 2, 3, 4}) {
    INFO(workers);
    CHECK(finish(runs, workers) <= std::ceil(3140.0 / static_cast<double>(workers)) + 5);  // 5: the shortest run
  }
  CHECK(finish(runs, 28) == 400);
  const std::vector<PlannedRun> shortest_first(runs.rbegin(), runs.rend());
  CHECK(finish(shortest_first, 3) > finish(runs, 3) + 150);
  CHECK(finish(plan_runs(paper_grid(GridSpec::Mode::snapshots)), 2) == 800);
}

TEST_CASE("snapshots: a run a trial, with the random numbers of the largest grid point") {
  Spec spec = paper_grid(GridSpec::Mode::snapshots);
  spec.grid.epochs = {50, 5, 400, 5};
  const std::vector<PlannedRun> runs = plan_runs(spec);
  REQUIRE(runs.size() == 4);
  CHECK(runs[2].id == "s400-t2");
  CHECK(runs[2].points == std::vector<std::uint32_t>{5, 50, 400});
  CHECK(runs[2].key.point == 400);
  CHECK(runs[2].key.trial == 2);
}

TEST_CASE("shards divide the runs: each is in one of them, and their costs are near to each other") {
  const std::vector<PlannedRun> runs = plan_runs(paper_grid());
  for (std::size_t count : {1, 2, 3, 4, 7, 28, 40}) {
    std::multiset<std::string> names;
    double least = 1e9, most = 0;
    const std::vector<std::vector<PlannedRun>> shards = divide(runs, count);
    REQUIRE(shards.size() == count);
    for (const std::vector<PlannedRun>& shard : shards) {
      double cost = 0;
      for (const PlannedRun& run : shard) names.insert(run.id), cost += run.cost;
      least = std::min(least, cost), most = std::max(most, cost);
    }
    CHECK(names.size() == 28);
    for (const PlannedRun& run : runs) CHECK(names.count(run.id) == 1);
    if (count <= 4) CHECK(most - least <= 10);
    CHECK(most <= 3140.0 / static_cast<double>(count) + 400);
  }
}

TEST_CASE("a division is the same in every process: runs one after another to the shard with the least so far") {
  std::vector<std::vector<std::string>> names;
  for (const std::vector<PlannedRun>& shard : divide(plan_runs(paper_grid()), 5)) {
    names.emplace_back();
    for (const PlannedRun& run : shard) names.back().push_back(run.id);
  }
  // 400 epochs each to four shards, two of 200 to the fifth, the others to the first of equals; after those of 50 all
  // have 600
  CHECK(names[0] == std::vector<std::string>{"e400-t0", "e200-t2", "e020-t0", "e010-t2"});
  CHECK(names[1] == std::vector<std::string>{"e400-t1", "e200-t3", "e020-t1", "e010-t3"});
}

TEST_CASE("a division may begin with another shard, as those of a file's later variants do") {
  const std::vector<PlannedRun> runs = plan_runs(paper_grid());
  const auto from_0 = divide(runs, 5), from_3 = divide(runs, 5, 3);
  for (std::size_t shard = 0; shard < 5; ++shard) {
    REQUIRE(from_3[(shard + 3) % 5].size() == from_0[shard].size());
    CHECK(from_3[(shard + 3) % 5].front().id == from_0[shard].front().id);
  }
}

TEST_CASE("indices of shards as Slurm's --array takes them") {
  CHECK(array_text({}).empty());
  CHECK(array_text({7}) == "7");
  CHECK(array_text({0, 1, 2, 3, 7, 9, 10}) == "0-3,7,9-10");
}

TEST_CASE("--shard: from zero, or from the cluster's variables") {
  CHECK(parse_shard("0/1").count == 1);
  CHECK(parse_shard("3/4").index == 3);
  for (const char* bad : {"", "1", "4/4", "-1/4", "1/0", "a/4", "1/4x", "1/", "/4", "1.0/4", "all/4", "0/100001"})
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
