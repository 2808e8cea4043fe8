// Figures 6, 7, 8 and 13 and the similarity of genres: what is on them, for odd names and odd data sets too.
#include <regex>

#include "core/io/files.hpp"
#include "experiments/clip_figures.hpp"
#include "experiments/dataset_figures.hpp"
#include "experiments/figures.hpp"
#include "experiments/genre_figures.hpp"
#include "experiments/network_figure.hpp"
#include "features/extract.hpp"
#include "tests/support/support.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree {
namespace fs = std::filesystem;
using Catch::Contains;
namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

/// "" for well-formed XML, else what Python's parser says.
std::string xml_error(const std::string& text) {
  const test::TemporaryFolder folder;
  write_whole_text(folder / "picture.svg", text);
  return test::run_command("python3 -c \"import xml.dom.minidom, sys; xml.dom.minidom.parse(sys.argv[1])\" " +
                           (folder / "picture.svg").string())
      .output;
}

constexpr std::size_t largest_figure = 500'000;

/// Two genres of two clips of a second, synthesised on the spot.
struct Music {
  test::TemporaryFolder folder;
  Spec spec;
  DataOptions options;
  std::unique_ptr<Backend> backend = make_backend({.device = "cpu"});

  explicit Music(std::size_t clips = 3) {
    spec.experiment = "odd & small";
    spec.dataset.name = "built-in";
    spec.dataset.genres = {"metal", "blues"};
    spec.dataset.corpus.clips_per_genre = clips;
    spec.dataset.corpus.seconds = 1;
    spec.features.frames = 40;
    spec.stack.inputs = spec.features.coefficients;
    spec.stack.units = {128, 32};
    options.cache = folder / "cache";
  }
  Data load() const { return load_features(spec, *backend, options); }
};

const ReportFigure& figure(const DatasetFigures& all, const std::string& file) {
  const auto found = std::ranges::find(all.figures, file, &ReportFigure::file);
  REQUIRE(found != all.figures.end());
  return *found;
}

/// The layers as text, which says in one comparison what differs: "LSTM 128 | 1293 × 128 | 72704".
std::vector<std::string> texts_of(const std::vector<NetworkLayer>& layers) {
  std::vector<std::string> texts;
  for (const NetworkLayer& layer : layers)
    texts.push_back(fmt::format("{} | {} | {}", layer.name, layer.shape, layer.parameters));
  return texts;
}

std::size_t parameters_of(const std::vector<NetworkLayer>& layers) {
  std::size_t sum = 0;
  for (const NetworkLayer& layer : layers) sum += layer.parameters;
  return sum;
}

/// The CNN of cnn.yaml: 599 × 128 × 2 after 600 frames of 128 bands.
CnnConfig small_cnn() {
  CnnConfig cnn;
  cnn.frames = 599;
  cnn.bands = 128;
  cnn.channels = 2;
  cnn.stages = {{8, 4}, {16, 2}, {16, 2}};
  cnn.units = 64;
  cnn.standardise = true;
  return cnn;
}

TEST_CASE("the layers of the paper's network, with Keras's counts of parameters", "[figures]") {
  ClassifierConfig classifier;
  classifier.stack.inputs = 13;
  classifier.stack.units = {128, 32};
  classifier.classes = 6;
  const std::vector<NetworkLayer> layers = network_layers(classifier, 1293);
  CHECK(texts_of(layers) == std::vector<std::string>{"input | 1293 × 13 | 0", "LSTM 128 | 1293 × 128 | 72704",
                                                     "LSTM 32 | 32 | 20608", "dense, softmax | 6 | 198"});
  CHECK(parameters_of(layers) == classifier.parameter_count());
}

