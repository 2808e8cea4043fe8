#include "kernels/reference/readout.hpp"

namespace genretree::reference {
namespace {

double mask_of(const RowMask& mask, std::size_t r, std::size_t b, std::size_t i) {
  return mask.masks.empty() ? 1 : mask.masks(r, mask.offset + b * mask.width + i);
}

/// The first frame whose output is the largest.
std::size_t frame_of_maximum(View<const float, 3> y, std::size_t b, std::size_t u) {
  std::size_t best = 0;
  for (std::size_t t = 1; t < y.shape[0]; ++t)
    if (y(t, b, u) > y(best, b, u)) best = t;
  return best;
}

}  // namespace

void readout(Readout kind, std::size_t r, std::size_t rows, View<const float, 3> y, const RowMask& mask,
             std::size_t first_column, View<float, 2> out) {
  const auto [frames, batch, units] = y.shape;
  for (std::size_t b = 0; b < rows; ++b)
    for (std::size_t u = 0; u < units; ++u) {
      std::size_t column = first_column + u;
      const auto put = [&](double value) {
        out(b, column) = static_cast<float>(value * mask_of(mask, r, b, column));
        column += units;
      };
      double sum = 0;
      for (std::size_t t = 0; t < frames; ++t) sum += y(t, b, u);
      if (kind == Readout::last) put(y(frames - 1, b, u));
      if (kind == Readout::mean || kind == Readout::mean_max) put(sum / static_cast<double>(frames));
      if (kind == Readout::max || kind == Readout::mean_max) put(y(frame_of_maximum(y, b, u), b, u));
    }
}

void readout_backward(Readout kind, std::size_t r, std::size_t rows, View<const float, 3> y, const RowMask& mask,
                      std::size_t first_column, View<const float, 2> dout, View<float, 3> dy) {
  const auto [frames, batch, units] = y.shape;
  for (std::size_t b = 0; b < rows; ++b)
    for (std::size_t u = 0; u < units; ++u) {
      std::size_t column = first_column + u;
      const auto take = [&] {
        const double value = dout(b, column) * mask_of(mask, r, b, column);
        column += units;
        return value;
      };
      const double last = kind == Readout::last ? take() : 0;
      const double mean = kind == Readout::mean || kind == Readout::mean_max ? take() : 0;
      const double largest = kind == Readout::max || kind == Readout::mean_max ? take() : 0;
      const std::size_t best = frame_of_maximum(y, b, u);
      for (std::size_t t = 0; t < frames; ++t)
        dy(t, b, u) = static_cast<float>(mean / static_cast<double>(frames) + (t + 1 == frames ? last : 0) +
                                         (t == best ? largest : 0));
    }
}

void copy_columns(const ColumnCopy& copy, std::size_t r, std::size_t rows, View<const float, 3> from,
                  View<float, 3> to) {
  const auto [frames, batch, width] = to.shape;
  for (std::size_t t = 0; t < frames; ++t)
    for (std::size_t b = 0; b < batch; ++b)
      for (std::size_t c = 0; c < copy.columns; ++c) {
        float& target = to(t, b, copy.to_column + c);
        const double value = b < rows ? from(copy.reversed ? frames - 1 - t : t, b, copy.from_column + c) *
                                            mask_of(copy.mask, r, b, copy.mask_column + c)
                                      : 0;
        if (!copy.adds)
          target = static_cast<float>(value);
        else if (b < rows)
          target = static_cast<float>(target + value);
      }
}

}  // namespace genretree::reference
