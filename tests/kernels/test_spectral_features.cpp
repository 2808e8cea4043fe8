// Spectral features against librosa, for the reference, for every instruction set of the CPU backend, and for the other
// backends. The tables come from librosa too.
#include <cmath>
#include <numbers>
#include <vector>

#include "core/io/hdf5.hpp"
#include "core/random.hpp"
#include "kernels/cpu/spectral.hpp"
#include "kernels/cpu/target.hpp"
#include "kernels/reference/spectral.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

namespace {

/// One case of tests/golden/librosa_features.h5.
struct GoldenCase {
  std::string name;
  SpectralTables tables;
  std::vector<float> samples;
  std::vector<double> mfcc;  ///< [frames, 20]
};

struct NamedFeature {
  SpectralFeature feature;
  const char* name;  ///< in the golden file
};
constexpr NamedFeature all_features[] = {{SpectralFeature::mel, "mel"},       {SpectralFeature::log_mel, "log_mel"},
                                         {SpectralFeature::mfcc, "mfcc"},     {SpectralFeature::centroid, "centroid"},
                                         {SpectralFeature::chroma, "chroma"}, {SpectralFeature::contrast, "contrast"}};

/// Only the chroma banks of the tunings that the cases have are known: with another tuning all would be NaN.
void read_descriptor_tables(const Hdf5File& file, const std::string& group, SpectralTables& tables) {
  tables.bin_hz =
      static_cast<double>(file.attribute<std::int32_t>(group, "sample_rate")) / static_cast<double>(tables.n_fft);
  tables.first_pitch_bin = static_cast<std::size_t>(file.attribute<std::int32_t>(group, "first_pitch_bin"));
  tables.end_pitch_bin = static_cast<std::size_t>(file.attribute<std::int32_t>(group, "end_pitch_bin"));
  const std::size_t bank_size = (tables.n_fft / 2 + 1) * SpectralTables::pitch_classes;
  tables.chroma.resize(SpectralTables::tunings * bank_size, std::nanf(""));
  for (const std::string& tuning : file.members(group + "/chroma")) {
    const std::vector<float> bank = file.read<float>(group + "/chroma/" + tuning).values;
    REQUIRE(bank.size() == bank_size);
    std::copy(bank.begin(), bank.end(),
              tables.chroma.begin() + static_cast<std::ptrdiff_t>(std::stoul(tuning) * bank_size));
  }
  const std::vector<std::int32_t> bands = file.read<std::int32_t>(group + "/contrast").values;
  for (std::size_t i = 0; i < bands.size(); i += 3)
    tables.contrast.push_back({static_cast<std::size_t>(bands[i]), static_cast<std::size_t>(bands[i + 1]),
                               static_cast<std::size_t>(bands[i + 2])});
}

SpectralTables read_tables(const Hdf5File& file, const std::string& group) {
  SpectralTables tables;
  tables.n_fft = static_cast<std::size_t>(file.attribute<std::int32_t>(group, "n_fft"));
  tables.hop = static_cast<std::size_t>(file.attribute<std::int32_t>(group, "hop"));
  tables.window = file.read<double>(group + "/window").values;
  const Hdf5Array<double> mel = file.read<double>(group + "/mel"), dct = file.read<double>(group + "/dct");
  for (std::size_t m = 0; m < mel.shape[0]; ++m) {
    const double *row = mel.values.data() + m * mel.shape[1], *end = row + mel.shape[1];
    const auto is_weight = [](double weight) { return weight != 0; };
    const double* first = std::find_if(row, end, is_weight);
    const double* last = std::find_if(std::reverse_iterator(end), std::reverse_iterator(first), is_weight).base();
    tables.mel.push_back({static_cast<std::size_t>(first - row), {first, last}});
  }
  tables.dct = dct.values;
  tables.coefficients = dct.shape[0];
  read_descriptor_tables(file, group, tables);
  return tables;
}

std::vector<GoldenCase> golden_cases() {
  const Hdf5File file = Hdf5File::open(test::golden("librosa_features.h5"));
  std::vector<GoldenCase> cases;
  for (const std::string& name : file.members("/cases")) {
    const std::string group = "/cases/" + name;
    GoldenCase golden{name, read_tables(file, "/tables/" + file.attribute<std::string>(group, "tables")),
                      file.read<float>(group + "/samples").values, file.read<double>(group + "/mfcc").values};
    if (file.attribute<std::int32_t>(group, "reflect")) golden.tables.padding = EdgePadding::reflect;
    REQUIRE(golden.mfcc.size() == golden.tables.frames(golden.samples.size()) * golden.tables.coefficients);
    cases.push_back(std::move(golden));
  }
  REQUIRE(cases.size() == 9);
  return cases;
}

/// The CPU backend's result for clips that lie back to back.
std::vector<float> cpu_features(SpectralState& state, const SpectralTables& tables, const std::vector<float>& samples,
                                const std::vector<std::size_t>& lengths) {
  std::size_t frames = 0;
  for (const std::size_t length : lengths) frames += tables.frames(length);
  std::vector<float> out(frames * tables.width(), std::nanf(""));
  cpu::spectral_features(state, view_of(samples.data(), samples.size()), lengths,
                         view_of(out.data(), frames, tables.width()));
  return out;
}

}  // namespace