TEST_CASE("the layers of a network of two directions, with constants, a window and a readout", "[figures]") {
  ClassifierConfig classifier;
  NetworkConfig& stack = classifier.stack;
  stack.inputs = 13;
  stack.units = {128, 32};
  classifier.classes = 6;
  classifier.window = 256;
  stack.bidirectional = stack.standardise = true;
  stack.readout = Readout::mean_max;
  std::vector<NetworkLayer> layers = network_layers(classifier, 1293);
  // 2 · (13 + 128 + 1) · 4 · 128, 2 · (256 + 32 + 1) · 4 · 32, (4 · 32 + 1) · 6
  CHECK(texts_of(layers) == std::vector<std::string>{"input | 256 × 13 | 0", "standardise, not trained | 256 × 13 | 26",
                                                     "bidirectional LSTM 128 | 256 × 256 | 145408",
                                                     "bidirectional LSTM 32 | 256 × 64 | 73984",
                                                     "mean and maximum over time | 128 | 0",
                                                     "dense, softmax | 6 | 774"});
  CHECK(parameters_of(layers) == classifier.parameter_count());
  stack.readout = Readout::last;
  layers = network_layers(classifier, 100);  // fewer than the window
  CHECK(texts_of(layers)[2] == "bidirectional LSTM 128 | 100 × 256 | 145408");
  CHECK(texts_of(layers)[3] == "bidirectional LSTM 32 | 64 | 73984");
  CHECK(parameters_of(layers) == classifier.parameter_count());
}

TEST_CASE("the layers of a CNN: shapes after pooling with what is padded, counts of 4 × 4 kernels and biases",
          "[figures]") {
  ClassifierConfig classifier;
  classifier.cnn = small_cnn();
  classifier.classes = 10;
  std::vector<NetworkLayer> layers = network_layers(classifier, 600);
  // 599 / 4, 150 / 2 and 75 / 2 rounded up; 16 · 2 · 8 + 8, 16 · 8 · 16 + 16, …, 38 · 8 · 16 · 64 + 64
  CHECK(texts_of(layers) == std::vector<std::string>{"input | 600 × 128 | 0", "image of 2 channels | 599 × 128 × 2 | 0",
                                                     "standardise, not trained | 599 × 128 × 2 | 256",
                                                     "conv 8 (4 × 4), ReLU, pool 4 × 4 | 150 × 32 × 8 | 264",
                                                     "conv 16 (4 × 4), ReLU, pool 2 × 2 | 75 × 16 × 16 | 2064",
                                                     "conv 16 (4 × 4), ReLU, pool 2 × 2 | 38 × 8 × 16 | 4112",
                                                     "dense, ReLU | 64 | 311360", "dense, softmax | 10 | 650"});
  CHECK(parameters_of(layers) == classifier.parameter_count());

  classifier.cnn->standardise = false;
  layers = network_layers(classifier, 600);
  CHECK(layers.size() == 7);
  CHECK(parameters_of(layers) == classifier.parameter_count());
}

TEST_CASE("Figure 6 shows one network, or one for each node of a tree", "[figures]") {
  Spec spec;
  spec.stack.inputs = 13;
  spec.stack.units = {128, 32};
  const std::string one = draw_network(spec, {"a", "b", "c", "d", "e", "f"}, "My <music>");
  CHECK(xml_error(one) == "");
  CHECK_THAT(one, Contains(">LSTM 128<") && Contains(">72,704 parameters<") && Contains(">93,510 in all<") &&
                      Contains(">My &lt;music&gt;<"));
  CHECK(count(one, "<rect") == 4);

  spec.tree = GenreTree({{"root & all", 1, {"left", "c"}}, {"left", 1, {"a", "b"}}}, {"a", "b", "c"});
  const std::string two = draw_network(spec, {"a", "b", "c"}, "My music");
  CHECK(xml_error(two) == "");
  CHECK(count(two, "<rect") == 8);
  CHECK_THAT(two,
             Contains(">root &amp; all<") && Contains(">left, c<") && Contains(">2 networks, 186,756 parameters<"));
  CHECK(two == draw_network(spec, {"a", "b", "c"}, "My music"));
}

