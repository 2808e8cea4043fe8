#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <map>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "features/statistics.hpp"
#include "models/network.hpp"
#include "models/trainer.hpp"

namespace genretree {
namespace {

/// Clips on the device in the order in which they are taken, and what is measured on each batch of them.
struct ClipList {
  std::size_t size = 0, batch = 0;
  Buffer<std::int32_t> clips;    ///< [batches, batch], the end of the last batch undefined
  Buffer<double> loss;           ///< [batches] sums over the rows
  Buffer<std::int32_t> correct;  ///< [batches]
  std::vector<std::int32_t> host_clips, host_correct;
  std::vector<double> host_loss;

  ClipList(std::span<const std::uint32_t> indices, std::size_t rows_of_batch, Device& device)
      : size(indices.size()),
        batch(rows_of_batch),
        clips(device, batches() * batch),
        loss(device, batches()),
        correct(device, batches()),
        host_clips(batches() * batch, 0),
        host_correct(batches()),
        host_loss(batches()) {
    std::ranges::copy(indices, host_clips.begin());
  }

  std::size_t batches() const { return (size + batch - 1) / batch; }
  std::uint32_t rows(std::size_t index) const {
    return static_cast<std::uint32_t>(std::min(batch, size - index * batch));
  }
  std::size_t bytes() const { return clips.bytes() + loss.bytes() + correct.bytes(); }

  /// Brings what was measured to the host, once the queue is synchronized.
  void fetch(Queue& queue) {
    loss.copy_out(host_loss, queue);
    correct.copy_out(host_correct, queue);
  }

  /// Sample-weighted means over all batches, of what was fetched.
  Score score() const {
    if (size == 0) return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
    double sum = 0;
    std::int64_t right = 0;
    for (std::size_t i = 0; i < batches(); ++i) sum += host_loss[i], right += host_correct[i];
    const double count = static_cast<double>(size);
    return {sum / count, static_cast<double>(right) / count};
  }
};

/// Memory for one batch and all that is computed from it. A batch always lies in the same place, so that a queue can
/// record what is done with it.
struct BatchMemory {
  Group group;
  Buffer<float> x, probabilities;          ///< [1, T, B, F], [1, B, C]
  Buffer<std::int32_t> clips, y, correct;  ///< [1, B], [1, B], [1]
  Buffer<double> loss;                     ///< [1]
  std::unique_ptr<Network> network;
  std::map<std::uint32_t, std::unique_ptr<Recording>> recordings;  ///< by rows

  BatchMemory(Backend& backend, const ClassifierConfig& classifier, std::size_t frames, std::size_t batch, Mode mode)
      : group{1,
              batch,
              frames,
              classifier.classes,
              {static_cast<std::uint32_t>(batch)},
              {static_cast<std::uint32_t>(classifier.classes)}},
        x(backend.device(), frames * batch * classifier.inputs()),
        probabilities(backend.device(), batch * classifier.classes),
        clips(backend.device(), batch),
        y(backend.device(), batch),
        correct(backend.device(), 1),
        loss(backend.device(), 1),
        network(make_network(classifier, group, mode, backend)) {}

  std::size_t bytes() const { return x.bytes() + probabilities.bytes() + clips.bytes() + y.bytes() + network->bytes(); }
};

/// What an update changes, on the device.
struct Weights {
  Buffer<float> parameters, moments;  ///< [1, P], [1, 2, P]
  Buffer<std::int64_t> steps;         ///< [1] updates done

  Weights(std::size_t count, Device& device)
      : parameters(device, count), moments(device, 2 * count), steps(device, 1) {}

