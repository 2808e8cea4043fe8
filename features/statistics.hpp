// What the features of a data set say as a whole: statistics of each clip, their principal components, and how far
// apart the genres lie. Pure functions, the same result for the same store.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "features/store.hpp"

namespace genretree {

/// Rows of numbers, row-major.
struct Matrix {
  std::size_t rows = 0, columns = 0;
  std::vector<double> values;  ///< [rows, columns]

  Matrix(std::size_t row_count, std::size_t column_count)
      : rows(row_count), columns(column_count), values(row_count * column_count) {}
  double& operator()(std::size_t row, std::size_t column) { return values[row * columns + column]; }
  double operator()(std::size_t row, std::size_t column) const { return values[row * columns + column]; }
};

/// False for what is only rounding in a variance of numbers of which the largest has this absolute value.
bool is_variance(double variance, double largest);

/// Frames of a clip that come from its audio, at least 1: the rest is padding.
std::size_t real_frames(const FeatureStore& store, std::size_t clip);

/// [clips, 2 F] of a store with F features a frame: the mean of each feature over a clip's real frames, then the
/// standard deviation of each (the root of the mean squared distance from the mean).
Matrix clip_statistics(const FeatureStore& store);

/// Each column less its mean, divided by its standard deviation (of n - 1). Columns that are the same for all rows say
/// nothing and are left out.
Matrix standardised(const Matrix& data);

struct PrincipalComponents {
  Matrix scores;               ///< [rows, count] where each row lies
  std::vector<double> shares;  ///< [count] of the variance, 0 … 1, falling
};

/// The first `count` principal components: eigenvectors v of the covariance matrix Xᵀ X / (n - 1), where X is `data`
/// less the mean of each column; the scores are X v. An eigenvector's sign means nothing: the first of its entries that
/// are largest in absolute value is positive. InputError if `data` has fewer columns than `count` or no more rows than
/// that, or if all rows are the same.
PrincipalComponents principal_components(const Matrix& data, std::size_t count);

/// [genres, genres] how far apart the genres lie, in units of their clips' spread:
///
///   D(a, b)² = 1/p Σ_j [ (m_aj - m_bj)² / s_j² - 1/n_a - 1/n_b ],   and D = 0 where that is negative
///
/// m_aj mean of statistic j over the n_a clips of genre a; s_j² its variance within genres, pooled: the squared
/// distances of all clips from their genre's mean, over n - G (n clips, G genres); p statistics. So D is 1 where the
/// genres' means are one standard deviation apart in every statistic. The last two terms are what two samples of one
/// genre would differ by: without this bias removed, a genre of few clips would lie far from all others. It is the
/// squared Mahalanobis distance with a diagonal covariance matrix, pooled over the genres, as a mean over the
/// statistics instead of their sum. Correlations of statistics are not estimated, which ten clips of a genre would not
/// allow. Statistics that do not vary within genres are left out.
///
/// `labels` [rows] in 0 … genres - 1, each at least once. InputError if they are not, or if no genre has two clips that
/// differ.
Matrix genre_distances(const Matrix& statistics, std::span<const std::int32_t> labels, std::size_t genres);

/// An order in which what is near stands side by side: the path through all items with a small sum of distances between
/// neighbours, which no reversal of a part makes shorter (the best of the paths that begin at each item with the
/// nearest neighbour and are then improved so: 2-opt). Its first item comes before its last in `distances` [n, n],
/// symmetric. The same each time.
std::vector<std::size_t> neighbour_order(const Matrix& distances);

}  // namespace genretree