TEST_CASE("Figure 6 of a CNN, and of a tree that is still to be learned", "[figures]") {
  const std::vector<std::string> genres = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
  Spec spec;
  spec.features.frames = 600;
  spec.cnn = small_cnn();
  const std::string cnn = draw_network(spec, genres, "My music");
  CHECK(xml_error(cnn) == "");
  CHECK(count(cnn, "<rect") == 8);
  CHECK_THAT(cnn, Contains(">75 × 16 × 16<") && Contains(">2,064 parameters<") && Contains(">318,706 in all<"));

  spec.cnn.reset();
  spec.stack.inputs = 13;
  spec.stack.units = {128, 32};
  spec.learned_tree_epochs = 30;
  const std::string learned = draw_network(spec, genres, "My music");
  CHECK(xml_error(learned) == "");
  CHECK_THAT(learned, Contains(">The tree is learned from the answers of this network.<") &&
                          Contains(">33 parameters for each child in the last layer.<"));
}

TEST_CASE("all figures of a synthetic data set: well-formed, small, named, and on one page that says what it is",
          "[figures]") {
  const Music music;
  const Data data = music.load();
  const DatasetFigures all = draw_dataset_figures(music.spec, data, *music.backend);
  CHECK(all.left_out.empty());
  CHECK(all.figures.size() == 5);
  for (const ReportFigure& drawn : all.figures) {
    INFO(drawn.file);
    CHECK(xml_error(drawn.svg) == "");
    CHECK(drawn.svg.size() < largest_figure);
    CHECK_THAT(drawn.svg, Contains("SYNTHETIC corpus (not GTZAN)") && Contains("currentColor"));
  }
  CHECK_THAT(figure(all, "figure7.svg").svg, Contains(">metal<") && Contains(">blues.00000<") && Contains("time (s)"));
  CHECK(count(figure(all, "figure8.svg").svg, "<image ") == 4);  // log-mel and MFCC of two clips
  CHECK_THAT(figure(all, "figure8.svg").svg,
             Contains("data:image/png;base64,") && Contains("image-rendering:pixelated"));
  CHECK_THAT(figure(all, "figure13.svg").svg, Contains(">metal (3)<") && Contains("% of the variance)<"));
  CHECK(count(figure(all, "similarity.svg").svg, "<rect") == 4);

  write_dataset_figures(music.folder / "out", music.spec, data, all);
  const std::string page = read_text(music.folder / "out" / "index.html");
  CHECK(count(page, "<svg") == 5);
  CHECK_THAT(page,
             Contains("first-line banner\">SYNTHETIC corpus (not GTZAN): these figures say nothing about GTZAN") &&
                 Contains("odd &amp; small") && Contains("metal.00000, blues.00000"));
  const std::string scatter = read_text(music.folder / "out" / "scatter.csv");
  CHECK(count(scatter, "\n") == 7);
  CHECK_THAT(scatter, Contains("track,genre,component_1,component_2\n") && Contains("metal.00000,metal,"));
  CHECK_THAT(read_text(music.folder / "out" / "similarity.csv"),
             Catch::StartsWith("genre,metal,blues\nmetal,0.000000,"));
  // a file alone has colours for light and dark; on the page they are the page's
  CHECK(count(read_text(music.folder / "out" / "figure6.svg"), "prefers-color-scheme: dark") == 1);
  CHECK(count(page, ":root { color:") == 0);

  const DatasetFigures again = draw_dataset_figures(music.spec, data, *music.backend);
  for (std::size_t i = 0; i < all.figures.size(); ++i) CHECK(again.figures[i].svg == all.figures[i].svg);
}

