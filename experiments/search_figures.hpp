// What candidates have at their keys against what they are worth: parallel coordinates, and a scatter plot of each key.
#pragma once

#include <string>
#include <vector>

#include "experiments/report_content.hpp"
#include "experiments/search_results.hpp"

namespace genretree {

/// parallel.svg, then scatter1.svg … for the keys in their order; none if fewer than two candidates have a finite value.
/// A key whose values are all numbers has an axis of numbers, any other has its values side by side.
std::vector<ReportFigure> search_figures(const SearchResults& results);

}  // namespace genretree
