// check_device: says what this machine computes with, and holds every operation of every backend in this build against
// the definition (kernels/reference) here and now.
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "core/io/hdf5.hpp"
#include "experiments/resources.hpp"
#include "features/spectral.hpp"
#include "kernels/backends.hpp"
#include "kernels/reference/backend.hpp"
#include "tools/program.hpp"

using namespace genretree;

namespace {

/// Outputs of an operation, each compared by itself.
using Tensors = std::vector<std::vector<double>>;

/// A backend with a queue, to and from which tests copy.
class Bench {
 public:
  explicit Bench(Backend& backend) : backend_(backend), queue_(backend.device().make_queue()) {}

  Backend& backend() { return backend_; }
  Queue& queue() { return *queue_; }
  template <class T>
  Buffer<T> buffer(std::size_t size) {
    Buffer<T> memory(backend_.device(), size);
    memory.zero(*queue_);
    return memory;
  }
  template <class T>
  Buffer<T> upload(const std::vector<T>& values) {
    Buffer<T> memory(backend_.device(), values.size());
    memory.copy_in(values, *queue_);
    return memory;
  }
  template <class T>
  std::vector<double> download(const Buffer<T>& memory) {
    std::vector<T> values(memory.size());
    memory.copy_out(values, *queue_);
    queue_->synchronize();
    return {values.begin(), values.end()};
  }

 private:
  Backend& backend_;
  std::unique_ptr<Queue> queue_;
};

std::vector<float> normal_numbers(std::size_t size, std::uint64_t seed, double deviation) {
  Random random({.seed = seed});
  std::vector<float> numbers(size);
  for (float& number : numbers) number = static_cast<float>(deviation * random.normal());
  return numbers;
}

// The paper's network on a partial batch of a few frames.
constexpr std::size_t batch = 35, frames = 12, classes = 6, clips = 40;
StackConfig network() {
  return {.inputs = 13, .units = {128, 32}, .gate = Gate::hard_sigmoid, .dropout = 0.05, .recurrent_dropout = 0.35};
}
Group group() { return {1, batch, frames, classes, {batch - 3}, {classes}}; }
ParameterLayout layout() { return {network(), classes}; }
std::vector<float> parameters() { return normal_numbers(layout().size, 1, 0.2); }

std::vector<std::int32_t> labels(std::size_t count) {
  std::vector<std::int32_t> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(static_cast<std::int32_t>(i * i % classes));
  return values;
}

// ------------------------------------------------------------------------------------------------------ the operations

Tensors mfcc(Bench& bench) {
  const SpectralTables tables = make_spectral_tables({});
  const std::vector<std::size_t> lengths{22050, 5000};
  const std::size_t rows = tables.frames(lengths[0]) + tables.frames(lengths[1]);
  const auto state = bench.backend().make_spectral_state(tables);
  const Buffer<float> samples = bench.upload(normal_numbers(lengths[0] + lengths[1], 2, 0.1));
  Buffer<float> out = bench.buffer<float>(rows * tables.coefficients);
  bench.backend().mfcc(*state, samples.view(samples.size()), lengths, out.view(rows, tables.coefficients),
                       bench.queue());
  return {bench.download(out)};
}

Tensors dropout_masks(Bench& bench) {
  const std::vector<RandomKey> keys{{.seed = 3, .use = RandomUse::dropout}};
  Buffer<float> masks = bench.buffer<float>(MaskLayout(network(), batch).size);
  bench.backend().dropout_masks(network(), group(), keys, masks.view(1, masks.size()), bench.queue());
  return {bench.download(masks)};
}

/// Forward; in training also backward. Rows that do not count are left out.
Tensors lstm_stack(Bench& bench, Mode mode) {
  const std::size_t outputs = network().outputs(), rows = group().rows[0];
  const auto state = bench.backend().make_stack_state(network(), group(), mode);
  const Buffer<float> weights = bench.upload(parameters()),
                      x = bench.upload(normal_numbers(frames * batch * network().inputs, 4, 1)),
                      dh = bench.upload(normal_numbers(batch * outputs, 5, 1));
  Buffer<float> h = bench.buffer<float>(batch * outputs), gradients = bench.buffer<float>(layout().size),
                masks = bench.buffer<float>(MaskLayout(network(), batch).size);
  const std::vector<RandomKey> keys{{.seed = 3, .use = RandomUse::dropout}};
  bench.backend().dropout_masks(network(), group(), keys, masks.view(1, masks.size()), bench.queue());
  const View<const float, 2> parameter_view = weights.view(1, weights.size());
  const View<const float, 4> x_view = x.view(1, frames, batch, network().inputs);
  const View<const float, 2> mask_view =
      mode == Mode::training ? std::as_const(masks).view(1, masks.size()) : View<const float, 2>{};
  bench.backend().stack_forward(network(), group(), parameter_view, x_view, mask_view, mode, *state,
                                h.view(1, batch, outputs), bench.queue());
  std::vector<double> output = bench.download(h);
  output.resize(rows * outputs);
  if (mode == Mode::inference) return {output};

  bench.backend().stack_backward(network(), group(), parameter_view, x_view, mask_view, dh.view(1, batch, outputs),
                                 *state, gradients.view(1, gradients.size()), bench.queue());
  const std::vector<double> all = bench.download(gradients);
  Tensors tensors{output};
  for (const ParameterLayout::Layer& layer : layout().layers)
    for (const ParameterLayout::Tensor& tensor : {layer.kernel, layer.recurrent, layer.bias})
      tensors.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(tensor.offset),
                           all.begin() + static_cast<std::ptrdiff_t>(tensor.offset + tensor.size()));
  return tensors;
}

