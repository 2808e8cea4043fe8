// Several runs in one group: each must go as it goes alone, bit for bit, whoever comes and goes beside it.
#include <numeric>

#include "core/error.hpp"
#include "kernels/backends.hpp"
#include "models/trainer.hpp"
#include "tests/support/support.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree {
namespace {

constexpr std::size_t frames = 6, coefficients = 4;

/// One run: what it learns, from which clips, how it draws.
struct Learner {
  DeviceDataset dataset;
  Split split;
  std::size_t classes;
  RandomKey key;
  std::size_t epochs = Trainer::no_end;
};

/// Four genres, and runs that ask different things of different numbers of clips in batches of 7.
struct Bench {
  FeatureStore store = test::tiny_store({.genres = 4, .frames = frames, .coefficients = coefficients, .shortest = 3});
  std::unique_ptr<Backend> backend = make_backend({.device = "cpu"});
  DeviceDataset clips{store, *backend};
  std::unique_ptr<Queue> queue = backend->device().make_queue();
  TrainingConfig training{.optimiser = {.learning_rate = 0.02}, .batch = 7};
  ClassifierConfig network;

  explicit Bench(const ClassifierConfig& classifier) : network(classifier) {}

  /// A run that tells apart the first `genres` genres as classes 0 … classes - 1, with each genre's clips from `first`
  /// on: two to test, one to validate, the rest to train.
  Learner learner(std::size_t genres, std::size_t classes, std::uint32_t first, std::uint32_t trial) const {
    std::vector<std::int32_t> labels;
    Split split;
    for (std::uint32_t clip = 0; clip < store.clips(); ++clip) {
      const std::size_t genre = clip / 10;
      labels.push_back(static_cast<std::int32_t>(std::min(genre, classes - 1)));
      if (genre >= genres || clip % 10 < first) continue;
      const std::uint32_t i = clip % 10 - first;
      (i < 2 ? split.test : i == 2 ? split.validation : split.train).push_back(clip);
    }
    return {DeviceDataset(clips, labels, *backend), split, classes, {.seed = 3, .trial = trial}};
  }
  GroupSize size(std::size_t slots) const { return {slots, 7, 8 * window_count(frames, network.window), 4}; }
  TrainingGroup group(std::size_t slots, Queue* on = nullptr) {
    return TrainingGroup(*backend, on ? *on : *queue, clips, network, training, size(slots));
  }
  std::unique_ptr<Trainer> alone(const Learner& run) {
    ClassifierConfig own = network;
    own.classes = run.classes;
    return std::make_unique<Trainer>(*backend, *queue, run.dataset, run.split, own, training, run.key, run.epochs);
  }
  static std::unique_ptr<Trainer> in(TrainingGroup& group, const Learner& run) {
    return std::make_unique<Trainer>(group, run.dataset, run.split, run.classes, run.key, run.epochs);
  }
};

ClassifierConfig lstm(double dropout) {
  return {.stack = StackConfig{
              .inputs = coefficients, .units = {6, 4}, .dropout = dropout / 2, .recurrent_dropout = dropout}};
}
ClassifierConfig cnn() {
  return {.cnn = CnnConfig{.frames = frames,
                           .bands = coefficients,
                           .stages = {{3, 2}},
                           .units = 5,
                           .dropout = 0.25,
                           .standardise = true}};
}

/// Every option at once.
ClassifierConfig everything() {
  NetworkConfig network = lstm(0.1).stack;
  network.bidirectional = network.standardise = true;
  network.readout = Readout::mean_max, network.layer_dropout = 0.3;
  return {.stack = network, .window = 4};
}
TrainingConfig every_option() {
  return {.optimiser = {.weight_decay = 0.1, .clip_norm = 0.5},
          .batch = 7,
          .label_smoothing = 0.1,
          .augmentation =
              {.mixup = 0.3, .time_masks = 2, .longest_time_mask = 2, .feature_masks = 1, .widest_feature_mask = 2},
          .schedule = TrainingConfig::Schedule::cosine,
          .warmup = 1,
          .select = TrainingConfig::Select::best_validation};
}

void check_same(const Trainer& got, const Trainer& expected) {
  const TrainerState a = got.state(), b = expected.state();
  CHECK(a.step == b.step);
  CHECK(a.best_epoch == b.best_epoch);
  CHECK(a.best == b.best);
  CHECK(a.parameters == b.parameters);
  CHECK(a.moments == b.moments);
  REQUIRE(a.history.size() == b.history.size());
  for (std::size_t epoch = 0; epoch < a.history.size(); ++epoch)
    for (const auto scores : {&EpochScores::train, &EpochScores::validation, &EpochScores::test}) {
      CHECK((a.history[epoch].*scores).loss == (b.history[epoch].*scores).loss);
      CHECK((a.history[epoch].*scores).accuracy == (b.history[epoch].*scores).accuracy);
    }
}

/// As they are now, not as after the last epoch.
void check_same_answers(Trainer& got, Trainer& expected, const std::vector<std::uint32_t>& clips) {
  CHECK(got.probabilities(clips) == expected.probabilities(clips));
  const Evaluation a = got.evaluate(clips), b = expected.evaluate(clips);
  CHECK(a.score.loss == b.score.loss);
  CHECK(a.score.accuracy == b.score.accuracy);
  CHECK(a.confusion == b.confusion);
}

TEST_CASE("runs of unequal classes, sets and lengths that come and go in a group are those that train alone") {
  Bench bench(GENERATE(lstm(0), lstm(0.3), cnn(), everything()));
  if (bench.network.window > 0) bench.training = every_option();
  bench.training.optimiser.learning_rate = 0.02;
  bench.training.optimiser.kind = GENERATE(Optimiser::Kind::adam, Optimiser::Kind::rmsprop, Optimiser::Kind::sgd);
  // 4 × 7 training clips: 4 batches of 7; 2 × 7: two; 3 × 5: two of 7 and one of 1; 2 × 5: one of 7, one of 3
  Learner runs[] = {bench.learner(4, 4, 0, 0), bench.learner(2, 2, 0, 1), bench.learner(3, 3, 2, 2),
                    bench.learner(2, 2, 2, 3)};
  constexpr int length[] = {6, 2, 5, 3};
  for (std::size_t run = 0; run < 4; ++run) runs[run].epochs = static_cast<std::size_t>(length[run]);
  std::unique_ptr<Trainer> alone[4];
  for (std::size_t run = 0; run < 4; ++run) {
    alone[run] = bench.alone(runs[run]);
    for (int epoch = 0; epoch < length[run]; ++epoch) alone[run]->train_epoch();
  }

  TrainingGroup group = bench.group(3);
  const auto train = [&](int epochs) {
    for (int epoch = 0; epoch < epochs; ++epoch) group.train_epoch();
  };
  std::unique_ptr<Trainer> first = bench.in(group, runs[0]), second = bench.in(group, runs[1]);  // a slot is empty
  train(1);
  std::unique_ptr<Trainer> third = bench.in(group, runs[2]);
  train(1);
  check_same(*second, *alone[1]);
  check_same_answers(*second, *alone[1], runs[0].split.test);  // clips of other genres too, more than it evaluates
  second.reset();
  // the fourth goes on in the second's slot from where it was after an epoch alone
  const std::unique_ptr<Trainer> beginning = bench.alone(runs[3]);
  beginning->train_epoch();
  std::unique_ptr<Trainer> fourth = bench.in(group, runs[3]);
  fourth->restore(beginning->state());
  train(2);
  check_same(*fourth, *alone[3]);
  check_same_answers(*fourth, *alone[3], runs[3].split.validation);
  fourth.reset();
  train(2);
  check_same(*first, *alone[0]);
  check_same(*third, *alone[2]);
  check_same_answers(*third, *alone[2], runs[2].split.test);
  check_same_answers(*first, *alone[0], runs[0].split.train);
}

TEST_CASE("a run in a group may be asked at any time, and nobody notices") {
  Bench bench(lstm(0));
  const Learner runs[] = {bench.learner(4, 4, 0, 0), bench.learner(2, 2, 0, 1)};
  TrainingGroup asked = bench.group(2), left_alone = bench.group(2);
  const std::unique_ptr<Trainer> a[] = {bench.in(asked, runs[0]), bench.in(asked, runs[1])},
                                 b[] = {bench.in(left_alone, runs[0]), bench.in(left_alone, runs[1])};
  for (int epoch = 0; epoch < 3; ++epoch) {
    for (const auto& run : a) run->probabilities(runs[0].split.train);
    a[1]->restore(a[1]->state());
    asked.train_epoch(), left_alone.train_epoch();
  }
  for (std::size_t run : {0, 1}) check_same(*a[run], *b[run]);
}

/// The host's queue, which says how many recordings there are, and how many were made.
class CountingQueue final : public Queue {
 public:
  CountingQueue() : Queue(host_device()) {}
  void copy_in(void* to, const void* from, std::size_t bytes) override { queue_->copy_in(to, from, bytes); }
  void copy_out(void* to, const void* from, std::size_t bytes) override { queue_->copy_out(to, from, bytes); }
  void copy(void* to, const void* from, std::size_t bytes) override { queue_->copy(to, from, bytes); }
  void zero(void* memory, std::size_t bytes) override { queue_->zero(memory, bytes); }
  void synchronize() override { queue_->synchronize(), ++waits; }
  void repeat(std::unique_ptr<Recording>& recording, const std::function<void()>& work) override {
    if (!recording) recording = std::make_unique<Counted>(*this);
    work();
  }
  void trace_to(Trace&, const std::string&) override {}
  void begin_phase(std::string_view) override {}
  void end_phase() override {}

