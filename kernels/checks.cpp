#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <future>
#include <optional>

#include "core/error.hpp"
#include "kernels/checked_device.hpp"
#include "kernels/checks.hpp"
#include "kernels/reference/backend.hpp"

namespace genretree {
namespace {

/// Outputs of an operation, each compared by itself.
using Tensors = std::vector<std::vector<double>>;

/// A backend that is checked, and a queue of its device.
class CheckedBackend : public CheckedDevice {
 public:
  explicit CheckedBackend(Backend& backend) : CheckedDevice(backend.device()), backend_(backend) {}
  Backend& backend() { return backend_; }
  template <class T>
  std::vector<double> numbers(const Buffer<T>& memory) {
    const std::vector<T> values = download(memory);
    return {values.begin(), values.end()};
  }

 private:
  Backend& backend_;
};

// The paper's network on a partial batch, with more frames than the cpu backend's backward pass takes together.
constexpr std::size_t batch = 35, frames = 20, classes = 6, clips = 40;
StackConfig network() {
  return {.inputs = 13, .units = {128, 32}, .gate = Gate::hard_sigmoid, .dropout = 0.05, .recurrent_dropout = 0.35};
}
/// What every backend can compute.
StackConfig plain_network() { return {.inputs = 13, .units = {128, 32}}; }
/// A layer above another, in one direction.
StackConfig network_pass() {
  return {.inputs = 64, .units = {32}, .first_parameter = 40, .sequences = true, .input_gradient = true};
}
Group group() { return {1, batch, frames, classes, {batch - 3}, {classes}}; }
/// For what computes all runs together: one has fewer rows and classes, one has ended.
Group three_runs() { return {3, batch, frames, classes, {batch - 3, 7, 0}, {classes, classes - 2, classes}}; }
ParameterLayout layout() { return {network(), classes}; }
std::vector<float> parameters(std::size_t runs = 1) { return normal_numbers(runs * layout().size, 1, 0.2); }

std::vector<std::int32_t> labels(std::size_t count) {
  std::vector<std::int32_t> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(static_cast<std::int32_t>(i * i % classes));
  return values;
}

/// Of each of three_runs(), classes that it has.
std::vector<std::int32_t> group_labels(std::size_t per_run) {
  const Group runs = three_runs();
  std::vector<std::int32_t> values = labels(runs.runs * per_run);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] %= static_cast<std::int32_t>(runs.class_counts[i / per_run]);
  return values;
}

/// The rows of three_runs() that count.
std::vector<double> counted_rows(const std::vector<double>& values) {
  const Group runs = three_runs();
  const std::size_t run = values.size() / runs.runs, row = run / batch;
  std::vector<double> counted;
  for (std::size_t r = 0; r < runs.runs; ++r) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(r * run);
    counted.insert(counted.end(), first, first + static_cast<std::ptrdiff_t>(runs.rows[r] * row));
  }
  return counted;
}

/// Whole clips; or windows of clips that are one frame longer, some mixed with others, and all with holes.
enum class Rows { plain, mixed };
std::vector<BatchRow> chosen_rows(std::size_t runs = 1, Rows kind = Rows::plain) {
  std::vector<BatchRow> rows;
  for (std::size_t b = 0; b < runs * batch; ++b) {
    const std::int32_t i = static_cast<std::int32_t>(b);
    BatchRow& row = rows.emplace_back(BatchRow{.clip = i * 11 % static_cast<std::int32_t>(clips)});
    if (kind == Rows::plain) continue;
    row.first_frame = i % 2, row.share = i % 3 == 0 ? 1 : 0.75f;
    row.partner = i * 7 % static_cast<std::int32_t>(clips), row.partner_frame = (i + 1) % 2;
    row.masked_frames[0] = {i % 5, 3}, row.masked_inputs[1] = {i % 11, 2};
  }
  return rows;
}