  void copy_from(const Weights& other, Queue& queue) {
    queue.copy(parameters.data(), other.parameters.data(), parameters.bytes());
    queue.copy(moments.data(), other.moments.data(), moments.bytes());
    queue.copy(steps.data(), other.steps.data(), steps.bytes());
  }
  std::size_t bytes() const { return parameters.bytes() + moments.bytes() + steps.bytes(); }
};

/// Sets the mean and the scale of a CNN's inputs, if it has them, to those of each band over these clips: it then hears
/// numbers with mean 0 and standard deviation 1. Padding does not count. A band that never changes has the scale 1.
void standardise_inputs(const ClassifierConfig& classifier, const DeviceDataset& dataset,
                        std::span<const std::uint32_t> clips, std::vector<float>& parameters, Queue& queue) {
  if (!classifier.cnn || !classifier.cnn->standardise) return;
  const auto [count, frames, bands] = dataset.features().shape;
  std::vector<double> mean(bands, 0.0), squares(bands, 0.0), largest(bands, 0.0);
  std::vector<float> clip(frames * bands);
  const auto for_each_number = [&](auto visit) {
    for (const std::uint32_t index : clips) {
      queue.copy_out(clip.data(), dataset.features()[index].data, clip.size() * sizeof(float));
      queue.synchronize();
      for (std::size_t e = 0; e < dataset.real_frames(index) * bands; ++e)
        visit(e % bands, static_cast<double>(clip[e]));
    }
  };
  double numbers = 0;
  for (const std::uint32_t index : clips) numbers += static_cast<double>(dataset.real_frames(index));
  for_each_number([&](std::size_t band, double value) {
    mean[band] += value / numbers;
    largest[band] = std::max(largest[band], std::abs(value));
  });
  for_each_number(
      [&](std::size_t band, double value) { squares[band] += (value - mean[band]) * (value - mean[band]); });
  const CnnLayout layout(*classifier.cnn, classifier.classes);
  for (std::size_t band = 0; band < bands; ++band) {
    const double variance = squares[band] / numbers;
    parameters[layout.mean.offset + band] = static_cast<float>(mean[band]);
    parameters[layout.scale.offset + band] =
        is_variance(variance, largest[band]) ? static_cast<float>(1 / std::sqrt(variance)) : 1.0f;
  }
}

}  // namespace

DeviceDataset::DeviceDataset(const FeatureStore& store, Backend& backend)
    : labels_(backend.device(), store.labels.size()),
      clips_(store.clips()),
      frames_(store.config.frames),
      coefficients_(store.config.width()) {
  for (std::size_t clip = 0; clip < clips_; ++clip)
    real_frames_.push_back(store.lengths.empty() ? frames_ : genretree::real_frames(store, clip));
  const std::unique_ptr<Queue> queue = backend.device().make_queue();
  const auto features = std::make_shared<Buffer<float>>(backend.device(), store.features.size());
  features->copy_in(store.features, *queue);
  labels_.copy_in(store.labels, *queue);
  queue->synchronize();
  features_ = features;
}

DeviceDataset::DeviceDataset(const DeviceDataset& clips, std::span<const std::int32_t> labels, Backend& backend)
    : features_(clips.features_),
      labels_(backend.device(), labels.size()),
      real_frames_(clips.real_frames_),
      clips_(clips.clips_),
      frames_(clips.frames_),
      coefficients_(clips.coefficients_) {
  if (labels.size() != clips_) fail("there are {} labels for {} clips", labels.size(), clips_);
  const std::unique_ptr<Queue> queue = backend.device().make_queue();
  labels_.copy_in(labels, *queue);
  queue->synchronize();
}

View<const float, 3> DeviceDataset::features() const { return features_->view(clips_, frames_, coefficients_); }
View<const std::int32_t, 1> DeviceDataset::labels() const { return labels_.view(clips_); }

std::size_t training_rows(const Split& split, const TrainingConfig& training) {
  return std::clamp<std::size_t>(split.train.size(), 1, training.batch);
}

std::size_t evaluation_rows(const Split& split) {
  return std::clamp<std::size_t>(std::max(split.validation.size(), split.test.size()), 1, evaluation_batch);
}

struct Trainer::Implementation {
  Backend& backend;
  Queue& queue;
  const DeviceDataset& dataset;
  ClassifierConfig classifier;
  TrainingConfig training;
  RandomKey key;

  std::vector<std::int32_t> train_clips;  ///< in the order of the split, from which each epoch is shuffled anew
  ClipList train, validation, test;
  BatchMemory training_batch, evaluation;
  Weights weights;
  Buffer<float> gradients;  ///< [1, P]
  std::vector<EpochScores> history;
  /// As they were after the last epoch of `history`. So a stop within the next one loses no whole epoch, and nothing is
  /// copied to the host before somebody asks.
  Weights weights_of_epoch;

  Implementation(Backend& backend_, Queue& queue_, const DeviceDataset& dataset_, const Split& split,
                 const ClassifierConfig& classifier_, const TrainingConfig& training_, const RandomKey& key_)
      : backend(backend_),
        queue(queue_),
        dataset(dataset_),
        classifier(classifier_),
        training(training_),
        key(key_),
        train_clips(split.train.begin(), split.train.end()),
        train(split.train, training_rows(split, training), backend.device()),
        validation(split.validation, evaluation_rows(split), backend.device()),
        test(split.test, evaluation_rows(split), backend.device()),
        training_batch(backend, classifier, frames(), train.batch, Mode::training),
        evaluation(backend, classifier, frames(), evaluation_rows(split), Mode::inference),
        weights(classifier.parameter_count(), backend.device()),
        gradients(backend.device(), classifier.parameter_count()),
        weights_of_epoch(classifier.parameter_count(), backend.device()) {
    if (train.size == 0) reject("the training set is empty. Give it at least one clip");
    validation.clips.copy_in(validation.host_clips, queue);
    test.clips.copy_in(test.host_clips, queue);
    weights.moments.zero(queue);
    weights.steps.zero(queue);
    std::vector<float> initial = initial_parameters(classifier, key);
    standardise_inputs(classifier, dataset, split.train, initial, queue);
    weights.parameters.copy_in(initial, queue);
    weights_of_epoch.copy_from(weights, queue);
    queue.synchronize();
  }

