// `tree: learn`: first a classifier of all genres is trained, in the folder `flat` of the experiment's own; then the
// tree that follows from its answers on the validation clips, as if it had stood in the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "experiments/ledger.hpp"
#include "experiments/report_content.hpp"
#include "experiments/spec.hpp"

namespace genretree {

/// What a tree was learned from: the flat classifier's answers on the validation clips at its best grid point. Kept
/// beside the tree's runs as learned_tree.json.
struct TreeOrigin {
  std::vector<std::string> genres;
  std::vector<std::uint32_t> confusion;  ///< [genres, genres] summed over trials, true genre by row
  std::uint32_t epochs = 0;              ///< of the grid point
  std::size_t trials = 0;
  double validation_accuracy = 0;   ///< its mean
  std::string classifier = "flat";  ///< the folder of its runs, from the tree's own
};

/// The experiment of the flat classifier.
Spec flat_spec(const Spec& spec);

/// From all results of the flat classifier: the grid point that is best by validation accuracy. InputError if the
/// ledger says nothing of validation clips, Error if every training diverged.
TreeOrigin tree_origin(const Spec& flat, const std::vector<Result>& results);

/// The experiment with the tree that was learned.
Spec with_learned_tree(const Spec& spec, const TreeOrigin& origin);

void write_tree_origin(const std::filesystem::path& folder, const TreeOrigin& origin);
/// Nothing if the folder's tree was not learned; InputError if the file is damaged.
std::optional<TreeOrigin> read_tree_origin(const std::filesystem::path& folder);

/// Adds to a tree's report how it was learned, and the confusion that it came from.
void add_tree_origin(ReportContent& content, const TreeOrigin& origin);

}  // namespace genretree
