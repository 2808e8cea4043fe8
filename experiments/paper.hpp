// What the paper reports, as far as it is known to this version: Chun Pui Tang, Ka Long Chui, Ying Kin Yu, Zhiliang
// Zeng and Kin Hong Wong, "Music genre classification using a hierarchical long short term memory (LSTM) model", 2018
// (doi 10.1117/12.2501763).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "models/genre_tree.hpp"

namespace genretree {

/// A row of the paper's Figure 10, the means over four trials; NaN where the value is not known to this version.
struct PaperPoint {
  std::uint32_t epochs;
  double validation_accuracy, validation_loss, test_accuracy, test_loss;

  /// The four in the order of the report's columns.
  std::array<double, 4> values() const { return {validation_accuracy, validation_loss, test_accuracy, test_loss}; }
};

/// The row for this number of epochs, or nullptr if the paper's grid has none.
const PaperPoint* paper_figure10(std::uint32_t epochs);

/// The one cell where the paper disagrees with itself: Figure 10 prints 1.8864, but Figure 9's four trials have this
/// mean.
struct PaperDisagreement {
  std::uint32_t epochs;
  double figure9_mean;
};
inline constexpr PaperDisagreement paper_test_loss_disagreement = {200, 1.9014};

/// A node of the paper's tree with its row of Table 3: the accuracy on 25 test clips of each genre below it.
struct PaperNode {
  std::string name;                               ///< "LSTM2a"
  std::vector<std::vector<std::string>> classes;  ///< the genres of each
  double accuracy;
};

/// The paper's node that divides the same genres in the same way, whatever they are called here, or nullptr.
const PaperNode* paper_node(const GenreTree& tree, std::size_t node);

/// True if the tree has the paper's seven nodes.
bool is_paper_tree(const GenreTree& tree);

/// The paper's accuracy for ten genres: the mean of the products of accuracies along its four paths. It was never
/// measured end to end.
inline constexpr double paper_mean_of_products = 0.52975;
/// What the same products give when each genre counts once; reckoned here from the paper's Table 3.
inline constexpr double paper_mean_of_products_by_genre = 0.5273;
/// The paper's product along the path that ends with this node, as it gives it; NaN if the paper has no such path.
double paper_path_product(const PaperNode& last_node);
/// What the paper compares itself with, the CNN of its reference [2]: 30 of 64 clips of a single mini-batch.
inline constexpr double paper_cnn_accuracy = 0.4687;
std::string paper_cnn_note();

/// What the paper's abstract says of its tree; its text has the product above.
inline constexpr double paper_abstract_accuracy = 0.50;

/// What the paper has to set beside an experiment as a whole: NaN where it has nothing, or it is not known here.
struct PaperResult {
  double accuracy;
  std::string what;  ///< "product estimate"
};
/// genres: that are told apart; tree: empty for a single classifier, which has been trained for `epochs`.
PaperResult paper_result(std::vector<std::string> genres, const GenreTree& tree, std::uint32_t epochs);

/// What has to be said once beside the paper's values.
std::string paper_footnote();
std::string paper_gaps_note();  ///< how little of it is known

}  // namespace genretree