  int made = 0, alive = 0, waits = 0;

 private:
  struct Counted final : Recording {
    explicit Counted(CountingQueue& queue) : queue_(queue) { ++queue_.made, ++queue_.alive; }
    ~Counted() override { --queue_.alive; }
    CountingQueue& queue_;
  };
  std::unique_ptr<Queue> queue_ = host_device().make_queue();
};

TEST_CASE("a group waits for its queue once an epoch, and records no more than the batches of an epoch") {
  Bench bench(lstm(0));
  CountingQueue queue;
  {
    TrainingGroup group = bench.group(3, &queue);
    std::unique_ptr<Trainer> runs[] = {bench.in(group, bench.learner(4, 4, 0, 0)),
                                       bench.in(group, bench.learner(2, 2, 0, 1))};
    queue.waits = 0;
    group.train_epoch();
    CHECK(queue.waits == 1);
    // training: two batches of both, two of the first alone; validation and test have other rows
    CHECK(queue.alive == 2 + 2);
    for (int epoch = 0; epoch < 5; ++epoch) group.train_epoch();
    CHECK(queue.made == 4);
    runs[1].reset();
    group.train_epoch();
    CHECK(queue.alive == 1 + 2);  // those of both runs are gone
    CHECK(queue.made == 4 + 3);
  }
  CHECK(queue.alive == 0);
}

TEST_CASE("a group refuses what does not fit into it") {
  Bench bench(lstm(0));
  TrainingGroup group = bench.group(1);
  Learner run = bench.learner(4, 4, 0, 0);
  SECTION("more runs than slots") {
    const std::unique_ptr<Trainer> first = bench.in(group, run);
    CHECK_THROWS_WITH(bench.in(group, run), Catch::Contains("all 1 slots of a group are taken"));
  }
  SECTION("batches of other rows, on which dropout and the order of sums may rest") {
    run.split.train.resize(5);
    CHECK_THROWS_WITH(bench.in(group, run), Catch::Contains("batches of 5 rows"));
  }
  SECTION("larger evaluations") {
    run.split.test = run.split.train;
    CHECK_THROWS_WITH(bench.in(group, run), Catch::Contains("evaluations of 28"));
  }
  SECTION("more classes") {
    run.classes = 5;
    CHECK_THROWS_WITH(bench.in(group, run), Catch::Contains("5 classes"));
  }
  SECTION("other clips") {
    run.dataset = DeviceDataset(bench.store, *bench.backend);
    CHECK_THROWS_WITH(bench.in(group, run), Catch::Contains("other clips"));
  }
  SECTION("the state of a run with other classes") {
    const std::unique_ptr<Trainer> other = bench.alone(bench.learner(2, 2, 0, 0)), entered = bench.in(group, run);
    CHECK_THROWS_AS(entered->restore(other->state()), InputError);
  }
  CHECK_THROWS_WITH(group.history(1), Catch::Contains("slot 1 of a group of 1 holds no run"));
}

}  // namespace
}  // namespace genretree
