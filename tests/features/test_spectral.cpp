// The tables of the MFCC against librosa's, and the configuration's keys, ranges and JSON.
#include <algorithm>

#include "core/error.hpp"
#include "core/io/hdf5.hpp"
#include "features/spectral.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

namespace {

FeatureConfig config_of(const Hdf5File& file, const std::string& group) {
  FeatureConfig config;
  config.coefficients = 20;
  config.n_fft = static_cast<std::size_t>(file.attribute<std::int32_t>(group, "n_fft"));
  config.hop = static_cast<std::size_t>(file.attribute<std::int32_t>(group, "hop"));
  config.mels = static_cast<std::size_t>(file.attribute<std::int32_t>(group, "mels"));
  config.sample_rate = static_cast<unsigned>(file.attribute<std::int32_t>(group, "sample_rate"));
  return config;
}

/// The sparse bands as librosa's matrix [mels, n_fft / 2 + 1].
std::vector<double> dense_mel(const SpectralTables& tables) {
  const std::size_t bins = tables.n_fft / 2 + 1;
  std::vector<double> dense(tables.mel.size() * bins);
  for (std::size_t m = 0; m < tables.mel.size(); ++m)
    std::copy(tables.mel[m].weights.begin(), tables.mel[m].weights.end(),
              dense.begin() + static_cast<std::ptrdiff_t>(m * bins + tables.mel[m].first_bin));
  return dense;
}

YamlValue yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

}  // namespace

TEST_CASE("window, mel bands and DCT are librosa's") {
  const Hdf5File file = Hdf5File::open(test::golden("librosa_features.h5"));
  for (const std::string& name : file.members("/tables")) {
    const std::string group = "/tables/" + name;
    const SpectralTables tables = make_spectral_tables(config_of(file, group));
    INFO(name);
    CHECK(test::max_difference<double, double>(tables.window, file.read<double>(group + "/window").values) < 1e-15);
    CHECK(test::max_difference<double, double>(dense_mel(tables), file.read<double>(group + "/mel").values) < 1e-15);
    CHECK(test::max_difference<double, double>(tables.dct, file.read<double>(group + "/dct").values) < 1e-14);
  }
}

TEST_CASE("chroma banks, contrast bands and the range of pitches are librosa's") {
  const Hdf5File file = Hdf5File::open(test::golden("librosa_features.h5"));
  for (const std::string& name : file.members("/tables")) {
    const std::string group = "/tables/" + name;
    FeatureConfig config = config_of(file, group);
    config.kind = FeatureKind::spectral33;
    config.coefficients = 13;
    const SpectralTables tables = make_spectral_tables(config);
    INFO(name);
    CHECK(tables.width() == 33);
    CHECK(config.width() == 33);
    CHECK(static_cast<std::int32_t>(tables.first_pitch_bin) == file.attribute<std::int32_t>(group, "first_pitch_bin"));
    CHECK(static_cast<std::int32_t>(tables.end_pitch_bin) == file.attribute<std::int32_t>(group, "end_pitch_bin"));
    const std::vector<std::string> tunings = file.members(group + "/chroma");
    CHECK(!tunings.empty());
    for (const std::string& tuning : tunings) {
      const std::vector<double> bank = file.read<double>(group + "/chroma/" + tuning).values;
      const auto first = tables.chroma.begin() + static_cast<std::ptrdiff_t>(std::stoul(tuning) * bank.size());
      CHECK(test::max_difference<float, double>({first, first + static_cast<std::ptrdiff_t>(bank.size())}, bank) <
            1e-7);
    }
    std::vector<std::int32_t> bands;
    for (const auto& [first, end, extremes] : tables.contrast)
      for (const std::size_t value : {first, end, extremes}) bands.push_back(static_cast<std::int32_t>(value));
    CHECK(bands == file.read<std::int32_t>(group + "/contrast").values);
  }
}

