// What a report says, before it is put into Markdown or HTML.
#pragma once

#include <array>
#include <limits>
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

/// The paper's value for a cell of Figure 10; NaN and empty where it is not known.
struct PaperCell {
  double value = std::numeric_limits<double>::quiet_NaN();
  std::string text;   ///< "1.8864¹"
  std::string aside;  ///< what has to stand beside it: "Fig. 9: 1.9014"
};
using PaperRow = std::array<PaperCell, metrics.size()>;

/// The paper's values for each of the points; empty if none is known, or if the data are not the paper's GTZAN.
std::vector<PaperRow> paper_rows(const DatasetSummary& dataset, const std::vector<GridPoint>& points);

struct ReportContent {
  std::string title;
  std::string first_line;  ///< which data it ran on
  bool synthetic = false;
  std::vector<std::string> warnings;                       ///< "13 of 28 cells …", "2 trainings diverged …"
  std::vector<std::pair<std::string, std::string>> facts;  ///< data, split, model, …: name and text
  std::vector<std::string> notes;
  std::vector<std::string> genres;
  std::vector<GridPoint> points;
  std::vector<PaperRow> paper;  ///< beside `points`, or empty
  std::vector<std::string> figure10_notes;
  std::vector<ReportFigure> grid_figures, curve_figures;
  std::vector<ReportConfusion> confusions;
};

ReportContent make_content(const Spec& spec, const DatasetSummary& dataset, const std::vector<Result>& results);

std::string figure10_title(const ReportContent& content);

std::string to_markdown(const ReportContent& content);
std::string to_html(const ReportContent& content);

/// The share of row `genre` on the diagonal; NaN for an empty row.
double recall(const std::vector<std::uint32_t>& confusion, std::size_t genres, std::size_t genre);

}  // namespace genretree
