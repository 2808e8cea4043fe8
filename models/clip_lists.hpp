// The clips that the runs of a group take in turn, and what is measured on them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/device.hpp"
#include "core/tensor.hpp"

namespace genretree {

/// Sample-weighted means over a set.
struct Score {
  double loss = 0, accuracy = 0;
};

/// What one run takes: batch k are the clips from k · batch on, at most `batch` of them. None for a place without a
/// run.
struct RunClips {
  std::span<const std::uint32_t> clips;
  std::size_t batch = 1;
};

/// Batch k of every run of a group lies side by side on the device, as a group's operations take it; so does what is
/// measured on it.
class ClipLists {
 public:
  ClipLists() = default;  ///< of no runs
  /// `batch`: rows B that are laid out for each run, at least those of its own batches.
  ClipLists(std::span<const RunClips> runs, std::size_t batch, Device& device);

  /// Of the run that has the most.
  std::size_t batches() const { return batches_; }
  /// [R] clips of each run in batch `index`: 0 if it has none left.
  std::vector<std::uint32_t> rows(std::size_t index) const;
  /// Gives the clips of one run in the order in which they are to be taken, on the host: copy_in follows.
  void order(std::size_t run, std::span<const std::uint32_t> clips);
  void copy_in(Queue& queue) { clips_.copy_in(host_clips_, queue); }

  // Of batch `index` on the device:
  /// [R, B]; what is beyond a run's rows is undefined
  const std::int32_t* clips(std::size_t index) const { return clips_.data() + index * runs_.size() * batch_; }
  /// [R] sums over the rows, to be measured
  double* loss(std::size_t index) { return loss_.data() + index * runs_.size(); }
  /// [R] likewise
  std::int32_t* correct(std::size_t index) { return correct_.data() + index * runs_.size(); }

  std::size_t bytes() const { return clips_.bytes() + loss_.bytes() + correct_.bytes(); }

  /// Brings what was measured to the host, once the queue is synchronized.
  void fetch(Queue& queue);
  /// Sample-weighted means over all batches of a run, of what was fetched; NaN if it has no clips.
  Score score(std::size_t run) const;

 private:
  struct Run {
    std::size_t size, batch;
    std::size_t batches() const { return (size + batch - 1) / batch; }
  };
  std::vector<Run> runs_;  ///< [R]
  std::size_t batch_ = 0, batches_ = 0;
  Buffer<std::int32_t> clips_;    ///< [batches, R, B]
  Buffer<double> loss_;           ///< [batches, R]
  Buffer<std::int32_t> correct_;  ///< [batches, R]
  std::vector<std::int32_t> host_clips_, host_correct_;
  std::vector<double> host_loss_;
};

}  // namespace genretree
