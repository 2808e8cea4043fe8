// bench: measures this machine's limit and what we reach of it, on one core. Every kernel is compared with the
// definition before it is timed.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <functional>
#include <regex>
#include <string>
#include <unistd.h>
#include <vector>

#include "core/io/files.hpp"
#include "features/audio.hpp"
#include "features/spectral.hpp"
#include "kernels/backends.hpp"
#include "kernels/cpu/fma_peak.hpp"
#include "kernels/cpu/target.hpp"
#include "kernels/reference/backend.hpp"
#include "models/trainer.hpp"
#include "tools/program.hpp"

namespace fs = std::filesystem;
using namespace genretree;

namespace {

struct Record {
  std::string name, unit;
  std::size_t repetitions;
  double median, min, max;
};

/// Processor time, which other programs on the machine disturb less than the wall clock; bench has one thread and waits
/// for nothing.
double seconds_of(const std::function<void()>& work) {
  const std::clock_t start = std::clock();
  work();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

Record record(const std::string& name, const std::string& unit, const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {name, unit, values.size(), median(values), *low, *high};
}

/// max |a - b|; a NaN stays one.
double max_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0;
  for (std::size_t k = 0; k < a.size(); ++k) {
    const double difference = std::abs(a[k] - b[k]);
    worst = difference > worst || std::isnan(difference) ? difference : worst;
  }
  return worst;
}

/// GFLOP/s of nothing but multiply-adds, over some 20 ms.
double peak_gflops(std::int64_t target) {
  double operations = 0;
  const double seconds = seconds_of([&] { operations = cpu::run_multiply_adds(target, 10'000'000); });
  return operations / seconds / 1e9;
}

// ------------------------------------------------------------------------------------------------------- LSTM training

/// One run, one batch of made-up clips, with everything that a training step needs.
class Training {
 public:
  Training(Backend& backend, const StackConfig& stack, std::size_t batch, std::size_t frames, std::size_t classes)
      : backend_(backend), queue_(backend.device().make_queue()), stack_(stack) {
    const auto count = static_cast<std::uint32_t>(batch);
    group_ = {1, batch, frames, classes, {count}, {static_cast<std::uint32_t>(classes)}};
    parameters_ = initial_parameters({stack, classes}, {});
    Random random({.use = RandomUse::corpus});
    x_.resize(frames * batch * stack.inputs);
    for (float& value : x_) value = static_cast<float>(random.normal());
    for (std::size_t b = 0; b < batch; ++b) labels_.push_back(static_cast<std::int32_t>(b % classes));
    gradients_.resize(parameters_.size()), moments_.resize(2 * parameters_.size());
    h_.resize(batch * stack.outputs()), dh_.resize(h_.size()), probabilities_.resize(batch * classes);
    state_ = backend.make_stack_state(stack, group_, Mode::training);
  }

  void step() {
    const std::size_t batch = group_.batch, size = parameters_.size();
    const auto parameters = view_of(parameters_.data(), 1, size), gradients = view_of(gradients_.data(), 1, size);
    const auto x = view_of(x_.data(), 1, group_.frames, batch, stack_.inputs);
    const auto h = view_of(h_.data(), 1, batch, stack_.outputs()), dh = view_of(dh_.data(), 1, batch, stack_.outputs());
    double loss = 0;
    std::int32_t correct = 0;
    backend_.stack_forward(stack_, group_, parameters, x, {}, Mode::training, *state_, h, *queue_);
    backend_.classify_loss(stack_, group_, Loss::clipped, parameters, h, view_of(labels_.data(), 1, batch),
                           view_of(probabilities_.data(), 1, batch, group_.classes), view_of(&loss, 1),
                           view_of(&correct, 1), dh, gradients, *queue_);
    backend_.stack_backward(stack_, group_, parameters, x, {}, dh, *state_, gradients, *queue_);
    const std::int64_t number = ++steps_;
    backend_.update({}, group_, std::span(&number, 1), parameters, gradients, view_of(moments_.data(), 1, 2, size),
                    *queue_);
    queue_->synchronize();
  }

