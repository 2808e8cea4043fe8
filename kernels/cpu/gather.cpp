#include <algorithm>

#include "kernels/cpu/gather.hpp"

namespace genretree::cpu {
namespace {

/// Frame t of a row, [F].
///   constants  mean [F] and scale [F], or null
void make_frame(const BatchRow& row, View<const float, 3> features, const float* constants, std::size_t t, float* out) {
  const std::size_t inputs = features.shape[2];
  const auto end_of = [](const BatchRow::Range& range) { return std::int64_t{range.first} + range.count; };
  for (const BatchRow::Range& range : row.masked_frames) {
    const auto frame = static_cast<std::int64_t>(t);
    if (frame < range.first || frame >= end_of(range)) continue;
    std::fill_n(out, inputs, 0.0f);
    return;
  }
  const auto frame_of = [&](std::int32_t clip, std::int32_t first) { return &features(clip, first + t, 0); };
  const float* const own = frame_of(row.clip, row.first_frame);
  const float* const scale = constants ? constants + inputs : nullptr;
  if (row.share < 1) {
    const float* const other = frame_of(row.partner, row.partner_frame);
    const float share = row.share, rest = 1 - share;
    for (std::size_t i = 0; i < inputs; ++i) {
      const float mean = constants ? constants[i] : 0.0f, factor = constants ? scale[i] : 1.0f;
      out[i] = share * ((own[i] - mean) * factor) + rest * ((other[i] - mean) * factor);
    }
  } else if (constants) {
    for (std::size_t i = 0; i < inputs; ++i) out[i] = (own[i] - constants[i]) * scale[i];
  } else {
    std::copy_n(own, inputs, out);
  }
  for (const BatchRow::Range& range : row.masked_inputs) {
    const std::int64_t end = std::min(end_of(range), static_cast<std::int64_t>(inputs));
    for (std::int64_t i = std::max(range.first, 0); i < end; ++i) out[i] = 0;
  }
}

}  // namespace

void gather(const Group& group, View<const float, 3> features, View<const std::int32_t, 2> labels,
            View<const BatchRow, 2> rows, View<const float, 2> constants, double smoothing, View<float, 4> x,
            View<std::int32_t, 2> y, View<float, 3> targets) {
  const std::size_t inputs = features.shape[2];
  for (std::size_t r = 0; r < group.runs; ++r) {
    const std::size_t counted = group.rows[r];
    const float* const own_constants = constants.empty() ? nullptr : constants[r].data;
    for (std::size_t t = 0; t < group.frames; ++t) {
      for (std::size_t b = 0; b < counted; ++b) make_frame(rows(r, b), features, own_constants, t, &x(r, t, b, 0));
      std::fill_n(x[r][t].data + counted * inputs, (group.batch - counted) * inputs, 0.0f);
    }
    for (std::size_t b = 0; b < counted; ++b) {
      const BatchRow& row = rows(r, b);
      const auto is_of = [&](std::int32_t clip, std::size_t c) {
        return static_cast<std::size_t>(labels(r, static_cast<std::size_t>(clip))) == c;
      };
      y(r, b) = labels(r, static_cast<std::size_t>(row.clip));
      if (targets.empty()) continue;
      const std::size_t classes = group.class_counts[r];
      std::fill_n(targets[r][b].data, targets.shape[2], 0.0f);
      for (std::size_t c = 0; c < classes; ++c) {
        double target = is_of(row.clip, c) ? row.share : 0.0;
        if (row.share < 1 && is_of(row.partner, c)) target += 1.0 - row.share;
        targets(r, b, c) = static_cast<float>((1 - smoothing) * target + smoothing / static_cast<double>(classes));
      }
    }
  }
}

}  // namespace genretree::cpu
