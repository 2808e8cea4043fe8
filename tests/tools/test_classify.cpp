// classify from the command line: on models that run_experiment leaves, and what it refuses.
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/io/files.hpp"
#include "experiments/ledger.hpp"
#include "features/extract.hpp"
#include "features/store.hpp"
#include "kernels/backends.hpp"
#include "models/model_file.hpp"
#include "models/predict.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace fs = std::filesystem;
using Catch::Contains;
using Json = nlohmann::json;
namespace {

constexpr const char* experiment = R"(
dataset:
  {name: built-in, genres: [metal, blues, jazz], clips_per_genre: 6, seconds: 2,
   split: {kind: by-index, train: 3, validation: 0, test: 3}}
features: {frames: 87}
model: {layers: [{lstm: 6}, {lstm: 5}, {dense: softmax}]}
training: {learning_rate: 0.02}
grid: {epochs: [2, 4], trials: 1, mode: snapshots}
)";

test::CommandResult run(const test::TemporaryFolder& folder, const std::string& program, const std::string& arguments) {
  return test::run_command(fmt::format("( cd {0} && GENRETREE_CACHE={0}/cache {1} {2} )", folder.path().string(),
                                       test::program(program).string(), arguments));
}

test::CommandResult classify(const test::TemporaryFolder& folder, const std::string& arguments) {
  return run(folder, "classify", arguments);
}

Json classify_json(const test::TemporaryFolder& folder, const std::string& arguments) {
  const test::CommandResult result = classify(folder, "--json " + arguments + " 2>/dev/null");
  INFO(result.output);
  return Json::parse(result.output);
}

double difference(const Json& a, const Json& b) {
  double worst = 0;
  REQUIRE(a.size() == b.size());
  for (const auto& [genre, probability] : a.items())
    worst = std::max(worst, std::abs(probability.get<double>() - b.at(genre).get<double>()));
  return worst;
}

/// An untrained network of two genres for windows of 5 frames at 8 kHz.
SavedModel small_model() {
  SavedModel saved;
  saved.model.features = FeatureConfig{};
  saved.model.features->frames = 5;
  saved.model.features->sample_rate = 8000;
  saved.model.classifier = {StackConfig{.inputs = 13, .units = {4}}, 2};
  saved.model.genres = {"calm", "loud"};
  saved.parameters = initial_parameters(saved.model.classifier, {.seed = 1});
  saved.origin = "made by a test";
  return saved;
}

TEST_CASE("run_experiment leaves models that classify as they were evaluated, audio and stores alike") {
  const test::TemporaryFolder folder;
  write_whole_text(folder / "small.yaml", experiment);
  const test::CommandResult trained = run(folder, "run_experiment", "small.yaml --out run");
  INFO(trained.output);
  REQUIRE(trained.exit_code == 0);
  const std::vector<Result> results = read_results({folder / "run"}, false);
  REQUIRE(results.size() == 2);
  const std::vector<std::string> models = {"run/models/s004-t0-e002.h5", "run/models/s004-t0.h5"};
  for (std::size_t i = 0; i < results.size(); ++i) {
    INFO(models[i]);
    const Json document = classify_json(folder, models[i] + " cache/*.h5");
    CHECK(document["model"]["genres"] == Json({"metal", "blues", "jazz"}));
    CHECK_THAT(document["model"]["origin"].get<std::string>(),
               Contains(fmt::format("trained for {} epochs on 9 clips of SYNTHETIC corpus", results[i].epochs)));
    int test_clips = 0, right = 0;
    for (const Json& answer : document["inputs"]) {  // the cache has all ten genres
      const std::string track = answer["track"], label = answer["label"];
      double sum = 0;
      for (const auto& [genre, probability] : answer["probabilities"].items()) sum += probability.get<double>();
      CHECK(sum == Approx(1).epsilon(1e-6));
      if (track.back() > '2' || !(label == "metal" || label == "blues" || label == "jazz")) continue;
      ++test_clips;
      right += answer["genre"] == label;
    }
    CHECK(test_clips == 9);
    CHECK(right / 9.0 == Approx(results[i].test.accuracy));
  }

  // the same music as files
  REQUIRE(run(folder, "make_corpus", "corpus --clips 2 --seconds 2 --genres jazz,metal").exit_code == 0);
  const Json from_store = classify_json(folder, models[1] + " cache/*.h5"),
             from_files = classify_json(folder, models[1] + " corpus/genres/*/*.au --jobs 2");
  REQUIRE(from_files["inputs"].size() == 4);
  for (const Json& file : from_files["inputs"]) {
    CHECK(file["windows"] == 1);
    const std::string track = fs::path(file["input"].get<std::string>()).stem();
    const auto clip =
        std::ranges::find_if(from_store["inputs"], [&](const Json& candidate) { return candidate["track"] == track; });
    REQUIRE(clip != from_store["inputs"].end());
    CHECK(difference(file["probabilities"], (*clip)["probabilities"]) < 1e-5);
  }
  CHECK(from_files["inputs"] == classify_json(folder, models[1] + " corpus/genres/*/*.au --jobs 1")["inputs"]);

  const test::CommandResult text = classify(folder, models[1] + " corpus/genres/jazz/jazz.00000.au cache/*.h5");
  CHECK(text.exit_code == 0);
  CHECK_THAT(text.output, Contains("LSTM 6, LSTM 5, dense 3; trained for 4 epochs") &&
                              Contains("of 18 clips as their stores label them"));
  CHECK(read_model(folder / "run/checkpoints/s004-t0.h5").parameters == read_model(folder / models[1]).parameters);
  CHECK(fs::file_size(folder / models[1]) < fs::file_size(folder / "run/checkpoints/s004-t0.h5"));
}

