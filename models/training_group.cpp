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
  Buffer<float> x, probabilities, targets;  ///< [R, T, B, F], [R, B, C], [R, B, C] if they are not the labels'
  Buffer<BatchRow> rows;                    ///< [R, B]
  Buffer<std::int32_t> y, correct;          ///< [R, B], [R]
  Buffer<double> loss;                      ///< [R]
  std::unique_ptr<Network> network;
  std::map<std::vector<std::uint32_t>, std::unique_ptr<Recording>> recordings;  ///< by rows of each run

  BatchMemory(Backend& backend, const ClassifierConfig& classifier, std::size_t runs, std::size_t frames,
              std::size_t batch, Mode mode, bool has_targets)
      : group{runs,
              batch,
              frames,
              classifier.classes,
              std::vector(runs, static_cast<std::uint32_t>(batch)),
              std::vector(runs, static_cast<std::uint32_t>(classifier.classes))},
        inputs(classifier.inputs()),
        x(backend.device(), runs * frames * batch * inputs),
        probabilities(backend.device(), runs * batch * classifier.classes),
        targets(backend.device(), has_targets ? probabilities.size() : 0),
        rows(backend.device(), runs * batch),
        y(backend.device(), runs * batch),
        correct(backend.device(), runs),
        loss(backend.device(), runs),
        network(make_network(classifier, group, mode, backend)) {}

  View<float, 4> x_view() { return x.view(group.runs, group.frames, group.batch, inputs); }
  View<std::int32_t, 2> y_view() { return y.view(group.runs, group.batch); }
  View<const BatchRow, 2> rows_view() { return rows.view(group.runs, group.batch); }
  View<float, 3> targets_view() {
    return targets.size() ? targets.view(group.runs, group.batch, group.classes) : View<float, 3>{};
  }
  Batch batch(View<const float, 2> parameters) {
    return {group,
            parameters,
            x_view(),
            y_view(),
            targets_view(),
            probabilities.view(group.runs, group.batch, group.classes),
            loss.view(group.runs),
            correct.view(group.runs)};
  }
  std::size_t bytes() const {
    return x.bytes() + probabilities.bytes() + targets.bytes() + rows.bytes() + y.bytes() + network->bytes();
  }
};

/// A run that is in a slot.
struct Run {
  std::shared_ptr<const ClipFacts> facts;
  Split split;
  std::size_t classes;
  RandomKey key;
  std::size_t epochs;
  std::vector<EpochScores> history = {};
  std::size_t best_epoch = 0;  ///< from 1, of Select::best_validation; 0: none yet

  RandomKey key_for(RandomUse use, std::size_t batch) const {
    RandomKey result = key;
    result.epoch = static_cast<std::uint32_t>(history.size());
    result.batch = static_cast<std::uint32_t>(batch);
    result.use = use;
    return result;
  }

  std::vector<ClipFrames> clip_frames(std::span<const std::uint32_t> clips) const {
    std::vector<ClipFrames> frames;
    for (const std::uint32_t clip : clips) frames.push_back({clip, facts->real_frames[clip]});
    return frames;
  }
  std::vector<std::int32_t> labels_of(std::span<const std::uint32_t> clips) const {
    std::vector<std::int32_t> labels;
    for (const std::uint32_t clip : clips) labels.push_back(facts->labels[clip]);
    return labels;
  }
};

/// True if the validation score is the best so far.
bool is_better(const Score& score, const Score& best) {
  return score.accuracy > best.accuracy || (score.accuracy == best.accuracy && score.loss < best.loss);
}

}  // namespace

std::size_t training_rows(const Split& split, const TrainingConfig& training) {
  return std::clamp<std::size_t>(split.train.size(), 1, training.batch);
}

