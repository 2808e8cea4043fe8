// What the paper reports, as far as it is known to this version: Chun Pui Tang, Ka Long Chui, Ying Kin Yu, Zhiliang
// Zeng and Kin Hong Wong, "Music genre classification using a hierarchical long short term memory (LSTM) model", 2018
// (doi 10.1117/12.2501763).
#pragma once

#include <array>
#include <cstdint>
#include <string>

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

/// What has to be said once beside the paper's values.
std::string paper_footnote();
std::string paper_gaps_note();  ///< how little of it is known

}  // namespace genretree