constexpr const char* tree_experiment = R"(
dataset:
  {name: built-in, genres: [metal, blues, jazz, rock], clips_per_genre: 6, seconds: 2,
   split: {kind: random, train: 3, validation: 0, test: 3}}
features: {frames: 87}
model: {layers: [{lstm: 6}, {lstm: 5}, {dense: softmax}]}
training: {learning_rate: 0.02}
tree:
  music: {epochs: 3, children: [loud, blues]}
  loud:  {epochs: 4, children: [jazz, hard]}
  hard:  {epochs: 2, children: [rock, metal]}
grid: {trials: 2}
)";

const Json& answer_on(const Json& document, const std::string& track) {
  const Json& inputs = document["inputs"];
  const auto found = std::ranges::find_if(inputs, [&](const Json& input) { return input["track"] == track; });
  REQUIRE(found != inputs.end());
  return *found;
}

TEST_CASE("a tree and each of its nodes say of the test clips exactly what the experiment recorded") {
  const test::TemporaryFolder folder;
  write_whole_text(folder / "tree.yaml", tree_experiment);
  const test::CommandResult trained = run(folder, "run_experiment", "tree.yaml --out run");
  INFO(trained.output);
  REQUIRE(trained.exit_code == 0);
  using Genres = std::map<std::string, std::vector<std::string>>;
  const std::string decoded = read_text(folder / "run/decoded.csv");
  const std::vector<Result> results = read_results({folder / "run"}, false);
  REQUIRE(results.size() == 6);
  for (const Result& result : results) {
    INFO(result.run);
    const Json tree = classify_json(folder, fmt::format("run/models/tree-t{}.h5 cache/*.h5", result.trial));
    const Json node = classify_json(folder, fmt::format("run/models/{}.h5 cache/*.h5", result.run));
    CHECK(tree["model"]["kind"] == "tree");
    const Json children = node["model"]["children"];
    CHECK(children == tree["model"]["nodes"][result.node]);
    std::size_t right = 0, asked = 0;
    for (std::size_t clip = 0; clip < result.answers.tracks.size(); ++clip) {
      const std::string& track = result.answers.tracks[clip];
      INFO(track);
      const Json& by_tree = answer_on(tree, track);
      const Json& by_node = answer_on(node, track);
      for (std::size_t child = 0; child < children.size(); ++child) {
        const float recorded = result.answers.probabilities[clip * children.size() + child];
        const std::string name = children[child];
        CHECK(by_node["probabilities"][name] == recorded);
        CHECK(by_tree["nodes"][result.node][name] == recorded);
      }
      const std::string label = by_tree["label"], hard = by_tree["genre"], soft = by_tree["soft_genre"];
      CHECK_THAT(decoded, Contains(fmt::format("\n{},{},{},{},{}\n", result.trial, track, label, hard, soft)));
      CHECK(by_tree["path"].back()["child"] == hard);
      CHECK(by_tree["path"].front()["node"] == "music");
      const std::string child = by_node["child"];
      for (const auto& [name, genres] : node["model"]["genres_below"].get<Genres>()) {
        const bool is_below = std::ranges::count(genres, label) > 0;
        asked += is_below;
        right += is_below && name == child;
      }
    }
    CHECK(static_cast<double>(right) / static_cast<double>(asked) == result.test.accuracy);
    CHECK(tree["agreement"]["clips"] == 24);  // the cache has six more genres of six clips each
    CHECK(tree["agreement"]["other_genres"] == 36);
    CHECK(node["agreement"]["clips"] == (result.node == "music" ? 24 : result.node == "loud" ? 18 : 12));
  }

  const test::CommandResult text = classify(folder, "run/models/tree-t1.h5 cache/*.h5");
  CHECK(text.exit_code == 0);
  CHECK_THAT(text.output, Contains("tree of 3 nodes trained on 12 clips of SYNTHETIC") && Contains("music → ") &&
                              Contains("; soft routing: ") &&
                              Contains("of 24 clips as their stores label them by hard") &&
                              Contains("36 clips of other genres left out"));
  CHECK_THAT(
      classify(folder, "run/models/hard-t1.h5 cache/*.h5").output,
      Contains("of 12 clips below the node hard go to the child that their genre lies below; 48 clips of other"));
  CHECK_THAT(classify(folder, "run/checkpoints/loud-t0.h5 cache/*.h5").output, Contains("below the node loud"));

  // the same music as files, and the node's file in place of the tree's
  REQUIRE(run(folder, "make_corpus", "corpus --clips 1 --seconds 5 --genres jazz").exit_code == 0);
  const Json song = classify_json(folder, "run/models/tree-t0.h5 corpus/genres/jazz/jazz.00000.au")["inputs"][0];
  CHECK(song["windows"] == 2);
  double sum = 0, product = 1;
  for (const auto& [genre, probability] : song["probabilities"].items()) sum += probability.get<double>();
  CHECK(sum == Approx(1).epsilon(1e-6));
  for (const Json& step : song["path"]) product *= step["probability"].get<double>();
  CHECK(song["probabilities"][song["genre"].get<std::string>()].get<double>() == Approx(product).epsilon(1e-6));

  SECTION("removed files come back with --resume") {
    const std::string tree = read_text(folder / "run/models/tree-t0.h5");
    for (const char* name : {"tree-t0.h5", "loud-t0.h5"}) fs::remove(folder / "run/models" / name);
    const test::CommandResult again = run(folder, "run_experiment", "tree.yaml --out run --resume");
    CHECK(again.exit_code == 0);
    CHECK_THAT(again.output, Contains("loud-t0.h5  made again"));
    CHECK(read_text(folder / "run/models/tree-t0.h5") == tree);
    fs::remove(folder / "run/models/loud-t0.h5");
    fs::remove(folder / "run/models/tree-t0.h5");
    fs::remove(folder / "run/checkpoints/loud-t0.h5");
    const test::CommandResult lost = run(folder, "run_experiment", "tree.yaml --out run --resume");
    CHECK(lost.exit_code == 0);
    CHECK_THAT(lost.output, Contains("loud-t0.h5 is missing and cannot be made again") &&
                                Contains("tree-t0.h5 cannot be made: run/models/loud-t0.h5 is missing"));
  }
  SECTION("a store with other features is refused") {
    REQUIRE(run(folder, "extract_features", "corpus/genres -o other.h5 --set frames=87 --set hop=256").exit_code == 0);
    const test::CommandResult other = classify(folder, "run/models/tree-t0.h5 other.h5");
    CHECK(other.exit_code == 65);
    CHECK_THAT(other.output, Contains("hop is 256 in the store and 512 in the model"));
  }
}

