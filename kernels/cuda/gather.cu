// Batches, made where the data are: a thread makes one number, and neighbours read and write neighbours. The thread of a
// row's first number makes its label and targets, too.
#include "kernels/cuda/gather.hpp"
#include "kernels/cuda/group_rows.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/run_elements.hpp"

namespace genretree::cuda {
namespace {

using Ranges = std::array<BatchRow::Range, 2>;

/// std::array has no functions on the device, but its numbers lie where it begins.
__device__ inline bool is_in(const Ranges& ranges, std::uint32_t place) {
  static_assert(sizeof(Ranges) == 2 * sizeof(BatchRow::Range));
  const BatchRow::Range* range = reinterpret_cast<const BatchRow::Range*>(&ranges);
  const std::int64_t p = place;
  return (p >= range[0].first && p < std::int64_t{range[0].first} + range[0].count) ||
         (p >= range[1].first && p < std::int64_t{range[1].first} + range[1].count);
}

/// Number e of run r's x [T, B, F]; with the first of a row, its y [B] and targets [B, C].
struct Gather {
  const float* features;       ///< [N, T', F]
  const std::int32_t* labels;  ///< [R, N]
  const BatchRow* rows;        ///< [R, B]
  const float* constants;      ///< [R, P] mean [F] and scale [F] first, or null: 0 and 1
  float* x;                    ///< [R, T, B, F]
  std::int32_t* y;             ///< [R, B]
  float* targets;              ///< [R, B, C], or null
  double smoothing;
  std::size_t all_clips, clip_frames, constants_stride;  ///< N, T', P
  std::uint32_t frames, batch, inputs, columns;          ///< T, B, F, C
  RunRows runs;
  RunClasses classes;

  __device__ void operator()(std::uint32_t r, std::uint32_t e) const {
    const std::uint32_t i = e % inputs, b = e / inputs % batch, t = e / inputs / batch;
    const std::size_t at = static_cast<std::size_t>(r) * batch + b, frame = static_cast<std::size_t>(r) * frames + t;
    float& number = x[(frame * batch + b) * inputs + i];
    if (b >= runs.rows[r]) {
      number = 0;
      return;
    }
    const BatchRow& row = rows[at];
    if (t == 0 && i == 0) {
      y[at] = label(r, row.clip);
      if (targets) make_targets(r, row, targets + at * columns);
    }
    if (is_in(row.masked_frames, t) || is_in(row.masked_inputs, i)) {
      number = 0;
      return;
    }
    const float own = value(r, row.clip, row.first_frame + t, i);
    number = row.share < 1 ? std::fma(row.share, own, (1 - row.share) * value(r, row.partner, row.partner_frame + t, i))
                           : own;
  }

  __device__ std::int32_t label(std::uint32_t r, std::int32_t clip) const {
    return labels[r * all_clips + static_cast<std::size_t>(clip)];
  }

  /// Number i of a frame of a clip, standardised.
  __device__ float value(std::uint32_t r, std::int32_t clip, std::size_t frame, std::uint32_t i) const {
    const float raw = features[(static_cast<std::size_t>(clip) * clip_frames + frame) * inputs + i];
    if (!constants) return raw;
    const float *mean = constants + r * constants_stride, *scale = mean + inputs;
    return (raw - mean[i]) * scale[i];
  }

  __device__ void make_targets(std::uint32_t r, const BatchRow& row, float* target) const {
    const std::int32_t count = classes.classes[r], own = label(r, row.clip),
                       partner = row.share < 1 ? label(r, row.partner) : own;
    for (std::int32_t c = 0; c < static_cast<std::int32_t>(columns); ++c) {
      const double sure = (c == own ? row.share : 0) + (row.share < 1 && c == partner ? 1.0 - row.share : 0);
      target[c] = c < count ? static_cast<float>((1 - smoothing) * sure + smoothing / count) : 0;
    }
  }
};

}  // namespace

void gather(const Group& group, View<const float, 3> features, View<const std::int32_t, 2> labels,
            View<const BatchRow, 2> rows, View<const float, 2> constants, double smoothing, View<float, 4> x,
            View<std::int32_t, 2> y, View<float, 3> targets, Queue& queue) {
  const auto extent = [&](std::size_t dimension) { return static_cast<std::uint32_t>(x.shape[dimension]); };
  const Gather work{features.data,
                    labels.data,
                    rows.data,
                    constants.data,
                    x.data,
                    y.data,
                    targets.data,
                    smoothing,
                    labels.shape[1],
                    features.shape[1],
                    constants.shape[1],
                    extent(1),
                    extent(2),
                    extent(3),
                    static_cast<std::uint32_t>(targets.shape[2]),
                    run_rows(group),
                    run_classes(group)};
  for_each_of_runs(group.runs, x[0].size(), work, stream_of(queue));
}

}  // namespace genretree::cuda
