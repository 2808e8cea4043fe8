#include <algorithm>

#include "kernels/reference/gather.hpp"

namespace genretree::reference {

void gather(std::size_t rows, View<const float, 3> features, View<const std::int32_t, 1> labels,
            std::span<const BatchRow> batch_rows, std::span<const float> constants, double smoothing,
            std::size_t classes, View<float, 3> x, View<std::int32_t, 1> y, View<float, 2> targets) {
  const auto [frames, batch, inputs] = x.shape;
  const auto value = [&](std::int32_t clip, std::size_t frame, std::size_t i) -> double {
    const double raw = features(clip, frame, i);
    return constants.empty() ? raw : (raw - constants[i]) * constants[inputs + i];
  };
  const auto is_in = [](const BatchRow::Range& range, std::size_t place) {
    const auto p = static_cast<std::int64_t>(place);
    return p >= range.first && p < std::int64_t{range.first} + range.count;
  };
  for (std::size_t b = 0; b < batch; ++b) {
    const BatchRow row = b < rows ? batch_rows[b] : BatchRow{};
    for (std::size_t t = 0; t < frames; ++t)
      for (std::size_t i = 0; i < inputs; ++i) {
        const auto masks = [&](const auto& ranges, std::size_t place) {
          return std::ranges::any_of(ranges, [&](const BatchRow::Range& range) { return is_in(range, place); });
        };
        double mixed = 0;
        if (b < rows && !masks(row.masked_frames, t) && !masks(row.masked_inputs, i)) {
          mixed = value(row.clip, row.first_frame + t, i);
          if (row.share < 1)
            mixed = row.share * mixed + (1.0 - row.share) * value(row.partner, row.partner_frame + t, i);
        }
        x(t, b, i) = static_cast<float>(mixed);
      }
    if (b >= rows) continue;
    const auto label = [&](std::int32_t clip) {
      return static_cast<std::size_t>(labels[static_cast<std::size_t>(clip)]);
    };
    y[b] = labels[static_cast<std::size_t>(row.clip)];
    if (targets.empty()) continue;
    for (std::size_t c = 0; c < targets.shape[1]; ++c) {
      double target = label(row.clip) == c ? row.share : 0.0;
      if (row.share < 1 && label(row.partner) == c) target += 1.0 - row.share;
      target = (1 - smoothing) * target + smoothing / static_cast<double>(classes);
      targets(b, c) = c < classes ? static_cast<float>(target) : 0;
    }
  }
}

}  // namespace genretree::reference