TEST_CASE("odd names of genres and tracks stand on the figures as they are", "[figures]") {
  const std::vector<std::string> genres = {"black 'n' <\"white\"> 100% & {x}_y \\n", "gpPt"};
  const std::string shown = ">black 'n' &lt;\"white\"> 100% &amp; {x}_y \\n";
  const std::vector<float> samples = {0, 1, -1, 0.5f};
  const std::string waves = draw_waveforms({{genres[0], "bytes \xff\n", samples}, {"b", "&amp;", samples}}, 4, "a'b");
  CHECK(xml_error(waves) == "");
  CHECK_THAT(waves, Contains(">black 'n' &lt;\"white\"> 100% &amp; {x…<") &&
                        Contains(">bytes \xEF\xBF\xBD\xEF\xBF\xBD<") && Contains(">&amp;amp;<") && Contains(">a'b<"));

  const std::vector<std::int32_t> labels = {0, 0, 1, 1};
  PrincipalComponents components{Matrix(4, 2), {0.5, 0.25}};
  components.scores.values = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::string scatter = draw_scatter(components, labels, genres, "data");
  CHECK(xml_error(scatter) == "");
  CHECK_THAT(scatter, Contains(shown + " (2)<") && Contains(">gpPt (2)<") && Contains("(50.0 % of the variance)"));

  Matrix distances(2, 2);
  distances.values = {0, 1.234, 1.234, 0};
  const std::string similarity = draw_similarity(distances, {1, 0}, genres, "data");
  CHECK(xml_error(similarity) == "");
  CHECK_THAT(similarity, Contains(">1.23<") && Contains(">black &#39;n&#39; &lt;&quot;white&quot;&gt;"));
}

TEST_CASE("a feature store has no audio: what cannot be drawn is named, the rest is there", "[figures]") {
  Spec spec;
  Data data;
  data.store = test::tiny_store();
  data.summary.name = "tiny";
  data.summary.genres = data.store.genres;
  data.summary.source = data.store.source;
  spec.features = data.store.config;
  spec.stack.inputs = 4;
  spec.stack.units = {5};
  const DatasetFigures all = draw_dataset_figures(spec, data, *make_backend({.device = "cpu"}));
  REQUIRE(all.left_out.size() == 2);
  CHECK_THAT(all.left_out[0], Contains("Figure 7 (waveforms) is left out: the data set is a feature store"));
  CHECK_THAT(all.left_out[1], Contains("log-mel half of Figure 8 is left out"));
  CHECK(all.figures.size() == 4);
  CHECK(count(figure(all, "figure8.svg").svg, "<image ") == 3);
  CHECK_THAT(figure(all, "figure8.svg").svg, !Contains("log-mel"));
}

TEST_CASE("every kind of features has all figures, with its own words", "[figures]") {
  const auto [kind, words] = GENERATE(table<FeatureKind, std::string>(
      {{FeatureKind::log_mel, "128 spectral features (log-mel spectrogram in dB)"},
       {FeatureKind::mel, "128 spectral features (mel spectrogram of power)"},
       {FeatureKind::spectral33,
        "33 spectral features (13 MFCC, spectral centroid, 12 chroma, 7 spectral contrasts)"}}));
  Music music;
  music.spec.features.kind = kind;
  music.spec.stack.inputs = music.spec.features.width();
  const Data data = music.load();
  const DatasetFigures all = draw_dataset_figures(music.spec, data, *music.backend);
  INFO(words);
  CHECK(all.left_out.empty());
  CHECK(all.figures.size() == 5);
  CHECK(count(figure(all, "figure8.svg").svg, "<image ") == 4);
  CHECK_THAT(figure(all, "figure8.svg").caption,
             Contains("The network hears: ") && Contains(" MFCC 0 to 12, without 0") && Contains("Log-mel"));
  for (const char* file : {"figure13.svg", "similarity.svg"})
    CHECK_THAT(figure(all, file).caption, Contains("each of " + words) && !Contains("each of MFCC"));
  CHECK_THAT(figure(all, "figure6.svg").svg, Contains(fmt::format(">40 × {}<", music.spec.features.width())));
}

