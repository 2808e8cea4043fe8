#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <map>
#include <optional>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/text.hpp"
#include "models/group_weights.hpp"
#include "models/network.hpp"
#include "models/training_group.hpp"

namespace genretree {
namespace {

/// Memory for one batch of each run and all that is computed from it. A batch always lies in the same place, so that a
/// queue can record what is done with it.
struct BatchMemory {
  Group group;
  std::size_t inputs;
  Buffer<float> x, probabilities;          ///< [R, T, B, F], [R, B, C]
  Buffer<std::int32_t> clips, y, correct;  ///< [R, B], [R, B], [R]
  Buffer<double> loss;                     ///< [R]
  std::unique_ptr<Network> network;
  std::map<std::vector<std::uint32_t>, std::unique_ptr<Recording>> recordings;  ///< by rows of each run

  BatchMemory(Backend& backend, const ClassifierConfig& classifier, std::size_t runs, std::size_t frames,
              std::size_t batch, Mode mode)
      : group{runs,
              batch,
              frames,
              classifier.classes,
              std::vector(runs, static_cast<std::uint32_t>(batch)),
              std::vector(runs, static_cast<std::uint32_t>(classifier.classes))},
        inputs(classifier.inputs()),
        x(backend.device(), runs * frames * batch * inputs),
        probabilities(backend.device(), runs * batch * classifier.classes),
        clips(backend.device(), runs * batch),
        y(backend.device(), runs * batch),
        correct(backend.device(), runs),
        loss(backend.device(), runs),
        network(make_network(classifier, group, mode, backend)) {}

  View<float, 4> x_view() { return x.view(group.runs, group.frames, group.batch, inputs); }
  View<std::int32_t, 2> y_view() { return y.view(group.runs, group.batch); }
  View<const std::int32_t, 2> clips_view() { return clips.view(group.runs, group.batch); }
  Batch batch(View<const float, 2> parameters) {
    return {group,
            parameters,
            x_view(),
            y_view(),
            probabilities.view(group.runs, group.batch, group.classes),
            loss.view(group.runs),
            correct.view(group.runs)};
  }
  std::size_t bytes() const { return x.bytes() + probabilities.bytes() + clips.bytes() + y.bytes() + network->bytes(); }
};

/// A run that is in a slot.
struct Run {
  Split split;
  std::size_t classes;
  RandomKey key;
  std::vector<EpochScores> history = {};

  RandomKey key_for(RandomUse use, std::size_t batch) const {
    RandomKey result = key;
    result.epoch = static_cast<std::uint32_t>(history.size());
    result.batch = static_cast<std::uint32_t>(batch);
    result.use = use;
    return result;
  }
};

}  // namespace

std::size_t training_rows(const Split& split, const TrainingConfig& training) {
  return std::clamp<std::size_t>(split.train.size(), 1, training.batch);
}

std::size_t evaluation_rows(const Split& split) {
  return std::clamp<std::size_t>(std::max(split.validation.size(), split.test.size()), 1, evaluation_batch);
}

/// Recordings that are kept when runs come and go: one for each combination of rows that a batch had. A GPU's graph of a
/// step takes some 100 KB.
constexpr std::size_t most_recordings = 64;

struct TrainingGroup::Implementation {
  Backend& backend;
  Queue& queue;
  View<const float, 3> features;
  ClassifierConfig network;  ///< with the largest class count
  TrainingConfig training;
  GroupSize size;

  std::vector<std::optional<Run>> runs;  ///< [R]
  bool composed = false;                 ///< all below goes by the runs that are there
  Buffer<std::int32_t> labels;           ///< [R, N] those that each run learns
  ClipLists train, validation, test;
  BatchMemory training_batch, evaluation;
  GroupWeights weights;
  Buffer<float> gradients;  ///< [R, P]
  /// As they were after the last epoch of each `history`. So a stop within the next one loses no whole epoch, and
  /// nothing is copied to the host before somebody asks.
  GroupWeights weights_of_epoch;

