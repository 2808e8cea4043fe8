// Whole experiments on the emulated GPU: the choice of the device, and everything above the kernels that must not take
// the device's memory for the host's or a queue's work for done.
#include <fmt/format.h>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/io/trace_file.hpp"
#include "experiments/do_experiment.hpp"
#include "experiments/resources.hpp"
#include "experiments/runner.hpp"
#include "features/corpus.hpp"
#include "features/extract.hpp"
#include "models/checkpoint.hpp"
#include "tests/support/cuda_libraries/device.hpp"
#include "tests/support/results.hpp"
#include "tests/support/support.hpp"
#include "tests/support/timeline.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree {
namespace fs = std::filesystem;
using Catch::Contains;
namespace {

constexpr const char* sweep = R"(
model: {layers: [{lstm: 5}, {lstm: 3}, {dense: softmax}]}
grid: {epochs: [1, 3], trials: 2}
)";
constexpr const char* cnn = R"(
model: {layers: [{conv: 3, pool: 2}, {dense: 5}, {dense: softmax}], neighbours: 1}
grid: {epochs: [2], trials: 2}
)";
constexpr const char* tree = R"(
model: {layers: [{lstm: 4}, {dense: softmax}]}
tree:
  top:   {epochs: 2, children: [lower, c]}
  lower: {epochs: 1, children: [a, b]}
grid: {trials: 2}
)";

/// A tiny experiment in a temporary folder, to be run on either device.
struct Experiment {
  test::TemporaryFolder folder;
  Spec spec;

  explicit Experiment(const std::string& kind) {
    write_store(folder / "store.h5", test::tiny_store());
    const std::string text = fmt::format(R"(
experiment: tiny
dataset: {{name: tiny, path: "{}", genres: [a, b, c], split: {{kind: by-index, train: 6, validation: 2, test: 2}}}}
features: {{coefficients: [0, 4], frames: 6}}
training: {{batch: 7, learning_rate: 0.02}}
)",
                                         (folder / "store.h5").string());
    spec = parse_spec(parse_yaml(text + kind, "tiny.yaml"));
    spec.backend.device = "cuda";
  }

  fs::path path(const std::string& name) const { return folder / name; }
  std::vector<Result> results(const std::string& name) const { return read_results({path(name)}, false); }

  std::vector<Result> run(const std::string& name, const RunnerOptions& options = {}, bool resume = false) const {
    const std::unique_ptr<Backend> backend = make_backend(spec.backend);
    RunFolder run_folder(path(name), spec, {}, resume);
    run_grid(spec, load_data(spec, *backend, {}), *backend, run_folder, options);
    return results(name);
  }
};

TEST_CASE("An experiment on the GPU has the results of the CPU, to rounding", "[experiment]") {
  Experiment experiment(GENERATE(sweep, cnn, tree));
  const std::vector<Result> gpu = experiment.run("gpu");
  experiment.spec.backend.device = "cpu";
  const std::vector<Result> cpu = experiment.run("cpu");
  REQUIRE(gpu.size() == cpu.size());
  REQUIRE(missing_cells(experiment.spec, gpu).empty());
  for (std::size_t i = 0; i < gpu.size(); ++i) {
    INFO(gpu[i].run);
    CHECK(gpu[i].cell() == cpu[i].cell());
    CHECK(gpu[i].backend.backend == "cuda");
    REQUIRE(gpu[i].history.size() == cpu[i].history.size());
    for (std::size_t epoch = 0; epoch < gpu[i].history.size(); ++epoch) {
      const EpochScores &a = gpu[i].history[epoch], &b = cpu[i].history[epoch];
      CHECK(a.train.loss == Approx(b.train.loss).epsilon(1e-4));
      CHECK(a.validation.loss == Approx(b.validation.loss).epsilon(1e-4));
      CHECK(a.test.loss == Approx(b.test.loss).epsilon(1e-4));
    }
    CHECK(gpu[i].answers.genres == cpu[i].answers.genres);
    CHECK(test::max_difference(std::span<const float>(gpu[i].answers.probabilities),
                               std::span<const float>(cpu[i].answers.probabilities)) < 1e-4);
  }
}

TEST_CASE("On the GPU too, results do not depend on the number of workers, and their queues work side by side",
          "[experiment]") {
  Experiment experiment(GENERATE(sweep, tree));
  const bool is_tree = !experiment.spec.tree.empty();
  if (!is_tree) experiment.spec.grid.epochs = {2, 20};  // long enough for all workers to be there
  const std::vector<std::string> one = test::metrics(experiment.run("one"));
  Trace trace;
  CHECK(test::metrics(experiment.run("three", {.jobs = 3, .trace = &trace})) == one);
  const test::Timeline timeline = test::parse_timeline(to_chrome_json(trace, "test"));
  CHECK(timeline.lanes.size() == 3);
  CHECK(timeline.crossing().empty());
  CHECK(timeline.phases().contains("training step"));
  CHECK((is_tree || timeline.overlap("e020-t0", "e020-t1")));
}