/// Positive numbers of sum 1 over the classes of each of three_runs().
std::vector<float> soft_targets() {
  const Group runs = three_runs();
  std::vector<float> targets(runs.runs * batch * classes);
  for (std::size_t row = 0; row < runs.runs * batch; ++row) {
    const std::size_t count = runs.class_counts[row / batch];
    for (std::size_t c = 0; c < count; ++c)
      targets[row * classes + c] =
          static_cast<float>(1 + (c + row) % count) / static_cast<float>(count * (count + 1) / 2);
  }
  return targets;
}

// ------------------------------------------------------------------------------------------------------ the operations

Tensors spectral_feature(CheckedBackend& checked, SpectralTables tables, SpectralFeature feature) {
  tables.wanted = {feature};
  const std::vector<std::size_t> lengths{22050, 5000};
  const std::size_t rows = tables.frames(lengths[0]) + tables.frames(lengths[1]);
  const auto state = checked.backend().make_spectral_state(tables);
  const Buffer<float> samples = checked.upload(normal_numbers(lengths[0] + lengths[1], 2, 0.1));
  Buffer<float> out = checked.buffer<float>(rows * tables.width());
  checked.time([&] {
    checked.backend().spectral_features(*state, samples.view(samples.size()), lengths, out.view(rows, tables.width()),
                                        checked.queue());
  });
  return {checked.numbers(out)};
}

Tensors dropout_masks(CheckedBackend& checked) {
  const std::vector<RandomKey> keys{{.seed = 3, .use = RandomUse::dropout},
                                    {.seed = 3, .node = 1, .use = RandomUse::dropout},
                                    {.seed = 4, .epoch = 2, .use = RandomUse::dropout}};
  NetworkConfig config(network());
  config.layer_dropout = 0.4;
  const std::size_t size = MaskLayout(config, batch).size;
  Buffer<float> masks = checked.buffer<float>(keys.size() * size);
  checked.time([&] {
    checked.backend().dropout_masks(config, three_runs(), keys, masks.view(keys.size(), size), checked.queue());
  });
  return {checked.numbers(masks)};
}

/// Forward; in training also backward, of all runs. Rows that do not count are left out, and runs without any.
Tensors lstm_stack(CheckedBackend& checked, const StackConfig& stack, const Group& group, Mode mode) {
  const auto& [runs, rows, length, class_count, counted, counts] = group;
  const std::size_t frames_out = stack.sequences ? length : 1, outputs = stack.outputs();
  const ParameterLayout parts(stack);
  const auto state = checked.backend().make_stack_state(stack, group, mode);
  const Buffer<float> weights = checked.upload(normal_numbers(runs * parts.size, 1, 0.2)),
                      x = checked.upload(normal_numbers(runs * length * rows * stack.inputs, 4, 1)),
                      dh = checked.upload(normal_numbers(runs * frames_out * rows * outputs, 5, 1));
  Buffer<float> h = checked.buffer<float>(dh.size()), gradients = checked.buffer<float>(runs * parts.size),
                dx = checked.buffer<float>(stack.input_gradient ? x.size() : 0),
                masks = checked.buffer<float>(runs * MaskLayout(NetworkConfig(stack), rows).size);
  const bool masked = mode == Mode::training && stack.has_dropout();
  std::vector<RandomKey> keys(runs, {.seed = 3, .use = RandomUse::dropout});
  if (masked)
    checked.backend().dropout_masks(stack, group, keys, masks.view(runs, masks.size() / runs), checked.queue());
  const View<const float, 2> parameter_view = weights.view(runs, parts.size);
  const View<const float, 4> x_view = x.view(runs, length, rows, stack.inputs);
  const View<const float, 2> mask_view =
      masked ? std::as_const(masks).view(runs, masks.size() / runs) : View<const float, 2>{};
  checked.time([&] {
    checked.backend().stack_forward(stack, group, parameter_view, x_view, mask_view, mode, *state,
                                    h.view(runs, frames_out, rows, outputs), checked.queue());
    if (mode == Mode::training)
      checked.backend().stack_backward(
          stack, group, parameter_view, x_view, mask_view, dh.view(runs, frames_out, rows, outputs), *state,
          gradients.view(runs, parts.size),
          stack.input_gradient ? dx.view(runs, length, rows, stack.inputs) : View<float, 4>(), checked.queue());
  });
  const std::vector<double> output = checked.numbers(h), all = checked.numbers(gradients), input = checked.numbers(dx);
  Tensors tensors;
  const auto add = [&](const std::vector<double>& from, std::size_t offset, std::size_t size) {
    const auto begin = from.begin() + static_cast<std::ptrdiff_t>(offset);
    tensors.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(size));
  };
  for (std::size_t r = 0; r < runs; ++r) {
    if (counted[r] == 0) continue;
    for (std::size_t t = 0; t < frames_out; ++t)
      add(output, (r * frames_out + t) * rows * outputs, counted[r] * outputs);
    if (mode == Mode::inference) continue;
    for (std::size_t t = 0; stack.input_gradient && t < length; ++t)
      add(input, (r * length + t) * rows * stack.inputs, counted[r] * stack.inputs);
    for (const ParameterLayout::Layer& layer : parts.layers)
      for (const ParameterLayout::Tensor& tensor : {layer.kernel, layer.recurrent, layer.bias})
        add(all, r * parts.size + tensor.offset, tensor.size());
  }
  return tensors;
}