  Implementation(Backend& backend_, Queue& queue_, const DeviceDataset& clips, const ClassifierConfig& network_,
                 const TrainingConfig& training_, const GroupSize& size_)
      : backend(backend_),
        queue(queue_),
        features(clips.features()),
        network(with_classes(network_, size_.classes)),
        training(training_),
        size(size_),
        runs(size.slots),
        labels(backend.device(), size.slots * features.shape[0]),
        training_batch(backend, network, size.slots, features.shape[1], size.training_rows, Mode::training),
        evaluation(backend, network, size.slots, features.shape[1], size.evaluation_rows, Mode::inference),
        weights(size.slots, network, backend.device()),
        gradients(backend.device(), size.slots * network.parameter_count()),
        weights_of_epoch(size.slots, network, backend.device()) {
    if (size.slots == 0) fail("a group needs a slot for a run");
    weights.zero(queue);
    weights_of_epoch.zero(queue);
  }

  static ClassifierConfig with_classes(ClassifierConfig classifier, std::size_t classes) {
    classifier.classes = classes;
    return classifier;
  }

  /// The clips that `clips` names of each run that is there.
  ClipLists lists_of(std::size_t batch, const std::function<RunClips(const Run&)>& clips) {
    std::vector<RunClips> lists;
    for (const std::optional<Run>& run : runs) lists.push_back(run ? clips(*run) : RunClips{});
    return ClipLists(lists, batch, backend.device());
  }
  ClipLists evaluation_lists(const std::function<RunClips(const Run&)>& clips) {
    ClipLists lists = lists_of(size.evaluation_rows, clips);
    lists.copy_in(queue);
    return lists;
  }

  void set_weights(std::size_t slot, std::size_t classes, const RunWeights& values) {
    weights.put(slot, classes, values, queue);
    weights_of_epoch.put(slot, classes, values, queue);
    queue.synchronize();
  }

  /// "epoch 7" of a run alone, "epoch of 3 runs".
  std::string name_of_epoch() const {
    if (runs.size() == 1 && runs[0]) return fmt::format("epoch {}", runs[0]->history.size() + 1);
    const auto here = std::ranges::count_if(runs, [](const std::optional<Run>& run) { return run.has_value(); });
    return fmt::format("epoch of {}", count_of(static_cast<std::size_t>(here), "run"));
  }

  /// Once runs have come or gone. What was recorded holds their classes, and is of no use for others.
  void compose() {
    composed = true;
    train = lists_of(size.training_rows, [&](const Run& run) { return RunClips{run.split.train, size.training_rows}; });
    validation = evaluation_lists([](const Run& run) {
      return RunClips{run.split.validation, evaluation_rows(run.split)};
    });
    test = evaluation_lists([](const Run& run) { return RunClips{run.split.test, evaluation_rows(run.split)}; });
    std::vector<std::uint32_t> class_counts;
    for (const std::optional<Run>& run : runs)
      class_counts.push_back(static_cast<std::uint32_t>(run ? run->classes : network.classes));
    for (BatchMemory* memory : {&training_batch, &evaluation}) {
      if (memory->group.class_counts != class_counts || memory->recordings.size() > most_recordings)
        memory->recordings.clear();
      memory->group.class_counts = class_counts;
    }
  }

  Run& run_in(std::size_t slot) {
    if (slot >= runs.size() || !runs[slot]) fail("slot {} of a group of {} holds no run", slot, runs.size());
    return *runs[slot];
  }

  /// Does `work` with batch `index` of each run in `memory`; its loss and hits go into the lists. `repeats`: if the
  /// work is the same for all batches with as many rows.
  void with_batch(ClipLists& lists, std::size_t index, BatchMemory& memory, bool repeats,
                  const std::function<void(const Batch&)>& work) {
    memory.group.rows = lists.rows(index);
    queue.copy(memory.clips.data(), lists.clips(index), memory.clips.bytes());
    const auto gather_and_work = [&] {
      gather(memory);
      work(memory.batch(weights.parameters()));
    };
    if (repeats)
      queue.repeat(memory.recordings[memory.group.rows], gather_and_work);
    else
      gather_and_work();
    queue.copy(lists.loss(index), memory.loss.data(), memory.loss.bytes());
    queue.copy(lists.correct(index), memory.correct.data(), memory.correct.bytes());
  }

  void gather(BatchMemory& memory) {
    const Phase phase(queue, "gather");
    backend.gather(memory.group, features, std::as_const(labels).view(runs.size(), features.shape[0]),
                   memory.clips_view(), memory.x_view(), memory.y_view(), queue);
  }