Tensors classify_loss(Bench& bench) {
  const std::size_t outputs = network().outputs();
  const Buffer<float> weights = bench.upload(parameters()), h = bench.upload(normal_numbers(batch * outputs, 6, 1));
  const Buffer<std::int32_t> y = bench.upload(labels(batch));
  Buffer<float> probabilities = bench.buffer<float>(batch * classes), dh = bench.buffer<float>(batch * outputs),
                gradients = bench.buffer<float>(layout().size);
  Buffer<double> loss = bench.buffer<double>(1);
  Buffer<std::int32_t> correct = bench.buffer<std::int32_t>(1);
  bench.backend().classify_loss(network(), group(), Loss::clipped, weights.view(1, weights.size()),
                                h.view(1, batch, outputs), y.view(1, batch), probabilities.view(1, batch, classes),
                                loss.view(1), correct.view(1), dh.view(1, batch, outputs),
                                gradients.view(1, gradients.size()), bench.queue());
  std::vector<double> p = bench.download(probabilities), d = bench.download(dh);
  p.resize(group().rows[0] * classes), d.resize(group().rows[0] * outputs);
  return {p, d, bench.download(gradients), bench.download(loss), bench.download(correct)};
}

Tensors update(Bench& bench, Optimiser::Kind kind) {
  Buffer<float> weights = bench.upload(parameters()), moments = bench.buffer<float>(2 * layout().size);
  const Buffer<float> gradients = bench.upload(normal_numbers(layout().size, 7, 0.1));
  for (std::int64_t step = 1; step <= 3; ++step)
    bench.backend().update({.kind = kind, .learning_rate = 0.01}, group(), {&step, 1}, weights.view(1, weights.size()),
                           gradients.view(1, gradients.size()), moments.view(1, 2, layout().size), bench.queue());
  return {bench.download(weights), bench.download(moments)};
}

Tensors gather(Bench& bench) {
  const std::size_t inputs = network().inputs;
  const Buffer<float> features = bench.upload(normal_numbers(clips * frames * inputs, 8, 1));
  const Buffer<std::int32_t> all_labels = bench.upload(labels(clips));
  std::vector<std::int32_t> chosen;
  for (std::size_t row = 0; row < batch; ++row) chosen.push_back(static_cast<std::int32_t>(row * 11 % clips));
  const Buffer<std::int32_t> rows = bench.upload(chosen);
  Buffer<float> x = bench.buffer<float>(frames * batch * inputs);
  Buffer<std::int32_t> y = bench.buffer<std::int32_t>(batch);
  bench.backend().gather(group(), features.view(clips, frames, inputs), all_labels.view(clips), rows.view(1, batch),
                         x.view(1, frames, batch, inputs), y.view(1, batch), bench.queue());
  std::vector<double> counted = bench.download(y);
  counted.resize(group().rows[0]);
  return {bench.download(x), counted};
}