TEST_CASE("the reference computes librosa's MFCCs") {
  for (const GoldenCase& golden : golden_cases()) {
    std::vector<double> out(golden.mfcc.size());
    reference::spectral_features(golden.tables, golden.samples, out);
    INFO(golden.name);
    CHECK(test::max_difference<double, double>(out, golden.mfcc) < 1e-7);
  }
}

TEST_CASE("every instruction set computes librosa's MFCCs") {
  for (const GoldenCase& golden : golden_cases())
    for (const std::int64_t target : cpu::supported_targets()) {
      const auto state = cpu::make_spectral_state(golden.tables, target);
      const std::vector<float> out = cpu_features(*state, golden.tables, golden.samples, {golden.samples.size()});
      INFO(golden.name << " on " << cpu::target_name(target));
      CHECK(test::max_difference<float, double>(out, golden.mfcc) < 2e-4);
    }
}

/// max |a - b|, infinite for NaN; with `relative` over the largest |b|, for what has no fixed scale.
template <class T>
double difference(const std::vector<T>& a, const std::vector<double>& b, bool relative) {
  REQUIRE(a.size() == b.size());
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i])) return HUGE_VAL;
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - b[i]));
    largest = std::max(largest, std::abs(b[i]));
  }
  return relative && largest > 0 ? worst / largest : worst;
}

bool is_relative(SpectralFeature feature) {
  return feature == SpectralFeature::mel || feature == SpectralFeature::centroid;
}

/// What the vector code may be off. Contrast is measured as closely in bands that a resampler has emptied.
double tolerance(SpectralFeature feature) {
  switch (feature) {
    case SpectralFeature::log_mel:
    case SpectralFeature::mfcc:
      return 1e-3;
    case SpectralFeature::contrast:
      return 2e-5;  // dB
    default:
      return 1e-5;
  }
}

TEST_CASE("the reference computes librosa's other features, in any edge padding") {
  const Hdf5File file = Hdf5File::open(test::golden("librosa_features.h5"));
  for (GoldenCase& golden : golden_cases())
    for (const auto& [feature, name] : all_features) {
      golden.tables.wanted = {feature};
      std::vector<double> out(golden.tables.frames(golden.samples.size()) * golden.tables.width());
      reference::spectral_features(golden.tables, golden.samples, out);
      INFO(golden.name << ", " << name);
      // the golden mel power, decibels and chroma banks are in single precision
      const double error =
          difference(out, file.read<double>("/cases/" + golden.name + "/" + name).values, is_relative(feature));
      CHECK(error < (feature == SpectralFeature::log_mel ? 5e-6 : 2e-7));
    }
}

TEST_CASE("every instruction set computes librosa's features, side by side in the order that is wanted") {
  const Hdf5File file = Hdf5File::open(test::golden("librosa_features.h5"));
  for (GoldenCase& golden : golden_cases())
    for (const std::int64_t target : cpu::supported_targets()) {
      golden.tables.wanted = {SpectralFeature::contrast, SpectralFeature::mfcc,     SpectralFeature::chroma,
                              SpectralFeature::mel,      SpectralFeature::centroid, SpectralFeature::log_mel};
      const auto state = cpu::make_spectral_state(golden.tables, target);
      const std::vector<float> all = cpu_features(*state, golden.tables, golden.samples, {golden.samples.size()});
      for (const auto& [feature, name] : all_features) {
        const std::size_t width = golden.tables.width(feature), column = golden.tables.column(feature);
        std::vector<float> out;
        for (std::size_t i = column; i < all.size(); i += golden.tables.width())
          out.insert(out.end(), all.begin() + static_cast<std::ptrdiff_t>(i),
                     all.begin() + static_cast<std::ptrdiff_t>(i + width));
        INFO(golden.name << ", " << name << " on " << cpu::target_name(target));
        const std::vector<double> expected = file.read<double>("/cases/" + golden.name + "/" + name).values;
        CHECK(difference(out, expected, is_relative(feature)) < tolerance(feature));
      }
    }
}