  const std::vector<float>& gradients() const { return gradients_; }
  std::size_t state_bytes() const { return state_->bytes(); }

  /// Multiplications and additions of the products of one step, forward and backward, without the gradient of the
  /// first layer's input.
  double operations() const {
    double per_row = 0;
    for (std::size_t l = 0; l < stack_.layers(); ++l) {
      const auto inputs = static_cast<double>(stack_.layer_inputs(l)), units = static_cast<double>(stack_.units[l]);
      const double depth = inputs + units;
      per_row += 2 * 4 * units * (2 * depth + (l == 0 ? units : depth));
    }
    return per_row * static_cast<double>(group_.batch * group_.frames);
  }

 private:
  Backend& backend_;
  std::unique_ptr<Queue> queue_;
  StackConfig stack_;
  Group group_;
  std::vector<float> parameters_, x_, gradients_, moments_, h_, dh_, probabilities_;
  std::vector<std::int32_t> labels_;
  std::unique_ptr<StackState> state_;
  std::int64_t steps_ = 0;
};

const StackConfig paper_stack{.inputs = 13, .units = {128, 32}};
const StackConfig short_stack{.inputs = 33, .units = {128, 32}};
constexpr std::size_t batch = 35, classes = 6, paper_frames = 1293, short_frames = 128;

/// fail() unless a step has the definition's gradient, over as many frames as the backward pass takes in some blocks.
void check_training(Backend& backend, const StackConfig& stack) {
  constexpr std::size_t frames = 40;
  const auto definition = reference::make_backend();
  Training ours(backend, stack, batch, frames, classes), exact(*definition, stack, batch, frames, classes);
  ours.step(), exact.step();
  const double largest = max_difference(exact.gradients(), std::vector<float>(exact.gradients().size()));
  const double difference = max_difference(ours.gradients(), exact.gradients()) / largest;
  if (!(difference <= 1e-5))
    fail("a training step is off by {:.1e} of the largest gradient, so its time means nothing", difference);
}

Record bench_train_step(Backend& backend, const std::string& name, const StackConfig& stack, std::size_t frames,
                        std::size_t repetitions) {
  check_training(backend, stack);
  Training training(backend, stack, batch, frames, classes);
  training.step();  // touches all memory
  const std::int64_t target = cpu::find_target(backend.info().target);
  std::vector<double> seconds, shares;
  for (std::size_t i = 0; i < repetitions; ++i) {
    const double peak_before = peak_gflops(target);
    seconds.push_back(seconds_of([&] { training.step(); }));
    const double peak = (peak_before + peak_gflops(target)) / 2;
    shares.push_back(training.operations() / seconds.back() / 1e9 / peak);
  }
  fmt::print("{}: {:.2f} GFLOP a step, {:.0f} % of the FMA peak measured around each step, {:.0f} MB held by the run\n",
             name, training.operations() / 1e9, 100 * median(shares),
             static_cast<double>(training.state_bytes()) / 1e6);
  return record(name, "s", seconds);
}

/// The paper's training set, validation and test set, made up.
FeatureStore paper_store() {
  FeatureStore store;
  store.genres = {"classical", "hiphop", "jazz", "metal", "pop", "reggae"};
  store.tracks.resize(600), store.lengths.assign(600, paper_frames), store.checksums.resize(600);
  for (std::size_t clip = 0; clip < 600; ++clip) store.labels.push_back(static_cast<std::int32_t>(clip % classes));
  Random random({.use = RandomUse::corpus});
  store.features.resize(600 * paper_frames * paper_stack.inputs);
  for (float& value : store.features) value = static_cast<float>(random.normal());
  return store;
}

Record bench_epoch(Backend& backend, const std::string& name) {
  check_training(backend, paper_stack);
  const DeviceDataset dataset(paper_store(), backend);
  Split split;
  for (std::uint32_t clip = 0; clip < 600; ++clip)
    (clip < 420 ? split.train : clip < 540 ? split.validation : split.test).push_back(clip);
  const auto queue = backend.device().make_queue();
  Trainer trainer(backend, *queue, dataset, split, {paper_stack, classes}, {}, {});
  trainer.train_epoch();  // touches all memory
  std::vector<double> seconds;
  for (std::size_t i = 0; i < 3; ++i) seconds.push_back(seconds_of([&] { trainer.train_epoch(); }));
  return record(name, "s", seconds);
}

// ------------------------------------------------------------------------------------------------------------ features

/// A 30 s clip: some partials that glide, and noise.
std::vector<float> clip_samples(const FeatureConfig& config, double seconds) {
  Random random({.use = RandomUse::corpus});
  std::vector<float> samples;
  for (double t = 0; t < seconds; t += 1.0 / config.sample_rate) {
    double value = 0.05 * random.normal();
    for (const double pitch : {110.0, 220.5, 1330.0}) value += 0.2 * std::sin(6.283 * pitch * t * (1 + 0.01 * t));
    samples.push_back(static_cast<float>(value));
  }
  return samples;
}

class Mfcc {
 public:
  explicit Mfcc(Backend& backend)
      : backend_(backend),
        tables_(make_spectral_tables(config)),
        queue_(backend.device().make_queue()),
        state_(backend.make_spectral_state(tables_)) {}

