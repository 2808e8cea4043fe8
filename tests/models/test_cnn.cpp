// A CNN as a classifier: it trains by the loop of every classifier, is saved, restored, asked, and refused where it
// does not fit.
#include <cmath>

#include "kernels/backends.hpp"
#include "models/checkpoint.hpp"
#include "models/keras_weights.hpp"
#include "models/predict.hpp"
#include "models/trainer.hpp"
#include "tests/support/support.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree {
namespace {

constexpr std::size_t frames = 12, bands = 7, genres = 3;

struct Bench {
  FeatureStore store = test::tiny_store({.frames = frames, .coefficients = bands, .separation = 2.0});
  std::unique_ptr<Backend> backend = make_backend({.device = "cpu"});
  DeviceDataset dataset{store, *backend};
  std::unique_ptr<Queue> queue = backend->device().make_queue();
  Split split;

  Bench() {
    for (std::uint32_t clip = 0; clip < store.clips(); ++clip)
      (clip % 10 == 0 ? split.test : clip % 10 == 1 ? split.validation : split.train).push_back(clip);
  }
  Trainer trainer(const ClassifierConfig& classifier) {
    return Trainer(*backend, *queue, dataset, split, classifier,
                   {.optimiser = {.learning_rate = 0.003}, .batch = 7, .loss = Loss::logits}, {.seed = 3});
  }
};

ClassifierConfig network() {
  const CnnConfig cnn{.frames = frames - 1,
                      .bands = bands,
                      .channels = 2,
                      .stages = {{8, 4}, {6, 2}},
                      .units = 24,
                      .dropout = 0.25,
                      .standardise = true};
  return {.classes = genres, .cnn = cnn};
}

TEST_CASE("a CNN learns genres that can be told apart, and is restored bit for bit") {
  Bench bench;
  Trainer whole = bench.trainer(network()), first = bench.trainer(network()), second = bench.trainer(network());
  const double before = whole.train_epoch().train.loss;
  while (whole.epochs_done() < 40) whole.train_epoch();
  CHECK(whole.history().back().train.loss < 0.5 * before);
  CHECK(whole.history().back().test.accuracy == 1.0);

  while (first.epochs_done() < 4) first.train_epoch();
  second.restore(first.state());
  while (second.epochs_done() < 40) second.train_epoch();
  CHECK(second.state().parameters == whole.state().parameters);
  CHECK(second.state().moments == whole.state().moments);
}

TEST_CASE("a CNN's inputs are standardised by the training clips alone, and no optimiser moves that") {
  Bench bench;
  const float far = 1000;  // in a clip that is not for training
  std::fill_n(&bench.store.features[bench.split.test[0] * frames * bands], frames * bands, far);
  bench.dataset = DeviceDataset(bench.store, *bench.backend);
  std::vector<double> mean(bands, 0.0), variance(bands, 0.0);
  const double count = static_cast<double>(bench.split.train.size() * frames);
  const auto number = [&](std::uint32_t clip, std::size_t e) {
    return bench.store.features[clip * frames * bands + e];
  };
  for (const std::uint32_t clip : bench.split.train)
    for (std::size_t e = 0; e < frames * bands; ++e) mean[e % bands] += number(clip, e) / count;
  for (const std::uint32_t clip : bench.split.train)
    for (std::size_t e = 0; e < frames * bands; ++e)
      variance[e % bands] += std::pow(number(clip, e) - mean[e % bands], 2) / count;
  for (const auto kind : {Optimiser::Kind::adam, Optimiser::Kind::rmsprop, Optimiser::Kind::sgd}) {
    Trainer trainer(*bench.backend, *bench.queue, bench.dataset, bench.split, network(),
                    {.optimiser = {.kind = kind, .beta1 = 0.9}, .batch = 7}, {.seed = 3});
    trainer.train_epoch();
    const std::vector<float> parameters = trainer.state().parameters;
    for (std::size_t band = 0; band < bands; ++band) {
      CHECK(parameters[band] == Approx(mean[band]).margin(1e-5));
      CHECK(parameters[bands + band] == Approx(1 / std::sqrt(variance[band])).epsilon(1e-5));
    }
  }
}

TEST_CASE("neither padding nor the rounding in a constant band counts where a CNN's inputs are standardised") {
  Bench bench;
  constexpr std::size_t constant_band = 2, real = 5;
  std::vector<double> mean(bands, 0.0), variance(bands, 0.0);
  const double count = static_cast<double>(bench.split.train.size() * real);
  for (const std::uint32_t clip : bench.split.train) {
    float* features = &bench.store.features[clip * frames * bands];
    for (std::size_t t = 0; t < real; ++t) features[t * bands + constant_band] = -23.7f;
    std::fill_n(features + real * bands, (frames - real) * bands, 1000.0f);
    bench.store.lengths[clip] = real;
    for (std::size_t e = 0; e < real * bands; ++e) mean[e % bands] += features[e] / count;
  }
  for (const std::uint32_t clip : bench.split.train)
    for (std::size_t e = 0; e < real * bands; ++e)
      variance[e % bands] += std::pow(bench.store.features[clip * frames * bands + e] - mean[e % bands], 2) / count;
  bench.dataset = DeviceDataset(bench.store, *bench.backend);
  const std::vector<float> parameters = bench.trainer(network()).state().parameters;
  for (std::size_t band = 0; band < bands; ++band) {
    CHECK(parameters[band] == Approx(mean[band]).margin(1e-5));
    CHECK(parameters[bands + band] == Approx(band == constant_band ? 1 : 1 / std::sqrt(variance[band])).epsilon(1e-5));
  }
}

TEST_CASE("a CNN's weights begin as He's, or all from N(0, 1) as the original's") {
  ClassifierConfig config = network();
  config.cnn->units = 500;
  const CnnLayout layout(*config.cnn, genres);
  const auto deviation = [&](const std::vector<float>& parameters, const CnnLayout::Tensor& tensor) {
    double squares = 0;
    for (std::size_t e = 0; e < tensor.size(); ++e) squares += std::pow(parameters[tensor.offset + e], 2);
    return std::sqrt(squares / static_cast<double>(tensor.size()));
  };
  const std::vector<float> he = initial_parameters(config, {.seed = 1});
  CHECK(deviation(he, layout.stages[0].kernel) == Approx(std::sqrt(2.0 / (4 * 4 * 2))).epsilon(0.2));
  CHECK(deviation(he, layout.stages[1].kernel) == Approx(std::sqrt(2.0 / (4 * 4 * 8))).epsilon(0.15));
  CHECK(deviation(he, layout.hidden.kernel) ==
        Approx(std::sqrt(2.0 / static_cast<double>(config.cnn->image(2).size()))).epsilon(0.05));
  CHECK(deviation(he, layout.output.kernel) == Approx(std::sqrt(2.0 / (500 + 3))).epsilon(0.1));
  for (const CnnLayout::Tensor& bias : {layout.stages[0].bias, layout.hidden.bias, layout.output.bias})
    CHECK(deviation(he, bias) == 0);
  CHECK(deviation(he, layout.mean) == 0);
  CHECK(deviation(he, layout.scale) == 1);

  config.initialisation = Initialisation::original;
  const std::vector<float> original = initial_parameters(config, {.seed = 1});
  for (const CnnLayout::Tensor& tensor : {layout.hidden.kernel, layout.hidden.bias, layout.output.kernel})
    CHECK(deviation(original, tensor) == Approx(1).epsilon(0.1));
  CHECK(deviation(original, layout.stages[0].bias) > 0);
}

TEST_CASE("a CNN goes through a model file and a checkpoint, and gives the same probabilities after") {
  Bench bench;
  const test::TemporaryFolder folder;
  Trainer trainer = bench.trainer(network());
  trainer.train_epoch();
  const TrainerState state = trainer.state();
  const Model model{network(), bench.store.config, bench.store.genres};
  write_model(folder / "model.h5", {model, state.parameters, "made by a test"});
  const SavedModel read = read_model(folder / "model.h5");
  CHECK(read.parameters == state.parameters);
  REQUIRE(read.model.classifier.cnn);
  CHECK(*read.model.classifier.cnn == *network().cnn);
  CHECK(describe(read.model.classifier) == "conv 8 pool 4, conv 6 pool 2, dense 24, dense 3");
  CHECK(predict(read.model.classifier, read.parameters, std::as_const(bench.store).view(), *bench.backend, *bench.queue)
            .size() == bench.store.clips() * genres);
  const std::vector<std::uint32_t> all = [&] {
    std::vector<std::uint32_t> clips(bench.store.clips());
    for (std::uint32_t clip = 0; clip < clips.size(); ++clip) clips[clip] = clip;
    return clips;
  }();
  CHECK(predict(read.model.classifier, read.parameters, std::as_const(bench.store).view(), *bench.backend,
                *bench.queue) == trainer.probabilities(all));

  Model longer = model;
  ++longer.features->frames;
  write_model(folder / "longer.h5", {longer, state.parameters, ""});
  CHECK_THROWS_WITH(read_model(folder / "longer.h5"), Catch::Contains("frames, but its features have"));

  write_checkpoint(folder / "checkpoint.h5", model, {"e001-t0", "hash", "commit", bench.backend->info(), 1, state});
  CHECK(read_checkpoint(folder / "checkpoint.h5", model).state.moments == state.moments);
  CHECK_THROWS_WITH(write_keras(folder / "cnn.weights.h5", network(), state.parameters),
                    Catch::Contains("is a CNN (conv 8 pool 4") && Catch::Contains("LSTM networks only"));
}

TEST_CASE("a CNN refuses clips of other than its frames") {
  Bench bench;
  ClassifierConfig longer = network();
  longer.cnn->frames = 40;
  CHECK_THROWS_WITH(bench.trainer(longer), Catch::Contains("the clips have 12 frames, but this CNN takes exactly 41"));
}

}  // namespace
}  // namespace genretree