Tensors classify_loss(CheckedBackend& checked, const std::vector<float>& soft_targets) {
  const std::size_t outputs = network().outputs(), runs = three_runs().runs, size = layout().size;
  const Buffer<float> weights = checked.upload(parameters(runs)),
                      h = checked.upload(normal_numbers(runs * batch * outputs, 6, 1));
  const Buffer<std::int32_t> y = checked.upload(group_labels(batch));
  const Buffer<float> targets = checked.upload(soft_targets);
  Buffer<float> probabilities = checked.buffer<float>(runs * batch * classes),
                dh = checked.buffer<float>(runs * batch * outputs), gradients = checked.buffer<float>(runs * size);
  Buffer<double> loss = checked.buffer<double>(runs);
  Buffer<std::int32_t> correct = checked.buffer<std::int32_t>(runs);
  checked.time([&] {
    checked.backend().classify_loss(network(), three_runs(), Loss::clipped, weights.view(runs, size),
                                    h.view(runs, batch, outputs), y.view(runs, batch),
                                    soft_targets.empty() ? View<const float, 3>() : targets.view(runs, batch, classes),
                                    probabilities.view(runs, batch, classes), loss.view(runs), correct.view(runs),
                                    dh.view(runs, batch, outputs), gradients.view(runs, size), checked.queue());
  });
  return {counted_rows(checked.numbers(probabilities)), counted_rows(checked.numbers(dh)), checked.numbers(gradients),
          checked.numbers(loss), checked.numbers(correct)};
}

