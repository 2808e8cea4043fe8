#include <algorithm>

#include "models/network.hpp"
#include "models/predict.hpp"
#include "models/trainer.hpp"

namespace genretree {
namespace {

/// Memory for the clips that go through the network together.
struct PredictionBatch {
  std::size_t clips, rows;  ///< B rows are the windows of so many clips
  Group group;
  Buffer<float> features, x, probabilities;  ///< [clips, T', F], [1, T, B, F], [1, B, C]
  Buffer<BatchRow> windows;                  ///< [1, B]
  Buffer<std::int32_t> labels, y;            ///< [clips], [1, B]; the labels say nothing
  Buffer<double> loss;                       ///< [1], says nothing either
  Buffer<std::int32_t> correct;
  std::unique_ptr<Network> network;

  PredictionBatch(const ClassifierConfig& classifier, std::size_t clips_, std::size_t frames, Backend& backend,
                  Queue& queue)
      : clips(clips_),
        rows(clips_ * window_count(frames, classifier.window)),
        group{1,
              rows,
              classifier.row_frames(frames),
              classifier.classes,
              {0},
              {static_cast<std::uint32_t>(classifier.classes)}},
        features(backend.device(), clips * frames * classifier.inputs()),
        x(backend.device(), rows * group.frames * classifier.inputs()),
        probabilities(backend.device(), rows * classifier.classes),
        windows(backend.device(), rows),
        labels(backend.device(), clips),
        y(backend.device(), rows),
        loss(backend.device(), 1),
        correct(backend.device(), 1),
        network(make_network(classifier, group, Mode::inference, backend)) {
    labels.zero(queue);
    queue.synchronize();
  }
};

}  // namespace

std::vector<float> predict(const ClassifierConfig& classifier, std::span<const float> parameters,
                           View<const float, 3> clips, std::span<const std::size_t> lengths, Backend& backend,
                           Queue& queue) {
  const auto [count, frames, inputs] = clips.shape;
  const std::size_t windows = window_count(frames, classifier.window), classes = classifier.classes;
  std::vector<float> result;
  if (count == 0) return result;
  const std::size_t together = std::max<std::size_t>(1, evaluation_batch / windows);
  PredictionBatch batch(classifier, std::min(count, together), frames, backend, queue);
  Buffer<float> weights(backend.device(), parameters.size());
  weights.copy_in(parameters, queue);
  const View<const float, 2> weight_view = std::as_const(weights).view(1, parameters.size());
  const View<float, 4> x = batch.x.view(1, batch.group.frames, batch.rows, inputs);
  for (std::size_t first = 0; first < count; first += batch.clips) {
    const std::size_t some = std::min(batch.clips, count - first), rows = some * windows;
    std::vector<BatchRow> all_rows;
    for (std::size_t i = 0; i < some; ++i) {
      const ClipFrames clip{static_cast<std::uint32_t>(i), lengths.empty() ? frames : lengths[first + i]};
      for (const BatchRow& row : evaluation_rows_of(clip, frames, classifier.window)) all_rows.push_back(row);
    }
    batch.group.rows[0] = static_cast<std::uint32_t>(rows);
    batch.windows.copy_in(all_rows, queue);
    batch.features.copy_in(clips.flat().subspan(first * frames * inputs, some * frames * inputs), queue);
    backend.gather(batch.group, batch.features.view(batch.clips, frames, inputs), batch.labels.view(1, batch.clips),
                   batch.windows.view(1, batch.rows),
                   classifier.gathers_standardised() ? weight_view : View<const float, 2>{}, 0, x,
                   batch.y.view(1, batch.rows), {}, queue);
    batch.network->evaluate({batch.group,
                             weight_view,
                             x,
                             batch.y.view(1, batch.rows),
                             {},
                             batch.probabilities.view(1, batch.rows, classes),
                             batch.loss.view(1),
                             batch.correct.view(1)},
                            Loss::logits, queue);
    std::vector<float> probabilities(rows * classes);
    batch.probabilities.copy_out(probabilities, queue);
    queue.synchronize();
    if (windows > 1) probabilities = mean_over_windows(probabilities, classes, windows);
    result.insert(result.end(), probabilities.begin(), probabilities.end());
  }
  return result;
}

std::vector<std::size_t> window_starts(std::size_t frames, std::size_t length) {
  std::vector<std::size_t> starts{0};
  for (std::size_t start = length; start + length <= frames; start += length) starts.push_back(start);
  const std::size_t end = starts.back() + length;
  if (frames > end && 2 * (frames - end) >= length) starts.push_back(frames - length);
  return starts;
}

std::vector<double> mean_probabilities(std::span<const float> probabilities, std::size_t classes) {
  std::vector<double> mean(classes, 0.0);
  for (std::size_t i = 0; i < probabilities.size(); ++i) mean[i % classes] += probabilities[i];
  for (double& value : mean) value *= static_cast<double>(classes) / static_cast<double>(probabilities.size());
  return mean;
}

}  // namespace genretree