TEST_CASE("a feature is the same to the bit whatever else is wanted") {
  const GoldenCase golden = golden_cases().at(3);
  SpectralTables both = golden.tables;
  both.wanted = {SpectralFeature::mfcc, SpectralFeature::chroma};
  const std::size_t more = both.width(), wanted = golden.tables.width();
  for (const std::int64_t target : cpu::supported_targets()) {
    const auto state = cpu::make_spectral_state(golden.tables, target),
               state_of_both = cpu::make_spectral_state(both, target);
    const std::vector<float> alone = cpu_features(*state, golden.tables, golden.samples, {golden.samples.size()});
    const std::vector<float> beside = cpu_features(*state_of_both, both, golden.samples, {golden.samples.size()});
    std::vector<float> cut;
    for (std::size_t i = 0; i < beside.size(); i += more)
      cut.insert(cut.end(), beside.begin() + static_cast<std::ptrdiff_t>(i),
                 beside.begin() + static_cast<std::ptrdiff_t>(i + wanted));
    CHECK(cut == alone);
  }
}

TEST_CASE("an all-zero clip is -100 dB in every band") {
  for (const GoldenCase& golden : golden_cases()) {
    if (golden.name != "all_zero") continue;
    const auto state = cpu::make_spectral_state(golden.tables, cpu::supported_targets().front());
    const std::vector<float> out = cpu_features(*state, golden.tables, golden.samples, {golden.samples.size()});
    for (std::size_t i = 0; i < out.size(); ++i)
      CHECK(out[i] == Approx(i % 20 == 0 ? -100 * std::sqrt(128) : 0).margin(1e-3));
  }
}