  std::size_t frames() const { return dataset.features().shape[1]; }

  RandomKey key_for(RandomUse use, std::size_t batch) const {
    RandomKey result = key;
    result.epoch = static_cast<std::uint32_t>(history.size());
    result.batch = static_cast<std::uint32_t>(batch);
    result.use = use;
    return result;
  }

  View<float, 2> parameter_view() { return weights.parameters.view(1, weights.parameters.size()); }

  View<float, 4> x_view(BatchMemory& memory) const {
    return memory.x.view(1, memory.group.frames, memory.group.batch, classifier.inputs());
  }

  void gather(BatchMemory& memory) {
    const Phase phase(queue, "gather");
    const std::size_t rows = memory.group.batch;
    const View<const std::int32_t, 1> labels = dataset.labels();
    backend.gather(memory.group, dataset.features(), view_of(labels.data, 1, labels.shape[0]),
                   memory.clips.view(1, rows), x_view(memory), memory.y.view(1, rows), queue);
  }

  void update(const Group& group, View<const float, 2> gradient_view) {
    const Phase phase(queue, "update");
    backend.update(training.optimiser, group, weights.steps.view(1), parameter_view(), gradient_view,
                   weights.moments.view(1, 2, gradients.size()), queue);
  }

  /// Does `work` with batch `index` of `list` in `memory`; its loss and hits go into the list. `repeats`: if the work
  /// is the same for all batches with as many rows.
  void with_batch(ClipList& list, std::size_t index, BatchMemory& memory, bool repeats,
                  const std::function<void(const Batch&)>& work) {
    const Group& group = memory.group;
    memory.group.rows[0] = list.rows(index);
    queue.copy(memory.clips.data(), list.clips.data() + index * list.batch, memory.clips.bytes());
    const Batch batch{group,
                      parameter_view(),
                      x_view(memory),
                      memory.y.view(1, group.batch),
                      memory.probabilities.view(1, group.batch, classifier.classes),
                      memory.loss.view(1),
                      memory.correct.view(1)};
    const auto gather_and_work = [&] {
      gather(memory);
      work(batch);
    };
    if (repeats)
      queue.repeat(memory.recordings[group.rows[0]], gather_and_work);
    else
      gather_and_work();
    queue.copy(list.loss.data() + index, memory.loss.data(), sizeof(double));
    queue.copy(list.correct.data() + index, memory.correct.data(), sizeof(std::int32_t));
  }

  void shuffle() {
    std::ranges::copy(train_clips, train.host_clips.begin());
    if (training.shuffle) Random(key_for(RandomUse::shuffle, 0)).shuffle(std::span(train.host_clips).first(train.size));
    train.clips.copy_in(train.host_clips, queue);
  }

  void train_batch(std::size_t index) {
    const Phase phase(queue, "training step");
    const bool repeats = !classifier.has_dropout();  // which is drawn anew for each batch
    with_batch(train, index, training_batch, repeats, [&](const Batch& batch) {
      const View<float, 2> gradient_view = gradients.view(1, gradients.size());
      training_batch.network->step(batch, training.loss, key_for(RandomUse::dropout, index), gradient_view, queue);
      update(batch.group, gradient_view);
    });
  }

  void evaluate_batch(ClipList& list, std::size_t index) {
    const Phase phase(queue, "evaluation");
    with_batch(list, index, evaluation, true,
               [&](const Batch& batch) { evaluation.network->evaluate(batch, training.loss, queue); });
  }

  void evaluate_batches(ClipList& list) {
    for (std::size_t i = 0; i < list.batches(); ++i) {
      throw_if_stop_requested();
      evaluate_batch(list, i);
    }
  }

  /// Of the batch in `evaluation`: [rows, classes], and what else lies there beyond its rows.
  std::vector<float> batch_probabilities() {
    std::vector<float> probabilities(evaluation.probabilities.size());
    evaluation.probabilities.copy_out(probabilities, queue);
    queue.synchronize();
    return probabilities;
  }

