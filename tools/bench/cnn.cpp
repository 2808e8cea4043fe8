// The CNN of the paper's reference [2] at its original size. A step of its mel variant takes some seconds and 3 GB, so
// it is measured only if --only names it.
#include <algorithm>

#include "core/error.hpp"
#include "kernels/reference/backend.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/training.hpp"

namespace genretree::bench {
namespace {

constexpr std::size_t genres = 10, batch = 64;

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

/// Multiplications and additions of a step: forward, and for the gradients of the weights and of every layer's input
/// but the first.
double operations_of_step(const CnnConfig& cnn, std::size_t rows) {
  const CnnLayout layout(cnn, genres);
  double sum = 0;
  for (std::size_t s = 0; s < cnn.stages.size(); ++s) {
    const CnnConfig::Image image = cnn.image(s);
    sum += (s == 0 ? 2.0 : 3.0) * static_cast<double>(layout.stages[s].kernel.size() * image.rows * image.columns);
  }
  sum += 3.0 * static_cast<double>(layout.hidden.kernel.size() + layout.output.kernel.size());
  return 2 * sum * static_cast<double>(rows);
}

/// A network, a batch, and all that a step needs.
class CnnTraining {
 public:
  CnnTraining(Backend& backend, const CnnConfig& cnn, std::size_t rows)
      : backend_(backend),
        queue_(backend.device().make_queue()),
        cnn_(cnn),
        group_{1, rows, cnn.feature_frames(), genres, {static_cast<std::uint32_t>(rows)}, {genres}},
        parameters_(initial_parameters({.classes = genres, .cnn = cnn}, {})),
        gradients_(parameters_.size()),
        moments_(2 * parameters_.size()),
        x_(made_up(group_.frames * rows * cnn.bands)),
        probabilities_(rows * genres),
        labels_(rows, 1),
        state_(backend.make_cnn_state(cnn, group_, Mode::training)) {}

  /// Forward, loss, backward.
  void gradients() {
    double loss = 0;
    std::int32_t correct = 0;
    const RandomKey key{.use = RandomUse::dropout};
    backend_.cnn_step(cnn_, group_, Loss::logits, view_of<const float>(parameters_.data(), 1, parameters_.size()),
                      view_of<const float>(x_.data(), 1, group_.frames, group_.batch, cnn_.bands),
                      view_of<const std::int32_t>(labels_.data(), 1, group_.batch), {&key, 1}, *state_,
                      view_of(probabilities_.data(), 1, group_.batch, genres), view_of(&loss, 1), view_of(&correct, 1),
                      view_of(gradients_.data(), 1, gradients_.size()), *queue_);
  }
  /// The same, and Adam.
  void step() {
    gradients();
    backend_.update({}, group_, view_of(&steps_, 1), view_of(parameters_.data(), 1, parameters_.size()),
                    view_of<const float>(gradients_.data(), 1, gradients_.size()),
                    view_of(moments_.data(), 1, 2, parameters_.size()), *queue_);
    queue_->synchronize();
  }
  const std::vector<float>& last_gradients() const { return gradients_; }
  double megabytes() const {
    return static_cast<double>(state_->bytes() + (2 * gradients_.size() + moments_.size()) * sizeof(float)) / 1e6;
  }

 private:
  Backend& backend_;
  std::unique_ptr<Queue> queue_;
  CnnConfig cnn_;
  Group group_;
  std::vector<float> parameters_, gradients_, moments_, x_, probabilities_;
  std::vector<std::int32_t> labels_;
  std::unique_ptr<CnnState> state_;
  std::int64_t steps_ = 0;
};

/// fail() unless the gradients of a small image through a few filters are the definition's.
void check_cnn(Backend& backend, CnnConfig cnn) {
  cnn.frames = 21, cnn.bands = std::min<std::size_t>(cnn.bands, 16), cnn.units = 20;
  for (CnnConfig::Stage& stage : cnn.stages) stage.filters /= 8;
  const auto definition = reference::make_backend();
  CnnTraining ours(backend, cnn, 19), exact(*definition, cnn, 19);
  ours.gradients(), exact.gradients();
  const std::vector<float> zeros(exact.last_gradients().size());
  const double difference =
      max_difference(ours.last_gradients(), exact.last_gradients()) / max_difference(exact.last_gradients(), zeros);
  if (!(difference <= 1e-5))
    fail("the CNN's gradients are off by {:.1e} of the largest: its time means nothing", difference);
}

Record cnn_step(const Setup& setup, const CnnConfig& cnn) {
  Backend& backend = *setup.fp32().backend;
  check_cnn(backend, cnn);
  CnnTraining training(backend, cnn, batch);
  Record record = time_work(setup, 1, {2}, operations_of_step(cnn, batch), [&] { training.step(); });
  record.megabytes = training.megabytes();
  return record;
}

}  // namespace

std::vector<Benchmark> cnn_benchmarks(const Setup& setup) {
  return {{"cnn_step/mel/1core", [&setup] { return cnn_step(setup, mel_variant()); }},
          {"cnn_step/mfcc/1core", [&setup] { return cnn_step(setup, mfcc_variant()); }}};
}

}  // namespace genretree::bench