/// An operation, and how far float32 may be from double precision: max |a - b| / max |b| of each output.
struct Check {
  const char* name;
  double allowed;
  std::function<Tensors(Bench&)> run;
};
const std::vector<Check> checks = {
    {"mfcc", 2e-5, mfcc},
    {"gather", 0, gather},
    {"dropout_masks", 0, dropout_masks},
    {"stack_forward, inference", 1e-5, [](Bench& bench) { return lstm_stack(bench, Mode::inference); }},
    {"stack_forward and stack_backward", 1e-5, [](Bench& bench) { return lstm_stack(bench, Mode::training); }},
    {"classify_loss", 1e-6, classify_loss},
    {"update, adam", 1e-6, [](Bench& bench) { return update(bench, Optimiser::Kind::adam); }},
    {"update, rmsprop", 1e-6, [](Bench& bench) { return update(bench, Optimiser::Kind::rmsprop); }},
    {"update, sgd", 1e-6, [](Bench& bench) { return update(bench, Optimiser::Kind::sgd); }},
};

/// The largest max |a - b| / max |b| over all outputs; NaN if one is not a number.
double error_of(const Tensors& tensors, const Tensors& expected) {
  double worst = 0;
  for (std::size_t t = 0; t < expected.size(); ++t) {
    double difference = 0, largest = 0;
    for (std::size_t i = 0; i < expected[t].size(); ++i) {
      if (!std::isfinite(tensors[t][i])) return std::nan("");
      difference = std::max(difference, std::abs(tensors[t][i] - expected[t][i]));
      largest = std::max(largest, std::abs(expected[t][i]));
    }
    worst = std::max(worst, largest > 0 ? difference / largest : difference);
  }
  return worst;
}

// ---------------------------------------------------------------------------------------------------------------- main

/// Prints one line a check; the number of those that failed.
int check(Backend& backend) {
  const BackendInfo info = backend.info();
  fmt::print("\nbackend {}: {}\n  target {}, LSTM {}, {}; {}\n", info.backend, info.device, info.target, info.algorithm,
             info.precision, info.libraries);
  fmt::print("  {:<36}{:>12}{:>12}\n", "operation", "error", "allowed");
  const std::unique_ptr<Backend> definition = reference::make_backend();
  int failures = 0;
  for (const Check& one : checks) {
    Bench bench(backend), expected(*definition);
    const double error = error_of(one.run(bench), one.run(expected));
    const bool good = error <= one.allowed;  // false for NaN
    failures += !good;
    fmt::print("  {:<36}{:>12.1e}{:>12.1e}  {}\n", one.name, error, one.allowed, good ? "ok" : "FAILED");
  }
  return failures;
}

ExitCode check_device(int argc, char** argv) {
  std::vector<std::string> names;
  CLI::App app(
      "Says what this machine computes with, and checks every operation of every backend against the definition.\nExit "
      "code 1 if one fails.",
      "check_device");
  app.add_option("--backend", names, "only these backends")->check(CLI::IsMember(built_backends()));
  if (asked_for_help(app, argc, argv)) return ExitCode::ok;
  if (names.empty()) names = built_backends();

  fmt::print("machine  {}\nmemory   {:.1f} GB free for this process\nprogram  {}, HDF5 {}\n", machine_name(),
             static_cast<double>(available_memory()) / 1e9, program_commit(), hdf5_version());
  int failures = 0;
  for (const std::string& name : names) failures += check(*make_backend({.device = name}));
  fmt::print("\n{}\n", failures ? fmt::format("{} checks failed: results of this machine cannot be trusted", failures)
                                : "all checks passed");
  return failures ? ExitCode::failure : ExitCode::ok;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] { return check_device(argc, argv); });
}
