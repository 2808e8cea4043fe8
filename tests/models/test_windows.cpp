// What a classifier hears of a clip at once: which windows it is judged by, how it is changed for training, and that the
// mean over its windows is what everybody is told.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "kernels/backends.hpp"
#include "models/predict.hpp"
#include "models/trainer.hpp"
#include "tests/support/support.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree {
namespace {

using Starts = std::vector<std::int32_t>;

/// Where the windows begin by which clip 7 is judged, of which so many frames are sound.
Starts starts_of(std::size_t sound, std::size_t frames, std::size_t window) {
  Starts starts;
  for (const BatchRow& row : evaluation_rows_of({7, sound}, frames, window)) {
    CHECK(row.clip == 7);
    CHECK(row.share == 1);
    starts.push_back(row.first_frame);
  }
  return starts;
}

TEST_CASE("a clip is judged by as many windows as it takes to hear all of it") {
  CHECK(window_count(1293, 0) == 1);
  CHECK(window_count(1293, 1293) == 1);
  CHECK(window_count(1293, 2000) == 1);
  CHECK(window_count(1293, 1292) == 2);
  CHECK(window_count(12, 4) == 3);
  CHECK(window_count(13, 4) == 4);
}

TEST_CASE("the first window begins with the clip, the last ends with its sound, and they are evenly spaced") {
  CHECK(starts_of(12, 12, 0) == Starts{0});
  CHECK(starts_of(12, 12, 20) == Starts{0});
  CHECK(starts_of(12, 12, 4) == Starts{0, 4, 8});
  CHECK(starts_of(13, 13, 4) == Starts{0, 3, 6, 9});
  CHECK(starts_of(15, 15, 4) == Starts{0, 4, 7, 11});  // 3.67 and 7.33, to the nearest
  CHECK(starts_of(8, 12, 4) == Starts{0, 2, 4});       // shorter than the others: as many, closer together
  CHECK(starts_of(4, 12, 4) == Starts{0, 0, 0});
  CHECK(starts_of(1, 12, 4) == Starts{0, 0, 0});  // its padding has to be heard, too
}

// ---------------------------------------------------------------------------------------------------------- training

constexpr std::size_t frames = 5, inputs = 4;
const std::vector<ClipFrames> clips = {{3, 9}, {5, 5}, {8, 2}, {9, 7}};

BatchRow row_of(std::uint32_t key, const Augmentation& augmentation = {}, std::size_t window = frames,
                const ClipFrames& clip = clips[0]) {
  return training_row(clip, clips, window, frames, inputs, augmentation,
                      {.seed = 5, .batch = key, .use = RandomUse::augmentation});
}
auto fields(const BatchRow& row) {
  const auto range = [](const BatchRow::Range& r) { return std::pair{r.first, r.count}; };
  return std::tuple{row.clip,
                    row.first_frame,
                    row.share,
                    row.partner,
                    row.partner_frame,
                    range(row.masked_frames[0]),
                    range(row.masked_frames[1]),
                    range(row.masked_inputs[0]),
                    range(row.masked_inputs[1])};
}
const Augmentation everything{
    .mixup = 0.4, .time_masks = 2, .longest_time_mask = 3, .feature_masks = 2, .widest_feature_mask = 9};

TEST_CASE("a training window lies within the clip's sound, and may begin anywhere there") {
  std::map<std::int32_t, int> counts;
  for (std::uint32_t key = 0; key < 1000; ++key) ++counts[row_of(key).first_frame];
  REQUIRE(counts.size() == 5);  // of 9 frames, windows of 5 begin at 0 … 4
  CHECK(counts.begin()->first == 0);
  CHECK(counts.rbegin()->first == 4);
  for (const auto& [start, count] : counts) CHECK(std::abs(count - 200) < 60);  // 5 standard deviations
  for (std::uint32_t key = 0; key < 100; ++key) {
    CHECK(row_of(key, {}, frames, {5, 5}).first_frame == 0);
    CHECK(row_of(key, {}, frames, {8, 2}).first_frame == 0);           // shorter than a window
    CHECK(fields(row_of(key, {}, 0)) == fields(BatchRow{.clip = 3}));  // without a window: the clip as it is
  }
}

TEST_CASE("the same key draws the same row, another key another one") {
  std::set<decltype(fields(BatchRow{}))> rows;
  for (std::uint32_t key = 0; key < 50; ++key) {
    CHECK(fields(row_of(key, everything)) == fields(row_of(key, everything)));
    rows.insert(fields(row_of(key, everything)));
  }
  CHECK(rows.size() == 50);
}

TEST_CASE("mixup: any clip of the training set, with a window of its own, and the larger share of a Beta") {
  for (const double alpha : {0.2, 0.5, 1.0}) {
    std::set<std::pair<std::int32_t, std::int32_t>> partners;
    double sum = 0;
    constexpr int draws = 4000;
    for (std::uint32_t key = 0; key < draws; ++key) {
      const BatchRow row = row_of(key, {.mixup = alpha});
      partners.emplace(row.partner, row.partner_frame);
      CHECK((row.clip == 3 && row.share >= 0.5f && row.share <= 1));
      sum += static_cast<double>(row.share);
    }
    std::set<std::pair<std::int32_t, std::int32_t>> all = {{5, 0}, {8, 0}};
    for (std::int32_t start = 0; start <= 4; ++start) all.emplace(3, start);
    for (std::int32_t start = 0; start <= 2; ++start) all.emplace(9, start);
    CHECK(partners == all);
    // the mean distance of Beta(α, α) from 1/2 is 4^-α / (α B(α, α)); its standard deviation is at most 1/4
    const double distance = std::pow(4, -alpha) / alpha * std::tgamma(2 * alpha) / std::pow(std::tgamma(alpha), 2);
    CHECK(sum / draws == Approx(0.5 + distance).margin(5 * 0.25 / std::sqrt(draws)));
  }
}

TEST_CASE("masks lie within the row, are of every length up to the longest, and come in the number wanted") {
  std::set<std::pair<std::int32_t, std::int32_t>> time, input;
  for (std::uint32_t key = 0; key < 2000; ++key) {
    const BatchRow row = row_of(key, everything);
    for (const auto& mask : row.masked_frames) time.emplace(mask.first, mask.count);
    for (const auto& mask : row.masked_inputs) input.emplace(mask.first, mask.count);
    const BatchRow one = row_of(key, {.time_masks = 1, .longest_time_mask = 3});
    CHECK(one.masked_frames[1].count == 0);
    CHECK(one.masked_inputs[0].count == 0);
  }
  const auto all = [](int size, int longest) {
    std::set<std::pair<std::int32_t, std::int32_t>> masks;
    for (int count = 0; count <= longest; ++count)
      for (int first = 0; first + count <= size; ++first) masks.emplace(first, count);
    return masks;
  };
  CHECK(time == all(5, 3));
  CHECK(input == all(4, 4));  // no wider than a frame
}

// -------------------------------------------------------------------------------------------------- mean over windows

TEST_CASE("means over windows and the score of clips, worked by hand") {
  const std::vector<float> rows{0.25f, 0.75f, 0.5f, 0.5f, 1, 0, 0.5f, 0.5f};
  CHECK(mean_over_windows(rows, 2, 2) == std::vector<float>{0.375f, 0.625f, 0.75f, 0.25f});
  CHECK(mean_over_windows(rows, 2, 1) == rows);

  const std::vector<float> probabilities{0.5f, 0.25f, 0.25f, 0.125f, 0.75f, 0.125f, 0.5f, 0.5f, 0};
  Score score = score_of(Loss::clipped, probabilities, std::vector<std::int32_t>{0, 2, 0});
  CHECK(score.loss == Approx((std::log(2.0) + std::log(8.0) + std::log(2.0)) / 3));
  CHECK(score.accuracy == Approx(2 / 3.0));  // of equals the first
  score = score_of(Loss::clipped, probabilities, std::vector<std::int32_t>{1, 1, 2});
  CHECK(score.loss == Approx((std::log(4.0) - std::log(0.75) - std::log(1e-7)) / 3));
  CHECK(score.accuracy == Approx(1 / 3.0));
  CHECK(std::isnan(score_of(Loss::clipped, {}, {}).accuracy));
}

TEST_CASE(
    "a clip's probabilities are the mean over its windows: for a trainer, a prediction, and one window at a time") {
  // 30 clips to test of 7 windows each: a batch of 60 ends amid the windows of a clip
  constexpr std::size_t clip_frames = 13, window = 2, windows = 7;
  const FeatureStore store = test::tiny_store({.clips_per_genre = 30, .frames = clip_frames, .shortest = 1});
  Split split;
  for (std::uint32_t clip = 0; clip < store.clips(); ++clip)
    (clip % 3 == 0 ? split.test : clip % 3 == 1 ? split.validation : split.train).push_back(clip);
  NetworkConfig network = StackConfig{.inputs = store.config.coefficients, .units = {5, 4}};
  network.bidirectional = network.standardise = true;
  network.readout = Readout::mean_max;
  ClassifierConfig classifier{network, store.genres.size()};
  classifier.window = window;
  const std::unique_ptr<Backend> backend = make_backend({.device = "cpu"});
  const std::unique_ptr<Queue> queue = backend->device().make_queue();
  const DeviceDataset dataset(store, *backend);
  Trainer trainer(*backend, *queue, dataset, split, classifier, {.optimiser = {.learning_rate = 0.02}}, {.seed = 11});
  for (int epoch = 0; epoch < 3; ++epoch) trainer.train_epoch();
  std::vector<std::uint32_t> all(store.clips());
  std::iota(all.begin(), all.end(), 0u);
  const std::vector<float> trained = trainer.probabilities(all), parameters = trainer.state().parameters;

  const std::vector<std::size_t> lengths(store.lengths.begin(), store.lengths.end());
  const std::vector<float> predicted = predict(classifier, parameters, store.view(), lengths, *backend, *queue);
  CHECK(test::max_difference<float, float>(predicted, trained) < 1e-6);
  const std::vector<float> without_lengths = predict(classifier, parameters, store.view(), *backend, *queue);
  CHECK(test::max_difference<float, float>(without_lengths, trained) > 1e-3);

  ClassifierConfig whole = classifier;
  whole.window = 0;
  std::vector<float> by_hand;
  for (std::uint32_t clip = 0; clip < store.clips(); ++clip) {
    std::vector<double> mean(classifier.classes);
    for (const BatchRow& row : evaluation_rows_of({clip, lengths[clip]}, clip_frames, window)) {
      const float* first = store.view()[clip][static_cast<std::size_t>(row.first_frame)].data;
      const std::vector<float> one =
          predict(whole, parameters, view_of(first, 1, window, classifier.inputs()), *backend, *queue);
      for (std::size_t c = 0; c < mean.size(); ++c) mean[c] += static_cast<double>(one[c]) / windows;
    }
    by_hand.insert(by_hand.end(), mean.begin(), mean.end());
  }
  CHECK(test::max_difference<float, float>(trained, by_hand) < 1e-6);

  const Evaluation evaluation = trainer.evaluate(split.test);
  std::vector<std::int32_t> labels;
  for (const std::uint32_t clip : split.test) labels.push_back(store.labels[clip]);
  const Score expected = score_of(Loss::clipped, trainer.probabilities(split.test), labels);
  CHECK(evaluation.score.loss == expected.loss);
  CHECK(evaluation.score.accuracy == expected.accuracy);
  CHECK(trainer.history().back().test.loss == expected.loss);
  CHECK(trainer.history().back().test.accuracy == expected.accuracy);
  CHECK(std::accumulate(evaluation.confusion.begin(), evaluation.confusion.end(), 0u) == split.test.size());
}

}  // namespace
}  // namespace genretree
