// Differences over time against librosa's, and the mean of a clip.
#include "core/io/hdf5.hpp"
#include "features/deltas.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

namespace {

/// Columns `first` … `first + 2` of frames of `width` numbers.
std::vector<float> three_columns(const std::vector<float>& frames, std::size_t width, std::size_t first) {
  std::vector<float> columns;
  for (std::size_t e = 0; e < frames.size(); ++e)
    if (e % width >= first && e % width < first + 3) columns.push_back(frames[e]);
  return columns;
}

}  // namespace

TEST_CASE("differences over time are librosa's, at the ends of a clip too") {
  const Hdf5File file = Hdf5File::open(test::golden("librosa_deltas.h5"));
  const std::vector<std::string> lengths = file.members("/");
  CHECK(lengths.size() == 3);
  for (const std::string& length : lengths) {
    INFO(length << " frames");
    const auto numbers = [&](const char* name) { return file.read<double>("/" + length + "/" + name).values; };
    const std::vector<double> exact = numbers("features");
    const std::vector<float> features(exact.begin(), exact.end());
    const std::vector<float> one = with_deltas(features, 3, 1), two = with_deltas(features, 3, 2);
    REQUIRE(one.size() == 2 * features.size());
    REQUIRE(two.size() == 3 * features.size());
    CHECK(three_columns(one, 6, 0) == features);
    CHECK(test::relative_difference<float, double>(three_columns(one, 6, 3), numbers("first")) < 1e-7);
    CHECK(three_columns(two, 9, 0) == features);
    CHECK(three_columns(two, 9, 3) == three_columns(one, 6, 3));
    CHECK(test::relative_difference<float, double>(three_columns(two, 9, 6), numbers("second")) < 1e-7);
  }
}

TEST_CASE("a straight line has its slope in all frames, a parabola its second derivative") {
  std::vector<float> features;
  for (int t = 0; t < 12; ++t)
    features.insert(features.end(), {5.0f - 3.0f * static_cast<float>(t), 0.5f * static_cast<float>(t * t)});
  const std::vector<float> result = with_deltas(features, 2, 2);
  for (std::size_t t = 0; t < 12; ++t) {
    CHECK(result[t * 6 + 2] == Approx(-3));
    CHECK(result[t * 6 + 4] == Approx(0).margin(1e-5));
    CHECK(result[t * 6 + 5] == Approx(1));
  }
  for (std::size_t t = 4; t < 8; ++t) CHECK(result[t * 6 + 3] == Approx(static_cast<double>(t)));
}

TEST_CASE("the mean of each number over a clip is taken off, worked by hand") {
  std::vector<float> features{1, 10, 2, 30, 6, -10};
  remove_mean(features, 2);
  CHECK(features == std::vector<float>{-2, 0, -1, 20, 3, -20});
  std::vector<float> one_frame{7, -3};
  remove_mean(one_frame, 2);
  CHECK(one_frame == std::vector<float>{0, 0});
}