  const std::vector<float>& extract(const std::vector<float>& samples) {
    const std::size_t length = samples.size(), frames = tables_.frames(length);
    out_.resize(frames * tables_.coefficients);
    backend_.mfcc(*state_, view_of(samples.data(), length), std::span(&length, 1),
                  view_of(out_.data(), frames, tables_.coefficients), *queue_);
    queue_->synchronize();
    return out_;
  }

  const FeatureConfig config;

 private:
  Backend& backend_;
  SpectralTables tables_;
  std::unique_ptr<Queue> queue_;
  std::unique_ptr<SpectralState> state_;
  std::vector<float> out_;
};

/// fail() unless a short clip has the definition's MFCCs.
void check_mfcc(Backend& backend) {
  const auto definition = reference::make_backend();
  Mfcc ours(backend), exact(*definition);
  const std::vector<float> clip = clip_samples(ours.config, 0.5);
  const double difference = max_difference(ours.extract(clip), exact.extract(clip));
  if (!(difference <= 1e-3)) fail("MFCCs are off by {:.1e}, so their time means nothing", difference);
}

/// An .au file of these samples, for as long as this object lives.
class TemporaryClip {
 public:
  TemporaryClip(const std::vector<float>& samples, unsigned sample_rate)
      : path(fs::temp_directory_path() / fmt::format("genretree-bench-{}.au", getpid())) {
    std::vector<std::int16_t> integers;
    for (const float value : samples) integers.push_back(static_cast<std::int16_t>(value * 32767));
    write_au(path, integers, sample_rate);
  }
  ~TemporaryClip() {
    std::error_code ignored;
    fs::remove(path, ignored);
  }
  TemporaryClip(const TemporaryClip&) = delete;
  TemporaryClip& operator=(const TemporaryClip&) = delete;

