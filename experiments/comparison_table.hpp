// The tables of a comparison: what differs between the variants, their accuracies, and how far these lie apart.
#pragma once

#include <string>
#include <vector>

#include "experiments/comparison.hpp"
#include "experiments/report_content.hpp"

namespace genretree {

std::vector<ReportTable> comparison_tables(const Comparison& comparison);

/// comparison.csv: a row for each variant, with its difference from the first where both have the same test clips.
std::string comparison_csv(const Comparison& comparison);

}  // namespace genretree
