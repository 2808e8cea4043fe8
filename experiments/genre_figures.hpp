// The paper's Figure 13 and what it argues from: the data set as a scatter of its clips, and how similar the genres
// are, as SVG.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "features/statistics.hpp"

namespace genretree {

/// A point for each clip: its first two principal components, with its genre's colour and mark. `labels` [clips] index
/// `genres`. `heading` stands above. Transparent, in the page's own colour.
std::string draw_scatter(const PrincipalComponents& components, std::span<const std::int32_t> labels,
                         const std::vector<std::string>& genres, const std::string& heading);

/// The distances between genres (genre_distances) in the given order, the strongest colour for the most similar.
/// Transparent, in the page's own colour.
std::string draw_similarity(const Matrix& distances, const std::vector<std::size_t>& order,
                            const std::vector<std::string>& genres, const std::string& heading);

}  // namespace genretree