TEST_CASE("audio of any format and length is judged in windows") {
  const test::TemporaryFolder folder;
  const SavedModel saved = small_model();
  write_model(folder / "model.h5", saved);
  const fs::path files[] = {test::golden("librosa_plain.au"), test::golden("librosa_stereo.wav"),
                            test::golden("librosa_8khz.flac")};
  std::string arguments = "model.h5";
  for (const fs::path& file : files) arguments += " " + file.string();
  const Json answers = classify_json(folder, arguments)["inputs"];
  REQUIRE(answers.size() == 3);

  const std::unique_ptr<Backend> backend = make_backend({.device = "cpu"});
  const std::unique_ptr<Queue> queue = backend->device().make_queue();
  const FeatureConfig& config = *saved.model.features;
  std::set<std::size_t> counts;
  for (std::size_t i = 0; i < 3; ++i) {
    INFO(files[i]);
    const std::vector<float> features = clip_features(load_audio(files[i], config.sample_rate), "clip", config,
                                                      make_spectral_tables(config), *backend, *queue);
    const std::size_t frames = features.size() / config.coefficients;
    double loud = 0;
    const std::vector<std::size_t> starts = window_starts(frames, config.frames);
    for (const std::size_t start : starts) {
      const std::vector<float> window = fit_to_frames(
          {features.begin() + static_cast<std::ptrdiff_t>(start * config.coefficients), features.end()}, config);
      loud += predict(saved.model.classifier, saved.parameters,
                      view_of(window.data(), 1, config.frames, config.coefficients), *backend, *queue)[1];
    }
    counts.insert(starts.size());
    CHECK(answers[i]["windows"] == starts.size());
    CHECK(answers[i]["probabilities"]["loud"].get<double>() ==
          Approx(loud / static_cast<double>(starts.size())).margin(1e-6));
  }
  CHECK(*counts.rbegin() > 1);  // at least one clip is longer than a window
}

