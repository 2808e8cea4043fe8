// A tree as a whole: what its nodes said of the test clips, decoded to genres, and the paper's estimate of the same
// from the accuracies of the nodes alone.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "experiments/bootstrap.hpp"
#include "experiments/ledger.hpp"
#include "models/genre_tree.hpp"

namespace genretree {

/// Where a clip ends if a node on its way diverged: its probabilities are no numbers. No genre, so wrong always.
inline constexpr std::uint32_t no_genre = 0xFFFFFFFF;

/// A test clip with its true genre and those that both ways through the tree end at, or no_genre.
struct DecodedClip {
  std::string track;
  std::uint32_t genre = 0, hard = 0, soft = 0;
};

/// The tree in one trial in which all of its nodes are trained.
struct TreeTrial {
  std::uint32_t trial = 0;
  std::vector<DecodedClip> clips;       ///< every test clip of the trial
  std::vector<double> node_accuracies;  ///< [nodes] each on all test clips of the genres below it
  std::vector<double> reached;  ///< [nodes] the same on those of them that all nodes above send there; NaN if none
  std::size_t genres = 0;
  std::vector<std::string> diverged;  ///< nodes with probabilities that are no numbers, for some clip

  /// Share of the clips that end at their genre.
  double accuracy(std::uint32_t DecodedClip::*answer) const;
  /// Mean over genres of the share of a genre's clips that end at it: every genre counts the same, however many clips
  /// it has. Genres without a test clip are left out.
  double mean_recall(std::uint32_t DecodedClip::*answer) const;
  /// [genres, genres], true genre by row. Clips that end at no genre are in none of its columns.
  std::vector<std::uint32_t> confusion(std::uint32_t DecodedClip::*answer) const;
};

/// What is reported of the tree as a whole.
struct TreeMetric {
  const char* key;    ///< column of table4.csv
  const char* title;  ///< for tables
  double (*of)(const GenreTree& tree, const TreeTrial& trial);
};
inline constexpr std::array<TreeMetric, 6> tree_metrics = {{
    {"hard_accuracy", "hard routing",
     [](const GenreTree&, const TreeTrial& t) { return t.accuracy(&DecodedClip::hard); }},
    {"soft_accuracy", "soft routing",
     [](const GenreTree&, const TreeTrial& t) { return t.accuracy(&DecodedClip::soft); }},
    {"hard_mean_recall", "hard, mean recall",
     [](const GenreTree&, const TreeTrial& t) { return t.mean_recall(&DecodedClip::hard); }},
    {"soft_mean_recall", "soft, mean recall",
     [](const GenreTree&, const TreeTrial& t) { return t.mean_recall(&DecodedClip::soft); }},
    {"product_over_paths", "product by path",
     [](const GenreTree& tree, const TreeTrial& t) { return mean_over_paths(tree, t.node_accuracies); }},
    {"product_over_genres", "product by genre",
     [](const GenreTree& tree, const TreeTrial& t) { return mean_over_genres(tree, t.node_accuracies); }},
}};

/// The trials of which all nodes are there, ascending. Error if the nodes of a trial did not see the same test clips.
std::vector<TreeTrial> decode_trials(const GenreTree& tree, const std::vector<Result>& results);

/// How sure the accuracy of one way through the tree is, over all trials.
Interval tree_interval(const std::vector<TreeTrial>& trials, std::uint32_t DecodedClip::*answer, std::uint64_t seed);

/// A tree metric in every trial.
std::vector<double> values_of(const TreeMetric& metric, const GenreTree& tree, const std::vector<TreeTrial>& trials);

}  // namespace genretree
