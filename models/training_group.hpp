// Training of several runs at once: epochs over a data set that stays on the device, evaluation after each, and
// everything needed to go on later.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "features/split.hpp"
#include "models/classifier.hpp"
#include "models/clip_lists.hpp"
#include "models/device_dataset.hpp"

namespace genretree {

/// Rows that are evaluated together: few enough that an evaluation needs little memory beside a training, many enough
/// that weights are read rarely, and a whole number of batches for the paper's 120 and 60 clips.
inline constexpr std::size_t evaluation_batch = 60;

/// Rows of a run's batches of each kind: a batch never has more rows than there are, nor has its memory. `windows`: that
/// a clip is judged by.
std::size_t training_rows(const Split& split, const TrainingConfig& training);
std::size_t evaluation_rows(const Split& split, std::size_t windows);

/// Result of an evaluation. confusion[true class][predicted class], row-major.
struct Evaluation {
  Score score;
  std::vector<std::uint32_t> confusion;
};

/// After one epoch. Training is the running mean before each update, as Keras reports it: with augmentation, of what it
/// was trained on.
struct EpochScores {
  Score train, validation, test;
};

/// What a checkpoint holds: with it, training goes on bit for bit as if it had never stopped.
struct TrainerState {
  std::int64_t step = 0;             ///< updates done
  std::vector<EpochScores> history;  ///< one per finished epoch
  std::vector<float> parameters;     ///< [P]
  std::vector<float> moments;        ///< [2, P]
  std::size_t best_epoch = 0;        ///< from 1, of Select::best_validation; 0: none yet
  std::vector<float> best;           ///< [P] parameters after it, or empty

  /// Those that the run would end with.
  const std::vector<float>& selected() const { return best_epoch > 0 ? best : parameters; }
};

/// How many runs a group takes, and of what size.
struct GroupSize {
  std::size_t slots = 1;            ///< places for runs
  std::size_t training_rows = 0;    ///< of every run: dropout's masks, and a backend's order of sums, may go by it
  std::size_t evaluation_rows = 0;  ///< of the run that has the most
  std::size_t classes = 0;          ///< likewise
};

/// Trains runs of one network on the clips of one data set. Each has weights, clips, labels, classes, random numbers,
/// and a beginning and an end of its own: it takes a slot, and leaves it when it is done. All advance together: step k
/// of an epoch is batch k of every run that has so many. What becomes of a run does not depend on who is in the other
/// slots, bit for bit. Uses its queue only from the thread that calls.
class TrainingGroup {
 public:
  /// `network`: of every run but for its classes.
  TrainingGroup(Backend& backend, Queue& queue, const DeviceDataset& clips, const ClassifierConfig& network,
                const TrainingConfig& training, const GroupSize& size);
  ~TrainingGroup();

  std::size_t slots() const;
  /// Puts a run of so many epochs at its beginning into a free slot and returns that. `dataset`: the group's clips, with
  /// the labels that this run is to learn, 0 … classes - 1. `key` names its random numbers (seed, point, trial, node).
  /// An empty validation set is left out of the scores (NaN).
  std::size_t enter(const DeviceDataset& dataset, const Split& split, std::size_t classes, const RandomKey& key,
                    std::size_t epochs);
  /// Frees a slot. Never fails, as the queue is left alone.
  void leave(std::size_t slot) noexcept;

  /// One epoch of every run: a pass over the shuffled training set in batches (the last may be partial), then
  /// validation and test. Looks for a stop request between batches and throws Interrupted: the weights are then
  /// somewhere within the epoch, and only a restore makes them those of an epoch again, but state() and history() are
  /// what they were before.
  void train_epoch();

  // Of the run in a slot:

  const std::vector<EpochScores>& history(std::size_t slot) const;
  /// The epoch, from 1, whose weights TrainingConfig::select takes of those so far; 0: none is finished.
  std::size_t selected_epoch(std::size_t slot) const;
  /// All its epochs are done, or its patience is at an end.
  bool is_done(std::size_t slot) const;
  /// Scores and confusion matrix on a set of clips with the selected epoch's weights, or the initial ones.
  Evaluation evaluate(std::size_t slot, std::span<const std::uint32_t> clips);
  /// The same weights' probabilities of each class, [clips, classes]. The clips' labels do not matter, but must be
  /// classes.
  std::vector<float> probabilities(std::size_t slot, std::span<const std::uint32_t> clips);
  /// After the last whole epoch, or the beginning if there is none. Copies it to the host: ask only when it is wanted.
  TrainerState state(std::size_t slot) const;
  /// Goes on from there. InputError if it belongs to another network.
  void restore(std::size_t slot, const TrainerState& state);

  /// Device memory that the group holds, with its copy of what state() gives.
  std::size_t bytes() const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace genretree
