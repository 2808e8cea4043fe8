// From audio files to features: against librosa's fixtures, and against the published statistics of GTZAN. These need
// music and fixtures that are not part of the project; tests/kernels/test_spectral_features.cpp does the same with
// golden data of the project's own.
#include <fstream>
#include <map>
#include <sstream>

#include "core/io/hdf5.hpp"
#include "features/audio.hpp"
#include "features/spectral.hpp"
#include "kernels/backends.hpp"
#include "kernels/reference/spectral.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
namespace fs = std::filesystem;

namespace {

FeatureConfig config_of(Compat compat, std::size_t coefficients) {
  FeatureConfig config;
  config.compat = compat;
  config.coefficients = coefficients;
  return config;
}

std::vector<double> reference_features(const SpectralTables& tables, const std::vector<float>& samples) {
  std::vector<double> out(tables.frames(samples.size()) * tables.width());
  reference::spectral_features(tables, samples, out);
  return out;
}

std::vector<float> cpu_features(const SpectralTables& tables, const std::vector<float>& samples) {
  const std::unique_ptr<Backend> backend = make_backend({.device = "cpu"});
  const std::unique_ptr<Queue> queue = backend->device().make_queue();
  const std::unique_ptr<SpectralState> state = backend->make_spectral_state(tables);
  const std::size_t length = samples.size(), frames = tables.frames(length);
  std::vector<float> out(frames * tables.width());
  backend->spectral_features(*state, view_of(samples.data(), length), std::span(&length, 1),
                             view_of(out.data(), frames, tables.width()), *queue);
  return out;
}

/// librosa's [coefficients, frames] as our [frames, coefficients].
std::vector<double> transposed(const Hdf5Array<double>& array) {
  const std::size_t rows = array.shape.at(0), columns = array.shape.at(1);
  std::vector<double> result(rows * columns);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) result[c * rows + r] = array.values[r * columns + c];
  return result;
}

void check_both(const SpectralTables& tables, const std::vector<float>& samples, const std::vector<double>& expected,
                double reference_tolerance = 1e-4) {
  CHECK(test::max_difference<double, double>(reference_features(tables, samples), expected) < reference_tolerance);
  CHECK(test::max_difference<float, double>(cpu_features(tables, samples), expected) < 1e-3);
}

/// Column → value for one file of features_30_sec.csv.
std::map<std::string, double> published_statistics(const fs::path& csv, const std::string& filename) {
  std::ifstream file(csv);
  std::string header, line;
  std::getline(file, header);
  while (std::getline(file, line)) {
    if (!line.starts_with(filename + ",")) continue;
    std::map<std::string, double> values;
    std::istringstream names(header), cells(line);
    for (std::string name, cell; std::getline(names, name, ',') && std::getline(cells, cell, ',');)
      if (name.starts_with("mfcc")) values[name] = std::stod(cell);
    return values;
  }
  return {};
}

}  // namespace

TEST_CASE("files become librosa's MFCCs, with zero and with reflect padding") {
  const fs::path expected = test::shared("fixtures/librosa_features.h5");
  if (expected.empty()) SKIP_TEST("no shared fixtures here");
  const Hdf5File fixtures = Hdf5File::open(expected);
  for (const char* name : {"a", "b", "c"}) {  // stereo 44.1 kHz, .au with silence first, 32 kHz
    const std::string group = std::string("/") + name;
    const Audio audio = load_audio(expected.parent_path() / fixtures.attribute<std::string>(group, "file"), 22050);
    INFO(name);
    check_both(make_spectral_tables(config_of(Compat::librosa_1_0, 20)), audio.samples,
               transposed(fixtures.read<double>(group + "/mfcc20_f64")));
    check_both(make_spectral_tables(config_of(Compat::librosa_0_6, 20)), audio.samples,
               transposed(fixtures.read<double>(group + "/mfcc20_librosa06_reflect_f64")));
  }
  for (const std::string& name : fixtures.members("/edge")) {  // 100, 2048 and 5120 samples, and zeros
    INFO(name);
    // these were computed in single precision, where the -1131 of silence is a multiple of 1.2e-4
    check_both(make_spectral_tables(config_of(Compat::librosa_1_0, 13)),
               fixtures.read<float>("/edge/" + name + "/y").values,
               transposed(fixtures.read<double>("/edge/" + name + "/mfcc13")), name == "zeros_4096" ? 1.3e-4 : 1e-4);
  }
}

TEST_CASE("files become librosa's 33 features") {
  const fs::path expected = test::shared("fixtures/librosa_features.h5");
  if (expected.empty()) SKIP_TEST("no shared fixtures here");
  const Hdf5File fixtures = Hdf5File::open(expected);
  for (const char* name : {"a", "b", "c"}) {
    const std::string group = std::string("/") + name;
    const Audio audio = load_audio(expected.parent_path() / fixtures.attribute<std::string>(group, "file"), 22050);
    SpectralTables tables = make_spectral_tables({.kind = FeatureKind::spectral33});
    INFO(name);
    const auto errors_of = [&](SpectralFeature feature, const std::string& dataset) {
      tables.wanted = {feature};
      const std::vector<double> values = transposed(fixtures.read<double>(group + "/" + dataset));
      const std::vector<double> exact = reference_features(tables, audio.samples);
      const std::vector<float> ours = cpu_features(tables, audio.samples);
      return std::pair{test::max_difference<double, double>(exact, values),
                       test::max_difference<float, double>(ours, values)};
    };
    const auto mfcc = errors_of(SpectralFeature::mfcc, "mfcc13"),
               centroid = errors_of(SpectralFeature::centroid, "spectral_centroid"),
               chroma = errors_of(SpectralFeature::chroma, "chroma_stft"),
               contrast = errors_of(SpectralFeature::contrast, "spectral_contrast");
    CHECK((mfcc.first < 1e-4 && mfcc.second < 1e-3));
    CHECK((centroid.first < 0.01 && centroid.second < 0.02));  // Hz
    CHECK((chroma.first < 1e-5 && chroma.second < 1e-5));
    CHECK((contrast.first < 1e-4 && contrast.second < 1e-4));  // dB
  }
}

TEST_CASE("the means of 20 tracks of GTZAN are the published ones") {
  const fs::path music = test::shared("data/gtzan-flac"), csv = test::shared("data/statistics/features_30_sec.csv");
  if (music.empty() || csv.empty()) SKIP_TEST("no GTZAN files here");
  const SpectralTables tables = make_spectral_tables(config_of(Compat::librosa_0_6, 13));
  double worst = 0;
  int tracks = 0;
  for (const fs::directory_entry& file : fs::recursive_directory_iterator(music)) {
    if (file.path().extension() != ".flac") continue;
    const std::vector<float> mfcc = cpu_features(tables, load_audio(file.path(), 22050).samples);
    const auto published = published_statistics(csv, file.path().stem().string() + ".wav");
    REQUIRE(!published.empty());
    for (std::size_t k = 0; k < 13; ++k) {
      double sum = 0;
      for (std::size_t i = k; i < mfcc.size(); i += 13) sum += mfcc[i];
      worst = std::max(worst, std::abs(sum / (static_cast<double>(mfcc.size()) / 13) -
                                       published.at("mfcc" + std::to_string(k + 1) + "_mean")));
    }
    ++tracks;
  }
  CHECK(tracks == 20);
  CHECK(worst < 0.002);
}
