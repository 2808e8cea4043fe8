// What a report says of a tree as a whole, beside the tables that every experiment has: Table 4 and how it comes about.
#pragma once

#include <vector>

#include "experiments/report_content.hpp"

namespace genretree {

/// The tree, Table 4 (hard and soft routing beside the product estimate, in each trial and on the mean), the products
/// along the paths, and why they are not the accuracy. Without a tree none; without a trial of which all nodes are
/// trained the tree alone.
std::vector<ReportTable> tree_tables(const Spec& spec, const DatasetSummary& dataset,
                                     const std::vector<Result>& results);

/// These tables, Figure 14, the confusion matrices of the whole tree and of each node, and table4.csv, confusion.csv
/// and decoded.csv.
void add_tree(ReportContent& content, const Spec& spec, const DatasetSummary& dataset,
              const std::vector<Result>& results);

}  // namespace genretree