TEST_CASE("On the GPU too, runs that train in a group have the results of runs one by one", "[experiment]") {
  const Experiment experiment(GENERATE(sweep, tree, cnn));
  const std::vector<std::string> alone = test::metrics(experiment.run("alone"));
  CHECK(test::metrics(experiment.run("group", {.jobs = 3, .slots = 3})) == alone);
}

TEST_CASE("On the GPU too, a run goes on from a checkpoint in its middle, bit for bit", "[experiment]") {
  const Experiment experiment(sweep);
  const std::vector<Result> whole = experiment.run("whole");
  // a folder as a process leaves it that was killed after two of the three epochs of e003-t1
  const std::unique_ptr<Backend> backend = make_backend(experiment.spec.backend);
  const Data data = load_data(experiment.spec, *backend, {});
  const Split split = make_split(data.store, experiment.spec.dataset.split, experiment.spec.seed, 1, false);
  const DeviceDataset dataset(data.store, *backend);
  const std::unique_ptr<Queue> queue = backend->device().make_queue();
  const Model model{classifier_of(experiment.spec, 3), data.store.config, data.store.genres, ""};
  Trainer trainer(*backend, *queue, dataset, split, model.classifier, experiment.spec.training,
                  {.seed = experiment.spec.seed, .point = 3, .trial = 1});
  trainer.train_epoch(), trainer.train_epoch();
  RunFolder(experiment.path("run"), experiment.spec, {}, false).begin(data.summary);
  write_checkpoint(experiment.path("run") / "checkpoints" / "e003-t1.h5", model,
                   {"e003-t1", whole[0].spec_hash, whole[0].commit, whole[0].backend, 1000, trainer.state()});

  const std::vector<Result> resumed = experiment.run("run", {}, true);
  CHECK(test::metrics(resumed) == test::metrics(whole));
  CHECK(resumed.back().seconds > 1000);  // it did go on from there
}

TEST_CASE("A resumed experiment keeps to the LSTM algorithm that it was begun with", "[experiment]") {
  const std::string begun = GENERATE("cudnn:standard", "cudnn:persist_static_small_h");
  Experiment experiment(sweep);
  ExperimentOptions options;
  options.cache = experiment.path("cache");
  const auto results_of = [&](const std::string& lstm, const std::vector<std::uint32_t>& epochs) {
    experiment.spec.backend.lstm = lstm;
    experiment.spec.grid.epochs = epochs;
    do_file({"tiny", experiment.spec, {}}, experiment.path("run"), options);
    return experiment.results("run");
  };
  CHECK(results_of(begun, {1}).front().backend.algorithm == begun);
  options.resume = true;
  const std::vector<Result> all = results_of(GENERATE("auto", "cudnn"), {1, 2});
  REQUIRE(all.size() == 4);
  for (const Result& result : all) CHECK(result.backend.algorithm == begun);
  // as the checkpoints say, where there is no result
  write_whole_text(ledger_path(experiment.path("run"), 0), "");
  for (const Result& result : results_of("auto", {1, 2})) CHECK(result.backend.algorithm == begun);
}

TEST_CASE("Features come from the GPU as from the CPU, to rounding, by several workers to the bits of one",
          "[experiment]") {
  const test::TemporaryFolder folder;
  std::vector<Clip> clips = corpus_clips({.clips_per_genre = 1, .seconds = 1});
  clips.resize(4);
  FeatureConfig config;
  config.frames = 40;
  const auto features = [&](const std::string& device, std::size_t jobs, Trace* trace = nullptr) {
    const fs::path path = folder / (device + std::to_string(jobs) + ".h5");
    const std::unique_ptr<Backend> backend = make_backend({.device = device});
    extract_features(clips, config, "test", *backend, path, {.jobs = jobs, .trace = trace});
    return read_store(path).features;
  };
  Trace trace;
  const std::vector<float> one = features("cuda", 1), three = features("cuda", 3, &trace), cpu = features("cpu", 1);
  REQUIRE(one.size() == 4 * 40 * config.width());
  CHECK(three == one);
  CHECK(test::relative_difference(std::span<const float>(one), std::span<const float>(cpu)) < 1e-5);
  const test::Timeline timeline = test::parse_timeline(to_chrome_json(trace, "test"));
  CHECK(timeline.lanes.size() == 3);
  CHECK(timeline.crossing().empty());
  for (const char* phase : {"decoding", "copy to the device", "features"}) CHECK(timeline.phases().contains(phase));

  const std::unique_ptr<Backend> backend = make_backend({.device = "cuda"});
  CHECK(extraction_workers(backend->device()) >= 2);
}

