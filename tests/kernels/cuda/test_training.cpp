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
  const ClassifierConfig classifier{.stack = StackConfig{.inputs = store.config.coefficients, .units = {6, 4}},
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

TEST_CASE("runs of unequal classes and sets that share launches on the GPU are those that train alone, bit for bit") {
  const FeatureStore store = test::tiny_store();
  const auto backend = make_backend({.device = "cuda"});
  const auto queue = backend->device().make_queue();
  const DeviceDataset dataset(store, *backend);
  std::vector<std::int32_t> two_classes = store.labels;
  for (std::int32_t& label : two_classes) label = std::min(label, 1);
  const DeviceDataset halved(dataset, two_classes, *backend);
  Split split, smaller;  // 24 training clips in batches of 7, 7, 7 and 3; 10 in batches of 7 and 3
  for (std::uint32_t clip = 0; clip < store.clips(); ++clip)
    (clip % 10 == 0 ? split.test : clip % 10 == 1 ? split.validation : split.train).push_back(clip);
  smaller = split;
  smaller.train.resize(10), smaller.test.resize(1);
  ClassifierConfig three{.stack = StackConfig{.inputs = store.config.coefficients, .units = {6, 4}}, .classes = 3},
      two = three;
  two.classes = 2;
  const TrainingConfig training{.optimiser = {.learning_rate = 0.02}, .batch = 7};

  Trainer first(*backend, *queue, dataset, split, three, training, {.seed = 3}),
      second(*backend, *queue, halved, smaller, two, training, {.seed = 4});
  TrainingGroup group(*backend, *queue, dataset, three, training, {3, 7, evaluation_rows(split, 1), 3});
  Trainer first_in_group(group, dataset, split, 3, {.seed = 3});
  auto second_in_group = std::make_unique<Trainer>(group, halved, smaller, 2, RandomKey{.seed = 4});
  const auto check_same = [&](const Trainer& a, const Trainer& b) {
    CHECK(a.state().step == b.state().step);
    CHECK(a.state().parameters == b.state().parameters);
    CHECK(a.state().moments == b.state().moments);
    CHECK(a.history().back().train.loss == b.history().back().train.loss);
    CHECK(a.history().back().test.loss == b.history().back().test.loss);
  };
  for (int epoch = 0; epoch < 5; ++epoch) {  // each batch is given as it comes, recorded, and repeated
    first.train_epoch();
    if (epoch < 3) second.train_epoch();
    group.train_epoch();
    if (epoch != 2) continue;
    check_same(*second_in_group, second);
    CHECK(second_in_group->probabilities(split.train) == second.probabilities(split.train));
    CHECK(second_in_group->evaluate(smaller.train).confusion == second.evaluate(smaller.train).confusion);
    second_in_group.reset();
  }
  check_same(first_in_group, first);
}