TEST_CASE("every size of transform, hop and clip agrees with the reference") {
  // from one butterfly to many; hops that divide nothing or leave gaps; clips of one sample and of some blocks
  for (const std::size_t n_fft : {4, 8, 16, 32, 64, 256})
    for (const std::size_t hop : {std::size_t{1}, std::size_t{3}, n_fft / 2, n_fft + 3})
      for (const std::size_t length : {std::size_t{1}, n_fft, 20 * hop + 1}) {
        const Random random(RandomKey{.seed = n_fft * 1000 + hop});
        SpectralTables tables{.n_fft = n_fft, .hop = hop};
        tables.bin_hz = 100;
        tables.first_pitch_bin = std::min<std::size_t>(1, n_fft / 4), tables.end_pitch_bin = n_fft / 2;
        // the share of a bin in a class is the same at each tuning
        const std::size_t bank_size = (n_fft / 2 + 1) * SpectralTables::pitch_classes;
        for (std::size_t i = 0; i < bank_size * SpectralTables::tunings; ++i)
          tables.chroma.push_back(random.uniform_at(i % bank_size) + 0.1f);
        tables.contrast = {{0, 2, 1}, {1, n_fft / 2, std::max<std::size_t>(1, n_fft / 8)}};
        for (std::size_t i = 0; i < n_fft; ++i) tables.window.push_back(random.uniform_at(i) + 0.1);
        for (std::size_t bin = 0; bin <= n_fft / 2; bin += 2)
          tables.mel.push_back({bin, std::vector<double>(std::min<std::size_t>(2, n_fft / 2 + 1 - bin), 0.5)});
        tables.coefficients = std::min<std::size_t>(5, tables.mel.size());
        for (std::size_t i = 0; i < tables.coefficients * tables.mel.size(); ++i)
          tables.dct.push_back(random.uniform_at(n_fft + i) - 0.5);
        std::vector<float> samples(length);
        for (std::size_t i = 0; i < length; ++i) samples[i] = random.uniform_at(10'000 + i) - 0.5f;
        for (const EdgePadding padding : {EdgePadding::zero, EdgePadding::reflect}) {
          if (padding == EdgePadding::reflect && length <= n_fft / 2) continue;
          tables.padding = padding;
          for (const auto& [feature, name] : all_features) {
            tables.wanted = {feature};
            std::vector<double> expected(tables.frames(length) * tables.width());
            reference::spectral_features(tables, samples, expected);
            for (const std::int64_t target : cpu::supported_targets()) {
              const auto state = cpu::make_spectral_state(tables, target);
              const std::vector<float> out = cpu_features(*state, tables, samples, {length});
              INFO(name << ", n_fft " << n_fft << ", hop " << hop << ", " << length << " samples, on "
                        << cpu::target_name(target));
              if (feature == SpectralFeature::contrast)  // which is 0 in a clip of one sample
                CHECK(test::max_difference<float, double>(out, expected) < 1e-4);
              else
                CHECK(test::relative_difference<float, double>(out, expected) < 2e-5);
            }
          }
        }
      }
}

TEST_CASE("a clip's features do not depend on the clips beside it or before it") {
  GoldenCase golden = golden_cases().at(3);
  for (const auto& [feature, name] : all_features) golden.tables.wanted.push_back(feature);
  golden.tables.wanted.erase(golden.tables.wanted.begin());  // which was the MFCC
  // the parts may have another tuning than those that are known
  golden.tables.chroma.assign(golden.tables.chroma.size(), 1);
  const std::size_t a = golden.samples.size() / 3, b = golden.samples.size() - a;
  const std::vector<float> first(golden.samples.begin(), golden.samples.begin() + static_cast<std::ptrdiff_t>(a));
  const std::vector<float> second(golden.samples.begin() + static_cast<std::ptrdiff_t>(a), golden.samples.end());
  for (const std::int64_t target : cpu::supported_targets()) {
    const auto state = cpu::make_spectral_state(golden.tables, target),
               fresh = cpu::make_spectral_state(golden.tables, target);
    const std::vector<float> together = cpu_features(*state, golden.tables, golden.samples, {a, b});
    std::vector<float> apart = cpu_features(*state, golden.tables, first, {a});
    const std::vector<float> rest = cpu_features(*fresh, golden.tables, second, {b});
    apart.insert(apart.end(), rest.begin(), rest.end());
    CHECK(together == apart);
  }
}

// ------------------------------------------------------------------------------------------------- the other backends

namespace {

/// Calls check(backend) for every backend whose memory is not the host's.
void for_each_device(const std::function<void(Backend&)>& check) {
  test::for_each_backend("fp32", [&](Backend& backend) {
    if (&backend.device() != &host_device()) check(backend);
  });
}

/// A backend's results for clips that lie back to back, from and to its device's memory.
std::vector<float> device_features(Backend& backend, SpectralState& state, const SpectralTables& tables,
                                   const std::vector<float>& samples, const std::vector<std::size_t>& lengths) {
  std::size_t frames = 0;
  for (const std::size_t length : lengths) frames += tables.frames(length);
  const auto queue = backend.device().make_queue();
  Buffer<float> input(backend.device(), samples.size()), output(backend.device(), frames * tables.width());
  input.copy_in(samples, *queue);
  backend.spectral_features(state, std::as_const(input).view(samples.size()), lengths,
                            output.view(frames, tables.width()), *queue);
  std::vector<float> out(output.size(), std::nanf(""));
  output.copy_out(out, *queue);
  queue->synchronize();
  return out;
}

/// The columns of one feature.
std::vector<float> columns_of(SpectralFeature feature, const SpectralTables& tables, const std::vector<float>& all) {
  std::vector<float> out;
  for (std::size_t i = tables.column(feature); i < all.size(); i += tables.width())
    out.insert(out.end(), all.begin() + static_cast<std::ptrdiff_t>(i),
               all.begin() + static_cast<std::ptrdiff_t>(i + tables.width(feature)));
  return out;
}

/// What a GPU may be off: a transform in floats of what no window has touched yet, MFCCs by semantics; contrast: a few
/// units in the last place of 100 dB.
double device_tolerance(SpectralFeature feature) {
  return feature == SpectralFeature::contrast ? 1e-4 : tolerance(feature);
}

/// Tables of all features: Hann window, a mel band for every other bin, the same chroma bank at each tuning.
SpectralTables small_tables(std::size_t n_fft, std::size_t hop) {
  const Random random(RandomKey{.seed = n_fft * 1000 + hop});
  SpectralTables tables{.n_fft = n_fft, .hop = hop};
  for (std::size_t i = 0; i < n_fft; ++i)
    tables.window.push_back(0.5 -
                            0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n_fft)));
  for (std::size_t bin = 0; bin <= n_fft / 2; bin += 2)
    tables.mel.push_back({bin, std::vector<double>(std::min<std::size_t>(2, n_fft / 2 + 1 - bin), 0.5)});
  tables.coefficients = std::min<std::size_t>(5, tables.mel.size());
  for (std::size_t i = 0; i < tables.coefficients * tables.mel.size(); ++i)
    tables.dct.push_back(random.uniform_at(n_fft + i) - 0.5);
  tables.bin_hz = 100;
  tables.first_pitch_bin = 1, tables.end_pitch_bin = n_fft / 2;
  const std::size_t bank_size = (n_fft / 2 + 1) * SpectralTables::pitch_classes;
  for (std::size_t i = 0; i < bank_size * SpectralTables::tunings; ++i)
    tables.chroma.push_back(random.uniform_at(i % bank_size) + 0.1f);
  tables.contrast = {{0, 2, 1}, {1, n_fft / 2, std::max<std::size_t>(1, n_fft / 8)}};
  tables.wanted.clear();
  for (const auto& [feature, name] : all_features) tables.wanted.push_back(feature);
  return tables;
}

}  // namespace

