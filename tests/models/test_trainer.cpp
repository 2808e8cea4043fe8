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
    return {.stack = StackConfig{.inputs = store.config.coefficients, .units = {6, 4}}, .classes = store.genres.size()};
  }
  Trainer trainer(const ClassifierConfig& classifier, const TrainingConfig& training,
                  const RandomKey& key = {.seed = 3}, std::size_t epochs = Trainer::no_end) {
    return Trainer(*backend, *queue, dataset, split, classifier, training, key, epochs);
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

TEST_CASE("a restored trainer goes on bit for bit with every option at once") {
  Bench bench(test::tiny_store({.shortest = 3}));
  ClassifierConfig classifier = bench.network();
  NetworkConfig& network = classifier.stack;
  network.dropout = 0.1, network.recurrent_dropout = 0.3, network.layer_dropout = 0.2;
  network.bidirectional = network.standardise = true;
  network.readout = Readout::mean_max;
  classifier.window = 4;
  const TrainingConfig training{.optimiser = {.learning_rate = 0.05, .weight_decay = 0.1, .clip_norm = 0.5},
                                .batch = 7,
                                .label_smoothing = 0.1,
                                .augmentation = {.mixup = 0.3,
                                                 .time_masks = 2,
                                                 .longest_time_mask = 2,
                                                 .feature_masks = 1,
                                                 .widest_feature_mask = 2},
                                .schedule = TrainingConfig::Schedule::cosine,
                                .warmup = 2,
                                .select = TrainingConfig::Select::best_validation,
                                .patience = 5};
  constexpr std::size_t epochs = 8, before = 5;
  Trainer whole = bench.trainer(classifier, training, {.seed = 3}, epochs),
          first = bench.trainer(classifier, training, {.seed = 3}, epochs),
          second = bench.trainer(classifier, training, {.seed = 3}, epochs);
  while (whole.epochs_done() < epochs) whole.train_epoch();
  while (first.epochs_done() < before) first.train_epoch();
  const TrainerState saved = first.state();
  REQUIRE(saved.best_epoch > 0);
  REQUIRE(saved.best_epoch < before);  // two sets of weights are taken over
  second.restore(saved);
  CHECK(second.state().best == saved.best);
  CHECK(second.selected_epoch() == saved.best_epoch);
  CHECK(second.probabilities(bench.split.test) == first.probabilities(bench.split.test));
  while (second.epochs_done() < epochs) second.train_epoch();

  const TrainerState expected = whole.state(), got = second.state();
  CHECK(got.step == expected.step);
  CHECK(got.parameters == expected.parameters);
  CHECK(got.moments == expected.moments);
  CHECK(got.best_epoch == expected.best_epoch);
  CHECK(got.best == expected.best);
  CHECK(second.is_done() == whole.is_done());
  for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
    CHECK(got.history[epoch].train.loss == expected.history[epoch].train.loss);
    CHECK(got.history[epoch].validation.loss == expected.history[epoch].validation.loss);
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

TEST_CASE("each clip of each epoch has a window of its own") {
  FeatureStore store = test::tiny_store();
  const std::size_t clip_size = store.config.frames * store.config.width();
  for (std::size_t e = clip_size; e < store.features.size(); ++e) store.features[e] = store.features[e - clip_size];
  std::ranges::fill(store.labels, 0);  // all clips are the same one
  Bench bench(store);
  ClassifierConfig classifier = bench.network();
  classifier.window = 3;  // begins at one of 0 … 3
  TrainingConfig frozen = quick();
  frozen.optimiser.learning_rate = 0;
  Trainer trainer = bench.trainer(classifier, frozen);
  const double first = trainer.train_epoch().train.loss, second = trainer.train_epoch().train.loss;
  CHECK(std::abs(first - second) > 1e-6);
  // the loss of one window: of a store whose clips are that window alone
  for (std::size_t start = 0; start < 4; ++start) {
    FeatureStore window = store;
    window.config.frames = 3;
    window.features.clear();
    const auto frames = store.view()[0].flat().subspan(start * store.config.width(), 3 * store.config.width());
    for (std::size_t clip = 0; clip < store.clips(); ++clip) {
      window.features.insert(window.features.end(), frames.begin(), frames.end());
      window.lengths[clip] = 3;
    }
    Bench alone(window);
    const double loss = alone.trainer(classifier, frozen).train_epoch().train.loss;
    CHECK(std::abs(first - loss) > 1e-4);
  }
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

// ----------------------------------------------------------------------------------------- the epoch that is selected

/// Noisy enough that validation goes up and down.
TrainingConfig restless(TrainingConfig::Select select, std::size_t patience = 0) {
  TrainingConfig training = quick();
  training.optimiser.learning_rate = 0.1;
  training.select = select, training.patience = patience;
  return training;
}

TEST_CASE("the best validation epoch is kept: a run answers as one that was stopped there") {
  using Select = TrainingConfig::Select;
  Bench bench(test::tiny_store({.separation = 0.3}));
  constexpr std::size_t epochs = 12;
  Trainer best = bench.trainer(bench.network(), restless(Select::best_validation)),
          last = bench.trainer(bench.network(), restless(Select::last));
  CHECK(best.selected_epoch() == 0);
  while (best.epochs_done() < epochs) best.train_epoch();
  std::size_t expected = 0;
  for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
    const Score &score = best.history()[epoch].validation, &so_far = best.history()[expected].validation;
    if (std::pair(score.accuracy, -score.loss) > std::pair(so_far.accuracy, -so_far.loss)) expected = epoch;
  }
  ++expected;  // from 1
  REQUIRE(expected > 1);
  REQUIRE(expected < epochs);
  CHECK(best.selected_epoch() == expected);

  while (last.epochs_done() < expected) last.train_epoch();
  CHECK(last.selected_epoch() == expected);
  CHECK(best.probabilities(bench.split.test) == last.probabilities(bench.split.test));
  CHECK(best.evaluate(bench.split.test).score.loss == best.history()[expected - 1].test.loss);
  CHECK(best.state().selected() == last.state().parameters);
  CHECK(last.state().selected() == last.state().parameters);
  while (last.epochs_done() < epochs) last.train_epoch();
  CHECK(best.state().parameters == last.state().parameters);  // what it goes on with are those of the last one
  CHECK(best.probabilities(bench.split.test) != last.probabilities(bench.split.test));
}

TEST_CASE("a run ends after its epochs, or when its patience is at an end") {
  using Select = TrainingConfig::Select;
  Bench bench(test::tiny_store({.separation = 0.3}));
  const auto ends_after = [&](const TrainingConfig& training, std::size_t epochs) {
    Trainer trainer = bench.trainer(bench.network(), training, {.seed = 3}, epochs);
    CHECK_FALSE(trainer.is_done());
    while (!trainer.is_done()) trainer.train_epoch();
    return std::pair(trainer.epochs_done(), trainer.selected_epoch());
  };
  CHECK(ends_after(restless(Select::last), 4) == std::pair<std::size_t, std::size_t>(4, 4));
  const auto [all, best] = ends_after(restless(Select::best_validation), 20);
  CHECK(all == 20);
  const auto [patient, selected] = ends_after(restless(Select::best_validation, 3), 20);
  CHECK(patient < 20);
  CHECK(patient == selected + 3);
  CHECK(ends_after(restless(Select::best_validation, 3), 2).first == 2);
}

TEST_CASE("without validation clips no epoch can be selected by them") {
  Bench bench;
  bench.split.validation.clear();
  CHECK_THROWS_WITH(bench.trainer(bench.network(), restless(TrainingConfig::Select::best_validation)),
                    Catch::Contains("the best epoch is selected by validation clips, but there are none"));
}

TEST_CASE("a state whose best epoch is damaged is refused") {
  Bench bench;
  Trainer trainer = bench.trainer(bench.network(), restless(TrainingConfig::Select::best_validation));
  trainer.train_epoch();
  TrainerState late = trainer.state(), cut = trainer.state();
  late.best_epoch = 2, cut.best.pop_back();
  for (const TrainerState& state : {late, cut})
    CHECK_THROWS_WITH(trainer.restore(state), Catch::Contains("the saved state's best epoch is"));
}

// ------------------------------------------------------------------------------------- learning rate, targets, inputs

TEST_CASE("the learning rate goes up over the warm-up and down along the schedule, worked by hand") {
  using Schedule = TrainingConfig::Schedule;
  const auto factors = [](Schedule schedule, std::size_t warmup) {
    std::vector<double> all;
    for (std::size_t epoch = 0; epoch < 7; ++epoch)
      all.push_back(rate_factor({.schedule = schedule, .warmup = warmup}, epoch, 7));
    return all;
  };
  const double root = std::sqrt(0.5);
  CHECK(factors(Schedule::constant, 0) == std::vector<double>(7, 1.0));
  CHECK(factors(Schedule::constant, 3) == std::vector<double>{0.25, 0.5, 0.75, 1, 1, 1, 1});
  CHECK(factors(Schedule::linear, 3) == std::vector<double>{0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25});
  const std::vector<double> cosine{0.25, 0.5, 0.75, 1, 0.5 + root / 2, 0.5, 0.5 - root / 2};
  CHECK(test::max_difference<double, double>(factors(Schedule::cosine, 3), cosine) < 1e-12);
}

TEST_CASE("an epoch at half the rate is one of a run with half the learning rate") {
  Bench bench;
  TrainingConfig training = quick(Optimiser::Kind::sgd);
  training.schedule = TrainingConfig::Schedule::linear;
  Trainer scheduled = bench.trainer(bench.network(), training, {.seed = 3}, 2);
  scheduled.train_epoch();
  training.schedule = TrainingConfig::Schedule::constant;
  training.optimiser.learning_rate /= 2;
  Trainer slow = bench.trainer(bench.network(), training);
  slow.restore(scheduled.state());
  scheduled.train_epoch(), slow.train_epoch();
  const double difference =
      test::relative_difference<float, float>(scheduled.state().parameters, slow.state().parameters);
  CHECK(difference < 1e-6);
}

TEST_CASE("with label smoothing the loss is that against the smoothed targets, and evaluation is left alone") {
  Bench bench;
  TrainingConfig training = quick();
  training.optimiser = {.kind = Optimiser::Kind::sgd, .learning_rate = 0, .beta1 = 0};  // frozen weights
  Trainer hard = bench.trainer(bench.network(), training);
  training.label_smoothing = 0.3;
  Trainer smooth = bench.trainer(bench.network(), training);
  const EpochScores a = hard.train_epoch(), b = smooth.train_epoch();
  CHECK(a.test.loss == b.test.loss);
  // 0.7 of the label's loss, and 0.3 of the mean over the classes
  const std::vector<float> probabilities = hard.probabilities(bench.split.train);
  double mean = 0;
  for (const float p : probabilities)
    mean -= std::log(static_cast<double>(p)) / static_cast<double>(probabilities.size());
  CHECK(b.train.loss == Approx(0.7 * a.train.loss + 0.3 * mean).epsilon(1e-5));
}

TEST_CASE("normalised inputs: shifted and scaled features give the same training, and padding does not count") {
  const FeatureStore store = test::tiny_store({.shortest = 3});
  FeatureStore other = store;
  const std::size_t width = store.config.width(), clip_size = store.config.frames * width;
  for (std::size_t e = 0; e < other.features.size(); ++e) {
    float& value = other.features[e];
    value = value * static_cast<float>(1 + e % width) + 10 * static_cast<float>(e % width);
    const std::size_t clip = e / clip_size, frame = e % clip_size / width;
    if (frame >= static_cast<std::size_t>(other.lengths[clip]) && clip % 10 > 1) value = 1e4f;  // padding of training
  }
  Bench bench(store), shifted(other);
  ClassifierConfig classifier = bench.network();
  classifier.stack.standardise = true;
  classifier.window = 3;  // all are sound
  TrainingConfig training = quick();
  training.optimiser.weight_decay = 0.5;
  Trainer a = bench.trainer(classifier, training), b = shifted.trainer(classifier, training);
  const std::vector<float> before = b.state().parameters;
  for (int epoch = 0; epoch < 3; ++epoch) {
    const EpochScores expected = a.train_epoch(), got = b.train_epoch();
    CHECK(got.train.loss == Approx(expected.train.loss).epsilon(1e-4));
    CHECK(got.test.loss == Approx(expected.test.loss).epsilon(1e-4));
  }
  const std::vector<float> after = b.state().parameters;
  CHECK(std::equal(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(2 * width), after.begin()));
  CHECK(before != after);
  for (std::size_t c = 0; c < width; ++c) {
    const auto plain = a.state().parameters;
    CHECK(after[c] == Approx(plain[c] * static_cast<float>(1 + c) + 10 * static_cast<float>(c)).epsilon(1e-4));
    CHECK(after[width + c] == Approx(plain[width + c] / static_cast<float>(1 + c)).epsilon(1e-4));
  }
  classifier.stack.standardise = false;
  Trainer without = shifted.trainer(classifier, training);
  CHECK(std::abs(without.train_epoch().train.loss - a.history()[0].train.loss) > 0.01);
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
  const ClassifierConfig network{.stack = StackConfig{.inputs = 5, .units = {6, 4}}, .classes = 3};
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
