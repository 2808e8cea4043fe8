// Prediction: the windows of a clip, their mean, and the same probabilities however many go together.
#include <cmath>

#include "kernels/backends.hpp"
#include "models/predict.hpp"
#include "models/trainer.hpp"
#include "tests/support/support.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree {
namespace {

TEST_CASE("windows follow one another, and a rest of half a window gets its own") {
  using Starts = std::vector<std::size_t>;
  CHECK(window_starts(1, 10) == Starts{0});
  CHECK(window_starts(10, 10) == Starts{0});
  CHECK(window_starts(14, 10) == Starts{0});
  CHECK(window_starts(15, 10) == Starts{0, 5});
  CHECK(window_starts(20, 10) == Starts{0, 10});
  CHECK(window_starts(29, 10) == Starts{0, 10, 19});
  CHECK(window_starts(34, 10) == Starts{0, 10, 20});
  CHECK(window_starts(1320, 1293) == Starts{0});  // GTZAN's longest clip: one window, as in training
}

TEST_CASE("the mean of the windows' probabilities") {
  const std::vector<float> rows{0.25f, 0.75f, 0.5f, 0.5f, 1.0f, 0.0f, 0.25f, 0.75f};
  CHECK(mean_probabilities(rows, 2) == std::vector<double>{0.5, 0.5});
  CHECK(mean_probabilities(std::span(rows).first(2), 2) == std::vector<double>{0.25, 0.75});
}

TEST_CASE("predictions count as an evaluation counts them, in one batch or in several") {
  const FeatureStore store = test::tiny_store({.clips_per_genre = 50});  // 150 clips: two full batches and a part
  const std::unique_ptr<Backend> backend = make_backend({.device = "cpu"});
  const std::unique_ptr<Queue> queue = backend->device().make_queue();
  const ClassifierConfig classifier{StackConfig{.inputs = store.config.coefficients, .units = {5, 4}},
                                    store.genres.size()};
  const DeviceDataset dataset(store, *backend);
  Split split;
  for (std::uint32_t clip = 0; clip < store.clips(); ++clip) (clip % 5 ? split.train : split.test).push_back(clip);
  Trainer trainer(*backend, *queue, dataset, split, classifier, {}, {.seed = 11});
  for (int epoch = 0; epoch < 3; ++epoch) trainer.train_epoch();
  std::vector<std::uint32_t> clips(store.clips());
  for (std::uint32_t clip = 0; clip < clips.size(); ++clip) clips[clip] = clip;
  const Evaluation evaluation = trainer.evaluate(clips);

  const std::vector<float> parameters = trainer.state().parameters,
                           all = predict(classifier, parameters, store.view(), *backend, *queue);
  REQUIRE(all.size() == store.clips() * classifier.classes);
  std::vector<std::uint32_t> confusion(evaluation.confusion.size());
  double loss = 0;
  for (std::size_t clip = 0; clip < store.clips(); ++clip) {
    const std::span<const float> row = std::span(all).subspan(clip * classifier.classes, classifier.classes);
    const auto best = static_cast<std::size_t>(std::ranges::max_element(row) - row.begin());
    const auto label = static_cast<std::size_t>(store.labels[clip]);
    ++confusion[label * classifier.classes + best];
    loss -= std::log(static_cast<double>(row[label]));
  }
  CHECK(confusion == evaluation.confusion);
  CHECK(loss / static_cast<double>(store.clips()) == Approx(evaluation.score.loss).epsilon(1e-6));

  const std::size_t last = store.clips() - 1;
  const std::vector<float> alone =
      predict(classifier, parameters,
              view_of(store.view()[last].data, 1, store.config.frames, store.config.coefficients), *backend, *queue);
  CHECK(test::max_difference(std::span<const float>(alone), std::span<const float>(all).last(classifier.classes)) <
        1e-6);
  CHECK(predict(classifier, parameters, view_of(store.view().data, 0, store.config.frames, store.config.coefficients),
                *backend, *queue)
            .empty());
}

}  // namespace
}  // namespace genretree