/// A small CNN of odd sizes, with dropout in its step.
Tensors cnn(CheckedBackend& checked, Mode mode) {
  constexpr std::size_t rows = 19;  // more than go through the network together on the cpu
  const CnnConfig config{
      .frames = 21, .bands = 13, .channels = 2, .stages = {{20, 4}, {9, 2}}, .units = 24, .dropout = 0.25};
  const Group few{1, rows, config.feature_frames(), classes, {rows}, {classes}};
  const auto state = checked.backend().make_cnn_state(config, few, mode);
  const Buffer<float> weights = checked.upload(normal_numbers(CnnLayout(config, classes).size, 9, 0.2)),
                      x = checked.upload(normal_numbers(few.frames * rows * config.bands, 10, 1));
  const Buffer<std::int32_t> y = checked.upload(labels(rows));
  Buffer<float> probabilities = checked.buffer<float>(rows * classes),
                gradients = checked.buffer<float>(weights.size());
  Buffer<double> loss = checked.buffer<double>(1);
  Buffer<std::int32_t> correct = checked.buffer<std::int32_t>(1);
  const std::vector<RandomKey> keys{{.seed = 3, .use = RandomUse::dropout}};
  const auto parameters = weights.view(1, weights.size());
  const auto images = x.view(1, few.frames, rows, config.bands);
  const auto p = probabilities.view(1, rows, classes);
  if (mode == Mode::inference) {
    checked.time([&] {
      checked.backend().cnn_evaluate(config, few, Loss::clipped, parameters, images, y.view(1, rows), *state, p,
                                     loss.view(1), correct.view(1), checked.queue());
    });
    return {checked.numbers(probabilities), checked.numbers(loss), checked.numbers(correct)};
  }
  checked.time([&] {
    checked.backend().cnn_step(config, few, Loss::clipped, parameters, images, y.view(1, rows), keys, *state, p,
                               loss.view(1), correct.view(1), gradients.view(1, gradients.size()), checked.queue());
  });
  return {checked.numbers(probabilities), checked.numbers(loss), checked.numbers(correct), checked.numbers(gradients)};
}

Tensors update(CheckedBackend& checked, const Optimiser& optimiser) {
  const std::size_t runs = three_runs().runs, size = layout().size;
  Buffer<float> weights = checked.upload(parameters(runs)), moments = checked.buffer<float>(runs * 2 * size);
  Buffer<std::int64_t> steps = checked.buffer<std::int64_t>(runs);
  const Buffer<float> gradients = checked.upload(normal_numbers(runs * size, 7, 0.1)),
                      rates = checked.upload(std::vector<float>{0.5f, 1, 1.5f});
  Buffer<float> norms = checked.buffer<float>(runs);
  checked.time([&] {
    for (int step = 1; step <= 3; ++step)
      checked.backend().update(optimiser, three_runs(),
                               optimiser.weight_decay > 0 ? rates.view(runs) : View<const float, 1>(), steps.view(runs),
                               weights.view(runs, size), gradients.view(runs, size), moments.view(runs, 2, size),
                               optimiser.clip_norm > 0 ? norms.view(runs) : View<float, 1>(), checked.queue());
  });
  return {checked.numbers(weights), checked.numbers(moments), checked.numbers(steps)};
}

/// Mixed rows have constants and targets too.
Tensors gather(CheckedBackend& checked, Rows kind) {
  const bool mixed = kind == Rows::mixed;
  const std::size_t inputs = network().inputs, runs = three_runs().runs, clip_frames = frames + mixed;
  const Buffer<float> features = checked.upload(normal_numbers(clips * clip_frames * inputs, 8, 1)),
                      constants = checked.upload(normal_numbers(runs * 2 * inputs, 13, 1));
  const Buffer<std::int32_t> all_labels = checked.upload(group_labels(clips));
  const Buffer<BatchRow> rows = checked.upload(chosen_rows(runs, kind));
  Buffer<float> x = checked.buffer<float>(runs * frames * batch * inputs),
                targets = checked.buffer<float>(mixed ? runs * batch * classes : 0);
  Buffer<std::int32_t> y = checked.buffer<std::int32_t>(runs * batch);
  checked.time([&] {
    checked.backend().gather(three_runs(), features.view(clips, clip_frames, inputs), all_labels.view(runs, clips),
                             rows.view(runs, batch), mixed ? constants.view(runs, 2 * inputs) : View<const float, 2>(),
                             mixed ? 0.1 : 0, x.view(runs, frames, batch, inputs), y.view(runs, batch),
                             mixed ? targets.view(runs, batch, classes) : View<float, 3>(), checked.queue());
  });
  Tensors tensors{checked.numbers(x), counted_rows(checked.numbers(y))};
  if (mixed) tensors.push_back(counted_rows(checked.numbers(targets)));
  return tensors;
}

