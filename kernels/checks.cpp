#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <functional>

#include "kernels/checks.hpp"
#include "kernels/reference/backend.hpp"

namespace genretree {
namespace {

/// Outputs of an operation, each compared by itself.
using Tensors = std::vector<std::vector<double>>;

/// A backend with a queue, to and from which data are copied.
class Desk {
 public:
  explicit Desk(Backend& backend) : backend_(backend), queue_(backend.device().make_queue()) {}

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

// The paper's network on a partial batch, with more frames than the cpu backend's backward pass takes together.
constexpr std::size_t batch = 35, frames = 20, classes = 6, clips = 40;
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

Tensors spectral_feature(Desk& desk, SpectralTables tables, SpectralFeature feature) {
  tables.wanted = {feature};
  const std::vector<std::size_t> lengths{22050, 5000};
  const std::size_t rows = tables.frames(lengths[0]) + tables.frames(lengths[1]);
  const auto state = desk.backend().make_spectral_state(tables);
  const Buffer<float> samples = desk.upload(normal_numbers(lengths[0] + lengths[1], 2, 0.1));
  Buffer<float> out = desk.buffer<float>(rows * tables.width());
  desk.backend().spectral_features(*state, samples.view(samples.size()), lengths, out.view(rows, tables.width()),
                                   desk.queue());
  return {desk.download(out)};
}

Tensors dropout_masks(Desk& desk) {
  const std::vector<RandomKey> keys{{.seed = 3, .use = RandomUse::dropout}};
  Buffer<float> masks = desk.buffer<float>(MaskLayout(network(), batch).size);
  desk.backend().dropout_masks(network(), group(), keys, masks.view(1, masks.size()), desk.queue());
  return {desk.download(masks)};
}

/// Forward; in training also backward. Rows that do not count are left out.
Tensors lstm_stack(Desk& desk, Mode mode) {
  const std::size_t outputs = network().outputs(), rows = group().rows[0];
  const auto state = desk.backend().make_stack_state(network(), group(), mode);
  const Buffer<float> weights = desk.upload(parameters()),
                      x = desk.upload(normal_numbers(frames * batch * network().inputs, 4, 1)),
                      dh = desk.upload(normal_numbers(batch * outputs, 5, 1));
  Buffer<float> h = desk.buffer<float>(batch * outputs), gradients = desk.buffer<float>(layout().size),
                masks = desk.buffer<float>(MaskLayout(network(), batch).size);
  const std::vector<RandomKey> keys{{.seed = 3, .use = RandomUse::dropout}};
  desk.backend().dropout_masks(network(), group(), keys, masks.view(1, masks.size()), desk.queue());
  const View<const float, 2> parameter_view = weights.view(1, weights.size());
  const View<const float, 4> x_view = x.view(1, frames, batch, network().inputs);
  const View<const float, 2> mask_view =
      mode == Mode::training ? std::as_const(masks).view(1, masks.size()) : View<const float, 2>{};
  desk.backend().stack_forward(network(), group(), parameter_view, x_view, mask_view, mode, *state,
                               h.view(1, batch, outputs), desk.queue());
  std::vector<double> output = desk.download(h);
  output.resize(rows * outputs);
  if (mode == Mode::inference) return {output};

  desk.backend().stack_backward(network(), group(), parameter_view, x_view, mask_view, dh.view(1, batch, outputs),
                                *state, gradients.view(1, gradients.size()), desk.queue());
  const std::vector<double> all = desk.download(gradients);
  Tensors tensors{output};
  for (const ParameterLayout::Layer& layer : layout().layers)
    for (const ParameterLayout::Tensor& tensor : {layer.kernel, layer.recurrent, layer.bias})
      tensors.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(tensor.offset),
                           all.begin() + static_cast<std::ptrdiff_t>(tensor.offset + tensor.size()));
  return tensors;
}

Tensors classify_loss(Desk& desk) {
  const std::size_t outputs = network().outputs();
  const Buffer<float> weights = desk.upload(parameters()), h = desk.upload(normal_numbers(batch * outputs, 6, 1));
  const Buffer<std::int32_t> y = desk.upload(labels(batch));
  Buffer<float> probabilities = desk.buffer<float>(batch * classes), dh = desk.buffer<float>(batch * outputs),
                gradients = desk.buffer<float>(layout().size);
  Buffer<double> loss = desk.buffer<double>(1);
  Buffer<std::int32_t> correct = desk.buffer<std::int32_t>(1);
  desk.backend().classify_loss(network(), group(), Loss::clipped, weights.view(1, weights.size()),
                               h.view(1, batch, outputs), y.view(1, batch), probabilities.view(1, batch, classes),
                               loss.view(1), correct.view(1), dh.view(1, batch, outputs),
                               gradients.view(1, gradients.size()), desk.queue());
  std::vector<double> p = desk.download(probabilities), d = desk.download(dh);
  p.resize(group().rows[0] * classes), d.resize(group().rows[0] * outputs);
  return {p, d, desk.download(gradients), desk.download(loss), desk.download(correct)};
}

/// A small CNN of odd sizes, with dropout in its step.
Tensors cnn(Desk& desk, Mode mode) {
  constexpr std::size_t rows = 19;  // more than go through the network together on the cpu
  const CnnConfig config{
      .frames = 21, .bands = 13, .channels = 2, .stages = {{20, 4}, {9, 2}}, .units = 24, .dropout = 0.25};
  const Group few{1, rows, config.feature_frames(), classes, {rows}, {classes}};
  const auto state = desk.backend().make_cnn_state(config, few, mode);
  const Buffer<float> weights = desk.upload(normal_numbers(CnnLayout(config, classes).size, 9, 0.2)),
                      x = desk.upload(normal_numbers(few.frames * rows * config.bands, 10, 1));
  const Buffer<std::int32_t> y = desk.upload(labels(rows));
  Buffer<float> probabilities = desk.buffer<float>(rows * classes), gradients = desk.buffer<float>(weights.size());
  Buffer<double> loss = desk.buffer<double>(1);
  Buffer<std::int32_t> correct = desk.buffer<std::int32_t>(1);
  const std::vector<RandomKey> keys{{.seed = 3, .use = RandomUse::dropout}};
  const auto parameters = weights.view(1, weights.size());
  const auto images = x.view(1, few.frames, rows, config.bands);
  const auto p = probabilities.view(1, rows, classes);
  if (mode == Mode::inference) {
    desk.backend().cnn_evaluate(config, few, Loss::clipped, parameters, images, y.view(1, rows), *state, p,
                                loss.view(1), correct.view(1), desk.queue());
    return {desk.download(probabilities), desk.download(loss), desk.download(correct)};
  }
  desk.backend().cnn_step(config, few, Loss::clipped, parameters, images, y.view(1, rows), keys, *state, p,
                          loss.view(1), correct.view(1), gradients.view(1, gradients.size()), desk.queue());
  return {desk.download(probabilities), desk.download(loss), desk.download(correct), desk.download(gradients)};
}

Tensors update(Desk& desk, Optimiser::Kind kind) {
  Buffer<float> weights = desk.upload(parameters()), moments = desk.buffer<float>(2 * layout().size);
  Buffer<std::int64_t> steps = desk.buffer<std::int64_t>(1);
  const Buffer<float> gradients = desk.upload(normal_numbers(layout().size, 7, 0.1));
  for (int step = 1; step <= 3; ++step)
    desk.backend().update({.kind = kind, .learning_rate = 0.01}, group(), steps.view(1),
                          weights.view(1, weights.size()), gradients.view(1, gradients.size()),
                          moments.view(1, 2, layout().size), desk.queue());
  return {desk.download(weights), desk.download(moments), desk.download(steps)};
}

Tensors gather(Desk& desk) {
  const std::size_t inputs = network().inputs;
  const Buffer<float> features = desk.upload(normal_numbers(clips * frames * inputs, 8, 1));
  const Buffer<std::int32_t> all_labels = desk.upload(labels(clips));
  std::vector<std::int32_t> chosen;
  for (std::size_t row = 0; row < batch; ++row) chosen.push_back(static_cast<std::int32_t>(row * 11 % clips));
  const Buffer<std::int32_t> rows = desk.upload(chosen);
  Buffer<float> x = desk.buffer<float>(frames * batch * inputs);
  Buffer<std::int32_t> y = desk.buffer<std::int32_t>(batch);
  desk.backend().gather(group(), features.view(clips, frames, inputs), all_labels.view(clips), rows.view(1, batch),
                        x.view(1, frames, batch, inputs), y.view(1, batch), desk.queue());
  std::vector<double> counted = desk.download(y);
  counted.resize(group().rows[0]);
  return {desk.download(x), counted};
}

// ------------------------------------------------------------------------------------------------------ the comparison

/// The largest max |a - b| / max |b| over all outputs; infinite if one is not a finite number.
double error_of(const Tensors& tensors, const Tensors& expected) {
  double worst = 0;
  for (std::size_t t = 0; t < expected.size(); ++t) {
    double difference = 0, largest = 0;
    for (std::size_t i = 0; i < expected[t].size(); ++i) {
      if (!std::isfinite(tensors[t][i])) return HUGE_VAL;
      difference = std::max(difference, std::abs(tensors[t][i] - expected[t][i]));
      largest = std::max(largest, std::abs(expected[t][i]));
    }
    worst = std::max(worst, largest > 0 ? difference / largest : difference);
  }
  return worst;
}

}  // namespace

bool OperationCheck::passed() const {
  return std::all_of(errors.begin(), errors.end(), [this](double error) { return error <= allowed; });
}

std::vector<OperationCheck> check_operations(std::span<const std::unique_ptr<Backend>> backends,
                                             const SpectralTables& tables) {
  struct Operation {
    const char* name;
    double allowed;
    std::function<Tensors(Desk&)> run;
  };
  // sums of products whose operands have 8 bits, over 20 steps of two layers
  const bool bf16 = !backends.empty() && backends.front()->info().precision == "bf16";
  const double stack = bf16 ? 5e-2 : 1e-5;
  const auto feature = [&](SpectralFeature kind) {
    return [&tables, kind](Desk& desk) { return spectral_feature(desk, tables, kind); };
  };
  const std::vector<Operation> operations = {
      {"spectral_features, mel", 2e-5, feature(SpectralFeature::mel)},
      {"spectral_features, log_mel", 2e-5, feature(SpectralFeature::log_mel)},
      {"spectral_features, mfcc", 2e-5, feature(SpectralFeature::mfcc)},
      {"spectral_features, centroid", 2e-5, feature(SpectralFeature::centroid)},
      {"spectral_features, chroma", 2e-5, feature(SpectralFeature::chroma)},
      {"spectral_features, contrast", 2e-5, feature(SpectralFeature::contrast)},
      {"gather", 0, gather},
      {"dropout_masks", 0, dropout_masks},
      {"stack_forward, inference", stack, [](Desk& desk) { return lstm_stack(desk, Mode::inference); }},
      {"stack_forward and stack_backward", stack, [](Desk& desk) { return lstm_stack(desk, Mode::training); }},
      {"classify_loss", 1e-6, classify_loss},
      {"cnn_step", 1e-5, [](Desk& desk) { return cnn(desk, Mode::training); }},
      {"cnn_evaluate", 1e-5, [](Desk& desk) { return cnn(desk, Mode::inference); }},
      {"update, adam", 1e-6, [](Desk& desk) { return update(desk, Optimiser::Kind::adam); }},
      {"update, rmsprop", 1e-6, [](Desk& desk) { return update(desk, Optimiser::Kind::rmsprop); }},
      {"update, sgd", 1e-6, [](Desk& desk) { return update(desk, Optimiser::Kind::sgd); }},
  };
  const std::unique_ptr<Backend> definition = reference::make_backend();
  std::vector<OperationCheck> checks;
  for (const Operation& operation : operations) {
    Desk exact(*definition);
    const Tensors expected = operation.run(exact);
    OperationCheck check{operation.name, operation.allowed, {}};
    for (const std::unique_ptr<Backend>& backend : backends) {
      Desk desk(*backend);
      check.errors.push_back(error_of(operation.run(desk), expected));
    }
    checks.push_back(check);
  }
  return checks;
}

std::string check_table(std::span<const OperationCheck> checks, std::span<const std::string> targets) {
  std::string table = fmt::format("  {:<34}{:>9}", "error of", "allowed");
  const auto width = [](const std::string& target) { return std::max<std::size_t>(9, target.size() + 2); };
  for (const std::string& target : targets) table += fmt::format("{:>{}}", target, width(target));
  for (const OperationCheck& check : checks) {
    table += fmt::format("\n  {:<34}{:>9.0e}", check.operation, check.allowed);
    for (std::size_t t = 0; t < targets.size(); ++t)
      table += fmt::format("{:>{}.1e}", check.errors[t], width(targets[t]));
    table += check.passed() ? "  ok" : "  FAILED";
  }
  return table + "\n";
}

}  // namespace genretree
