// The variants of an experiment side by side in one report.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiments/merged_runs.hpp"

namespace genretree {

struct ComparedVariant {
  std::string name, difference;  ///< as in Variant
  MergedRuns runs;               ///< with at least one result
};

struct Comparison {
  std::string experiment;
  std::vector<ComparedVariant> variants;
  std::vector<std::string> without_results;  ///< names of variants that are not among them yet
};

/// What lies in folders each of which holds variants, or those of one shard. InputError if no variant has results.
Comparison read_comparison(const std::vector<std::filesystem::path>& folders, bool allow_mixed);

/// Writes report.md, a self-contained report.html and comparison.csv, a row for each variant: of a grid its best point
/// by validation accuracy, or its last one without a validation set; of a tree hard and soft routing, end to end.
void write_comparison(const std::filesystem::path& folder, const Comparison& comparison);

/// A warning that names the variants without results, of which there is at least one.
std::string without_results_text(const Comparison& comparison);

/// The table for a terminal.
std::string comparison_as_text(const Comparison& comparison);

/// Which variants a folder holds, each in a folder of its own: comparison.json.
struct VariantNames {
  std::string experiment;
  std::vector<std::pair<std::string, std::string>> variants;  ///< name and difference
};
/// The folders of one variant in those of `folders` that have its runs, none if nothing of it was begun.
std::vector<std::filesystem::path> folders_of_variant(const std::vector<std::filesystem::path>& folders,
                                                      const std::string& name);
/// False also without any folder.
bool has_results(const std::vector<std::filesystem::path>& folders);
bool holds_variants(const std::filesystem::path& folder);
void write_variant_names(const std::filesystem::path& folder, const VariantNames& names);
/// InputError if the file is damaged.
VariantNames read_variant_names(const std::filesystem::path& folder);

}  // namespace genretree
