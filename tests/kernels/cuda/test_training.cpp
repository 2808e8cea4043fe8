// A whole training on the GPU's backend against the same one on the cpu backend: batches, LSTM, loss, update and
// evaluation together, with recorded steps and a partial last batch.
#include "kernels/backends.hpp"
#include "models/trainer.hpp"
#include "tests/support/support.hpp"
#include "tests/support/tiny_store.hpp"

using namespace genretree;

namespace {

/// What three epochs make of a tiny data set.
struct Trained {
  TrainerState state;
  Evaluation evaluation;
  std::vector<float> probabilities;
};

Trained train(const std::string& device, Optimiser::Kind kind) {
  const FeatureStore store = test::tiny_store();
  const auto backend = make_backend({.device = device});
  const DeviceDataset dataset(store, *backend);
  const auto queue = backend->device().make_queue();
  Split split;  // of every ten clips the first is for test, the second for validation, the rest for training
  for (std::uint32_t clip = 0; clip < store.clips(); ++clip)
    (clip % 10 == 0 ? split.test : clip % 10 == 1 ? split.validation : split.train).push_back(clip);
  const ClassifierConfig classifier{.stack = {.inputs = store.config.coefficients, .units = {6, 4}},
                                    .classes = store.genres.size()};
  // 24 training clips: 3 batches of 7 and one of 3; each is given as it comes, recorded, and repeated
  Trainer trainer(*backend, *queue, dataset, split, classifier,
                  {.optimiser = {.kind = kind, .learning_rate = 0.02}, .batch = 7}, {.seed = 3});
  for (int epoch = 0; epoch < 3; ++epoch) trainer.train_epoch();
  return {trainer.state(), trainer.evaluate(split.train), trainer.probabilities(split.test)};
}

}  // namespace

TEST_CASE("a training on the GPU goes as one on the CPU does") {
  const auto kind = GENERATE(Optimiser::Kind::adam, Optimiser::Kind::rmsprop, Optimiser::Kind::sgd);
  const Trained cpu = train("cpu", kind), cuda = train("cuda", kind);
  CHECK(cuda.state.step == 3 * 4);
  REQUIRE(cuda.state.history.size() == 3);
  for (std::size_t epoch = 0; epoch < 3; ++epoch) {
    const EpochScores &a = cuda.state.history[epoch], &b = cpu.state.history[epoch];
    for (const auto scores : {&EpochScores::train, &EpochScores::validation, &EpochScores::test}) {
      CHECK((a.*scores).loss == Approx((b.*scores).loss).epsilon(1e-5));
      CHECK((a.*scores).accuracy == (b.*scores).accuracy);
    }
  }
  // roundings of gradients near 0 become visible where adam and rmsprop divide by their size
  const double tolerance = kind == Optimiser::Kind::sgd ? 1e-6 : 1e-4;
  CHECK(test::max_difference<float, float>(cuda.state.parameters, cpu.state.parameters) <= tolerance);
  CHECK(test::max_difference<float, float>(cuda.state.moments, cpu.state.moments) <= tolerance);
  CHECK(test::max_difference<float, float>(cuda.probabilities, cpu.probabilities) <= tolerance);
  CHECK(cuda.evaluation.confusion == cpu.evaluation.confusion);
}
