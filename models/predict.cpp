#include <algorithm>
#include <numeric>

#include "models/network.hpp"
#include "models/predict.hpp"
#include "models/trainer.hpp"

namespace genretree {
namespace {

/// Memory for the windows that go through the network together.
struct PredictionBatch {
  std::size_t size;  ///< B
  Group group;
  Buffer<float> features, x, probabilities;  ///< [B, T, F], [1, T, B, F], [1, B, C]
  Buffer<std::int32_t> clips, labels, y;     ///< [1, B], [B], [1, B]; the labels say nothing
  Buffer<double> loss;                       ///< [1], says nothing either
  Buffer<std::int32_t> correct;
  std::unique_ptr<Network> network;

  PredictionBatch(const ClassifierConfig& classifier, std::size_t size_, std::size_t frames, Backend& backend,
                  Queue& queue)
      : size(size_),
        group{1, size, frames, classifier.classes, {0}, {static_cast<std::uint32_t>(classifier.classes)}},
        features(backend.device(), size * frames * classifier.inputs()),
        x(backend.device(), features.size()),
        probabilities(backend.device(), size * classifier.classes),
        clips(backend.device(), size),
        labels(backend.device(), size),
        y(backend.device(), size),
        loss(backend.device(), 1),
        correct(backend.device(), 1),
        network(make_network(classifier, group, Mode::inference, backend)) {
    std::vector<std::int32_t> all(size);
    std::iota(all.begin(), all.end(), 0);
    clips.copy_in(all, queue);
    labels.zero(queue);
    queue.synchronize();
  }
};

}  // namespace

std::vector<float> predict(const ClassifierConfig& classifier, std::span<const float> parameters,
                           View<const float, 3> windows, Backend& backend, Queue& queue) {
  const auto [count, frames, inputs] = windows.shape;
  std::vector<float> result(count * classifier.classes);
  if (count == 0) return result;
  PredictionBatch batch(classifier, std::min(count, evaluation_batch), frames, backend, queue);
  Buffer<float> weights(backend.device(), parameters.size());
  weights.copy_in(parameters, queue);
  const View<const float, 2> weight_view = std::as_const(weights).view(1, parameters.size());
  const View<float, 4> x = batch.x.view(1, frames, batch.size, inputs);
  for (std::size_t first = 0; first < count; first += batch.size) {
    const std::size_t rows = std::min(batch.size, count - first);
    batch.group.rows[0] = static_cast<std::uint32_t>(rows);
    batch.features.copy_in(windows.flat().subspan(first * frames * inputs, rows * frames * inputs), queue);
    backend.gather(batch.group, batch.features.view(batch.size, frames, inputs), batch.labels.view(1, batch.size),
                   batch.clips.view(1, batch.size), x, batch.y.view(1, batch.size), queue);
    batch.network->evaluate(
        {batch.group, weight_view, x, batch.y.view(1, batch.size),
         batch.probabilities.view(1, batch.size, classifier.classes), batch.loss.view(1), batch.correct.view(1)},
        Loss::logits, queue);
    batch.probabilities.copy_out(std::span(result).subspan(first * classifier.classes, rows * classifier.classes),
                                 queue);
    queue.synchronize();
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