  const fs::path path;
};

Record bench_mfcc(Backend& backend, const std::string& name, bool decode) {
  check_mfcc(backend);
  Mfcc mfcc(backend);
  const std::vector<float> clip = clip_samples(mfcc.config, 30);
  const TemporaryClip file(clip, mfcc.config.sample_rate);
  constexpr std::size_t clips = 20;
  std::vector<double> rates;
  for (std::size_t i = 0; i < 7; ++i) {
    const double seconds = seconds_of([&] {
      for (std::size_t c = 0; c < clips; ++c)
        mfcc.extract(decode ? load_audio(file.path, mfcc.config.sample_rate).samples : clip);
    });
    if (i > 0) rates.push_back(clips / seconds);  // the first touches all memory
  }
  return record(name, "clips/s", rates);
}

// ----------------------------------------------------------------------------------------------------------------- all

std::string to_json(const std::vector<Record>& records) {
  std::vector<std::string> lines;
  for (const Record& r : records)
    lines.push_back(fmt::format(
        R"(  {{"name": "{}", "value": {:.6g}, "unit": "{}", "repetitions": {}, "min": {:.6g}, "max": {:.6g}}})", r.name,
        r.median, r.unit, r.repetitions, r.min, r.max));
  return fmt::format("[\n{}\n]\n", fmt::join(lines, ",\n"));
}

ExitCode run(int argc, char** argv) {
  std::string json, only = ".*", target = "auto";
  CLI::App app("Measures this machine's limit and what the kernels reach of it, on one core", "bench");
  app.add_option("--json", json, "write the records to this file too, after each");
  app.add_option("--only", only, "measure only what this regular expression finds, e.g. train_step");
  app.add_option("--target", target, "instruction set, e.g. avx2")->capture_default_str();
  if (asked_for_help(app, argc, argv)) return ExitCode::ok;

  const auto backend = make_backend({.device = "cpu", .target = target});
  const std::int64_t target_bit = cpu::find_target(backend->info().target);
  struct Benchmark {
    std::string name;
    std::function<Record(const std::string& name)> measure;
  };
  std::vector<Benchmark> benchmarks{
      {"fma_peak/1core",
       [&](const std::string& name) {
         std::vector<double> gflops;
         for (std::size_t i = 0; i < 20; ++i) gflops.push_back(peak_gflops(target_bit));
         return record(name, "GFLOP/s", gflops);
       }},
      {"train_step/paper/fp32/1core",
       [&](const std::string& name) { return bench_train_step(*backend, name, paper_stack, paper_frames, 10); }},
      {"train_step/short/fp32/1core",
       [&](const std::string& name) { return bench_train_step(*backend, name, short_stack, short_frames, 30); }},
      {"epoch/paper/fp32/1core", [&](const std::string& name) { return bench_epoch(*backend, name); }},
      {"mfcc/features/1core", [&](const std::string& name) { return bench_mfcc(*backend, name, false); }},
      {"mfcc/decode+features/1core", [&](const std::string& name) { return bench_mfcc(*backend, name, true); }}};

  std::regex wanted;
  try {
    wanted = std::regex(only);
  } catch (const std::regex_error& error) {
    reject("--only '{}' is no regular expression: {}", only, error.what());
  }
  std::string names;
  for (const Benchmark& benchmark : benchmarks) names += "\n  " + benchmark.name;
  std::erase_if(benchmarks, [&](const Benchmark& benchmark) { return !std::regex_search(benchmark.name, wanted); });
  if (benchmarks.empty()) reject("--only '{}' finds none of:{}", only, names);

  const BackendInfo info = backend->info();
  fmt::print("{}, {}, {}\n", info.device, info.target, info.libraries);
  std::vector<Record> records;
  const auto write_records = [&] {
    if (!json.empty()) write_whole_text(json, to_json(records));
  };
  write_records();  // a file that cannot be written fails before anything is measured
  for (const Benchmark& benchmark : benchmarks) {
    records.push_back(benchmark.measure(benchmark.name));
    write_records();
  }
  fmt::print("\n{:<30} {:>12} {:>12} {:>12}  unit (by processor time of the one thread)\n", "name", "median", "min",
             "max");
  for (const Record& r : records)
    fmt::print("{:<30} {:>12.4g} {:>12.4g} {:>12.4g}  {}\n", r.name, r.median, r.min, r.max, r.unit);
  return ExitCode::ok;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] { return run(argc, argv); });
}