std::size_t evaluation_rows(const Split& split, std::size_t windows) {
  return std::clamp<std::size_t>(windows * std::max(split.validation.size(), split.test.size()), 1, evaluation_batch);
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
  std::size_t windows;  ///< that a clip is judged by

  std::vector<std::optional<Run>> runs;  ///< [R]
  bool composed = false;                 ///< all below goes by the runs that are there
  Buffer<std::int32_t> labels;           ///< [R, N] those that each run learns
  ClipLists train, validation, test;
  BatchMemory training_batch, evaluation;
  GroupWeights weights;
  Buffer<float> gradients;     ///< [R, P]
  Buffer<float> rates, norms;  ///< [R] of the learning rate in this epoch; of the gradients, if they are clipped
  Buffer<float> best;          ///< [R, P] parameters after the best epoch, of Select::best_validation
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
        windows(window_count(features.shape[1], network.window)),
        runs(size.slots),
        labels(backend.device(), size.slots * features.shape[0]),
        training_batch(backend, network, size.slots, row_frames(), size.training_rows, Mode::training, soft_targets()),
        evaluation(backend, network, size.slots, row_frames(), size.evaluation_rows, Mode::inference, false),
        weights(size.slots, network, backend.device()),
        gradients(backend.device(), size.slots * network.parameter_count()),
        rates(backend.device(), size.slots),
        norms(backend.device(), training.optimiser.clip_norm > 0 ? size.slots : 0),
        best(backend.device(), selects_best() ? gradients.size() : 0),
        weights_of_epoch(size.slots, network, backend.device()) {
    if (size.slots == 0) fail("a group needs a slot for a run");
    training.optimiser.constants = network.constants();
    weights.zero(queue);
    gradients.zero(queue);  // those of constants, which nothing writes
    weights_of_epoch.zero(queue);
  }

  static ClassifierConfig with_classes(ClassifierConfig classifier, std::size_t classes) {
    classifier.classes = classes;
    return classifier;
  }

  std::size_t row_frames() const { return network.row_frames(features.shape[1]); }
  bool soft_targets() const { return training.label_smoothing > 0 || training.augmentation.mixup > 0; }
  bool selects_best() const { return training.select == TrainingConfig::Select::best_validation; }

  /// The rows that `rows` names of each run that is there.
  ClipLists lists_of(std::size_t batch, bool keeps_probabilities, const std::function<RunRows(const Run&)>& rows) {
    std::vector<RunRows> lists;
    for (const std::optional<Run>& run : runs) lists.push_back(run ? rows(*run) : RunRows{});
    return ClipLists(lists, batch, keeps_probabilities ? network.classes : 0, backend.device());
  }
  /// The windows of the clips that `clips` names.
  ClipLists evaluation_lists(bool keeps_probabilities,
                             const std::function<std::span<const std::uint32_t>(const Run&)>& clips) {
    ClipLists lists = lists_of(size.evaluation_rows, keeps_probabilities, [&](const Run& run) {
      RunRows list{{}, evaluation_rows(run.split, windows)};
      for (const ClipFrames& clip : run.clip_frames(clips(run)))
        for (const BatchRow& row : evaluation_rows_of(clip, features.shape[1], network.window))
          list.rows.push_back(row);
      return list;
    });
    lists.copy_in(queue);
    return lists;
  }
  /// What was fetched of the clips of a run: of windows, the mean of their probabilities counts.
  Score score_of_clips(const ClipLists& lists, std::size_t slot, std::span<const std::uint32_t> clips) const {
    if (windows == 1) return lists.score(slot);
    const Run& run = *runs[slot];
    return score_of(training.loss, mean_over_windows(lists.probabilities_of(slot, run.classes), run.classes, windows),
                    run.labels_of(clips));
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
    train = lists_of(size.training_rows, false, [&](const Run& run) {
      return RunRows{std::vector<BatchRow>(run.split.train.size()), size.training_rows};
    });
    validation = evaluation_lists(windows > 1, [](const Run& run) { return std::span(run.split.validation); });
    test = evaluation_lists(windows > 1, [](const Run& run) { return std::span(run.split.test); });
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
                  View<const float, 2> parameters, const std::function<void(const Batch&)>& work) {
    memory.group.rows = lists.rows(index);
    queue.copy(memory.rows.data(), lists.batch_rows(index), memory.rows.bytes());
    const auto gather_and_work = [&] {
      gather(memory, parameters);
      work(memory.batch(parameters));
    };
    if (repeats)
      queue.repeat(memory.recordings[memory.group.rows], gather_and_work);
    else
      gather_and_work();
    queue.copy(lists.loss(index), memory.loss.data(), memory.loss.bytes());
    queue.copy(lists.correct(index), memory.correct.data(), memory.correct.bytes());
    if (float* kept = lists.probabilities(index))
      queue.copy(kept, memory.probabilities.data(), memory.probabilities.bytes());
  }

  void gather(BatchMemory& memory, View<const float, 2> parameters) {
    const Phase phase(queue, "gather");
    backend.gather(memory.group, features, std::as_const(labels).view(runs.size(), features.shape[0]),
                   memory.rows_view(), network.gathers_standardised() ? parameters : View<const float, 2>{},
                   training.label_smoothing, memory.x_view(), memory.y_view(), memory.targets_view(), queue);
  }

  /// What all batches of an epoch are made of, and its learning rates.
  void begin_epoch() {
    std::vector<float> factors(runs.size(), 1.0f);
    for (std::size_t r = 0; r < runs.size(); ++r) {
      if (!runs[r]) continue;
      std::vector<std::uint32_t> clips = runs[r]->split.train;  // each epoch is shuffled anew from the split's order
      if (training.shuffle) Random(runs[r]->key_for(RandomUse::shuffle, 0)).shuffle(std::span(clips));
      const std::vector<ClipFrames> all = runs[r]->clip_frames(clips);
      std::vector<BatchRow> rows;
      for (std::size_t i = 0; i < all.size(); ++i)
        rows.push_back(training_row(all[i], all, network.window, row_frames(), network.inputs(), training.augmentation,
                                    runs[r]->key_for(RandomUse::augmentation, i)));
      train.set_rows(r, rows);
      factors[r] = static_cast<float>(rate_factor(training, runs[r]->history.size(), runs[r]->epochs));
    }
    train.copy_in(queue);
    rates.copy_in(factors, queue);
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
    with_batch(train, index, training_batch, repeats, weights.parameters(), [&](const Batch& batch) {
      const View<float, 2> gradient_view = gradients.view(runs.size(), network.parameter_count());
      training_batch.network->step(batch, training.loss, dropout_keys(index), gradient_view, queue);
      const Phase update(queue, "update");
      backend.update(training.optimiser, batch.group, std::as_const(rates).view(runs.size()), weights.steps(),
                     weights.parameters(), gradient_view, weights.moments(),
                     norms.size() ? norms.view(runs.size()) : View<float, 1>{}, queue);
    });
  }

  void evaluate_batch(ClipLists& lists, std::size_t index, View<const float, 2> parameters) {
    const Phase phase(queue, "evaluation");
    const bool repeats = parameters.data == weights.parameters().data;
    with_batch(lists, index, evaluation, repeats, parameters,
               [&](const Batch& batch) { evaluation.network->evaluate(batch, training.loss, queue); });
  }

  void evaluate_batches(ClipLists& lists) {
    for (std::size_t i = 0; i < lists.batches(); ++i) {
      throw_if_stop_requested();
      evaluate_batch(lists, i, weights.parameters());
    }
  }

  /// Keeps the weights of the epoch that has just ended if they are the best so far.
  void select(std::size_t slot) {
    Run& run = *runs[slot];
    if (!selects_best()) return;
    const bool first = run.best_epoch == 0;
    if (!first && !is_better(run.history.back().validation, run.history[run.best_epoch - 1].validation)) return;
    run.best_epoch = run.history.size();
    const View<float, 2> parameters = weights.parameters();
    queue.copy(best_parameters()[slot].data, parameters[slot].data, parameters.shape[1] * sizeof(float));
  }
  View<float, 2> best_parameters() { return best.view(runs.size(), network.parameter_count()); }

  struct Answers {
    Score score;
    std::vector<float> probabilities;  ///< [clips, classes]
  };
  /// Of one run alone, with the weights of its selected epoch.
  Answers ask(std::size_t slot, std::span<const std::uint32_t> clips) {
    const Run& asked = run_in(slot);
    ClipLists lists = evaluation_lists(
        true, [&](const Run& run) { return &run == &asked ? clips : std::span<const std::uint32_t>{}; });
    for (std::size_t i = 0; i < lists.batches(); ++i)
      evaluate_batch(lists, i, asked.best_epoch > 0 ? best_parameters() : weights.parameters());
    lists.fetch(queue);
    queue.synchronize();
    return {score_of_clips(lists, slot, clips),
            mean_over_windows(lists.probabilities_of(slot, asked.classes), asked.classes, windows)};
  }
};