TEST_CASE("The CPU never takes the GPU's features from the cache, nor a run those of the other", "[experiment]") {
  Experiment experiment(sweep);
  experiment.spec.dataset.name = "built-in";
  experiment.spec.dataset.corpus = {.clips_per_genre = 10, .seconds = 1};
  experiment.spec.dataset.genres = {"blues", "jazz"};
  experiment.spec.features.frames = 6;
  const auto summary_on = [&](const std::string& device, const std::string& cache) {
    return load_data(experiment.spec, *make_backend({.device = device}), {.cache = experiment.path(cache)}).summary;
  };
  const DatasetSummary alone = summary_on("cpu", "own cache"), gpu = summary_on("cuda", "cache"),
                       after = summary_on("cpu", "cache");
  CHECK_THAT(gpu.features_by, Catch::StartsWith("cuda, emulated, host twins"));
  CHECK_THAT(after.features_by, Catch::StartsWith("cpu, "));
  CHECK(after.checksum == alone.checksum);
  CHECK(gpu.checksum != after.checksum);  // rounding; if not, the check below has nothing to refuse
  RunFolder(experiment.path("run"), experiment.spec, {}, false).begin(gpu);
  CHECK_THROWS_WITH(RunFolder(experiment.path("run"), experiment.spec, {}, true).begin(after),
                    Contains(gpu.features_by) && Contains(after.features_by) && Contains("--dataset"));
}

TEST_CASE("By the fused LSTM a sweep and a tree advance as groups, and their results are those of each run alone",
          "[experiment]") {
  const auto [kind, precision] =
      GENERATE(table<const char*, const char*>({{sweep, "fp32"}, {sweep, "bf16"}, {tree, "bf16"}}));
  Experiment experiment(kind);
  experiment.spec.stack.units = {32, 16};
  experiment.spec.backend.precision = precision;
  const auto run = [&](const std::string& name, std::optional<std::size_t> jobs) {
    Trace trace;
    ExperimentOptions options;
    options.cache = experiment.path("cache"), options.jobs = jobs, options.trace = &trace;
    do_file({"tiny", experiment.spec, {}}, experiment.path(name), options);
    const auto is_group = [](const Trace::Event& event) { return event.phase.starts_with("a group of up to"); };
    CHECK(std::ranges::any_of(trace.events(), is_group) == !jobs.has_value());
    return test::metrics(experiment.results(name));
  };
  const std::vector<std::string> together = run("together", {});
  CHECK(together == run("alone", 1));
  CHECK(experiment.results("alone").front().backend.algorithm == "fused");
}

TEST_CASE("What was begun by cuDNN goes on by cuDNN, though the fused LSTM could", "[experiment]") {
  Experiment experiment(sweep);
  experiment.spec.stack.units = {16};
  ExperimentOptions options;
  options.cache = experiment.path("cache");
  const auto run = [&](const std::string& lstm) {
    experiment.spec.backend.lstm = lstm;
    do_file({"tiny", experiment.spec, {}}, experiment.path("run"), options);
  };
  options.shard = {0, 2};
  run("cudnn:standard");
  options.shard = {1, 2};
  run("auto");
  const std::vector<Result> results = experiment.results("run");
  CHECK(missing_cells(experiment.spec, results).empty());
  for (const Result& result : results) CHECK(result.backend.algorithm == "cudnn:standard");
}

TEST_CASE("A shard on a GPU does not choose its LSTM algorithm by itself", "[experiment]") {
  Experiment experiment(sweep);
  ExperimentOptions options;
  options.cache = experiment.path("cache");
  options.shard = {1, 2};
  const auto run = [&](const std::string& lstm) {
    experiment.spec.backend.lstm = lstm;
    return test::error_of([&] { do_file({"tiny", experiment.spec, {}}, experiment.path("run"), options); });
  };
  for (const char* choice : {"auto", "cudnn"})
    CHECK_THAT(run(choice), Contains("--set backend.lstm=cudnn:standard") && Contains("cudnn:persist_static"));
  CHECK_FALSE(fs::exists(experiment.path("run")));
  CHECK(run("cudnn:persist_static_small_h") == "no error");
  options.shard = {0, 2};
  CHECK(run("auto") == "no error");  // that of the results which are there
  for (const Result& result : experiment.results("run"))
    CHECK(result.backend.algorithm == "cudnn:persist_static_small_h");
  Experiment network(cnn);  // has one algorithm
  options.cache = network.path("cache");
  CHECK_NOTHROW(do_file({"tiny", network.spec, {}}, network.path("run"), options));
}