TEST_CASE("every device computes librosa's features, side by side in the order that is wanted") {
  const Hdf5File file = Hdf5File::open(test::golden("librosa_features.h5"));
  for_each_device([&](Backend& backend) {
    for (GoldenCase& golden : golden_cases()) {
      golden.tables.wanted = {SpectralFeature::contrast, SpectralFeature::mfcc,     SpectralFeature::chroma,
                              SpectralFeature::mel,      SpectralFeature::centroid, SpectralFeature::log_mel};
      const auto state = backend.make_spectral_state(golden.tables);
      const std::vector<float> all =
          device_features(backend, *state, golden.tables, golden.samples, {golden.samples.size()});
      for (const auto& [feature, name] : all_features) {
        const std::vector<double> expected = file.read<double>("/cases/" + golden.name + "/" + name).values;
        INFO(golden.name << ", " << name);
        CHECK(difference(columns_of(feature, golden.tables, all), expected, is_relative(feature)) <
              device_tolerance(feature));
      }
    }
  });
}

TEST_CASE("every size of transform, hop and clip agrees with the reference on every device") {
  // hops that divide nothing, are odd, or leave gaps; clips of one sample and of some frames
  for_each_device([&](Backend& backend) {
    for (const std::size_t n_fft : {4, 16, 64})
      for (const std::size_t hop : {std::size_t{1}, std::size_t{6}, n_fft + 3})
        for (const EdgePadding padding : {EdgePadding::zero, EdgePadding::reflect}) {
          SpectralTables tables = small_tables(n_fft, hop);
          tables.padding = padding;
          const auto state = backend.make_spectral_state(tables);
          for (const std::size_t length : {std::size_t{1}, n_fft, 20 * hop + 1}) {
            if (padding == EdgePadding::reflect && length <= n_fft / 2) continue;
            const std::vector<float> samples = test::normal_numbers(length, length, 0.1);
            const std::vector<float> all = device_features(backend, *state, tables, samples, {length});
            for (const auto& [feature, name] : all_features) {
              SpectralTables only = tables;
              only.wanted = {feature};
              std::vector<double> expected(tables.frames(length) * tables.width(feature));
              reference::spectral_features(only, samples, expected);
              const std::vector<float> out = columns_of(feature, tables, all);
              INFO(name << ", n_fft " << n_fft << ", hop " << hop << ", " << length << " samples");
              if (feature == SpectralFeature::contrast)  // which may be 0 throughout
                CHECK(test::max_difference<float, double>(out, expected) < device_tolerance(feature));
              else
                CHECK(test::relative_difference<float, double>(out, expected) < 2e-5);
            }
          }
        }
  });
}