TrainingGroup::TrainingGroup(Backend& backend, Queue& queue, const DeviceDataset& clips,
                             const ClassifierConfig& network, const TrainingConfig& training, const GroupSize& size)
    : implementation_(std::make_unique<Implementation>(backend, queue, clips, network, training, size)) {}

TrainingGroup::~TrainingGroup() = default;

std::size_t TrainingGroup::slots() const { return implementation_->runs.size(); }

std::size_t TrainingGroup::enter(const DeviceDataset& dataset, const Split& split, std::size_t classes,
                                 const RandomKey& key, std::size_t epochs) {
  Implementation& group = *implementation_;
  const GroupSize& size = group.size;
  if (split.train.empty()) reject("the training set is empty. Give it at least one clip");
  if (group.selects_best() && split.validation.empty())
    reject(
        "the best epoch is selected by validation clips, but there are none. Give a split with some, or select: last");
  if (dataset.features().data != group.features.data) fail("a run has other clips than the group that it is to enter");
  if (training_rows(split, group.training) != size.training_rows ||
      evaluation_rows(split, group.windows) > size.evaluation_rows || classes > size.classes)
    fail("a run with batches of {} rows, evaluations of {} and {} classes does not go into a group with {}, {} and {}",
         training_rows(split, group.training), evaluation_rows(split, group.windows), classes, size.training_rows,
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
  group.runs[slot] = Run{dataset.facts(), split, classes, key, epochs};
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
  group.begin_epoch();
  for (std::size_t i = 0; i < group.train.batches(); ++i) {
    throw_if_stop_requested();
    group.train_batch(i);
  }
  group.evaluate_batches(group.validation);
  group.evaluate_batches(group.test);
  for (ClipLists* lists : {&group.train, &group.validation, &group.test}) lists->fetch(group.queue);
  group.queue.synchronize();
  group.weights_of_epoch.copy_from(group.weights, group.queue);
  for (std::size_t r = 0; r < group.runs.size(); ++r) {
    if (!group.runs[r]) continue;
    Run& run = *group.runs[r];
    run.history.push_back({group.train.score(r), group.score_of_clips(group.validation, r, run.split.validation),
                           group.score_of_clips(group.test, r, run.split.test)});
    group.select(r);
  }
}

const std::vector<EpochScores>& TrainingGroup::history(std::size_t slot) const {
  return implementation_->run_in(slot).history;
}

std::size_t TrainingGroup::selected_epoch(std::size_t slot) const {
  const Run& run = implementation_->run_in(slot);
  return run.best_epoch > 0 ? run.best_epoch : run.history.size();
}

bool TrainingGroup::is_done(std::size_t slot) const {
  const Run& run = implementation_->run_in(slot);
  const std::size_t patience = implementation_->training.patience;
  return run.history.size() >= run.epochs ||
         (patience > 0 && run.best_epoch > 0 && run.history.size() >= run.best_epoch + patience);
}

Evaluation TrainingGroup::evaluate(std::size_t slot, std::span<const std::uint32_t> clips) {
  const Implementation::Answers answers = implementation_->ask(slot, clips);
  const Run& run = implementation_->run_in(slot);
  Evaluation result{answers.score, std::vector<std::uint32_t>(run.classes * run.classes)};
  const std::vector<std::int32_t> labels = run.labels_of(clips);
  for (std::size_t clip = 0; clip < clips.size(); ++clip) {
    const auto row = std::span(answers.probabilities).subspan(clip * run.classes, run.classes);
    const auto predicted = static_cast<std::size_t>(std::ranges::max_element(row) - row.begin());
    ++result.confusion[static_cast<std::size_t>(labels[clip]) * run.classes + predicted];
  }
  return result;
}

std::vector<float> TrainingGroup::probabilities(std::size_t slot, std::span<const std::uint32_t> clips) {
  return implementation_->ask(slot, clips).probabilities;
}

TrainerState TrainingGroup::state(std::size_t slot) const {
  const Implementation& group = *implementation_;
  const Run& run = implementation_->run_in(slot);
  RunWeights weights = group.weights_of_epoch.get(slot, run.classes, group.queue);
  TrainerState state{weights.step, run.history, std::move(weights.parameters), std::move(weights.moments), 0, {}};
  if (run.best_epoch == 0) return state;
  state.best_epoch = run.best_epoch;
  state.best = group.weights_of_epoch.parameters_of(implementation_->best_parameters()[slot], run.classes, group.queue);
  return state;
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
  if (state.best_epoch > state.history.size() || state.best.size() != (state.best_epoch > 0 ? count : 0))
    reject("the saved state's best epoch is {} of {}, with {} parameters: it is damaged", state.best_epoch,
           state.history.size(), state.best.size());
  group.set_weights(slot, run.classes, {state.step, state.parameters, state.moments});
  run.history = state.history;
  run.best_epoch = group.selects_best() ? state.best_epoch : 0;
  if (run.best_epoch > 0) {
    group.weights.put_parameters(group.best_parameters()[slot], run.classes, state.best, group.queue);
    group.queue.synchronize();
  }
}

std::size_t TrainingGroup::bytes() const {
  const Implementation& group = *implementation_;
  return group.labels.bytes() + group.train.bytes() + group.validation.bytes() + group.test.bytes() +
         group.training_batch.bytes() + group.evaluation.bytes() + group.weights.bytes() + group.gradients.bytes() +
         group.rates.bytes() + group.norms.bytes() + group.best.bytes() + group.weights_of_epoch.bytes();
}

}  // namespace genretree
