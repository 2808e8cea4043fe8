#include <algorithm>
#include <limits>

#include "models/clip_lists.hpp"

namespace genretree {

ClipLists::ClipLists(std::span<const RunClips> runs, std::size_t batch, Device& device) : batch_(batch) {
  for (const RunClips& run : runs) {
    runs_.push_back({run.clips.size(), run.batch});
    batches_ = std::max(batches_, runs_.back().batches());
  }
  const std::size_t measured = batches_ * runs_.size();
  clips_ = Buffer<std::int32_t>(device, measured * batch_);
  loss_ = Buffer<double>(device, measured);
  correct_ = Buffer<std::int32_t>(device, measured);
  host_clips_.resize(clips_.size());
  host_loss_.resize(measured);
  host_correct_.resize(measured);
  for (std::size_t r = 0; r < runs.size(); ++r) order(r, runs[r].clips);
}

std::vector<std::uint32_t> ClipLists::rows(std::size_t index) const {
  std::vector<std::uint32_t> rows;
  for (const Run& run : runs_)
    rows.push_back(static_cast<std::uint32_t>(std::min(run.batch, run.size - std::min(run.size, index * run.batch))));
  return rows;
}

void ClipLists::order(std::size_t run, std::span<const std::uint32_t> clips) {
  const std::size_t rows = runs_[run].batch;
  for (std::size_t i = 0; i < clips.size(); ++i)
    host_clips_[((i / rows) * runs_.size() + run) * batch_ + i % rows] = static_cast<std::int32_t>(clips[i]);
}

void ClipLists::fetch(Queue& queue) {
  loss_.copy_out(host_loss_, queue);
  correct_.copy_out(host_correct_, queue);
}

Score ClipLists::score(std::size_t run) const {
  const std::size_t size = runs_[run].size;
  if (size == 0) return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
  double sum = 0;
  std::int64_t right = 0;
  for (std::size_t i = 0; i < runs_[run].batches(); ++i) {
    sum += host_loss_[i * runs_.size() + run];
    right += host_correct_[i * runs_.size() + run];
  }
  const double count = static_cast<double>(size);
  return {sum / count, static_cast<double>(right) / count};
}

}  // namespace genretree