/// What lies between two passes, forward and backward, of 23 columns among 40, with dropout.
Tensors copy_columns(CheckedBackend& checked) {
  constexpr std::size_t from_width = 40, to_width = 64, columns = 23;
  const std::size_t runs = three_runs().runs, mask_width = 2 * columns;
  const Buffer<float> from = checked.upload(normal_numbers(runs * frames * batch * from_width, 14, 1)),
                      masks = checked.upload(normal_numbers(runs * batch * mask_width, 15, 1));
  Buffer<float> to = checked.upload(normal_numbers(runs * frames * batch * to_width, 16, 1));
  const RowMask mask{masks.view(runs, batch * mask_width), 0, mask_width};
  checked.time([&] {
    for (const bool adds : {false, true})
      checked.backend().copy_columns(three_runs(),
                                     {.from_column = 3,
                                      .to_column = adds ? 11u : 0u,
                                      .columns = columns,
                                      .reversed = true,
                                      .adds = adds,
                                      .mask = mask,
                                      .mask_column = columns},
                                     from.view(runs, frames, batch, from_width), to.view(runs, frames, batch, to_width),
                                     checked.queue());
  });
  return {checked.numbers(to)};
}

/// The readout and its gradient, of the second half of what a dense layer is given, with dropout.
Tensors readout(CheckedBackend& checked, Readout kind) {
  constexpr std::size_t units = 23;
  const std::size_t runs = three_runs().runs, own = kind == Readout::mean_max ? 2 * units : units, width = 2 * own;
  const Buffer<float> y = checked.upload(normal_numbers(runs * frames * batch * units, 17, 1)),
                      masks = checked.upload(normal_numbers(runs * batch * width, 18, 1)),
                      dout = checked.upload(normal_numbers(runs * batch * width, 19, 1));
  Buffer<float> out = checked.buffer<float>(runs * batch * width), dy = checked.buffer<float>(y.size());
  const RowMask mask{masks.view(runs, batch * width), 0, width};
  const auto y_view = y.view(runs, frames, batch, units);
  checked.time([&] {
    checked.backend().readout(kind, three_runs(), y_view, mask, own, out.view(runs, batch, width), checked.queue());
    checked.backend().readout_backward(kind, three_runs(), y_view, mask, own, dout.view(runs, batch, width),
                                       dy.view(runs, frames, batch, units), checked.queue());
  });
  const std::vector<double> gradient = checked.numbers(dy);
  Tensors tensors{counted_rows(checked.numbers(out))};
  const auto at = [&](std::size_t e) { return gradient.begin() + static_cast<std::ptrdiff_t>(e); };
  for (std::size_t f = 0; f < runs * frames; ++f) {
    const std::size_t first = f * batch * units;
    tensors.emplace_back(at(first), at(first + three_runs().rows[f / frames] * units));
  }
  return tensors;
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

// ----------------------------------------------------------------------------------------------------------- queues

/// A network on a batch of a data set, trained from the data set on: what a trainer gives to a queue, without dropout.
class Training {
 public:
  Training(CheckedBackend& checked, std::uint64_t seed)
      : desk_(checked),
        features_(checked.upload(normal_numbers(clips * frames * inputs, seed, 1))),
        all_labels_(checked.upload(labels(clips))),
        rows_(checked.upload(chosen_rows())),
        parameters_(checked.upload(genretree::parameters())),
        state_(checked.backend().make_stack_state(plain_network(), group(), Mode::training)) {}

  void step() {
    Backend& backend = desk_.backend();
    Queue& queue = desk_.queue();
    const StackConfig stack = plain_network();
    const auto parameters = std::as_const(parameters_).view(1, parameters_.size());
    const auto x = x_.view(1, frames, batch, inputs);
    const auto h = h_.view(1, 1, batch, outputs), dh = dh_.view(1, 1, batch, outputs);
    const auto gradients = gradients_.view(1, gradients_.size());
    backend.gather(group(), std::as_const(features_).view(clips, frames, inputs),
                   std::as_const(all_labels_).view(1, clips), std::as_const(rows_).view(1, batch), {}, 0, x,
                   y_.view(1, batch), {}, queue);
    backend.stack_forward(stack, group(), parameters, x, {}, Mode::training, *state_, h, queue);
    backend.classify_loss(stack, group(), Loss::logits, parameters, h[0], std::as_const(y_).view(1, batch), {},
                          probabilities_.view(1, batch, classes), loss_.view(1), correct_.view(1), dh[0], gradients,
                          queue);
    backend.stack_backward(stack, group(), parameters, x, {}, dh, *state_, gradients, {}, queue);
    backend.update({}, group(), {}, steps_.view(1), parameters_.view(1, parameters_.size()), gradients,
                   moments_.view(1, 2, parameters_.size()), {}, queue);
  }
  Tensors result() {
    return {desk_.numbers(parameters_), desk_.numbers(moments_), desk_.numbers(loss_), desk_.numbers(steps_)};
  }

 private:
  static constexpr std::size_t inputs = 13, outputs = 32;

  CheckedBackend& desk_;
  Buffer<float> features_;
  Buffer<std::int32_t> all_labels_;
  Buffer<BatchRow> rows_;
  Buffer<float> parameters_,
      x_ = desk_.buffer<float>(frames * batch * inputs), h_ = desk_.buffer<float>(batch * outputs),
      dh_ = desk_.buffer<float>(batch * outputs), probabilities_ = desk_.buffer<float>(batch * classes),
      gradients_ = desk_.buffer<float>(layout().size), moments_ = desk_.buffer<float>(2 * layout().size);
  Buffer<std::int32_t> y_ = desk_.buffer<std::int32_t>(batch), correct_ = desk_.buffer<std::int32_t>(1);
  Buffer<double> loss_ = desk_.buffer<double>(1);
  Buffer<std::int64_t> steps_ = desk_.buffer<std::int64_t>(1);
  std::unique_ptr<StackState> state_;
};

constexpr int steps_together = 4;
const std::string repetition_name = fmt::format("{} training steps, repeated", steps_together),
                  two_queues_name = fmt::format("{} training steps, on two queues", steps_together);

/// Some steps of training, one after another on a queue of their own.
Tensors train(Backend& backend, std::uint64_t seed) {
  CheckedBackend checked(backend);
  Training training(checked, seed);
  checked.time([&] {
    for (int step = 0; step < steps_together; ++step) training.step();
  });
  return training.result();
}

/// The same by Queue::repeat: a GPU calls `step` twice, if it can record it, and each time if it cannot.
OperationCheck check_repetition(Backend& backend) {
  CheckedBackend checked(backend);
  Training training(checked, 1);
  std::unique_ptr<Recording> recording;
  int calls = 0;
  checked.time([&] {
    for (int step = 0; step < steps_together; ++step)
      checked.queue().repeat(recording, [&] {
        ++calls;
        training.step();
      });
  });
  return {.operation = repetition_name,
          .error = error_of(training.result(), train(backend, 1)),
          .milliseconds = checked.milliseconds(),
          .note = calls < steps_together ? "recorded as a graph" : "given one by one"};
}

/// Two trainings side by side, each against itself alone.
OperationCheck check_two_queues(Backend& backend) {
  const Clock::time_point start = Clock::now();
  auto other = std::async(std::launch::async, [&] { return train(backend, 2); });
  const Tensors first = train(backend, 1), second = other.get();
  const double milliseconds = 1e3 * seconds_since(start);
  return {.operation = two_queues_name,
          .error = std::max(error_of(first, train(backend, 1)), error_of(second, train(backend, 2))),
          .milliseconds = milliseconds};
}

// ------------------------------------------------------------------------------------------------------------ the list

struct Operation {
  std::string name;
  double allowed;
  std::function<Tensors(CheckedBackend&)> run;
  std::optional<StackConfig> stack = {};  ///< which a backend may refuse
};

/// What the precision of the products may cost: a bf16 keeps 8 bits of a number, a tf32 11.
double stack_tolerance(const std::string& precision) {
  return precision == "bf16" ? 5e-2 : precision == "tf32" ? 1e-2 : 1e-5;
}

std::vector<Operation> operations(const SpectralTables& tables, double stack) {
  const auto feature = [&](const char* name, SpectralFeature kind) {
    return Operation{fmt::format("spectral_features, {}", name), 2e-5,
                     [&tables, kind](CheckedBackend& checked) { return spectral_feature(checked, tables, kind); }};
  };
  const auto lstm = [&](const char* name, const StackConfig& config, Mode mode, const Group& runs = group()) {
    return Operation{name, stack,
                     [config, mode, runs](CheckedBackend& checked) { return lstm_stack(checked, config, runs, mode); },
                     config};
  };
  const auto readout_of = [](const char* name, Readout kind) {
    return Operation{fmt::format("readout and gradient, {}", name), 1e-6,
                     [kind](CheckedBackend& checked) { return readout(checked, kind); }};
  };
  const auto updated = [](const char* name, const Optimiser& optimiser) {
    return Operation{fmt::format("update, {}", name), 1e-6,
                     [optimiser](CheckedBackend& checked) { return update(checked, optimiser); }};
  };
  return {
      feature("mel", SpectralFeature::mel),
      feature("log_mel", SpectralFeature::log_mel),
      feature("mfcc", SpectralFeature::mfcc),
      feature("centroid", SpectralFeature::centroid),
      feature("chroma", SpectralFeature::chroma),
      feature("contrast", SpectralFeature::contrast),
      {"gather", 0, [](CheckedBackend& checked) { return gather(checked, Rows::plain); }},
      {"gather, mixed and masked", 1e-6, [](CheckedBackend& checked) { return gather(checked, Rows::mixed); }},
      {"dropout_masks", 0, dropout_masks},
      lstm("stack_forward, inference", plain_network(), Mode::inference),
      lstm("stack_forward and _backward", plain_network(), Mode::training),
      lstm("the same, hard sigmoid, dropout", network(), Mode::training),
      // a wide input, widths that the fused LSTM has no kernel of its own for, and more than one of its chunks of frames
      lstm("the same, two runs, 140 frames", {.inputs = 40, .units = {48, 32}}, Mode::training,
           {3, 9, 140, classes, {9, 7, 0}, {classes, classes, classes}}),
      lstm("the same, a pass of a network", network_pass(), Mode::training, three_runs()),
      {"copy_columns", 1e-6, copy_columns},
      readout_of("mean_max", Readout::mean_max),
      readout_of("last", Readout::last),
      {"classify_loss", 1e-6, [](CheckedBackend& checked) { return classify_loss(checked, {}); }},
      {"classify_loss, soft targets", 1e-6,
       [](CheckedBackend& checked) { return classify_loss(checked, soft_targets()); }},
      {"cnn_step", 1e-5, [](CheckedBackend& checked) { return cnn(checked, Mode::training); }},
      {"cnn_evaluate", 1e-5, [](CheckedBackend& checked) { return cnn(checked, Mode::inference); }},
      updated("adam", {Optimiser::Kind::adam, 0.01}),
      updated("rmsprop", {Optimiser::Kind::rmsprop, 0.01}),
      updated("sgd", {Optimiser::Kind::sgd, 0.01}),
      updated("adam, decay and clipping",
              {.learning_rate = 0.01, .weight_decay = 0.1, .clip_norm = 2, .constants = 2 * network().inputs}),
  };
}

OperationCheck refused(const std::string& operation, const std::string& reason) {
  return {.operation = operation, .note = reason, .refused = true};
}

OperationCheck check(const Operation& operation, Backend& backend, const Tensors& expected) {
  if (operation.stack)
    if (const std::string reason = backend.refusal(*operation.stack); !reason.empty())
      return refused(operation.name, reason);
  OperationCheck result{.operation = operation.name, .allowed = operation.allowed};
  CheckedBackend first(backend), second(backend);
  const double error = error_of(operation.run(first), expected);  // the first time, libraries make what they need
  result.error = std::max(error, error_of(operation.run(second), expected));
  result.milliseconds = std::min(first.milliseconds(), second.milliseconds());
  return result;
}

std::string name_of(const BackendInfo& info) {
  return fmt::format("{} {} {}", info.backend, info.target, info.precision);
}

}  // namespace