TEST_CASE("Figure 8 shows the same log-mel spectrograms and MFCCs for every kind of features", "[figures]") {
  Music music;
  music.spec.features.frames = 44;  // all of a clip: one that is cut ends otherwise when it is heard again
  const Data mfcc = music.load();
  const std::string expected = figure(draw_dataset_figures(music.spec, mfcc, *music.backend), "figure8.svg").svg;
  music.spec.features.kind = FeatureKind::spectral33;
  const Data spectral33 = music.load();
  CHECK(figure(draw_dataset_figures(music.spec, spectral33, *music.backend), "figure8.svg").svg == expected);
}

TEST_CASE("of a feature store of another kind Figure 8 shows what it holds, or is left out with the reason",
          "[figures]") {
  Music music;
  music.spec.features.kind = FeatureKind::log_mel;
  Data data = music.load();
  data.clips.clear();  // as of a store
  DatasetFigures all = draw_dataset_figures(music.spec, data, *music.backend);
  REQUIRE(all.left_out.size() == 2);
  CHECK_THAT(all.left_out[1], Contains("MFCC half of Figure 8 is left out: the data set is a feature store"));
  CHECK(count(figure(all, "figure8.svg").svg, "<image ") == 2);
  CHECK_THAT(figure(all, "figure8.svg").caption, !Contains("MFCC"));

  music.spec.features.kind = FeatureKind::mel;
  data = music.load();
  data.clips.clear();
  all = draw_dataset_figures(music.spec, data, *music.backend);
  REQUIRE(all.left_out.size() == 2);
  CHECK_THAT(all.left_out[1], Contains("Figure 8 (features) is left out: the data set is a feature store of kind mel"));
  CHECK(all.figures.size() == 3);
}

TEST_CASE("Figure 8 has a log-mel half beside any choice of MFCCs", "[figures]") {
  Music music;
  music.spec.features.first_coefficient = 2;
  music.spec.features.coefficients = 14;
  const DatasetFigures all = draw_dataset_figures(music.spec, music.load(), *music.backend);
  CHECK(all.left_out.empty());
  CHECK(count(figure(all, "figure8.svg").svg, "<image ") == 4);
  CHECK_THAT(figure(all, "figure8.svg").caption, Contains(" MFCC 2 to 15; colours"));
}

TEST_CASE("fewer mel bands than MFCCs are usual: as many MFCCs as bands", "[figures]") {
  Music music;
  music.spec.features.kind = FeatureKind::mel;
  music.spec.features.mels = 8;
  const DatasetFigures all = draw_dataset_figures(music.spec, music.load(), *music.backend);
  CHECK(all.left_out.empty());
  CHECK_THAT(figure(all, "figure8.svg").caption, Contains(" MFCC 0 to 7, without 0"));
}

TEST_CASE("one clip of each genre is too few for similarity, two for a scatter", "[figures]") {
  const Music music(1);
  const DatasetFigures all = draw_dataset_figures(music.spec, music.load(), *music.backend);
  REQUIRE(all.left_out.size() == 2);
  CHECK_THAT(all.left_out[0], Contains("Figure 13 (scatter) is left out: ") && Contains("2 clips"));
  CHECK_THAT(all.left_out[1],
             Contains("The similarity of genres is left out: 2 clips of 2 genres are one clip a genre"));
  CHECK(all.figures.size() == 3);
}

TEST_CASE("thirty seconds of ten genres stay below the size of a figure", "[figures]") {
  Music music(1);
  music.spec.dataset.genres = {};
  music.spec.dataset.corpus.seconds = 30;
  music.spec.features.frames = 1293;
  const DatasetFigures all = draw_dataset_figures(music.spec, music.load(), *music.backend);
  CHECK(count(figure(all, "figure8.svg").svg, "<image ") == 20);
  for (const ReportFigure& drawn : all.figures) {
    INFO(drawn.file);
    CHECK(drawn.svg.size() < largest_figure);
  }
}

}  // namespace
}  // namespace genretree
