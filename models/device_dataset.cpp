#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "features/statistics.hpp"
#include "models/device_dataset.hpp"

namespace genretree {

DeviceDataset::DeviceDataset(const FeatureStore& store, Backend& backend)
    : labels_(backend.device(), store.labels.size()),
      clips_(store.clips()),
      frames_(store.config.frames),
      coefficients_(store.config.width()) {
  ClipFacts facts{store.labels, {}};
  for (std::size_t clip = 0; clip < clips_; ++clip)
    facts.real_frames.push_back(store.lengths.empty() ? frames_ : real_frames(store, clip));
  facts_ = std::make_shared<const ClipFacts>(std::move(facts));
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
      clips_(clips.clips_),
      frames_(clips.frames_),
      coefficients_(clips.coefficients_) {
  facts_ = std::make_shared<const ClipFacts>(
      ClipFacts{std::vector<std::int32_t>(labels.begin(), labels.end()), clips.facts_->real_frames});
  if (labels.size() != clips_) fail("there are {} labels for {} clips", labels.size(), clips_);
  const std::unique_ptr<Queue> queue = backend.device().make_queue();
  labels_.copy_in(labels, *queue);
  queue->synchronize();
}

View<const float, 3> DeviceDataset::features() const { return features_->view(clips_, frames_, coefficients_); }
View<const std::int32_t, 1> DeviceDataset::labels() const { return labels_.view(clips_); }

void standardise_inputs(const ClassifierConfig& classifier, const DeviceDataset& dataset,
                        std::span<const std::uint32_t> clips, std::vector<float>& parameters, Queue& queue) {
  const auto [mean_place, scale_place] = classifier.input_constants();
  if (mean_place.size() == 0) return;
  const auto [count, frames, bands] = dataset.features().shape;
  std::vector<double> mean(bands, 0.0), squares(bands, 0.0), largest(bands, 0.0);
  std::vector<float> clip(frames * bands);
  const auto for_each_number = [&](auto visit) {
    for (const std::uint32_t index : clips) {
      queue.copy_out(clip.data(), dataset.features()[index].data, clip.size() * sizeof(float));
      queue.synchronize();
      for (std::size_t e = 0; e < dataset.facts()->real_frames[index] * bands; ++e)
        visit(e % bands, static_cast<double>(clip[e]));
    }
  };
  double numbers = 0;
  for (const std::uint32_t index : clips) numbers += static_cast<double>(dataset.facts()->real_frames[index]);
  for_each_number([&](std::size_t band, double value) {
    mean[band] += value / numbers;
    largest[band] = std::max(largest[band], std::abs(value));
  });
  for_each_number(
      [&](std::size_t band, double value) { squares[band] += (value - mean[band]) * (value - mean[band]); });
  for (std::size_t band = 0; band < bands; ++band) {
    const double variance = squares[band] / numbers;
    parameters[mean_place.offset + band] = static_cast<float>(mean[band]);
    parameters[scale_place.offset + band] =
        is_variance(variance, largest[band]) ? static_cast<float>(1 / std::sqrt(variance)) : 1.0f;
  }
}

}  // namespace genretree
