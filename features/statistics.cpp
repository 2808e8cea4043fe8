#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.hpp"
#include "core/text.hpp"
#include "features/statistics.hpp"

namespace genretree {
namespace {

using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Map<const Rows> eigen(const Matrix& matrix) {
  return {matrix.values.data(), static_cast<Eigen::Index>(matrix.rows), static_cast<Eigen::Index>(matrix.columns)};
}

/// Turns the vector so that the first of its largest entries is positive; equal but for rounding counts as equal.
void fix_sign(Eigen::Ref<Eigen::VectorXd> vector) {
  const double nearly_largest = (1 - 1e-9) * vector.cwiseAbs().maxCoeff();
  const auto first =
      std::find_if(vector.begin(), vector.end(), [&](double x) { return std::abs(x) >= nearly_largest; });
  if (*first < 0) vector = -vector;
}

/// Every clip has a genre, and every genre a clip.
void check_labels(std::size_t clips, std::span<const std::int32_t> labels, std::size_t genres) {
  if (labels.size() != clips)
    reject("{} have {}; give each clip the number of its genre", count_of(clips, "clip"),
           count_of(labels.size(), "label"));
  std::vector<bool> has_clip(genres);
  for (const std::int32_t label : labels) {
    if (label < 0 || static_cast<std::size_t>(label) >= genres)
      reject("a clip is of genre {}, but there are {}, counted from 0", label, count_of(genres, "genre"));
    has_clip[static_cast<std::size_t>(label)] = true;
  }
  if (const auto without = std::ranges::find(has_clip, false); without != has_clip.end())
    reject("genre {} of {}, counted from 0, has no clip, so that it lies nowhere. Leave it out, or add clips of it",
           without - has_clip.begin(), genres);
}

/// Means of the statistics over the clips of each genre [genres, statistics], and the number of clips.
struct GenreMeans {
  Matrix means;
  std::vector<double> clips;
};
GenreMeans genre_means(const Matrix& statistics, std::span<const std::int32_t> labels, std::size_t genres) {
  GenreMeans result{Matrix(genres, statistics.columns), std::vector<double>(genres)};
  for (std::size_t clip = 0; clip < statistics.rows; ++clip) {
    const auto genre = static_cast<std::size_t>(labels[clip]);
    ++result.clips[genre];
    for (std::size_t j = 0; j < statistics.columns; ++j) result.means(genre, j) += statistics(clip, j);
  }
  for (std::size_t genre = 0; genre < genres; ++genre)
    for (std::size_t j = 0; j < statistics.columns; ++j) result.means(genre, j) /= result.clips[genre];
  return result;
}

/// s_j² of genre_distances; 0 where a statistic does not vary within genres.
std::vector<double> pooled_variances(const Matrix& statistics, std::span<const std::int32_t> labels,
                                     const Matrix& means) {
  std::vector<double> variances(statistics.columns);
  for (std::size_t j = 0; j < statistics.columns; ++j) {
    double sum = 0, largest = 0;
    for (std::size_t clip = 0; clip < statistics.rows; ++clip) {
      const double value = statistics(clip, j), difference = value - means(static_cast<std::size_t>(labels[clip]), j);
      sum += difference * difference;
      largest = std::max(largest, std::abs(value));
    }
    const double variance = sum / static_cast<double>(statistics.rows - means.rows);
    variances[j] = is_variance(variance, largest) ? variance : 0;
  }
  return variances;
}

using Path = std::vector<std::size_t>;

double length_of(const Path& path, const Matrix& distances) {
  double length = 0;
  for (std::size_t i = 1; i < path.size(); ++i) length += distances(path[i - 1], path[i]);
  return length;
}

/// From `start` always on to the nearest item that was not visited yet (the first of equals).
Path nearest_neighbours(std::size_t start, const Matrix& distances) {
  Path path(distances.rows);
  std::iota(path.begin(), path.end(), 0);
  std::swap(path[0], path[start]);
  for (std::size_t i = 1; i < path.size(); ++i) {
    const auto nearest =
        std::min_element(path.begin() + static_cast<std::ptrdiff_t>(i), path.end(), [&](auto a, auto b) {
          return std::pair(distances(path[i - 1], a), a) < std::pair(distances(path[i - 1], b), b);
        });
    std::iter_swap(path.begin() + static_cast<std::ptrdiff_t>(i), nearest);
  }
  return path;
}

/// Reverses parts of the path as long as that makes it shorter.
void improve(Path& path, const Matrix& distances) {
  const double least_gain = 1e-12 * length_of(path, distances);  // beyond rounding, so that it comes to an end
  const auto between = [&](std::size_t a, std::size_t b) { return distances(path[a], path[b]); };
  const std::size_t last = path.size() - 1;
  for (bool improved = true; improved;) {
    improved = false;
    for (std::size_t i = 0; i < last; ++i)
      for (std::size_t j = i + 1; j <= last; ++j) {
        const double before = (i > 0 ? between(i - 1, i) : 0) + (j < last ? between(j, j + 1) : 0),
                     after = (i > 0 ? between(i - 1, j) : 0) + (j < last ? between(i, j + 1) : 0);
        if (after >= before - least_gain) continue;
        std::reverse(path.begin() + static_cast<std::ptrdiff_t>(i), path.begin() + static_cast<std::ptrdiff_t>(j) + 1);
        improved = true;
      }
  }
}

}  // namespace

bool is_variance(double variance, double largest) { return variance > 1e-20 * largest * largest; }

std::size_t real_frames(const FeatureStore& store, std::size_t clip) {
  return std::min(static_cast<std::size_t>(std::max(store.lengths[clip], 1)), store.config.frames);
}

Matrix clip_statistics(const FeatureStore& store) {
  const std::size_t width = store.config.width();
  Matrix statistics(store.clips(), 2 * width);
  for (std::size_t clip = 0; clip < store.clips(); ++clip) {
    const View<const float, 2> features = store.view()[clip];
    const std::size_t frames = real_frames(store, clip);
    for (std::size_t k = 0; k < width; ++k) {
      double sum = 0, squares = 0;
      for (std::size_t t = 0; t < frames; ++t) sum += features(t, k);
      const double mean = sum / static_cast<double>(frames);
      for (std::size_t t = 0; t < frames; ++t) squares += (features(t, k) - mean) * (features(t, k) - mean);
      statistics(clip, k) = mean;
      statistics(clip, width + k) = std::sqrt(squares / static_cast<double>(frames));
    }
  }
  return statistics;
}

Matrix standardised(const Matrix& data) {
  const Rows centred = eigen(data).rowwise() - eigen(data).colwise().mean();
  std::vector<Eigen::Index> kept;
  Eigen::VectorXd deviations(centred.cols());
  for (Eigen::Index j = 0; j < centred.cols(); ++j) {
    const double variance = centred.col(j).squaredNorm() / static_cast<double>(centred.rows() - 1);
    deviations[j] = std::sqrt(variance);
    if (is_variance(variance, eigen(data).col(j).cwiseAbs().maxCoeff())) kept.push_back(j);
  }
  Matrix result(data.rows, kept.size());
  for (std::size_t row = 0; row < result.rows; ++row)
    for (std::size_t j = 0; j < result.columns; ++j)
      result(row, j) = centred(static_cast<Eigen::Index>(row), kept[j]) / deviations[kept[j]];
  return result;
}

PrincipalComponents principal_components(const Matrix& data, std::size_t count) {
  if (data.columns < count || data.rows <= count)
    reject(
        "{} were asked for, but there are {} with {} that differ between clips. "
        "Take more clips, or features with more coefficients",
        count_of(count, "principal component"), count_of(data.rows, "clip"), count_of(data.columns, "statistic"));
  const Rows centred = eigen(data).rowwise() - eigen(data).colwise().mean();
  const Eigen::MatrixXd covariance = centred.transpose() * centred / static_cast<double>(centred.rows() - 1);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(covariance);
  const double variance = covariance.trace();
  if (!(variance > 0)) reject("the {} clips are all the same: there are no principal components", data.rows);

  PrincipalComponents result{Matrix(data.rows, count), {}};
  for (std::size_t component = 0; component < count; ++component) {
    const Eigen::Index column = covariance.cols() - 1 - static_cast<Eigen::Index>(component);  // eigenvalues ascend
    Eigen::VectorXd direction = solver.eigenvectors().col(column);
    fix_sign(direction);
    const Eigen::VectorXd scores = centred * direction;
    for (std::size_t row = 0; row < data.rows; ++row)
      result.scores(row, component) = scores[static_cast<Eigen::Index>(row)];
    result.shares.push_back(std::max(0.0, solver.eigenvalues()[column]) / variance);
  }
  return result;
}

Matrix genre_distances(const Matrix& statistics, std::span<const std::int32_t> labels, std::size_t genres) {
  check_labels(statistics.rows, labels, genres);
  if (statistics.rows == genres)
    reject(
        "{} clips of {} genres are one clip a genre: how far clips of one genre lie from each other, which the "
        "distances between genres are measured in, needs more",
        statistics.rows, genres);
  const auto [means, clips] = genre_means(statistics, labels, genres);
  const std::vector<double> variances = pooled_variances(statistics, labels, means);
  const auto used = std::ranges::count_if(variances, [](double variance) { return variance > 0; });
  if (used == 0)
    reject("the clips of each genre are all the same, so that there is nothing to measure distances between genres in");

  Matrix distances(genres, genres);
  for (std::size_t a = 0; a < genres; ++a)
    for (std::size_t b = 0; b < a; ++b) {
      double sum = 0;
      for (std::size_t j = 0; j < variances.size(); ++j) {
        const double difference = means(a, j) - means(b, j);
        if (variances[j] > 0) sum += difference * difference / variances[j] - 1 / clips[a] - 1 / clips[b];
      }
      distances(a, b) = distances(b, a) = std::sqrt(std::max(0.0, sum / static_cast<double>(used)));
    }
  return distances;
}

std::vector<std::size_t> neighbour_order(const Matrix& distances) {
  Path best;
  double best_length = std::numeric_limits<double>::infinity();
  for (std::size_t start = 0; start < distances.rows; ++start) {
    Path path = nearest_neighbours(start, distances);
    improve(path, distances);
    if (path.front() > path.back()) std::ranges::reverse(path);
    const double length = length_of(path, distances);
    if (length < best_length * (1 - 1e-12)) best_length = length, best = std::move(path);
  }
  return best;
}

}  // namespace genretree
