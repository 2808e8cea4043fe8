#include <thread>

#include "core/error.hpp"
#include "experiments/resources.hpp"
#include "tests/support/support.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree {
namespace {

constexpr std::size_t megabyte = 1'000'000, plenty = 64'000 * megabyte;

/// An experiment on made-up features of 3 × 10 clips.
struct Experiment {
  Spec spec;
  Data data;
  std::unique_ptr<Backend> backend = make_backend({.device = "cpu"});

  explicit Experiment(std::size_t frames = 200) {
    data.store = test::tiny_store({.frames = frames});
    spec.features = data.store.config;
    spec.stack = StackConfig{.inputs = data.store.config.coefficients, .units = {40, 9}};
    spec.training.batch = 7;
    spec.dataset.split.train = 6, spec.dataset.split.validation = spec.dataset.split.test = 2;
  }
  MemoryNeed need(std::size_t limit = plenty) const { return memory_need(spec, data, *backend, limit); }
  std::size_t state_bytes(std::size_t rows, Mode mode) const {
    const Group group{1, rows, spec.features.frames, 3, {static_cast<std::uint32_t>(rows)}, {3}};
    return backend->make_stack_state(spec.stack, group, mode)->bytes();
  }
};

TEST_CASE("the memory of a run is what its backend's states hold, and batches, weights and their copies") {
  const Experiment experiment;
  const std::size_t frames = 200, parameters = ParameterLayout(experiment.spec.stack, 3).size;
  // floats: x, h and its gradient, probabilities, labels of a training batch of 7 and an evaluation batch of 6;
  // weights, gradients and two moments; the state after the last epoch (weights and moments) twice
  const std::size_t floats = (7 + 6) * (frames * 4 + 9 + 3 + 1) + 7 * 9 + 4 * parameters + 2 * 3 * parameters;
  const std::size_t states = experiment.state_bytes(7, Mode::training) + experiment.state_bytes(6, Mode::inference);
  const MemoryNeed need = experiment.need();
  CHECK(need.per_run >= states + 4 * floats);
  // lists of the rows of 18 clips to train (in batches of 7), 6 to validate and 6 to test, those at work, and scores
  const std::size_t rows = 3 * 7 + 6 + 6 + 7 + 6;
  CHECK(need.per_run <= states + 4 * floats + rows * sizeof(BatchRow) + 500);
  CHECK(need.shared == 4 * 30 * (frames * 4 + 1));
  CHECK(need.of(3) == need.shared + 3 * need.per_run);
}

TEST_CASE("the memory of a run that does not fit is reckoned without making it, to the same number") {
  Experiment experiment(200);
  experiment.spec.stack.recurrent_dropout = GENERATE(0.0, 0.3);
  const MemoryNeed made = experiment.need(), reckoned = experiment.need(megabyte);
  CHECK(reckoned.per_run == made.per_run);
  CHECK(reckoned.shared == made.shared);
  experiment.spec.features.frames = 1'000'000'000;  // more than any machine holds
  CHECK(experiment.need(plenty).per_run > 100 * plenty);
}

TEST_CASE("a network whose weights alone do not fit is not made") {
  Experiment experiment;
  experiment.spec.stack.units = {4096, 4096, 4096, 4096};  // 470 million weights
  CHECK(experiment.need(100 * megabyte).per_run > 10'000 * megabyte);
}

TEST_CASE("a batch larger than the training set takes no more memory than the set") {
  Experiment experiment;
  experiment.spec.training.batch = 18;
  const MemoryNeed all = experiment.need();
  experiment.spec.training.batch = 100'000;
  CHECK(experiment.need().per_run == all.per_run);
}

TEST_CASE("the work of an experiment has the batches of every classifier, no larger than its sets") {
  Experiment experiment;
  experiment.spec.training.batch = 15;
  const auto rows = [](const std::vector<Group>& groups) {
    std::vector<std::size_t> result;
    for (const Group& group : groups) {
      CHECK((group.runs == 1 && group.frames == 200 && group.classes == 3));
      CHECK(group.rows == std::vector{static_cast<std::uint32_t>(group.batch)});
      result.push_back(group.batch);
    }
    return result;
  };
  const StackWork flat = stack_work(experiment.spec, experiment.data, 5);
  CHECK(rows(flat.training) == std::vector<std::size_t>{15});
  CHECK(rows(flat.evaluation) == std::vector<std::size_t>{6});
  CHECK(flat.side_by_side == 5);
  experiment.spec.tree = GenreTree({{"top", 1, {"left", "c"}}, {"left", 1, {"a", "b"}}}, {"a", "b", "c"});
  const StackWork tree = stack_work(experiment.spec, experiment.data, 1);
  CHECK(rows(tree.training) == std::vector<std::size_t>{15, 12});  // two of three genres of six clips each
  CHECK(rows(tree.evaluation) == std::vector<std::size_t>{6, 4});
}

TEST_CASE("evaluation goes in batches: of its memory only the list of rows grows with the clips") {
  Experiment experiment;
  experiment.data.store = test::tiny_store({.clips_per_genre = 200, .frames = 200});
  experiment.spec.dataset.split.validation = experiment.spec.dataset.split.test = 50;
  const MemoryNeed few = experiment.need();
  experiment.spec.dataset.split.validation = 140;
  CHECK(experiment.need().per_run <= few.per_run + 3 * 90 * sizeof(BatchRow) + 500);
}

TEST_CASE("--jobs auto: no more than cores or queues, runs, and what the memory holds") {
  const MemoryNeed need{.shared = 50 * megabyte, .per_run = 200 * megabyte};
  const auto jobs = [&](std::size_t runs, std::size_t cores, std::size_t memory) {
    return automatic_jobs(runs, need, {cores, memory * megabyte});
  };
  CHECK(jobs(28, 2, 100'000) == 2);
  CHECK(jobs(3, 8, 100'000) == 3);
  CHECK(jobs(28, 8, 1050) == 5);
  CHECK(jobs(28, 8, 1049) == 4);
  CHECK(jobs(28, 8, 250) == 1);
  CHECK(automatic_jobs(100, need, {most_gpu_queues, 80'000 * megabyte, true}) == most_gpu_queues);
  CHECK_THROWS_WITH(automatic_jobs(28, need, {most_gpu_queues, 249 * megabyte, true}),
                    Catch::Contains("may take 249 MB of the GPU's memory") && Catch::Contains("--backend cpu"));
  const MemoryNeed copied{.shared = need.shared, .per_run = need.per_run, .host_per_run = 100 * megabyte};
  const auto jobs_on_gpu = [&](std::size_t host_memory) {
    return automatic_jobs(100, copied, {most_gpu_queues, 80'000 * megabyte, true, host_memory * megabyte});
  };
  CHECK(jobs_on_gpu(10'000) == most_gpu_queues);
  CHECK(jobs_on_gpu(799) == 7);
  CHECK(jobs_on_gpu(100) == 1);
  CHECK_THROWS_WITH(jobs_on_gpu(99), Catch::Contains("beside the GPU's memory it needs 100 MB") &&
                                         Catch::Contains("may take 99 MB") && Catch::Contains("--jobs 1"));
  CHECK(jobs(0, 8, 0) == 1);  // nothing is left to do: no memory is needed
  CHECK_THROWS_WITH(jobs(28, 8, 249),
                    Catch::Contains("no room for a single run: it needs 200 MB or more and 50 MB for the "
                                    "data set, but this process may take 249 MB") &&
                        Catch::Contains("--jobs 1"));
}

TEST_CASE("--jobs auto of a group: as many as the backend computes together, and one queue for all") {
  const std::unique_ptr<Backend> cpu = make_backend({.device = "cpu"});
  CHECK(limits_of(*cpu, 26).jobs == 26);
  CHECK(limits_of(*cpu, 26).memory > megabyte);
  const MemoryNeed need{
      .shared = 50 * megabyte, .per_run = 200 * megabyte, .host_per_run = 10 * megabyte, .host_shared = 60 * megabyte};
  CHECK(need.on_host(3) == 90 * megabyte);
  const auto jobs = [&](std::size_t memory, std::size_t host_memory) {
    return automatic_jobs(28, need, {26, memory * megabyte, true, host_memory * megabyte});
  };
  CHECK(jobs(80'000, 10'000) == 26);
  CHECK(jobs(1050, 10'000) == 5);
  CHECK(jobs(80'000, 99) == 3);
  CHECK_THROWS_WITH(jobs(80'000, 69), Catch::Contains("beside the GPU's memory it needs 70 MB"));
}

TEST_CASE("runs have queues of their own where the backend computes one after another") {
  Experiment experiment;
  CHECK(runs_together(experiment.spec, experiment.data, *experiment.backend) == 1);
}

TEST_CASE("an epoch is measured of runs one by one and in a group") {
  const Experiment experiment;
  for (const std::size_t slots : {1, 2})
    CHECK(seconds_per_epoch(experiment.spec, experiment.data, *experiment.backend, 1, slots) > 0);
}

TEST_CASE("the limits of this very process are some") {
  const Limits limits = limits_of(*make_backend({.device = "cpu"}));
  CHECK(limits.jobs <= std::thread::hardware_concurrency());
  CHECK(limits.memory > megabyte);
  CHECK(limits.host_memory == 0);  // the memory is the host's
  CHECK(Experiment().need().host_per_run == 0);
}

}  // namespace
}  // namespace genretree