TEST_CASE("inputs that cannot be used are named; the others are answered") {
  const test::TemporaryFolder folder;
  write_model(folder / "model.h5", small_model());
  write_whole_text(folder / "text.wav", "This is no music.");
  const std::string good = test::golden("librosa_8khz.flac").string();
  const test::CommandResult mixed = classify(folder, "model.h5 text.wav " + good);
  CHECK(mixed.exit_code == 3);
  CHECK_THAT(mixed.output, Contains("left out: cannot read text.wav") && Contains("librosa_8khz.flac"));
  const Json document = classify_json(folder, "model.h5 text.wav " + good);
  CHECK_THAT(document["inputs"][0]["error"].get<std::string>(), Contains("cannot read text.wav"));
  CHECK(document["inputs"][1].contains("genre"));
  const test::CommandResult none = classify(folder, "model.h5 text.wav none.wav " + folder.path().string());
  CHECK(none.exit_code == 65);
  CHECK_THAT(none.output, Contains("error: cannot read text.wav") && Contains("error: cannot read none.wav") &&
                              Contains("is a folder. Name its files, or make a feature store"));
}

TEST_CASE("features that differ are refused, and so is what is no model") {
  const test::TemporaryFolder folder;
  const SavedModel saved = small_model();
  write_model(folder / "model.h5", saved);
  FeatureStore store;
  store.config = *saved.model.features;
  store.config.hop = 256;
  store.config.pad = FramePadding::zero;
  store.genres = {"calm"};
  store.tracks = {"one"};
  store.labels = {0}, store.lengths = {5}, store.checksums = {1};
  store.features.assign(5 * 13, 1.0f);
  write_store(folder / "store.h5", store);
  const auto refused = [&](const std::string& arguments, const std::string& message) {
    const test::CommandResult result = classify(folder, arguments);
    INFO(arguments << ": " << result.output);
    CHECK(result.exit_code == 65);
    CHECK_THAT(result.output, Contains(message));
  };
  refused("model.h5 store.h5",
          "pad is zero in the store and edge in the model, hop is 256 in the store and 512 in the");
  refused("store.h5 model.h5", "store.h5 is not a model file of genretree");
  refused("model.h5 model.h5", "no feature store");
  refused("model.h5", "AUDIO is required");
  refused("none.h5 a.wav", "none.h5 does not exist");
  fs::resize_file(folder / "model.h5", fs::file_size(folder / "model.h5") / 2);
  refused("model.h5 store.h5", "model.h5 is cut off or damaged. Make it again: remove it, and run_experiment");
  refused(test::golden("librosa_8khz.flac").string() + " store.h5", "is no model file. The model comes first");
}

}  // namespace
}  // namespace genretree