  /// Adds the rows of the batch in `evaluation` to the confusion matrix.
  void count_predictions(std::vector<std::uint32_t>& confusion) {
    const std::size_t classes = classifier.classes;
    std::vector<std::int32_t> labels(evaluation.y.size());
    evaluation.y.copy_out(labels, queue);
    const std::vector<float> probabilities = batch_probabilities();  // waits for both
    for (std::size_t row = 0; row < evaluation.group.rows[0]; ++row) {
      const auto first = probabilities.begin() + static_cast<std::ptrdiff_t>(row * classes);
      const auto predicted = std::max_element(first, first + static_cast<std::ptrdiff_t>(classes)) - first;
      ++confusion[static_cast<std::size_t>(labels[row]) * classes + static_cast<std::size_t>(predicted)];
    }
  }
};

Trainer::Trainer(Backend& backend, Queue& queue, const DeviceDataset& dataset, const Split& split,
                 const ClassifierConfig& classifier, const TrainingConfig& training, const RandomKey& key)
    : implementation_(std::make_unique<Implementation>(backend, queue, dataset, split, classifier, training, key)) {}

Trainer::~Trainer() = default;

std::size_t Trainer::epochs_done() const { return implementation_->history.size(); }
const std::vector<EpochScores>& Trainer::history() const { return implementation_->history; }

const EpochScores& Trainer::train_epoch() {
  Implementation& run = *implementation_;
  const Phase phase(run.queue, fmt::format("epoch {}", epochs_done() + 1));
  run.shuffle();
  for (std::size_t i = 0; i < run.train.batches(); ++i) {
    throw_if_stop_requested();
    run.train_batch(i);
  }
  run.evaluate_batches(run.validation);
  run.evaluate_batches(run.test);
  for (ClipList* list : {&run.train, &run.validation, &run.test}) list->fetch(run.queue);
  run.queue.synchronize();
  run.weights_of_epoch.copy_from(run.weights, run.queue);
  return run.history.emplace_back(EpochScores{run.train.score(), run.validation.score(), run.test.score()});
}

Evaluation Trainer::evaluate(std::span<const std::uint32_t> clips) {
  Implementation& run = *implementation_;
  ClipList list(clips, run.evaluation.group.batch, run.backend.device());
  list.clips.copy_in(list.host_clips, run.queue);
  Evaluation result;
  result.confusion.assign(run.classifier.classes * run.classifier.classes, 0);
  for (std::size_t i = 0; i < list.batches(); ++i) {
    run.evaluate_batch(list, i);
    run.count_predictions(result.confusion);
  }
  list.fetch(run.queue);
  run.queue.synchronize();
  result.score = list.score();
  return result;
}

std::vector<float> Trainer::probabilities(std::span<const std::uint32_t> clips) {
  Implementation& run = *implementation_;
  ClipList list(clips, run.evaluation.group.batch, run.backend.device());
  list.clips.copy_in(list.host_clips, run.queue);
  std::vector<float> all;
  for (std::size_t i = 0; i < list.batches(); ++i) {
    run.evaluate_batch(list, i);
    const std::vector<float> batch = run.batch_probabilities();
    all.insert(all.end(), batch.begin(), batch.begin() + list.rows(i) * run.classifier.classes);
  }
  return all;
}

TrainerState Trainer::state() const {
  const Implementation& run = *implementation_;
  const Weights& weights = run.weights_of_epoch;
  TrainerState state{0, run.history, std::vector<float>(weights.parameters.size()),
                     std::vector<float>(weights.moments.size())};
  weights.steps.copy_out({&state.step, 1}, run.queue);
  weights.parameters.copy_out(state.parameters, run.queue);
  weights.moments.copy_out(state.moments, run.queue);
  run.queue.synchronize();
  return state;
}

void Trainer::restore(const TrainerState& state) {
  Implementation& run = *implementation_;
  Weights& weights = run.weights;
  if (state.parameters.size() != weights.parameters.size() || state.moments.size() != weights.moments.size())
    reject(
        "the saved state has {} parameters and {} moments, but this network needs {} and {}: it belongs to another "
        "model",
        state.parameters.size(), state.moments.size(), weights.parameters.size(), weights.moments.size());
  weights.steps.copy_in({&state.step, 1}, run.queue);
  weights.parameters.copy_in(state.parameters, run.queue);
  weights.moments.copy_in(state.moments, run.queue);
  run.weights_of_epoch.copy_from(weights, run.queue);
  run.history = state.history;
  run.queue.synchronize();
}

std::size_t Trainer::bytes() const {
  const Implementation& run = *implementation_;
  return run.train.bytes() + run.validation.bytes() + run.test.bytes() + run.training_batch.bytes() +
         run.evaluation.bytes() + run.weights.bytes() + run.gradients.bytes() + run.weights_of_epoch.bytes();
}

}  // namespace genretree
