#include <algorithm>

#include "core/error.hpp"
#include "features/store.hpp"
#include "kernels/reference/backend.hpp"
#include "models/trainer.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/training.hpp"

namespace genretree::bench {

std::vector<float> made_up(std::size_t count) {
  Random random({.use = RandomUse::corpus});
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

Training::Training(Backend& backend, const Shape& shape, Mode mode, std::size_t runs)
    : backend_(backend),
      queue_(backend.device().make_queue()),
      shape_(shape),
      mode_(mode),
      group_{runs,
             shape.batch,
             shape.frames,
             paper_classes,
             std::vector<std::uint32_t>(runs, static_cast<std::uint32_t>(shape.batch)),
             std::vector<std::uint32_t>(runs, static_cast<std::uint32_t>(paper_classes))},
      h_(zeros(runs * shape.batch * shape.stack.outputs())),
      dh_(zeros(h_.size())),
      probabilities_(zeros(runs * shape.batch * paper_classes)),
      labels_(backend.device(), runs * shape.batch),
      correct_(backend.device(), runs),
      loss_(backend.device(), runs),
      steps_(backend.device(), runs),
      state_(backend.make_stack_state(shape.stack, group_, mode)) {
  const std::vector<float> of_one = initial_parameters({shape.stack, paper_classes}, {}),
                           x = made_up(runs * shape.frames * shape.batch * shape.stack.inputs);
  std::vector<float> weights;
  for (std::size_t run = 0; run < runs; ++run) weights.insert(weights.end(), of_one.begin(), of_one.end());
  std::vector<std::int32_t> labels;
  for (std::size_t b = 0; b < runs * shape.batch; ++b) labels.push_back(static_cast<std::int32_t>(b % paper_classes));
  gradients_ = zeros(weights.size()), moments_ = zeros(2 * weights.size());
  parameters_ = zeros(weights.size()), x_ = zeros(x.size());
  parameters_.copy_in(weights, *queue_), x_.copy_in(x, *queue_), labels_.copy_in(labels, *queue_);
  steps_.zero(*queue_);
  queue_->synchronize();
}

std::vector<float> Training::copy_of(const Buffer<float>& memory) {
  std::vector<float> values(memory.size());
  memory.copy_out(values, *queue_);
  queue_->synchronize();
  return values;
}

Buffer<float> Training::zeros(std::size_t size) {
  Buffer<float> memory(backend_.device(), size);
  memory.zero(*queue_);
  return memory;
}

void Training::forward() {
  backend_.stack_forward(shape_.stack, group_, row_view(parameters_), x_view(), {}, mode_, *state_, frame_view(h_),
                         *queue_);
}

void Training::classify() {
  const View<float, 3> dh = mode_ == Mode::training ? output_view(dh_) : View<float, 3>{};
  backend_.classify_loss(shape_.stack, group_, Loss::clipped, row_view(parameters_), output_view(h_),
                         std::as_const(labels_).view(group_.runs, shape_.batch), {},
                         probabilities_.view(group_.runs, shape_.batch, paper_classes), loss_.view(group_.runs),
                         correct_.view(group_.runs), dh, row_view(gradients_), *queue_);
}

void Training::update() {
  backend_.update({}, group_, {}, steps_.view(group_.runs), row_view(parameters_), row_view(gradients_),
                  moments_.view(group_.runs, 2, parameters_.size() / group_.runs), {}, *queue_);
}

void Training::backward() {
  backend_.stack_backward(shape_.stack, group_, row_view(parameters_), x_view(), {}, frame_view(dh_), *state_,
                          row_view(gradients_), {}, *queue_);
}

void Training::step() {
  forward();
  classify();
  backward();
  update();
  wait();
}

void Training::repeat_step() {
  queue_->repeat(recording_, [this] {
    forward();
    classify();
    backward();
    update();
  });
}

namespace {

void check_close(const std::string& what, const std::vector<float>& ours, const std::vector<float>& exact,
                 double tolerance) {
  const double largest = max_difference(exact, std::vector<float>(exact.size()));
  const double difference = max_difference(ours, exact) / largest;
  if (!(difference <= tolerance))
    fail("{} are off by {:.1e} of the largest, so the time means nothing", what, difference);
}

}  // namespace

void check_training(const Precision& precision, const Shape& shape) {
  const Shape few_frames{shape.stack, shape.batch, 40};  // the backward pass takes them in some blocks
  const auto definition = reference::make_backend();
  Training ours(*precision.backend, few_frames), exact(*definition, few_frames);
  for (Training* training : {&ours, &exact}) training->forward(), training->classify(), training->backward();
  check_close("gradients in " + precision.name, ours.gradients(), exact.gradients(), precision.tolerance);
  ours.use_gradients(exact.gradients());  // Adam's first step would make much of the smallest one's sign
  ours.update(), exact.update();
  check_close("updated weights in " + precision.name, ours.parameters(), exact.parameters(), 1e-6);

  Training evaluation(*precision.backend, few_frames, Mode::inference);
  evaluation.forward();
  check_close("outputs in " + precision.name, evaluation.output(), exact.output(), precision.tolerance);
}

namespace {

Record train_step(const Setup& setup, const Precision& precision, const Shape& shape, std::size_t repetitions) {
  check_training(precision, shape);
  Training training(*precision.backend, shape);
  Record record =
      time_work(setup, 1, {repetitions}, precision.beside_peak(Operations(shape).step()), [&] { training.step(); });
  record.megabytes = training.megabytes();
  return record;
}

Record forward(const Setup& setup, const Precision& precision, const Shape& shape) {
  check_training(precision, shape);
  Training training(*precision.backend, shape);
  return time_work(setup, 1, {10}, precision.beside_peak(Operations(shape).forward), [&] { training.forward(); });
}

/// How many times faster than in fp32 the paper's step is, the two in turns.
Record speedup(const Setup& setup, const Precision& precision) {
  check_training(precision, paper_shape);
  Training fp32(*setup.fp32().backend, paper_shape), other(*precision.backend, paper_shape);
  fp32.step(), other.step();  // touches all memory
  Record record{.unit = "x fp32"};
  for (int turn = 0; turn < 10; ++turn) {
    const double seconds = seconds_of(1, [&] { fp32.step(); });
    record.values.push_back(seconds / seconds_of(1, [&] { other.step(); }));
  }
  return record;
}

/// A batch as Trainer evaluates it: forward without keeping anything, and the loss.
Record evaluation(const Setup& setup, const Precision& precision) {
  check_training(precision, paper_shape);
  const Shape shape{paper_shape.stack, evaluation_batch, paper_shape.frames};
  Training training(*precision.backend, shape, Mode::inference);
  Record record = time_work(setup, 1, {10}, precision.beside_peak(Operations(shape).forward),
                            [&] { training.forward(), training.classify(); });
  record.megabytes = training.megabytes();
  return record;
}

}  // namespace

PaperEpoch::PaperEpoch(Backend& backend) : queue_(backend.device().make_queue()) {
  FeatureStore store;
  store.tracks.resize(600);
  for (std::size_t clip = 0; clip < 600; ++clip)
    store.labels.push_back(static_cast<std::int32_t>(clip % paper_classes));
  store.features = made_up(600 * paper_shape.frames * paper_shape.stack.inputs);
  dataset_ = std::make_unique<DeviceDataset>(store, backend);
  Split split;
  for (std::uint32_t clip = 0; clip < 600; ++clip)
    (clip < 420 ? split.train : clip < 540 ? split.validation : split.test).push_back(clip);
  trainer_ =
      std::make_unique<Trainer>(backend, *queue_, *dataset_, split, ClassifierConfig{paper_shape.stack, paper_classes},
                                TrainingConfig{}, RandomKey{});
}

double PaperEpoch::operations() {
  return 12 * Operations(paper_shape).step() + 180.0 / 35 * Operations(paper_shape).forward;
}

namespace {

Record epoch(const Setup& setup, const Precision& precision) {
  check_training(precision, paper_shape);
  PaperEpoch epoch(*precision.backend);
  Record record =
      time_work(setup, 1, {3}, precision.beside_peak(PaperEpoch::operations()), [&] { epoch.trainer().train_epoch(); });
  record.megabytes = static_cast<double>(epoch.trainer().bytes()) / 1e6;
  return record;
}

}  // namespace

std::vector<Benchmark> training_benchmarks(const Setup& setup) {
  std::vector<Benchmark> all;
  for (const Precision& precision : setup.precisions) {
    const std::string suffix = "/" + precision.name + "/1core";
    all.push_back({"train_step/paper" + suffix, [&] { return train_step(setup, precision, paper_shape, 10); }});
    all.push_back({"train_step/short" + suffix, [&] { return train_step(setup, precision, short_shape, 30); }});
    all.push_back({"forward/paper" + suffix, [&] { return forward(setup, precision, paper_shape); }});
    all.push_back({"evaluation/paper" + suffix, [&] { return evaluation(setup, precision); }});
    all.push_back({"epoch/paper" + suffix, [&] { return epoch(setup, precision); }});
    if (precision.name != "fp32") all.push_back({"speedup/paper" + suffix, [&] { return speedup(setup, precision); }});
  }
  return all;
}

}  // namespace genretree::bench