TEST_CASE("auto says why there is no GPU, and does not hide that one fails", "[experiment]") {
  {
    const cuda::AbsentGpu absent("the NVIDIA driver is too old");
    const BackendChoice choice = choose_backend({}, {});
    CHECK(choice.backend->info().backend == "cpu");
    CHECK_THAT(choice.why_no_gpu, Contains("the NVIDIA driver is too old"));
    CHECK(backend_targets("cuda").empty());
  }
  const cuda::FailingGpu failing("all CUDA-capable devices are busy");
  for (const char* device : {"auto", "cuda"})
    CHECK_THROWS_WITH(choose_backend({.device = device}, {}), Contains("are busy") && Contains("--backend cpu"));
  CHECK(choose_backend({.device = "cpu"}, {}).why_no_gpu.empty());
}

TEST_CASE("auto takes the GPU for what it can do, and else says why not", "[experiment]") {
  const NetworkConfig able = StackConfig{.inputs = 4, .units = {5}};
  NetworkConfig unable = able;
  unable.gate = Gate::hard_sigmoid;
  const auto device = [](const BackendChoice& choice) { return choice.backend->info().backend; };

  const BackendChoice gpu = choose_backend({}, {&able, 1});
  CHECK(device(gpu) == "cuda");
  CHECK(gpu.why_no_gpu.empty());
  const BackendChoice stack = choose_backend({}, {&unable, 1});
  CHECK(device(stack) == "cpu");
  CHECK_THAT(stack.why_no_gpu, Contains("hard") && Contains("cpu"));
  const BackendChoice precision = choose_backend({.precision = "bf16"}, {&able, 1});
  CHECK(device(precision) == "cpu");
  CHECK_THAT(precision.why_no_gpu, Contains("16, 32 … 256 units"));
  const NetworkConfig fused = StackConfig{.inputs = 4, .units = {16}, .gate = Gate::hard_sigmoid};
  CHECK(device(choose_backend({.precision = "bf16"}, {&fused, 1})) == "cuda");
  CHECK(device(choose_backend({.lstm = "interleaved"}, {&able, 1})) == "cpu");
  CHECK(device(choose_backend({.precision = "tf32"}, {&able, 1})) == "cuda");

  CHECK_THROWS_WITH(choose_backend({.device = "cuda"}, {&unable, 1}), Contains("hard"));
  CHECK_THROWS_WITH(choose_backend({.device = "cuda", .target = "avx2"}, {}), Contains("'avx2'") && Contains("auto"));
  CHECK_THROWS_WITH(choose_backend({.precision = "tf32"}, {&unable, 1}), Contains("tf32") && Contains("hard"));
}

TEST_CASE("What the GPU cannot compute is refused before any feature is extracted", "[experiment]") {
  Experiment experiment("model: {layers: [{lstm: 5}, {dense: softmax}], preset: keras2018}\ngrid: {epochs: [1]}\n");
  fs::remove(experiment.path("store.h5"));  // whoever looked at the data would say so
  ExperimentOptions options;
  options.cache = experiment.path("cache");
  const ExperimentFile file{"tiny", experiment.spec, {}};
  CHECK_THROWS_WITH(do_file(file, experiment.path("run"), options), Contains("cpu"));
  CHECK_FALSE(fs::exists(experiment.path("run")));
  CHECK_FALSE(fs::exists(experiment.path("cache")));
}

TEST_CASE("--jobs auto on a GPU goes by its memory and a number of queues, not by the cores", "[experiment]") {
  const Experiment experiment(sweep);
  const std::unique_ptr<Backend> backend = make_backend(experiment.spec.backend);
  const Limits limits = limits_of(*backend);
  CHECK(limits.gpu);
  CHECK(limits.jobs == most_gpu_queues);
  CHECK(limits.memory == backend->device().free_memory() / 5 * 4);
  const MemoryNeed need =
      memory_need(experiment.spec, load_data(experiment.spec, *backend, {}), *backend, limits.memory);
  CHECK(need.per_run > 64 << 20);  // with what the libraries of a queue may take
  // and of the host: a copy of the weights and two moments, from which a checkpoint is written
  const std::size_t copies = 3 * sizeof(float) * classifier_of(experiment.spec, 3).parameter_count();
  CHECK(need.host_per_run == (64 << 20) + copies);
  CHECK(limits.host_memory > 0);
  CHECK(automatic_jobs(100, need, limits) == (limits.memory - need.shared) / need.per_run);
  // runs in a group share a queue
  const MemoryNeed group =
      memory_need(experiment.spec, load_data(experiment.spec, *backend, {}), *backend, limits.memory, true);
  CHECK(group.per_run == need.per_run - (64 << 20));
  CHECK(group.of(1) == need.of(1));
  CHECK(group.host_per_run == copies);
  CHECK(group.on_host(1) == need.on_host(1));
}

}  // namespace
}  // namespace genretree
