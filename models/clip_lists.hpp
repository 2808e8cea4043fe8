// The rows that the runs of a group take in turn, and what is measured on them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/device.hpp"
#include "core/tensor.hpp"
#include "kernels/ops.hpp"

namespace genretree {

/// Means over a set of clips.
struct Score {
  double loss = 0, accuracy = 0;
};

/// What one run takes: batch k are the rows from k · batch on, at most `batch` of them. None for a place without a run.
struct RunRows {
  std::vector<BatchRow> rows;
  std::size_t batch = 1;
};

/// Batch k of every run of a group lies side by side on the device, as a group's operations take it; so does what is
/// measured on it.
class ClipLists {
 public:
  ClipLists() = default;  ///< of no runs
  /// `batch`: rows B that are laid out for each run, at least those of its own batches. `classes`: C of the group if the
  /// probabilities of each row are kept, else 0.
  ClipLists(std::span<const RunRows> runs, std::size_t batch, std::size_t classes, Device& device);

  /// Of the run that has the most.
  std::size_t batches() const { return batches_; }
  /// [R] rows of each run in batch `index`: 0 if it has none left.
  std::vector<std::uint32_t> rows(std::size_t index) const;
  /// Gives the rows of one run, as many as it had, on the host: copy_in follows.
  void set_rows(std::size_t run, std::span<const BatchRow> rows);
  void copy_in(Queue& queue) { rows_.copy_in(host_rows_, queue); }

  // Of batch `index` on the device:
  /// [R, B]; what is beyond a run's rows is undefined
  const BatchRow* batch_rows(std::size_t index) const { return rows_.data() + index * runs_.size() * batch_; }
  /// [R] sums over the rows, to be measured
  double* loss(std::size_t index) { return loss_.data() + index * runs_.size(); }
  /// [R] likewise
  std::int32_t* correct(std::size_t index) { return correct_.data() + index * runs_.size(); }
  /// [R, B, C], if they are kept, else nothing
  float* probabilities(std::size_t index) {
    return classes_ ? probabilities_.data() + index * runs_.size() * batch_ * classes_ : nullptr;
  }

  std::size_t bytes() const { return rows_.bytes() + loss_.bytes() + correct_.bytes() + probabilities_.bytes(); }

  /// Brings what was measured to the host, once the queue is synchronized.
  void fetch(Queue& queue);
  /// Means over all rows of a run, of what was fetched; NaN if it has none.
  Score score(std::size_t run) const;
  /// [rows, classes] of one run, of what was fetched; `classes`: its own.
  std::vector<float> probabilities_of(std::size_t run, std::size_t classes) const;

 private:
  struct Run {
    std::size_t size, batch;
    std::size_t batches() const { return (size + batch - 1) / batch; }
  };
  /// Of row i of a run among those of all batches.
  std::size_t place(std::size_t run, std::size_t i) const {
    return ((i / runs_[run].batch) * runs_.size() + run) * batch_ + i % runs_[run].batch;
  }

  std::vector<Run> runs_;  ///< [R]
  std::size_t batch_ = 0, batches_ = 0, classes_ = 0;
  Buffer<BatchRow> rows_;         ///< [batches, R, B]
  Buffer<double> loss_;           ///< [batches, R]
  Buffer<std::int32_t> correct_;  ///< [batches, R]
  Buffer<float> probabilities_;   ///< [batches, R, B, C]
  std::vector<BatchRow> host_rows_;
  std::vector<std::int32_t> host_correct_;
  std::vector<double> host_loss_;
  std::vector<float> host_probabilities_;
};

/// The mean over the windows of each clip, [clips, classes], of the probabilities [clips · windows, classes] of its
/// rows.
std::vector<float> mean_over_windows(std::span<const float> probabilities, std::size_t classes, std::size_t windows);

/// Of the probabilities [clips, classes] against the clips' classes: accuracy, and cross-entropy of this kind. NaN if
/// there are no clips.
Score score_of(Loss kind, std::span<const float> probabilities, std::span<const std::int32_t> labels);

}  // namespace genretree
