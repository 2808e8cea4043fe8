// A CNN in an experiment file: what is read, written back and refused, what it costs, and what the report says of it.
#include "core/error.hpp"
#include "experiments/plan.hpp"
#include "experiments/report_content.hpp"
#include "experiments/resources.hpp"
#include "experiments/runner.hpp"
#include "experiments/variants.hpp"
#include "tests/support/support.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree {
namespace {

Spec spec_of(const std::string& text) { return parse_spec(parse_yaml(text, "cnn.yaml")); }
std::string error_of(const std::string& text) {
  return test::error_of([&] { spec_of(text); });
}

const char* const mfcc_variant = R"(
features: {coefficients: [0, 13], hop: 1102, frames: 603}
model:
  layers: [{conv: 149, pool: 4}, {conv: 73, pool: 2}, {dense: 1024}, {dense: softmax}]
  neighbours: 5
  dropout: 0.5
  initialisation: original
  standardise: false
)";

TEST_CASE("a CNN is read with its image, and what is written reads back to the same experiment") {
  const Spec spec = spec_of(mfcc_variant);
  REQUIRE(spec.cnn);
  CHECK(*spec.cnn == CnnConfig{.frames = 599,
                               .bands = 13,
                               .channels = 5,
                               .stages = {{149, 4}, {73, 2}},
                               .units = 1024,
                               .dropout = 0.5,
                               .standardise = false});
  CHECK(spec.initialisation == Initialisation::original);
  const ClassifierConfig classifier = classifier_of(spec, 10);
  CHECK((classifier.cnn == spec.cnn && classifier.initialisation == Initialisation::original));
  for (const bool documented : {false, true}) {
    const std::string yaml = to_yaml(spec, documented);
    const Spec again = spec_of(yaml);
    CHECK(to_yaml(again, documented) == yaml);
    CHECK(again.cnn == spec.cnn);
    CHECK(again.initialisation == spec.initialisation);
    CHECK(spec_hash(again) == spec_hash(spec));
  }
  CHECK_THAT(to_yaml(spec, true), Catch::Contains("# default: 2\n  neighbours: 5"));
  const Spec usual = spec_of("model: {layers: [{conv: 3, pool: 2}, {dense: 4}, {dense: softmax}]}");
  CHECK((usual.cnn->channels == 2 && usual.cnn->dropout == 0.25 && usual.cnn->standardise));
  CHECK(usual.initialisation == Initialisation::he);
  CHECK_FALSE(spec_of("").cnn);
}

TEST_CASE("whatever changes a CNN's results is another experiment") {
  const std::string hash = spec_hash(spec_of(mfcc_variant));
  for (const auto& [from, to] : {std::pair{"{conv: 73, pool: 2}", "{conv: 73, pool: 3}"},
                                 {"dense: 1024", "dense: 1023"},
                                 {"neighbours: 5", "neighbours: 4"},
                                 {"dropout: 0.5", "dropout: 0.25"},
                                 {"initialisation: original", "initialisation: he"},
                                 {"standardise: false", "standardise: true"}}) {
    std::string text = mfcc_variant;
    text.replace(text.find(from), std::string(from).size(), to);
    INFO(to);
    CHECK(spec_hash(spec_of(text)) != hash);
  }
}

TEST_CASE("what cannot be a CNN is refused where it stands") {
  const auto layers = [](const std::string& list) { return error_of("model:\n  layers: [" + list + "]\n"); };
  CHECK_THAT(layers("{conv: 8, pool: 4}, {dense: softmax}"), Catch::StartsWith("cnn.yaml:2:"));
  CHECK_THAT(layers("{conv: 8}, {dense: 4}, {dense: softmax}"),
             Catch::StartsWith("cnn.yaml:2:12: model.layers cannot hold"));
  CHECK_THAT(layers("{conv: 0, pool: 4}, {dense: 4}, {dense: softmax}"),
             Catch::StartsWith("cnn.yaml:2:19: model.layers cannot hold"));
  CHECK_THAT(layers("{conv: 8, pool: 65}, {dense: 4}, {dense: softmax}"), Catch::StartsWith("cnn.yaml:2:28:"));
  CHECK_THAT(layers("{conv: 8, pool: 4}, {lstm: 4}, {dense: softmax}"), Catch::StartsWith("cnn.yaml:2:32:"));
  CHECK_THAT(layers("{conv: 8, pool: 4}, {dense: 4}, {dense: 5}"), Catch::Contains("a list such as"));

  const std::string cnn = "{layers: [{conv: 8, pool: 4}, {dense: 4}, {dense: softmax}]";
  CHECK_THAT(error_of("model: " + cnn + ", gate: sigmoid}"),
             Catch::Contains("model.gate is only for an LSTM, not layers of conv; remove it"));
  CHECK_THAT(error_of("model: " + cnn + ", preset: paper}"), Catch::Contains("model.preset is only for an LSTM"));
  CHECK_THAT(error_of("model: {neighbours: 2}"),
             Catch::Contains("model.neighbours is only for a CNN, whose layers begin with conv; remove it"));
  CHECK_THAT(error_of("features: {frames: 3}\nmodel: " + cnn + ", neighbours: 4}"),
             Catch::Contains("4 neighbours leave no frame of features.frames = 3"));
  CHECK_THAT(error_of("model: " + cnn + "}\nbackend: {precision: bf16}"), Catch::Contains("in fp32 only"));
  CHECK_THAT(error_of("model: " + cnn + "}\nbackend: {target: avx2}"), Catch::Contains("ONEDNN_MAX_CPU_ISA"));
}