TEST_CASE(
    "on every device a clip's features do not depend on the clips beside it or before it, nor a feature on others") {
  const SpectralTables tables = small_tables(64, 16);
  const std::vector<std::size_t> sizes = {1000, 1, 500, 65};
  std::vector<float> samples = test::normal_numbers(1000 + 1 + 500 + 65, 3, 0.1);
  std::fill_n(samples.begin() + 1001, 500, 0.0f);  // a silent clip
  for_each_device([&](Backend& backend) {
    const auto state = backend.make_spectral_state(tables);
    const std::vector<float> together = device_features(backend, *state, tables, samples, sizes);
    CHECK(device_features(backend, *state, tables, samples, sizes) == together);  // whatever came before
    CHECK(device_features(backend, *state, tables, {}, {}).empty());
    std::vector<float> apart;
    auto begin = samples.begin();
    for (const std::size_t size : sizes) {
      const std::vector<float> clip(begin, begin + static_cast<std::ptrdiff_t>(size));
      begin += static_cast<std::ptrdiff_t>(size);
      const auto fresh = backend.make_spectral_state(tables);
      const std::vector<float> out = device_features(backend, *fresh, tables, clip, {size});
      apart.insert(apart.end(), out.begin(), out.end());
    }
    CHECK(together == apart);
    for (const auto& [feature, name] : all_features) {
      SpectralTables only = tables;
      only.wanted = {feature};
      const auto single = backend.make_spectral_state(only);
      INFO(name);
      CHECK(device_features(backend, *single, only, samples, sizes) == columns_of(feature, tables, together));
    }
  });
}

TEST_CASE("on every device an all-zero clip is -100 dB in every band, and nothing in the others") {
  for (GoldenCase& golden : golden_cases()) {
    if (golden.name != "all_zero") continue;
    golden.tables.wanted = {SpectralFeature::mfcc, SpectralFeature::log_mel, SpectralFeature::centroid,
                            SpectralFeature::contrast};
    for_each_device([&](Backend& backend) {
      const auto state = backend.make_spectral_state(golden.tables);
      const std::vector<float> out =
          device_features(backend, *state, golden.tables, golden.samples, {golden.samples.size()});
      const std::size_t width = golden.tables.width(), first = golden.tables.coefficients;
      for (std::size_t i = 0; i < out.size(); ++i) {
        const std::size_t column = i % width;
        const double expected = column == 0                               ? -100 * std::sqrt(128)
                                : column >= first && column < first + 128 ? -100
                                                                          : 0;
        CHECK(out[i] == Approx(expected).margin(1e-3));
      }
    });
  }
}

TEST_CASE("a clip of more frames than are transformed at a time agrees with the reference on every device") {
  SpectralTables tables = small_tables(16, 6);
  tables.wanted = {SpectralFeature::mfcc, SpectralFeature::centroid};  // one of each precision
  const std::vector<float> samples = test::normal_numbers(1500 * tables.hop, 4, 0.1);
  std::vector<double> expected(tables.frames(samples.size()) * tables.width());
  reference::spectral_features(tables, samples, expected);
  for_each_device([&](Backend& backend) {
    const auto state = backend.make_spectral_state(tables);
    const std::vector<float> out = device_features(backend, *state, tables, samples, {samples.size()});
    for (std::size_t i = 0; i < out.size(); ++i) REQUIRE(out[i] == Approx(expected[i]).epsilon(1e-4).margin(1e-3));
  });
}

TEST_CASE("frames of any length agree with the reference on every device") {
  // longer ones than the usual 2048 need more shared memory of a GPU, and fewer of them are transformed at a time
  for (const std::size_t n_fft : {4096, 32'768}) {
    SpectralTables tables = small_tables(n_fft, n_fft / 2);
    tables.mel.resize(40);
    tables.dct.resize(tables.coefficients * 40);
    tables.wanted = {SpectralFeature::mfcc};
    const std::vector<float> samples = test::normal_numbers(n_fft, 9, 0.1);
    std::vector<double> expected(tables.frames(n_fft) * tables.width());
    reference::spectral_features(tables, samples, expected);
    for_each_device([&](Backend& backend) {
      const auto state = backend.make_spectral_state(tables);
      const std::vector<float> out = device_features(backend, *state, tables, samples, {n_fft});
      CHECK(test::relative_difference<float, double>(out, expected) < 2e-5);
    });
  }
}