std::vector<OperationCheck> check_operations(std::span<const std::unique_ptr<Backend>> backends,
                                             const SpectralTables& tables, const CheckScope& scope) {
  std::vector<Operation> all = operations(tables, stack_tolerance(backends.front()->info().precision));
  if (scope.only_lstm) std::erase_if(all, [](const Operation& operation) { return !operation.stack; });
  const std::unique_ptr<Backend> definition = reference::make_backend();
  std::vector<Tensors> expected;
  for (const Operation& operation : all) {
    CheckedBackend exact(*definition);
    expected.push_back(operation.run(exact));
  }
  std::vector<OperationCheck> checks;
  for (const std::unique_ptr<Backend>& backend : backends) {
    const BackendInfo info = backend->info();
    const auto add = [&](const std::string& operation, bool of_lstm, const std::function<OperationCheck()>& run) {
      try {
        checks.push_back(run());
      } catch (const InputError& error) {
        checks.push_back(refused(operation, error.what()));
        if (!scope.may_refuse) checks.back().error = HUGE_VAL, checks.back().refused = false;
      } catch (const Error& error) {  // one that fails must not hide what the others say
        checks.push_back({.operation = operation, .error = HUGE_VAL, .note = error.what()});
      }
      checks.back().backend = name_of(info);
      if (of_lstm) checks.back().algorithm = info.algorithm;
    };
    for (std::size_t i = 0; i < all.size(); ++i)
      add(all[i].name, all[i].stack.has_value(), [&] { return check(all[i], *backend, expected[i]); });
    if (scope.queues_of_first_only && backend != backends.front()) continue;
    add(repetition_name, true, [&] { return check_repetition(*backend); });
    add(two_queues_name, true, [&] { return check_two_queues(*backend); });
  }
  return checks;
}

