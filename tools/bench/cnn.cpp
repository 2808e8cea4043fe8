// The CNN of the paper's reference [2] at its original size. A step of its mel variant takes some seconds and 3 GB, so
// it is measured only if --only names it.
#include <algorithm>

#include "core/error.hpp"
#include "kernels/reference/backend.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/cnn.hpp"
#include "tools/bench/training.hpp"

namespace genretree::bench {

namespace {

constexpr std::size_t genres = 10;

}  // namespace

CnnConfig mel_variant() {
  return {.frames = 599,
          .bands = 128,
          .channels = 2,
          .stages = {{149, 4}, {73, 2}, {35, 2}},
          .units = 8192,
          .dropout = 0.25};
}
CnnConfig mfcc_variant() {
  return {.frames = 599, .bands = 13, .channels = 5, .stages = {{149, 4}, {73, 2}}, .units = 1024, .dropout = 0.25};
}

double cnn_operations(const CnnConfig& cnn, std::size_t rows) {
  const CnnLayout layout(cnn, genres);
  double sum = 0;
  for (std::size_t s = 0; s < cnn.stages.size(); ++s) {
    const CnnConfig::Image image = cnn.image(s);
    sum += (s == 0 ? 2.0 : 3.0) * static_cast<double>(layout.stages[s].kernel.size() * image.rows * image.columns);
  }
  sum += 3.0 * static_cast<double>(layout.hidden.kernel.size() + layout.output.kernel.size());
  return 2 * sum * static_cast<double>(rows);
}

CnnTraining::CnnTraining(Backend& backend, const CnnConfig& cnn, std::size_t rows)
    : backend_(backend),
      queue_(backend.device().make_queue()),
      cnn_(cnn),
      group_{1, rows, cnn.feature_frames(), genres, {static_cast<std::uint32_t>(rows)}, {genres}},
      probabilities_(zeros(rows * genres)),
      labels_(backend.device(), rows),
      correct_(backend.device(), 1),
      loss_(backend.device(), 1),
      steps_(backend.device(), 1),
      state_(backend.make_cnn_state(cnn, group_, Mode::training)) {
  const std::vector<float> weights = initial_parameters({.classes = genres, .cnn = cnn}, {}),
                           x = made_up(group_.frames * rows * cnn.bands);
  gradients_ = zeros(weights.size()), moments_ = zeros(2 * weights.size());
  parameters_ = zeros(weights.size()), x_ = zeros(x.size());
  parameters_.copy_in(weights, *queue_), x_.copy_in(x, *queue_);
  labels_.copy_in(std::vector<std::int32_t>(rows, 1), *queue_);
  steps_.zero(*queue_);
  queue_->synchronize();
}

Buffer<float> CnnTraining::zeros(std::size_t size) {
  Buffer<float> memory(backend_.device(), size);
  memory.zero(*queue_);
  return memory;
}

void CnnTraining::gradients() {
  const RandomKey key{.use = RandomUse::dropout};
  backend_.cnn_step(cnn_, group_, Loss::logits, row_view(parameters_),
                    std::as_const(x_).view(1, group_.frames, group_.batch, cnn_.bands),
                    std::as_const(labels_).view(1, group_.batch), {&key, 1}, *state_,
                    probabilities_.view(1, group_.batch, genres), loss_.view(1), correct_.view(1), row_view(gradients_),
                    *queue_);
}

void CnnTraining::repeat_step() {
  queue_->repeat(recording_, [this] {
    gradients();
    backend_.update({}, group_, {}, steps_.view(1), row_view(parameters_), row_view(gradients_),
                    moments_.view(1, 2, parameters_.size()), {}, *queue_);
  });
}

std::vector<float> CnnTraining::last_gradients() {
  std::vector<float> values(gradients_.size());
  gradients_.copy_out(values, *queue_);
  queue_->synchronize();
  return values;
}

double CnnTraining::megabytes() const {
  return static_cast<double>(state_->bytes() + (2 * gradients_.size() + moments_.size()) * sizeof(float)) / 1e6;
}

void check_cnn(Backend& backend, CnnConfig cnn) {
  cnn.frames = 21, cnn.bands = std::min<std::size_t>(cnn.bands, 16), cnn.units = 20;
  for (CnnConfig::Stage& stage : cnn.stages) stage.filters /= 8;
  const auto definition = reference::make_backend();
  CnnTraining ours(backend, cnn, 19), exact(*definition, cnn, 19);
  ours.gradients(), exact.gradients();
  const std::vector<float> expected = exact.last_gradients(), zeros(expected.size());
  const double difference = max_difference(ours.last_gradients(), expected) / max_difference(expected, zeros);
  if (!(difference <= 1e-5))
    fail("the CNN's gradients are off by {:.1e} of the largest: its time means nothing", difference);
}

namespace {

Record cnn_step(const Setup& setup, const CnnConfig& cnn) {
  Backend& backend = *setup.fp32().backend;
  check_cnn(backend, cnn);
  CnnTraining training(backend, cnn, cnn_batch);
  Record record = time_work(setup, 1, {2}, cnn_operations(cnn, cnn_batch), [&] {
    training.repeat_step();
    training.wait();
  });
  record.megabytes = training.megabytes();
  return record;
}

}  // namespace

std::vector<Benchmark> cnn_benchmarks(const Setup& setup) {
  return {{"cnn_step/mel/1core", [&setup] { return cnn_step(setup, mel_variant()); }},
          {"cnn_step/mfcc/1core", [&setup] { return cnn_step(setup, mfcc_variant()); }}};
}

}  // namespace genretree::bench
