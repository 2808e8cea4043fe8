#include <algorithm>

#include "kernels/cpu/readout.hpp"

namespace genretree::cpu {
namespace {

/// Units of one row that go through time together: what is known of them lies in the first-level cache.
constexpr std::size_t block = 64;

/// Neighbouring units of one row over all frames.
struct Units {
  const float* first;  // in the first frame
  std::size_t count, frames, stride;

  const float* at(std::size_t t) const { return first + t * stride; }
};

/// Calls visit(row b, first unit, its Units) for all units of the first `rows` rows of [T, B, H].
template <class Visit>
void for_each_block(View<const float, 3> y, std::size_t rows, Visit visit) {
  const auto [frames, batch, units] = y.shape;
  for (std::size_t b = 0; b < rows; ++b)
    for (std::size_t u = 0; u < units; u += block)
      visit(b, u, Units{&y(0, b, u), std::min(block, units - u), frames, batch * units});
}

/// Of each unit: its largest output, and the first frame that has it.
struct Maximum {
  float value[block];
  std::int32_t frame[block];

  explicit Maximum(const Units& units) {
    std::copy_n(units.at(0), units.count, value);
    std::fill_n(frame, units.count, 0);
    for (std::size_t t = 1; t < units.frames; ++t) {
      const float* y = units.at(t);
      for (std::size_t u = 0; u < units.count; ++u) {
        const bool is_larger = y[u] > value[u];
        value[u] = is_larger ? y[u] : value[u];
        frame[u] = is_larger ? static_cast<std::int32_t>(t) : frame[u];
      }
    }
  }
};

bool has_mean(Readout kind) { return kind == Readout::mean || kind == Readout::mean_max; }
bool has_maximum(Readout kind) { return kind == Readout::max || kind == Readout::mean_max; }

/// The masks of run r, row b; or null.
const float* mask_row(const RowMask& mask, std::size_t r, std::size_t b) {
  return mask.masks.empty() ? nullptr : mask.masks[r].data + mask.offset + b * mask.width;
}

}  // namespace

void copy_columns(const Group& group, const ColumnCopy& copy, View<const float, 4> from, View<float, 4> to) {
  const std::size_t frames = to.shape[1], columns = copy.columns;
  for (std::size_t r = 0; r < group.runs; ++r)
    for (std::size_t t = 0; t < frames; ++t) {
      for (std::size_t b = 0; b < group.rows[r]; ++b) {
        const float* source = &from(r, copy.reversed ? frames - 1 - t : t, b, copy.from_column);
        float* target = &to(r, t, b, copy.to_column);
        const float* mask = mask_row(copy.mask, r, b);
        if (mask) mask += copy.mask_column;
        if (!copy.adds && !mask)
          std::copy_n(source, columns, target);
        else if (!copy.adds)
          for (std::size_t c = 0; c < columns; ++c) target[c] = source[c] * mask[c];
        else if (!mask)
          for (std::size_t c = 0; c < columns; ++c) target[c] += source[c];
        else
          for (std::size_t c = 0; c < columns; ++c) target[c] += source[c] * mask[c];
      }
      for (std::size_t b = group.rows[r]; b < to.shape[2] && !copy.adds; ++b)
        std::fill_n(&to(r, t, b, copy.to_column), columns, 0.0f);
    }
}

void readout(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask, std::size_t first_column,
             View<float, 3> out) {
  const std::size_t units = y.shape[3];
  for (std::size_t r = 0; r < group.runs; ++r)
    for_each_block(y[r], group.rows[r], [&](std::size_t b, std::size_t first_unit, const Units& block_units) {
      std::size_t column = first_column + first_unit;
      const auto put = [&](const auto* values) {
        const float* masks = mask_row(mask, r, b);
        for (std::size_t u = 0; u < block_units.count; ++u)
          out(r, b, column + u) = static_cast<float>(masks ? values[u] * masks[column + u] : values[u]);
        column += units;
      };
      if (kind == Readout::last) put(block_units.at(block_units.frames - 1));
      if (has_mean(kind)) {
        double mean[block] = {};
        for (std::size_t t = 0; t < block_units.frames; ++t)
          for (std::size_t u = 0; u < block_units.count; ++u) mean[u] += block_units.at(t)[u];
        for (double& value : mean) value /= static_cast<double>(block_units.frames);
        put(mean);
      }
      if (has_maximum(kind)) put(Maximum(block_units).value);
    });
}

void readout_backward(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask,
                      std::size_t first_column, View<const float, 3> dout, View<float, 4> dy) {
  const std::size_t units = y.shape[3];
  for (std::size_t r = 0; r < group.runs; ++r)
    for_each_block(y[r], group.rows[r], [&](std::size_t b, std::size_t first_unit, const Units& block_units) {
      const std::size_t frames = block_units.frames, count = block_units.count;
      std::size_t column = first_column + first_unit;
      const auto take = [&](float* values, float factor) {
        const float* masks = mask_row(mask, r, b);
        for (std::size_t u = 0; u < count; ++u)
          values[u] = dout(r, b, column + u) * factor * (masks ? masks[column + u] : 1.0f);
        column += units;
      };
      float* const first = &dy(r, 0, b, first_unit);
      float mean[block] = {};
      if (has_mean(kind)) take(mean, 1 / static_cast<float>(frames));
      for (std::size_t t = 0; t < frames; ++t) std::copy_n(mean, count, first + t * block_units.stride);
      if (kind == Readout::last) take(first + (frames - 1) * block_units.stride, 1);
      if (!has_maximum(kind)) return;
      float largest[block];
      take(largest, 1);
      const Maximum maximum(block_units);
      for (std::size_t u = 0; u < count; ++u)
        first[static_cast<std::size_t>(maximum.frame[u]) * block_units.stride + u] += largest[u];
    });
}

}  // namespace genretree::cpu