TEST_CASE("a CNN's memory is asked of the backend") {
  Data data;
  data.store = test::tiny_store({.frames = 40});
  Spec small = spec_of("model: {layers: [{conv: 8, pool: 4}, {dense: 50}, {dense: softmax}]}");
  small.features = data.store.config;
  small.cnn->frames = 39, small.cnn->bands = data.store.config.coefficients;
  small.training.batch = 7;
  small.dataset.split.train = 6, small.dataset.split.validation = small.dataset.split.test = 2;
  const auto backend = make_backend({.device = "cpu"});
  const std::size_t parameters = CnnLayout(*small.cnn, 3).size;
  const auto state = [&](std::uint32_t rows, Mode mode) {
    return backend->make_cnn_state(*small.cnn, {1, rows, 40, 3, {rows}, {3}}, mode)->bytes();
  };
  const std::size_t floats = (7 + 6) * (40 * 4 + 3 + 1) + (3 + 3 + 1 + 3) * parameters,
                    expected = state(7, Mode::training) + state(6, Mode::inference) + 4 * floats,
                    need = memory_need(small, data, *backend, 64'000'000'000).per_run;
  CHECK(need >= expected);
  // lists of the rows of 18 clips to train (in batches of 7), 6 to validate and 6 to test, those at work, and scores
  const std::size_t rows = 3 * 7 + 6 + 6 + 7 + 6;
  CHECK(need <= expected + rows * sizeof(BatchRow) + 500);
}

TEST_CASE("the report of a CNN describes it, and has the paper's value only for GTZAN's ten genres") {
  const auto content = [](std::size_t genres, const std::string& name) {
    Spec spec = spec_of(std::string(mfcc_variant) + "grid: {epochs: [5, 200], trials: 1}");
    DatasetSummary dataset;
    dataset.name = name;
    for (std::size_t genre = 0; genre < genres; ++genre) dataset.genres.push_back(fmt::format("g{}", genre));
    std::vector<Result> results(2);
    for (Result& result : results) {
      result.epochs = &result == &results[0] ? 5 : 200;
      result.history.resize(result.epochs);
      result.confusion.assign(genres * genres, 1);
    }
    return make_content(spec, dataset, results);
  };
  const ReportContent ten = content(10, "GTZAN");
  const auto model = std::ranges::find(ten.facts, "model", &std::pair<std::string, std::string>::first)->second;
  CHECK_THAT(model, Catch::Contains("image of 599 frames × 13 bands × 5 neighbours → conv 149, pool 4 → conv 73, pool "
                                    "2 → dense 1024 → dense softmax 10; 11,"));
  REQUIRE(ten.paper.size() == 2);
  CHECK(std::isnan(ten.paper[0][2].value));
  CHECK(ten.paper[1][2].value == 0.4687);
  CHECK(ten.paper[1][2].text == "46.87¹");
  CHECK(std::isnan(ten.paper[1][3].value));  // the paper's Figure 10 is about an LSTM
  CHECK_THAT(ten.means_notes.back(), Catch::Contains("30 of 64 clips of a single mini-batch"));
  CHECK(content(6, "GTZAN").paper.empty());
  CHECK(content(10, "other").paper.empty());
}

TEST_CASE("the CNNs that come with the program, both variants of both sizes, are what they say") {
  const std::filesystem::path folder = std::filesystem::path(GENRETREE_SOURCE) / "experiments";
  const ExperimentFile original = load_experiment(folder / "cnn_original.yaml", {}, ""),
                       small = load_experiment(folder / "cnn.yaml", {}, "");
  for (const ExperimentFile& file : {original, small}) {
    REQUIRE(file.variants.size() == 2);
    CHECK((file.variants[0].name == "mel" && file.variants[1].name == "mfcc"));
    const CnnConfig &mel = *file.variants[0].spec.cnn, &mfcc = *file.variants[1].spec.cnn;
    CHECK((mel.frames == 599 && mel.bands == 128 && mel.channels == 2 && mel.stages.size() == 3));
    CHECK((mfcc.frames == 599 && mfcc.bands == 13 && mfcc.channels == 5 && mfcc.stages.size() == 2));
  }
  const Spec &mel = original.variants[0].spec, &mfcc = original.variants[1].spec;
  CHECK(classifier_of(mel, 10).parameter_count() == 87'472'939);
  CHECK((mfcc.cnn->stages[0].filters == 149 && mfcc.cnn->stages[1].filters == 73 && mfcc.cnn->units == 1024));
  for (const Spec& spec : {mel, mfcc})
    CHECK((spec.training.batch == 64 && spec.initialisation == Initialisation::original && !spec.cnn->standardise));
  CHECK(mel.features.kind == FeatureKind::mel);
  CHECK(small.variants[0].spec.features.kind == FeatureKind::log_mel);
  for (const Variant& variant : small.variants)
    CHECK((variant.spec.cnn->standardise && variant.spec.initialisation == Initialisation::he));
}

TEST_CASE("oneDNN stands in what is said of a CNN's runs, and of no others") {
  const auto backend = make_backend({.device = "cpu"});
  const BackendInfo lstm = info_of(spec_of(""), *backend), cnn = info_of(spec_of(mfcc_variant), *backend);
  CHECK_THAT(lstm.libraries, !Catch::Contains("oneDNN"));
  CHECK_THAT(cnn.libraries, Catch::StartsWith(lstm.libraries) && Catch::Contains("oneDNN 2."));
  CHECK((lstm.algorithm == "interleaved" && cnn.algorithm == "direct convolution"));
  CHECK(make_backend({.device = "cpu", .precision = "bf16"})->cnn_info().precision == "fp32");
}

}  // namespace
}  // namespace genretree
