// Statistics of a data set: worked by hand where that is possible, else against what defines them.
#include <cmath>

#include "core/random.hpp"
#include "features/statistics.hpp"
#include "tests/support/support.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree {
namespace {

Matrix matrix(std::size_t rows, std::size_t columns, const std::vector<double>& values) {
  Matrix result(rows, columns);
  result.values = values;
  return result;
}

TEST_CASE("a clip's statistics are the mean and the spread of its real frames, not of the padding", "[statistics]") {
  FeatureStore store;
  store.config.frames = 4;
  store.config.coefficients = 2;
  store.genres = {"a"};
  store.tracks = {"short", "long"};
  store.labels = {0, 0};
  store.lengths = {2, 9};
  store.checksums = {1, 2};
  store.features = {1, 10, 3, 10, 99, 99, 99, 99,  // two frames and padding
                    0, 1,  0, 2,  4,  3,  4,  4};
  const Matrix statistics = clip_statistics(store);
  REQUIRE(statistics.rows == 2);
  REQUIRE(statistics.columns == 4);
  CHECK(statistics.values == std::vector<double>{2, 10, 1, 0, 2, 2.5, 2, std::sqrt(1.25)});
}

TEST_CASE("standardised columns have mean 0 and standard deviation 1; constant ones are left out", "[statistics]") {
  const Matrix data = standardised(matrix(3, 3, {1, 0.1, 50, 2, 0.1, 70, 3, 0.1, 30}));
  REQUIRE(data.columns == 2);
  const std::vector<double> expected = {-1, 0, 0, 1, 1, -1};
  CHECK(test::max_difference<double, double>(data.values, expected) < 1e-14);
}

TEST_CASE("principal components of points worked by hand", "[statistics]") {
  // Along (1, 1) the points lie at ±2 √2, along (1, -1) at ±√2: variances 16/3 and 4/3 of n - 1 = 3.
  const Matrix data = matrix(4, 2, {7, -1, 3, -5, 6, -4, 4, -2});
  const PrincipalComponents components = principal_components(data, 2);
  const double root = std::sqrt(2.0);
  CHECK(components.shares[0] == Approx(0.8).epsilon(1e-12));
  CHECK(components.shares[1] == Approx(0.2).epsilon(1e-12));
  // both entries of the directions are equally large, so that the first of them is positive
  const std::vector<double> expected = {2 * root, 0, -2 * root, 0, 0, root, 0, -root};
  CHECK(test::max_difference<double, double>(components.scores.values, expected) < 1e-12);
}

TEST_CASE("principal components are uncorrelated, fall in variance, and do not hang on the order of rows",
          "[statistics]") {
  Random random(RandomKey{.seed = 3});
  Matrix data(40, 5), turned(40, 5);
  for (std::size_t row = 0; row < 40; ++row) {
    const double common = random.normal();
    for (std::size_t j = 0; j < 5; ++j)
      turned(39 - row, j) = data(row, j) = static_cast<double>(j) * common + random.normal();
  }
  const PrincipalComponents components = principal_components(data, 5), other = principal_components(turned, 5);
  double sum = 0;
  for (std::size_t a = 0; a < 5; ++a) {
    if (a > 0) CHECK(components.shares[a] <= components.shares[a - 1]);
    sum += components.shares[a];
    for (std::size_t b = 0; b < a; ++b) {
      double product = 0;
      for (std::size_t row = 0; row < 40; ++row) product += components.scores(row, a) * components.scores(row, b);
      CHECK(product == Approx(0).margin(1e-10));
    }
    for (std::size_t row = 0; row < 40; ++row)
      CHECK(components.scores(row, a) == Approx(other.scores(39 - row, a)).margin(1e-10));
  }
  CHECK(sum == Approx(1));
}

TEST_CASE("principal components that cannot be had are an error that says why", "[statistics]") {
  CHECK_THAT(test::error_of([] {
               principal_components(matrix(2, 3, {1, 2, 3, 4, 5, 6}), 2);
             }),
             Catch::Contains("there are 2 clips with 3 statistics"));
  CHECK_THAT(test::error_of([] {
               principal_components(matrix(3, 1, {1, 2, 3}), 2);
             }),
             Catch::Contains("3 clips with 1 statistic that"));
  CHECK_THAT(test::error_of([] {
               principal_components(matrix(3, 2, {1, 2, 1, 2, 1, 2}), 2);
             }),
             Catch::Contains("all the same"));
}

TEST_CASE("the distance between genres worked by hand", "[statistics]") {
  // Genre 0: 0, 2 and 5, 5; genre 1: 6, 8 and 5, 5. The second statistic never varies within a genre.
  // s² = (1 + 1 + 1 + 1) / (4 - 2) = 2, D² = 36 / 2 - 1/2 - 1/2 = 17.
  const Matrix statistics = matrix(4, 2, {0, 5, 2, 5, 6, 5, 8, 5});
  const std::vector<std::int32_t> labels = {0, 0, 1, 1};
  const Matrix distances = genre_distances(statistics, labels, 2);
  CHECK(distances(0, 0) == 0);
  CHECK(distances(0, 1) == Approx(std::sqrt(17.0)).epsilon(1e-14));
  CHECK(distances(1, 0) == distances(0, 1));
  // The second one varies, with the same mean in both genres: D² is the mean of 17 and 0 - 1/2 - 1/2.
  const Matrix both = genre_distances(matrix(4, 2, {0, 5, 2, 6, 6, 5, 8, 6}), labels, 2);
  CHECK(both(0, 1) == Approx(std::sqrt((17.0 - 1) / 2)).epsilon(1e-14));
}

TEST_CASE("distances hang neither on units nor, on average, on how many clips a genre has", "[statistics]") {
  Random random(RandomKey{.seed = 11});
  constexpr std::size_t few = 6, many = 600, columns = 200;
  Matrix statistics(few + many + many, columns);
  std::vector<std::int32_t> labels;
  for (std::size_t clip = 0; clip < statistics.rows; ++clip) {
    labels.push_back(clip < few ? 0 : clip < few + many ? 1 : 2);
    for (std::size_t j = 0; j < columns; ++j)  // genres 0 and 1 are alike, 2 is one standard deviation away
      statistics(clip, j) = random.normal() + (labels.back() == 2 ? 1 : 0);
  }
  const Matrix distances = genre_distances(statistics, labels, 3);
  CHECK(distances(0, 1) < 0.25);  // 0.41 without the correction for few clips
  CHECK(distances(1, 2) == Approx(1).margin(0.03));
  CHECK(distances(0, 2) == Approx(1).margin(0.1));
  for (double& value : statistics.values) value = 1000 * value - 7;
  CHECK(test::max_difference<double, double>(genre_distances(statistics, labels, 3).values, distances.values) < 1e-9);
}

TEST_CASE("genres of one clip, or of equal clips, have no distances, and the error says so", "[statistics]") {
  const std::vector<std::int32_t> two = {0, 1}, four = {0, 0, 1, 1};
  CHECK_THAT(test::error_of([&] {
               genre_distances(matrix(2, 1, {1, 2}), two, 2);
             }),
             Catch::Contains("2 clips of 2 genres are one clip a genre"));
  CHECK_THAT(test::error_of([&] {
               genre_distances(matrix(4, 1, {0.1, 0.1, 0.7, 0.7}), four, 2);
             }),
             Catch::Contains("all the same"));
}

TEST_CASE("labels that are not each genre's at least once are an error that says which", "[statistics]") {
  const auto error_with = [](const std::vector<std::int32_t>& labels) {
    return test::error_of([&] { genre_distances(matrix(4, 1, {1, 2, 3, 5}), labels, 3); });
  };
  CHECK_THAT(error_with({0, 0, 2, 2}), Catch::Contains("genre 1 of 3, counted from 0, has no clip"));
  CHECK_THAT(error_with({0, 1, 2, 3}), Catch::Contains("a clip is of genre 3, but there are 3 genres"));
  CHECK_THAT(error_with({0, 1, 2, -1}), Catch::Contains("a clip is of genre -1"));
  CHECK_THAT(error_with({0, 1, 2}), Catch::Contains("4 clips have 3 labels"));
  CHECK(error_with({0, 1, 2, 2}) == "no error");
  const std::vector<std::int32_t> one = {0};
  CHECK_THAT(test::error_of([&] { genre_distances(matrix(1, 1, {1}), one, 2); }), Catch::Contains("genre 1 of 2"));
}

TEST_CASE("genres in a row are put in their order, and from the first one on", "[statistics]") {
  const std::vector<double> places = {3, 0, 7, 1, 12, 5};  // on a line
  Matrix distances(6, 6);
  for (std::size_t a = 0; a < 6; ++a)
    for (std::size_t b = 0; b < 6; ++b) distances(a, b) = std::abs(places[a] - places[b]);
  CHECK(neighbour_order(distances) == std::vector<std::size_t>{1, 3, 0, 5, 2, 4});
  CHECK(neighbour_order(Matrix(1, 1)) == std::vector<std::size_t>{0});
  CHECK(neighbour_order(Matrix(3, 3)) == std::vector<std::size_t>{0, 1, 2});  // all alike
}

TEST_CASE("no reversal of a part makes the order of genres shorter", "[statistics]") {
  const std::vector<std::size_t> everyone = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  Random random(RandomKey{.seed = 5});
  for (int repetition = 0; repetition < 20; ++repetition) {
    Matrix distances(9, 9);
    for (std::size_t a = 0; a < 9; ++a)
      for (std::size_t b = 0; b < a; ++b) distances(a, b) = distances(b, a) = random.uniform();
    const auto length = [&](const std::vector<std::size_t>& order) {
      double sum = 0;
      for (std::size_t i = 1; i < order.size(); ++i) sum += distances(order[i - 1], order[i]);
      return sum;
    };
    const std::vector<std::size_t> order = neighbour_order(distances);
    CHECK(std::is_permutation(order.begin(), order.end(), everyone.begin()));
    CHECK(order.front() < order.back());
    for (auto begin = order.begin(); begin != order.end(); ++begin)
      for (auto end = begin + 1; end != order.end(); ++end) {
        std::vector<std::size_t> other = order;
        std::reverse(other.begin() + (begin - order.begin()), other.begin() + (end - order.begin()) + 1);
        CHECK(length(order) <= length(other) + 1e-9);
      }
  }
}

}  // namespace
}  // namespace genretree
