// Where the features of a clip go.
#pragma once

#include "kernels/ops.hpp"

namespace genretree::cuda {

/// Where a feature goes: number i of frame f to first[f · stride + i]. Null: it is not wanted.
struct FeatureRows {
  float* first = nullptr;
  std::size_t stride = 0;
  /// The same from frame `f` on.
  FeatureRows from(std::size_t f) const { return {first ? first + f * stride : nullptr, stride}; }
};

/// Where a feature's numbers of the frames of out [frames, W] go; null if it is not wanted.
inline FeatureRows rows_of(SpectralFeature feature, const SpectralTables& tables, View<float, 2> out) {
  if (!tables.wants(feature)) return {};
  return {out.data + tables.column(feature), tables.width()};
}

}  // namespace genretree::cuda
