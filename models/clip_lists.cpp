#include <algorithm>
#include <cmath>
#include <limits>

#include "models/clip_lists.hpp"

namespace genretree {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

ClipLists::ClipLists(std::span<const RunRows> runs, std::size_t batch, std::size_t classes, Device& device)
    : batch_(batch), classes_(classes) {
  for (const RunRows& run : runs) {
    runs_.push_back({run.rows.size(), run.batch});
    batches_ = std::max(batches_, runs_.back().batches());
  }
  const std::size_t measured = batches_ * runs_.size();
  rows_ = Buffer<BatchRow>(device, measured * batch_);
  loss_ = Buffer<double>(device, measured);
  correct_ = Buffer<std::int32_t>(device, measured);
  probabilities_ = Buffer<float>(device, rows_.size() * classes);
  host_rows_.resize(rows_.size());
  host_loss_.resize(measured);
  host_correct_.resize(measured);
  host_probabilities_.resize(probabilities_.size());
  for (std::size_t r = 0; r < runs.size(); ++r) set_rows(r, runs[r].rows);
}

std::vector<std::uint32_t> ClipLists::rows(std::size_t index) const {
  std::vector<std::uint32_t> rows;
  for (const Run& run : runs_)
    rows.push_back(static_cast<std::uint32_t>(std::min(run.batch, run.size - std::min(run.size, index * run.batch))));
  return rows;
}

void ClipLists::set_rows(std::size_t run, std::span<const BatchRow> rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) host_rows_[place(run, i)] = rows[i];
}

void ClipLists::fetch(Queue& queue) {
  loss_.copy_out(host_loss_, queue);
  correct_.copy_out(host_correct_, queue);
  probabilities_.copy_out(host_probabilities_, queue);
}

Score ClipLists::score(std::size_t run) const {
  const std::size_t size = runs_[run].size;
  if (size == 0) return {nan, nan};
  double sum = 0;
  std::int64_t right = 0;
  for (std::size_t i = 0; i < runs_[run].batches(); ++i) {
    sum += host_loss_[i * runs_.size() + run];
    right += host_correct_[i * runs_.size() + run];
  }
  const double count = static_cast<double>(size);
  return {sum / count, static_cast<double>(right) / count};
}

std::vector<float> ClipLists::probabilities_of(std::size_t run, std::size_t classes) const {
  std::vector<float> values;
  for (std::size_t i = 0; i < runs_[run].size; ++i) {
    const auto row = host_probabilities_.begin() + static_cast<std::ptrdiff_t>(place(run, i) * classes_);
    values.insert(values.end(), row, row + static_cast<std::ptrdiff_t>(classes));
  }
  return values;
}

std::vector<float> mean_over_windows(std::span<const float> probabilities, std::size_t classes, std::size_t windows) {
  std::vector<float> means;
  for (std::size_t clip = 0; clip < probabilities.size(); clip += windows * classes)
    for (std::size_t c = 0; c < classes; ++c) {
      double sum = 0;
      for (std::size_t w = 0; w < windows; ++w) sum += probabilities[clip + w * classes + c];
      means.push_back(static_cast<float>(sum / static_cast<double>(windows)));
    }
  return means;
}

Score score_of(Loss kind, std::span<const float> probabilities, std::span<const std::int32_t> labels) {
  if (labels.empty()) return {nan, nan};
  const std::size_t classes = probabilities.size() / labels.size();
  double loss = 0, right = 0;
  for (std::size_t clip = 0; clip < labels.size(); ++clip) {
    const auto row = probabilities.subspan(clip * classes, classes);
    const auto label = static_cast<std::size_t>(labels[clip]);
    const double least = kind == Loss::clipped ? 1e-7 : std::numeric_limits<float>::denorm_min();
    loss -= std::log(std::clamp(static_cast<double>(row[label]), least, kind == Loss::clipped ? 1 - 1e-7 : 1.0));
    right += static_cast<std::size_t>(std::ranges::max_element(row) - row.begin()) == label;
  }
  const double count = static_cast<double>(labels.size());
  return {loss / count, right / count};
}

}  // namespace genretree