OperationCheck check_choice(Backend& backend) {
  const Clock::time_point start = Clock::now();
  try {
    backend.choose_algorithm(plain_network(), {.training = {group()}, .evaluation = {}, .side_by_side = 1});
  } catch (const Error& error) {
    return {
        .operation = "choose_algorithm", .backend = name_of(backend.info()), .error = HUGE_VAL, .note = error.what()};
  }
  const BackendInfo info = backend.info();
  return {.operation = "choose_algorithm",
          .backend = name_of(info),
          .milliseconds = 1e3 * seconds_since(start),
          .note = "takes " + info.algorithm};
}

std::string check_heading() {
  return fmt::format("  {:<34}{:<26} {:<30}{:>9}{:>9}{:>10}\n", "operation", "backend", "LSTM by", "error", "allowed",
                     "ms");
}

std::string check_line(const OperationCheck& check) {
  const std::string names = fmt::format("  {:<34}{:<26} {:<30}", check.operation, check.backend, check.algorithm);
  if (check.refused) return fmt::format("{}refused: {}\n", names, check.note);
  return fmt::format("{}{:>9.1e}{:>9.0e}{:>10.2f}  {}{}\n", names, check.error, check.allowed, check.milliseconds,
                     check.passed() ? "ok" : "FAILED", check.note.empty() ? "" : ", " + check.note);
}

}  // namespace genretree
