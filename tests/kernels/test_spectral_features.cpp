// MFCCs against librosa, for the reference and for every instruction set of the CPU backend. The tables come from
// librosa too.
#include <cmath>
#include <vector>

#include "core/io/hdf5.hpp"
#include "core/random.hpp"
#include "kernels/cpu/spectral.hpp"
#include "kernels/cpu/target.hpp"
#include "kernels/reference/spectral.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

namespace {

/// One case of tests/golden/librosa_mfcc.h5.
struct GoldenCase {
  std::string name;
  SpectralTables tables;
  std::vector<float> samples;
  std::vector<double> mfcc;  ///< [frames, 20]
};

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
  return tables;
}

std::vector<GoldenCase> golden_cases() {
  const Hdf5File file = Hdf5File::open(test::golden("librosa_mfcc.h5"));
  std::vector<GoldenCase> cases;
  for (const std::string& name : file.members("/cases")) {
    const std::string group = "/cases/" + name;
    GoldenCase golden{name, read_tables(file, "/tables/" + file.attribute<std::string>(group, "tables")),
                      file.read<float>(group + "/samples").values, file.read<double>(group + "/mfcc").values};
    if (file.attribute<std::int32_t>(group, "reflect")) golden.tables.padding = EdgePadding::reflect;
    REQUIRE(golden.mfcc.size() == golden.tables.frames(golden.samples.size()) * golden.tables.coefficients);
    cases.push_back(std::move(golden));
  }
  REQUIRE(cases.size() == 8);
  return cases;
}

/// The CPU backend's result for clips that lie back to back.
std::vector<float> cpu_mfcc(SpectralState& state, const SpectralTables& tables, const std::vector<float>& samples,
                            const std::vector<std::size_t>& lengths) {
  std::size_t frames = 0;
  for (const std::size_t length : lengths) frames += tables.frames(length);
  std::vector<float> out(frames * tables.coefficients, std::nanf(""));
  cpu::spectral_features(state, view_of(samples.data(), samples.size()), lengths,
                         view_of(out.data(), frames, tables.coefficients));
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
      const std::vector<float> out = cpu_mfcc(*state, golden.tables, golden.samples, {golden.samples.size()});
      INFO(golden.name << " on " << cpu::target_name(target));
      CHECK(test::max_difference<float, double>(out, golden.mfcc) < 2e-4);
    }
}

TEST_CASE("an all-zero clip is -100 dB in every band") {
  for (const GoldenCase& golden : golden_cases()) {
    if (golden.name != "all_zero") continue;
    const auto state = cpu::make_spectral_state(golden.tables, cpu::supported_targets().front());
    const std::vector<float> out = cpu_mfcc(*state, golden.tables, golden.samples, {golden.samples.size()});
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
          std::vector<double> expected(tables.frames(length) * tables.coefficients);
          reference::spectral_features(tables, samples, expected);
          for (const std::int64_t target : cpu::supported_targets()) {
            const auto state = cpu::make_spectral_state(tables, target);
            const std::vector<float> out = cpu_mfcc(*state, tables, samples, {length});
            INFO("n_fft " << n_fft << ", hop " << hop << ", " << length << " samples, on " << cpu::target_name(target));
            CHECK(test::relative_difference<float, double>(out, expected) < 2e-5);
          }
        }
      }
}

TEST_CASE("a clip's MFCCs do not depend on the clips beside it or before it") {
  const GoldenCase golden = golden_cases().at(3);
  const std::size_t a = golden.samples.size() / 3, b = golden.samples.size() - a;
  const std::vector<float> first(golden.samples.begin(), golden.samples.begin() + static_cast<std::ptrdiff_t>(a));
  const std::vector<float> second(golden.samples.begin() + static_cast<std::ptrdiff_t>(a), golden.samples.end());
  for (const std::int64_t target : cpu::supported_targets()) {
    const auto state = cpu::make_spectral_state(golden.tables, target),
               fresh = cpu::make_spectral_state(golden.tables, target);
    const std::vector<float> together = cpu_mfcc(*state, golden.tables, golden.samples, {a, b});
    std::vector<float> apart = cpu_mfcc(*state, golden.tables, first, {a});
    const std::vector<float> rest = cpu_mfcc(*fresh, golden.tables, second, {b});
    apart.insert(apart.end(), rest.begin(), rest.end());
    CHECK(together == apart);
  }
}
