#include <algorithm>
#include <fmt/format.h>
#include <limits>

#include "experiments/paper.hpp"

namespace genretree {
namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

// Figure 10 of the paper. Whoever has the paper at hand can fill in the unknown cells: accuracies as fractions of 1,
// each value with the four decimals of the paper. paper_gaps_note then needs other words.
constexpr PaperPoint figure10[] = {
    // epochs, validation accuracy, validation loss, test accuracy, test loss
    {5, unknown, unknown, unknown, unknown},   {10, unknown, unknown, unknown, unknown},
    {20, unknown, unknown, unknown, unknown},  {50, unknown, unknown, unknown, unknown},
    {100, unknown, unknown, unknown, unknown}, {200, unknown, unknown, unknown, 1.8864},
    {400, unknown, unknown, unknown, unknown},
};

}  // namespace

const PaperPoint* paper_figure10(std::uint32_t epochs) {
  const auto row = std::ranges::find(figure10, epochs, &PaperPoint::epochs);
  return row == std::end(figure10) ? nullptr : &*row;
}

std::string paper_footnote() {
  const auto& [epochs, mean] = paper_test_loss_disagreement;
  return fmt::format(
      "The paper disagrees with itself here: its Figure 10 gives a mean test loss of {:.4f} at {} epochs, but the four "
      "trials of its Figure 9 have a mean of {:.4f}.",
      paper_figure10(epochs)->test_loss, epochs, mean);
}

std::string paper_gaps_note() {
  return fmt::format(
      "Of the paper's Figures 9 and 10 this version of the program knows only one cell: the mean test loss at 200 "
      "epochs, {:.4f} (experiments/paper.cpp holds the table).",
      paper_figure10(200)->test_loss);
}

}  // namespace genretree