TEST_CASE("each kind has its width, words and JSON; only MFCCs have coefficients") {
  FeatureConfig config;
  set_feature(config, "kind", yaml("log-mel"));
  set_feature(config, "mels", yaml("40"));
  CHECK(config.width() == 40);
  CHECK(make_spectral_tables(config).width() == 40);
  CHECK(to_json(config) == R"({"kind":"log-mel","frames":1293,"pad":"edge","compat":"librosa-1.0",)"
                           R"("sample_rate":22050,"n_fft":2048,"hop":512,"mels":40})");
  CHECK(feature_config_from_json(to_json(config)) == config);
  CHECK(differing_features(config, FeatureConfig{}) ==
        "kind is log-mel there and mfcc here, mels is 40 there and 128 here");
  CHECK_THAT(describe(config),
             Catch::StartsWith("log-mel spectrogram in dB, 1293 frames; window 2048, hop 512, 40 mel"));
  CHECK_THAT(describe(FeatureConfig{}), Catch::StartsWith("MFCC 0 to 12 (coefficients: [0, 13]), 1293 frames; "));
  CHECK_THROWS_WITH(set_feature(config, "coefficients", yaml("[0, 13]")),
                    "test.yaml:1:1: features.coefficients belongs to kind mfcc, but the kind is log-mel");
  config.first_coefficient = 1;  // as where the kind is set after them
  CHECK_THROWS_WITH(validate(config), Catch::Contains("coefficients is [1, 13], but it belongs to kind mfcc"));
  for (const char* kind : {"mel", "spectral33"}) {
    FeatureConfig other;
    set_feature(other, "kind", yaml(kind));
    CHECK(feature_config_from_json(to_json(other)) == other);
    CHECK(make_spectral_tables(other).width() == other.width());
  }
}

TEST_CASE("coefficients [first, count] are rows first to first + count - 1 of the DCT") {
  FeatureConfig config;
  config.coefficients = 14;
  const SpectralTables all = make_spectral_tables(config);
  set_feature(config, "coefficients", yaml("[1, 13]"));
  const SpectralTables without_first = make_spectral_tables(config);
  CHECK(without_first.coefficients == 13);
  CHECK(without_first.dct == std::vector<double>(all.dct.begin() + 128, all.dct.end()));
}

TEST_CASE("compat decides how the ends of a clip are padded") {
  FeatureConfig config;
  CHECK(make_spectral_tables(config).padding == EdgePadding::zero);
  set_feature(config, "compat", yaml("librosa-0.6"));
  CHECK(make_spectral_tables(config).padding == EdgePadding::reflect);
}

TEST_CASE("a configuration survives its JSON text") {
  FeatureConfig config;
  for (const auto& [key, value] :
       yaml("{kind: mfcc, coefficients: [1, 12], frames: 128, pad: zero, compat: librosa-0.6, "
            "sample_rate: 16000, n_fft: 512, hop: 160, mels: 40}")
           .entries)
    set_feature(config, key, value);
  CHECK(config ==
        FeatureConfig{FeatureKind::mfcc, 1, 12, 128, FramePadding::zero, Compat::librosa_0_6, 16000, 512, 160, 40});
  CHECK(to_json(config) == R"({"kind":"mfcc","coefficients":[1,12],"frames":128,"pad":"zero","compat":"librosa-0.6",)"
                           R"("sample_rate":16000,"n_fft":512,"hop":160,"mels":40})");
  CHECK(feature_config_from_json(to_json(config)) == config);
  CHECK(feature_config_from_json(to_json(FeatureConfig{})) == FeatureConfig{});
  CHECK_THROWS_WITH(feature_config_from_json(R"({"kind":"mfcc"})"), Catch::Contains("'coefficients' is missing"));
  CHECK_THROWS_AS(feature_config_from_json("5"), InputError);
}

