// Training of one run: epochs over a data set that stays on the device, evaluation after each, and everything needed to
// go on later.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "features/split.hpp"
#include "features/store.hpp"
#include "models/classifier.hpp"

namespace genretree {

/// A data set in a device's memory, shared read-only by all runs on it.
class DeviceDataset {
 public:
  DeviceDataset(const FeatureStore& store, Backend& backend);
  /// The same clips in the same memory with other labels, [N]: for a classifier that asks something else of them.
  DeviceDataset(const DeviceDataset& clips, std::span<const std::int32_t> labels, Backend& backend);
  View<const float, 3> features() const;       ///< [N, T, F]
  View<const std::int32_t, 1> labels() const;  ///< [N]
  /// Frames of a clip that come from its audio, at least 1: the rest is padding. All if the store has no lengths.
  std::size_t real_frames(std::size_t clip) const { return real_frames_[clip]; }

 private:
  std::shared_ptr<const Buffer<float>> features_;
  Buffer<std::int32_t> labels_;
  std::vector<std::size_t> real_frames_;  ///< [N]
  std::size_t clips_, frames_, coefficients_;
};

/// Clips that are evaluated together: few enough that an evaluation needs little memory beside a training, many enough
/// that weights are read rarely, and a whole number of batches for the paper's 120 and 60 clips.
inline constexpr std::size_t evaluation_batch = 60;

/// Rows of a run's batches of each kind: a batch never has more clips than there are, nor has its memory.
std::size_t training_rows(const Split& split, const TrainingConfig& training);
std::size_t evaluation_rows(const Split& split);

/// Sample-weighted means over a set.
struct Score {
  double loss = 0, accuracy = 0;
};

/// Result of an evaluation. confusion[true class][predicted class], row-major.
struct Evaluation {
  Score score;
  std::vector<std::uint32_t> confusion;
};

/// After one epoch. Training is the running mean before each update, as Keras reports it.
struct EpochScores {
  Score train, validation, test;
};

/// What a checkpoint holds: with it, training goes on bit for bit as if it had never stopped.
struct TrainerState {
  std::int64_t step = 0;             ///< updates done
  std::vector<EpochScores> history;  ///< one per finished epoch
  std::vector<float> parameters;     ///< [P]
  std::vector<float> moments;        ///< [2, P]
};

/// Trains one run. Uses its queue only from the thread that calls.
class Trainer {
 public:
  /// `key` names the run's random numbers (seed, point, trial, node). An empty validation set is left out of the scores
  /// (NaN).
  Trainer(Backend& backend, Queue& queue, const DeviceDataset& dataset, const Split& split,
          const ClassifierConfig& classifier, const TrainingConfig& training, const RandomKey& key);
  ~Trainer();

  std::size_t epochs_done() const;
  /// One pass over the shuffled training set in batches (the last may be partial), then validation and test. Looks for
  /// a stop request between batches and throws Interrupted: the weights are then somewhere within the epoch, and only a
  /// restore makes them those of an epoch again, but state() and history() are what they were before.
  const EpochScores& train_epoch();
  /// Scores and confusion matrix on a set of clips with the present weights.
  Evaluation evaluate(std::span<const std::uint32_t> clips);
  /// The present weights' probabilities of each class, [clips, classes]. The clips' labels do not matter, but must be
  /// classes.
  std::vector<float> probabilities(std::span<const std::uint32_t> clips);
  const std::vector<EpochScores>& history() const;

  /// After the last whole epoch, or the beginning if there is none. Copies it to the host: ask only when it is wanted.
  TrainerState state() const;
  /// Goes on from there. InputError if it belongs to another network.
  void restore(const TrainerState& state);
  /// Device memory that this run holds, with its copy of what state() gives.
  std::size_t bytes() const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace genretree
