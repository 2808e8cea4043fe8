#include <cmath>
#include <csignal>
#include <numeric>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/io/hdf5.hpp"
#include "kernels/backends.hpp"
#include "models/trainer.hpp"
#include "tests/support/support.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree {
namespace {

/// A backend, a data set on it, and a queue: what every trainer needs.
struct Bench {
  FeatureStore store;
  std::unique_ptr<Backend> backend = make_backend({.device = "cpu"});
  DeviceDataset dataset;
  std::unique_ptr<Queue> queue = backend->device().make_queue();
  Split split;

  /// Of every ten clips the first is for test, the second for validation, the rest for training.
  explicit Bench(FeatureStore features = test::tiny_store()) : store(std::move(features)), dataset(store, *backend) {
    for (std::uint32_t clip = 0; clip < store.clips(); ++clip)
      (clip % 10 == 0 ? split.test : clip % 10 == 1 ? split.validation : split.train).push_back(clip);
  }
  ClassifierConfig network() const {
    return {.stack = {.inputs = store.config.coefficients, .units = {6, 4}}, .classes = store.genres.size()};
  }
  Trainer trainer(const ClassifierConfig& classifier, const TrainingConfig& training,
                  const RandomKey& key = {.seed = 3}) {
    return Trainer(*backend, *queue, dataset, split, classifier, training, key);
  }
};

TrainingConfig quick(Optimiser::Kind kind = Optimiser::Kind::adam) {
  return {.optimiser = {.kind = kind, .learning_rate = 0.02},
          .batch = 7};  // 24 training clips: 3 batches of 7 and one of 3
}

TEST_CASE("a trainer learns genres that can be told apart") {
  Bench bench(test::tiny_store({.separation = 2.0}));
  Trainer trainer = bench.trainer(bench.network(), quick());
  const double first = trainer.train_epoch().train.loss;
  while (trainer.epochs_done() < 40) trainer.train_epoch();
  CHECK(first > 0.7);
  CHECK(trainer.history().back().train.loss < 0.1);
  CHECK(trainer.history().back().train.accuracy == 1.0);
  CHECK(trainer.history().back().test.accuracy == 1.0);
  CHECK(trainer.history().size() == 40);
}

TEST_CASE("a restored trainer goes on bit for bit") {
  const auto kind = GENERATE(Optimiser::Kind::adam, Optimiser::Kind::rmsprop, Optimiser::Kind::sgd);
  Bench bench;
  ClassifierConfig network = bench.network();
  network.stack.dropout = 0.1;
  network.stack.recurrent_dropout = 0.3;
  Trainer whole = bench.trainer(network, quick(kind)), first = bench.trainer(network, quick(kind)),
          second = bench.trainer(network, quick(kind));
  for (int epoch = 0; epoch < 5; ++epoch) whole.train_epoch();
  for (int epoch = 0; epoch < 2; ++epoch) first.train_epoch();
  second.restore(first.state());
  CHECK(second.epochs_done() == 2);
  for (int epoch = 2; epoch < 5; ++epoch) second.train_epoch();

  const TrainerState expected = whole.state(), got = second.state();
  CHECK(got.step == 5 * 4);
  CHECK(got.step == expected.step);
  CHECK(got.parameters == expected.parameters);
  CHECK(got.moments == expected.moments);
  REQUIRE(got.history.size() == 5);
  for (std::size_t epoch = 0; epoch < 5; ++epoch) {
    CHECK(got.history[epoch].train.loss == expected.history[epoch].train.loss);
    CHECK(got.history[epoch].validation.loss == expected.history[epoch].validation.loss);
    CHECK(got.history[epoch].test.accuracy == expected.history[epoch].test.accuracy);
  }
}

/// The host's queue, on which the process gets SIGINT when a phase of this name begins for the `last`th time.
class StoppingQueue final : public Queue {
 public:
  StoppingQueue(std::string phase, int last) : Queue(host_device()), phase_(std::move(phase)), left_(last) {}
  void copy_in(void* to, const void* from, std::size_t bytes) override { queue_->copy_in(to, from, bytes); }
  void copy_out(void* to, const void* from, std::size_t bytes) override { queue_->copy_out(to, from, bytes); }
  void copy(void* to, const void* from, std::size_t bytes) override { queue_->copy(to, from, bytes); }
  void zero(void* memory, std::size_t bytes) override { queue_->zero(memory, bytes); }
  void synchronize() override { queue_->synchronize(); }
  void repeat(std::unique_ptr<Recording>&, const std::function<void()>& work) override { work(); }
  void trace_to(Trace& trace, const std::string& lane) override { queue_->trace_to(trace, lane); }
  void begin_phase(std::string_view name) override {
    if (name == phase_ && --left_ == 0) std::raise(SIGINT);
  }
  void end_phase() override {}

