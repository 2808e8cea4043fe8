// Training in bf16 learns as training in single precision does.
#include <cmath>

#include "kernels/backends.hpp"
#include "models/trainer.hpp"
#include "tests/support/support.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree {
namespace {

constexpr std::size_t trials = 8, epochs = 15;

/// Training and validation loss of one trial after each epoch.
struct Curve {
  std::vector<double> train, validation;
};

Curve learn(const std::string& precision, std::uint32_t trial) {
  const FeatureStore store =
      test::tiny_store({.genres = 3, .clips_per_genre = 30, .frames = 12, .coefficients = 5, .separation = 0.8});
  const std::unique_ptr<Backend> backend = make_backend({.device = "cpu", .precision = precision});
  const DeviceDataset dataset(store, *backend);
  const auto queue = backend->device().make_queue();
  Split split;
  for (std::uint32_t clip = 0; clip < store.clips(); ++clip)
    (clip % 3 == 0 ? split.validation : split.train).push_back(clip);
  Trainer trainer(*backend, *queue, dataset, split,
                  {.stack = StackConfig{.inputs = 5, .units = {24, 16}}, .classes = 3},
                  {.optimiser = {.learning_rate = 0.005}, .batch = 16}, {.seed = 5, .trial = trial});
  Curve curve;
  for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
    const EpochScores& scores = trainer.train_epoch();
    curve.train.push_back(scores.train.loss), curve.validation.push_back(scores.validation.loss);
  }
  return curve;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double standard_deviation(const std::vector<double>& values) {
  double squares = 0;
  for (const double value : values) squares += std::pow(value - mean(values), 2);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

// Trials differ by initial weights and the order of clips, which are the same in both precisions: the means of both
// could be as far apart as the standard error of a mean by chance alone.
TEST_CASE("learning curves in bf16 and in single precision differ by less than chance makes trials differ") {
  std::vector<Curve> single, half;
  for (std::uint32_t trial = 0; trial < trials; ++trial)
    single.push_back(learn("fp32", trial)), half.push_back(learn("bf16", trial));
  CHECK(half[0].train != single[0].train);  // it is another arithmetic indeed
  for (const auto& losses : {&Curve::train, &Curve::validation})
    for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
      std::vector<double> a, b;
      for (std::size_t trial = 0; trial < trials; ++trial)
        a.push_back((single[trial].*losses)[epoch]), b.push_back((half[trial].*losses)[epoch]);
      INFO("epoch " << epoch << ": fp32 " << mean(a) << " ± " << standard_deviation(a) << ", bf16 " << mean(b) << " ± "
                    << standard_deviation(b));
      CHECK(std::abs(mean(a) - mean(b)) <= standard_deviation(a) / std::sqrt(static_cast<double>(trials)));
      // nor do trials scatter more
      CHECK(standard_deviation(b) <= 1.5 * standard_deviation(a));
      if (epoch + 1 == epochs && losses == &Curve::train) CHECK(mean(b) < 0.5 * (half[0].train[0]));
    }
}

}  // namespace
}  // namespace genretree
