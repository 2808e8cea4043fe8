// Training of one run, alone or in a group.
#pragma once

#include <limits>

#include "models/training_group.hpp"

namespace genretree {

/// One run in a slot of a TrainingGroup, until it ends. What its operations promise stands there.
class Trainer {
 public:
  static constexpr std::size_t no_end = std::numeric_limits<std::size_t>::max();  ///< as many epochs as are asked for

  /// Alone in a group of its own.
  Trainer(Backend& backend, Queue& queue, const DeviceDataset& dataset, const Split& split,
          const ClassifierConfig& classifier, const TrainingConfig& training, const RandomKey& key,
          std::size_t epochs = no_end);
  /// In a free slot of a group, which must outlive it.
  Trainer(TrainingGroup& group, const DeviceDataset& dataset, const Split& split, std::size_t classes,
          const RandomKey& key, std::size_t epochs = no_end);
  ~Trainer() { group_.leave(slot_); }
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  std::size_t epochs_done() const { return history().size(); }
  /// Of all runs in its group.
  const EpochScores& train_epoch() {
    group_.train_epoch();
    return history().back();
  }
  Evaluation evaluate(std::span<const std::uint32_t> clips) { return group_.evaluate(slot_, clips); }
  std::vector<float> probabilities(std::span<const std::uint32_t> clips) { return group_.probabilities(slot_, clips); }
  const std::vector<EpochScores>& history() const { return group_.history(slot_); }
  std::size_t selected_epoch() const { return group_.selected_epoch(slot_); }
  bool is_done() const { return group_.is_done(slot_); }
  TrainerState state() const { return group_.state(slot_); }
  void restore(const TrainerState& state) { group_.restore(slot_, state); }
  /// Of its group.
  std::size_t bytes() const { return group_.bytes(); }

 private:
  std::unique_ptr<TrainingGroup> own_;
  TrainingGroup& group_;
  std::size_t slot_;
};

}  // namespace genretree
