// What a report says, before it is put into Markdown or HTML.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "experiments/report.hpp"
#include "experiments/summary.hpp"

namespace genretree {

struct ReportFigure {
  std::string file;  ///< "figure11.svg"
  std::string title, caption, svg;
};

/// The test set's confusion matrix of one grid point, summed over its trials.
struct ReportConfusion {
  std::string title;
  std::vector<std::uint32_t> counts;  ///< [genres, genres], true genre by row
};

struct ReportContent {
  std::string title;
  std::string first_line;  ///< which data it ran on
  bool synthetic = false, is_gtzan = false;
  std::string progress;                                    ///< "13 of 28 cells …"; "" for a whole grid
  std::vector<std::pair<std::string, std::string>> facts;  ///< data, split, model, …: name and text
  std::vector<std::string> notes;
  std::vector<std::string> genres;
  std::vector<GridPoint> points;
  std::vector<ReportFigure> grid_figures, curve_figures;
  std::vector<ReportConfusion> confusions;
};

ReportContent make_content(const Spec& spec, const DatasetSummary& dataset, const std::vector<Result>& results);

/// The paper's value for a cell of Figure 10 as text, and what has to stand beside it; empty where it is not known or
/// not in the paper's grid. `column` counts as in `metrics`.
struct PaperCell {
  std::string value;  ///< "1.8864¹"
  std::string aside;  ///< "Fig. 9: 1.9014"
};
PaperCell paper_cell(std::uint32_t epochs, std::size_t column);
/// The notes below Figure 10.
std::vector<std::string> figure10_notes(const ReportContent& content);

std::string to_markdown(const ReportContent& content);
std::string to_html(const ReportContent& content);

/// The share of row `genre` on the diagonal; NaN for an empty row.
double recall(const std::vector<std::uint32_t>& confusion, std::size_t genres, std::size_t genre);

}  // namespace genretree