 private:
  std::unique_ptr<Queue> queue_ = host_device().make_queue();
  std::string phase_;
  int left_;
};

TEST_CASE("a stop within an epoch leaves the state after the last whole one") {
  // an epoch has four steps of training, then one batch of validation and one of test; one batch is asked in between
  const auto [phase, last] = GENERATE(std::pair{"training step", 4 + 2}, std::pair{"evaluation", 2 + 1 + 1});
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {  // a signal cannot be taken back, so it comes to a process of its own
    stop_on_signals();
    Bench bench;
    StoppingQueue queue(phase, last);
    Trainer trainer(*bench.backend, queue, bench.dataset, bench.split, bench.network(), quick(), {.seed = 3});
    trainer.train_epoch();
    const TrainerState whole = trainer.state();
    const std::vector<float> before = trainer.probabilities(bench.split.test);
    try {
      trainer.train_epoch();
    } catch (const Interrupted&) {
      const TrainerState state = trainer.state();
      const bool same = state.step == 4 && state.parameters == whole.parameters && state.moments == whole.moments &&
                        state.history.size() == 1;
      _exit(same && trainer.probabilities(bench.split.test) != before ? 75 : 2);
    }
    _exit(1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 75);
}

TEST_CASE("runs with other keys differ, runs with the same key do not") {
  Bench bench;
  Trainer one = bench.trainer(bench.network(), quick()), same = bench.trainer(bench.network(), quick()),
          other = bench.trainer(bench.network(), quick(), {.seed = 3, .trial = 1});
  one.train_epoch(), same.train_epoch(), other.train_epoch();
  CHECK(one.state().parameters == same.state().parameters);
  CHECK(one.history()[0].train.loss != other.history()[0].train.loss);
}

TEST_CASE("the order of the training set changes with each epoch, and only with shuffle") {
  Bench bench;
  TrainingConfig training = quick();
  training.optimiser = {.kind = Optimiser::Kind::sgd,
                        .learning_rate = 0,
                        .beta1 = 0};  // frozen weights: a batch's loss depends on its clips alone
  training.batch = 24;
  Trainer frozen = bench.trainer(bench.network(), training);
  frozen.train_epoch(), frozen.train_epoch();
  CHECK(frozen.history()[0].train.loss ==
        Approx(frozen.history()[1].train.loss).epsilon(1e-6));  // every clip is taken once in an epoch

  training = quick();
  Trainer shuffled = bench.trainer(bench.network(), training);
  training.shuffle = false;
  Trainer in_order = bench.trainer(bench.network(), training);
  CHECK(shuffled.train_epoch().train.loss != in_order.train_epoch().train.loss);
}

TEST_CASE("dropout changes training and leaves evaluation alone") {
  Bench bench;
  ClassifierConfig with_dropout = bench.network();
  with_dropout.stack.recurrent_dropout = 0.35;
  TrainingConfig frozen = quick();
  frozen.optimiser.learning_rate = 0;
  Trainer plain = bench.trainer(bench.network(), frozen), dropped = bench.trainer(with_dropout, frozen);
  const EpochScores a = plain.train_epoch(), b = dropped.train_epoch();
  CHECK(a.train.loss != b.train.loss);
  CHECK(a.test.loss == b.test.loss);
  CHECK(dropped.train_epoch().train.loss != b.train.loss);  // new masks in each epoch
}

TEST_CASE("evaluation: means over the clips, whatever their number, and the confusion matrix beside them") {
  Bench bench(test::tiny_store({.clips_per_genre = 60}));  // 180 clips are more than one batch
  Trainer trainer = bench.trainer(bench.network(), quick());
  trainer.train_epoch();
  std::vector<std::uint32_t> all(bench.store.clips());
  std::iota(all.begin(), all.end(), 0u);
  const Evaluation whole = trainer.evaluate(all);
  double loss = 0, accuracy = 0;
  for (std::uint32_t clip : all) {
    const Evaluation one = trainer.evaluate({&clip, 1});
    loss += one.score.loss, accuracy += one.score.accuracy;
  }
  const double count = static_cast<double>(all.size());
  CHECK(whole.score.loss == Approx(loss / count).epsilon(1e-6));
  CHECK(whole.score.accuracy == Approx(accuracy / count));

  REQUIRE(whole.confusion.size() == 9);
  for (std::size_t genre = 0; genre < 3; ++genre)
    CHECK(whole.confusion[genre * 3] + whole.confusion[genre * 3 + 1] + whole.confusion[genre * 3 + 2] == 60);
  CHECK((whole.confusion[0] + whole.confusion[4] + whole.confusion[8]) / count == Approx(whole.score.accuracy));

  CHECK(trainer.evaluate(bench.split.test).score.loss == trainer.history().back().test.loss);
}

TEST_CASE("an empty validation set has no scores, an empty training set is refused") {
  Bench bench;
  bench.split.validation.clear();
  Trainer trainer = bench.trainer(bench.network(), quick());
  const EpochScores scores = trainer.train_epoch();
  CHECK(std::isnan(scores.validation.loss));
  CHECK(std::isnan(scores.validation.accuracy));
  CHECK(std::isfinite(scores.test.loss));
  bench.split.train.clear();
  CHECK_THROWS_AS(bench.trainer(bench.network(), quick()), InputError);
}

TEST_CASE("the state of another network is refused") {
  Bench bench;
  ClassifierConfig larger = bench.network();
  larger.stack.units = {8};
  Trainer one = bench.trainer(bench.network(), quick()), other = bench.trainer(larger, quick());
  CHECK_THROWS_AS(other.restore(one.state()), InputError);
}

// Keras's own fit(shuffle=False): 11 clips in batches of 4, 4 and 3, validation on 6, four epochs of Adam.
TEST_CASE("the history of a training is that of Keras") {
  const Hdf5File file = Hdf5File::open(test::golden("keras_fit.h5"));
  const auto numbers = [&](const std::string& name) { return file.read<float>(name).values; };
  FeatureStore store;
  store.config.frames = 10;
  store.config.coefficients = 5;
  store.features = numbers("/x");
  store.labels = file.read<std::int32_t>("/labels").values;
  store.tracks.resize(store.labels.size());
  Split split;
  for (std::uint32_t clip = 0; clip < store.clips(); ++clip)
    (clip < 11 ? split.train : split.validation).push_back(clip);
  split.test = split.validation;
  const ClassifierConfig network{.stack = {.inputs = 5, .units = {6, 4}}, .classes = 3};
  const TrainingConfig training{
      .optimiser = {.learning_rate = 0.02}, .batch = 4, .loss = Loss::clipped, .shuffle = false};

  const std::unique_ptr<Backend> backend = make_backend({.device = "cpu"});
  const DeviceDataset dataset(store, *backend);
  const std::unique_ptr<Queue> queue = backend->device().make_queue();
  Trainer trainer(*backend, *queue, dataset, split, network, training, {});
  TrainerState state = trainer.state();
  state.parameters = numbers("/weights");
  trainer.restore(state);
  const std::vector<float> loss = numbers("/history/loss"), accuracy = numbers("/history/accuracy"),
                           validation_loss = numbers("/history/val_loss"),
                           validation_accuracy = numbers("/history/val_accuracy");
  for (std::size_t epoch = 0; epoch < 4; ++epoch) {
    const EpochScores scores = trainer.train_epoch();
    CHECK(scores.train.loss == Approx(loss[epoch]).epsilon(1e-5));
    CHECK(scores.train.accuracy == Approx(accuracy[epoch]).epsilon(1e-6));
    CHECK(scores.validation.loss == Approx(validation_loss[epoch]).epsilon(1e-5));
    CHECK(scores.validation.accuracy == Approx(validation_accuracy[epoch]).epsilon(1e-6));
    CHECK(scores.test.loss == scores.validation.loss);
  }
  const std::vector<float> trained = trainer.state().parameters, expected = numbers("/trained_weights");
  const double difference = test::relative_difference<float, float>(trained, expected);
  CHECK(difference < 1e-5);
}

}  // namespace
}  // namespace genretree