  void shuffle() {
    for (std::size_t r = 0; r < runs.size(); ++r) {
      if (!runs[r]) continue;
      std::vector<std::uint32_t> clips = runs[r]->split.train;  // each epoch is shuffled anew from the split's order
      if (training.shuffle) Random(runs[r]->key_for(RandomUse::shuffle, 0)).shuffle(std::span(clips));
      train.order(r, clips);
    }
    train.copy_in(queue);
  }

  /// [R] for the dropout of batch `index`.
  std::vector<RandomKey> dropout_keys(std::size_t index) const {
    std::vector<RandomKey> keys;
    for (const std::optional<Run>& run : runs)
      keys.push_back(run ? run->key_for(RandomUse::dropout, index) : RandomKey{});
    return keys;
  }

  void train_batch(std::size_t index) {
    const Phase phase(queue, "training step");
    const bool repeats = !network.has_dropout();  // which is drawn anew for each batch
    with_batch(train, index, training_batch, repeats, [&](const Batch& batch) {
      const View<float, 2> gradient_view = gradients.view(runs.size(), network.parameter_count());
      training_batch.network->step(batch, training.loss, dropout_keys(index), gradient_view, queue);
      const Phase update(queue, "update");
      backend.update(training.optimiser, batch.group, weights.steps(), weights.parameters(), gradient_view,
                     weights.moments(), queue);
    });
  }

  void evaluate_batch(ClipLists& lists, std::size_t index) {
    const Phase phase(queue, "evaluation");
    with_batch(lists, index, evaluation, true,
               [&](const Batch& batch) { evaluation.network->evaluate(batch, training.loss, queue); });
  }

  void evaluate_batches(ClipLists& lists) {
    for (std::size_t i = 0; i < lists.batches(); ++i) {
      throw_if_stop_requested();
      evaluate_batch(lists, i);
    }
  }