TEST_CASE(
    "differences and a mean that is removed are in the width and in the JSON, which is older stores' without them") {
  const FeatureConfig plain;
  FeatureConfig config;
  set_feature(config, "clip_mean", yaml("remove"));
  set_feature(config, "deltas", yaml("2"));
  CHECK(config.clip_mean == ClipMean::remove);
  CHECK(config.spectral_width() == 13);
  CHECK(config.width() == 39);
  CHECK(make_spectral_tables(config).width() == 13);
  CHECK_THAT(to_json(config), Catch::EndsWith(R"("mels":128,"clip_mean":"remove","deltas":2})"));
  CHECK_THAT(to_json(plain), Catch::EndsWith(R"("mels":128})"));
  CHECK(feature_config_from_json(to_json(config)) == config);
  CHECK(differing_features(config, plain) == "clip_mean is remove there and keep here, deltas is 2 there and 0 here");
  CHECK(differing_features(plain, config) == "clip_mean is keep there and remove here, deltas is 0 there and 2 here");
  FeatureConfig one = config;
  one.deltas = 1;
  CHECK(differing_features(one, config) == "deltas is 1 there and 2 here");
  CHECK(differing_features(config, config).empty());
  CHECK(describe_frame(config) == "MFCC 0 to 12 less the clip's mean with first and second differences");
  CHECK(describe_frame(one) == "MFCC 0 to 12 less the clip's mean with first differences");
  CHECK_THROWS_WITH(set_feature(config, "deltas", yaml("3")),
                    "test.yaml:1:1: features.deltas is '3', but must be a whole number from 0 to 2");
  CHECK_THROWS_WITH(set_feature(config, "clip_mean", yaml("removed")),
                    "test.yaml:1:1: features.clip_mean is 'removed', but must be one of: keep, remove (did you mean "
                    "'remove'?)");
}

TEST_CASE("wrong keys, types and values are named, with what is allowed") {
  FeatureConfig config;
  const auto message = [&](const std::string& key, const std::string& value) -> std::string {
    try {
      set_feature(config, key, yaml(value));
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(message("frame", "5") ==
        "test.yaml:1:1: features has no key 'frame' (did you mean 'frames'?). Keys: kind, coefficients, "
        "frames, pad, compat, sample_rate, n_fft, hop, mels, clip_mean, deltas");
  CHECK(message("frames", "0") ==
        "test.yaml:1:1: features.frames is '0', but must be a whole number from 1 to 1000000");
  CHECK(message("frames", "-5") ==
        "test.yaml:1:1: features.frames is '-5', but must be a whole number from 1 to 1000000");
  CHECK(message("frames", "12.5") ==
        "test.yaml:1:1: features.frames is '12.5', but must be a whole number from 1 to 1000000");
  CHECK(message("frames", "[5]") ==
        "test.yaml:1:1: features.frames is a list, but must be a whole number from 1 to 1000000");
  CHECK(message("hop", "'5'") != "");
  CHECK(message("coefficients", "13") ==
        "test.yaml:1:1: features.coefficients is '13', but must be [first, count], for example [1, 13]");
  CHECK(message("pad", "edges") ==
        "test.yaml:1:1: features.pad is 'edges', but must be one of: zero, edge (did you mean 'edge'?)");
  CHECK(message("kind", "chroma") ==
        "test.yaml:1:1: features.kind is 'chroma', but must be one of: mfcc, log-mel, mel, spectral33");
  CHECK(config == FeatureConfig{});  // nothing was set in passing
}

TEST_CASE("values that do not fit together are rejected") {
  FeatureConfig config;
  config.n_fft = 2000;
  CHECK_THROWS_WITH(make_spectral_tables(config), "features: n_fft is 2000, but must be a power of two, such as 2048");
  config = {};
  config.first_coefficient = 120;
  CHECK_THROWS_WITH(validate(config), Catch::Contains("[120, 13], which must end within the 128 mel bands"));
  config = {};
  config.kind = FeatureKind::spectral33;
  config.sample_rate = 12800;
  CHECK_THROWS_WITH(validate(config),
                    Catch::Contains("sample_rate is 12800, but kind spectral33 needs more than 12800 Hz"));
  config.sample_rate = 22050;
  config.n_fft = 128;
  CHECK_THROWS_WITH(validate(config),
                    Catch::Contains("n_fft is 128, but kind spectral33 at 22050 Hz needs at least 256"));
  config = {};
  config.hop = 0;
  CHECK_THROWS_WITH(validate(config), "features: hop is 0, but must be from 1 to 65536");
}
