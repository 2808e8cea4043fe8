// What the paper shows of its data set and its network, for any experiment: Figures 6, 7, 8 and 13, and how similar the
// genres are; with a page that has them all.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "experiments/data.hpp"
#include "experiments/report_content.hpp"

namespace genretree {

struct DatasetFigures {
  std::vector<ReportFigure> figures;
  std::vector<std::string> left_out;                       ///< what could not be drawn, and why
  std::vector<std::pair<std::string, std::string>> files;  ///< scatter.csv, similarity.csv: name and text
};

/// Draws figure6.svg, figure7.svg, figure8.svg, figure13.svg and similarity.svg, each of which names the data set. A
/// clip of each genre is heard again for Figures 7 and 8, whatever kind of features the network has. Where the data
/// set is a feature store, which has no audio, Figure 7 is left out, and of Figure 8 what the store does not hold;
/// where there are too few clips, Figure 13 or the similarity. Error if gnuplot is missing.
DatasetFigures draw_dataset_figures(const Spec& spec, const Data& data, Backend& backend);

/// Writes them, and index.html, which needs none of the other files, each whole or not at all.
void write_dataset_figures(const std::filesystem::path& folder, const Spec& spec, const Data& data,
                           const DatasetFigures& figures);

}  // namespace genretree