  /// For each batch of these clips, evaluated by one run alone: visit(probabilities [rows, classes], labels [rows]).
  template <class Visit>
  Score ask(std::size_t slot, std::span<const std::uint32_t> clips, Visit visit) {
    const Run& asked = run_in(slot);
    ClipLists lists = evaluation_lists([&](const Run& run) {
      return &run == &asked ? RunClips{clips, evaluation_rows(run.split)} : RunClips{};
    });
    const std::size_t batch = size.evaluation_rows, width = network.classes;
    std::vector<float> all(batch * width), own;
    std::vector<std::int32_t> labels_of_batch(batch);
    for (std::size_t i = 0; i < lists.batches(); ++i) {
      evaluate_batch(lists, i);
      queue.copy_out(all.data(), evaluation.probabilities.data() + slot * all.size(), all.size() * sizeof(float));
      queue.copy_out(labels_of_batch.data(), evaluation.y_view()[slot].data, batch * sizeof(std::int32_t));
      queue.synchronize();
      const std::size_t rows = evaluation.group.rows[slot];
      own.resize(rows * asked.classes);
      for (std::size_t row = 0; row < rows; ++row)
        std::copy_n(&all[row * width], asked.classes, &own[row * asked.classes]);
      visit(std::as_const(own), std::span(labels_of_batch).first(rows));
    }
    lists.fetch(queue);
    queue.synchronize();
    return lists.score(slot);
  }
};

TrainingGroup::TrainingGroup(Backend& backend, Queue& queue, const DeviceDataset& clips,
                             const ClassifierConfig& network, const TrainingConfig& training, const GroupSize& size)
    : implementation_(std::make_unique<Implementation>(backend, queue, clips, network, training, size)) {}

TrainingGroup::~TrainingGroup() = default;

std::size_t TrainingGroup::slots() const { return implementation_->runs.size(); }

std::size_t TrainingGroup::enter(const DeviceDataset& dataset, const Split& split, std::size_t classes,
                                 const RandomKey& key) {
  Implementation& group = *implementation_;
  const GroupSize& size = group.size;
  if (split.train.empty()) reject("the training set is empty. Give it at least one clip");
  if (dataset.features().data != group.features.data) fail("a run has other clips than the group that it is to enter");
  if (training_rows(split, group.training) != size.training_rows || evaluation_rows(split) > size.evaluation_rows ||
      classes > size.classes)
    fail("a run with batches of {} rows, evaluations of {} and {} classes does not go into a group with {}, {} and {}",
         training_rows(split, group.training), evaluation_rows(split), classes, size.training_rows,
         size.evaluation_rows, size.classes);
  const std::size_t slot = static_cast<std::size_t>(
      std::ranges::find(group.runs, false, &std::optional<Run>::has_value) - group.runs.begin());
  if (slot == group.runs.size()) fail("all {} slots of a group are taken", slot);

  const View<const std::int32_t, 1> labels = dataset.labels();
  group.queue.copy(group.labels.data() + slot * labels.size(), labels.data, labels.size() * sizeof(std::int32_t));
  const ClassifierConfig classifier = Implementation::with_classes(group.network, classes);
  RunWeights weights{0, initial_parameters(classifier, key), std::vector<float>(2 * classifier.parameter_count())};
  standardise_inputs(classifier, dataset, split.train, weights.parameters, group.queue);
  group.set_weights(slot, classes, weights);
  group.runs[slot] = Run{split, classes, key};
  group.compose();
  group.queue.synchronize();
  return slot;
}

void TrainingGroup::leave(std::size_t slot) noexcept {
  implementation_->runs[slot].reset();
  implementation_->composed = false;
}

void TrainingGroup::train_epoch() {
  Implementation& group = *implementation_;
  const Phase phase(group.queue, group.name_of_epoch());
  if (!group.composed) group.compose();
  group.shuffle();
  for (std::size_t i = 0; i < group.train.batches(); ++i) {
    throw_if_stop_requested();
    group.train_batch(i);
  }
  group.evaluate_batches(group.validation);
  group.evaluate_batches(group.test);
  for (ClipLists* lists : {&group.train, &group.validation, &group.test}) lists->fetch(group.queue);
  group.queue.synchronize();
  group.weights_of_epoch.copy_from(group.weights, group.queue);
  for (std::size_t r = 0; r < group.runs.size(); ++r)
    if (group.runs[r])
      group.runs[r]->history.push_back({group.train.score(r), group.validation.score(r), group.test.score(r)});
}

const std::vector<EpochScores>& TrainingGroup::history(std::size_t slot) const {
  return implementation_->run_in(slot).history;
}

Evaluation TrainingGroup::evaluate(std::size_t slot, std::span<const std::uint32_t> clips) {
  const std::size_t classes = implementation_->run_in(slot).classes;
  Evaluation result;
  result.confusion.assign(classes * classes, 0);
  result.score =
      implementation_->ask(slot, clips, [&](const std::vector<float>& probabilities, std::span<std::int32_t> labels) {
        for (std::size_t row = 0; row < labels.size(); ++row) {
          const auto first = probabilities.begin() + static_cast<std::ptrdiff_t>(row * classes);
          const auto predicted = std::max_element(first, first + static_cast<std::ptrdiff_t>(classes)) - first;
          ++result.confusion[static_cast<std::size_t>(labels[row]) * classes + static_cast<std::size_t>(predicted)];
        }
      });
  return result;
}

std::vector<float> TrainingGroup::probabilities(std::size_t slot, std::span<const std::uint32_t> clips) {
  std::vector<float> all;
  implementation_->ask(slot, clips, [&](const std::vector<float>& probabilities, std::span<std::int32_t>) {
    all.insert(all.end(), probabilities.begin(), probabilities.end());
  });
  return all;
}

TrainerState TrainingGroup::state(std::size_t slot) const {
  const Implementation& group = *implementation_;
  const Run& run = implementation_->run_in(slot);
  RunWeights weights = group.weights_of_epoch.get(slot, run.classes, group.queue);
  return {weights.step, run.history, std::move(weights.parameters), std::move(weights.moments)};
}

void TrainingGroup::restore(std::size_t slot, const TrainerState& state) {
  Implementation& group = *implementation_;
  Run& run = group.run_in(slot);
  const std::size_t count = Implementation::with_classes(group.network, run.classes).parameter_count();
  if (state.parameters.size() != count || state.moments.size() != 2 * count)
    reject(
        "the saved state has {} parameters and {} moments, but this network needs {} and {}: it belongs to another "
        "model",
        state.parameters.size(), state.moments.size(), count, 2 * count);
  group.set_weights(slot, run.classes, {state.step, state.parameters, state.moments});
  run.history = state.history;
}

std::size_t TrainingGroup::bytes() const {
  const Implementation& group = *implementation_;
  return group.labels.bytes() + group.train.bytes() + group.validation.bytes() + group.test.bytes() +
         group.training_batch.bytes() + group.evaluation.bytes() + group.weights.bytes() + group.gradients.bytes() +
         group.weights_of_epoch.bytes();
}

}  // namespace genretree
