#include <fmt/format.h>

#include "core/random.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree::test {

FeatureStore tiny_store(const TinyStoreConfig& config) {
  FeatureStore store;
  store.config.coefficients = config.coefficients;
  store.config.frames = config.frames;
  store.source = "tiny synthetic store";
  Random random(RandomKey{.seed = 7});
  std::vector<double> means(config.genres * config.coefficients);
  for (double& mean : means) mean = config.separation * random.normal();
  for (std::size_t genre = 0; genre < config.genres; ++genre) {
    store.genres.push_back(std::string(1, static_cast<char>('a' + genre)));
    for (std::size_t clip = 0; clip < config.clips_per_genre; ++clip) {
      store.tracks.push_back(fmt::format("{}.{:05}", store.genres.back(), clip));
      store.labels.push_back(static_cast<std::int32_t>(genre));
      const std::size_t padding =
          config.shortest == 0 ? 0 : config.frames - config.shortest - clip % (config.frames - config.shortest + 1);
      store.lengths.push_back(static_cast<std::int32_t>(config.frames - padding));
      store.checksums.push_back(store.checksums.size() + 1);
      for (std::size_t frame = 0; frame < config.frames; ++frame)
        for (std::size_t c = 0; c < config.coefficients; ++c)
          store.features.push_back(static_cast<float>(means[genre * config.coefficients + c] + random.normal()));
    }
  }
  return store;
}

std::string tiny_experiment(const std::filesystem::path& path) {
  return fmt::format(R"(
experiment: tiny
dataset: {{name: tiny, path: "{}", split: {{kind: by-index, train: 6, validation: 2, test: 2}}}}
features: {{coefficients: [0, 4], frames: 6}}
model: {{layers: [{{lstm: 5}}, {{lstm: 3}}, {{dense: softmax}}], dropout: 0.1, recurrent_dropout: 0.2}}
training: {{batch: 7, learning_rate: 0.02}}
grid: {{epochs: [2, 3, 5], trials: 2}}
)",
                     path.string());
}

}  // namespace genretree::test
