// What lies between an LSTM's passes and after them. copy_columns has a thread for each number. A readout has one for
// each unit of a row, which walks through the frames: neighbours read and write neighbours, and what one frame brings is
// not waited for before the next is asked for. Sums over frames are in double, so that long sequences cost no accuracy.
#include "kernels/cuda/group_rows.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/readout.hpp"
#include "kernels/cuda/run_elements.hpp"

namespace genretree::cuda {
namespace {

/// A RowMask as a kernel takes it.
struct Factors {
  const float* masks;  ///< null: 1 for all
  std::size_t stride, offset, width;

  explicit Factors(const RowMask& mask)
      : masks(mask.masks.data), stride(mask.masks.shape[1]), offset(mask.offset), width(mask.width) {}
  __device__ float of(std::uint32_t r, std::uint32_t b, std::size_t i) const {
    return masks ? masks[r * stride + offset + b * width + i] : 1;
  }
};

/// Number e of run r's columns [T, B, columns] that are written.
struct CopyColumns {
  const float* from;  ///< [R, T, B, from_width]
  float* to;          ///< [R, T, B, to_width]
  std::size_t from_width, to_width, from_column, to_column, mask_column;
  std::uint32_t frames, batch, columns;
  bool reversed, adds;
  Factors factors;
  RunRows runs;

  __device__ void operator()(std::uint32_t r, std::uint32_t e) const {
    const std::uint32_t c = e % columns, b = e / columns % batch, t = e / columns / batch;
    const auto row = [&](std::uint32_t frame) { return (static_cast<std::size_t>(r) * frames + frame) * batch + b; };
    float& target = to[row(t) * to_width + to_column + c];
    if (b >= runs.rows[r]) {
      if (!adds) target = 0;
      return;
    }
    const float value = from[row(reversed ? frames - 1 - t : t) * from_width + from_column + c],
                factor = factors.of(r, b, mask_column + c);
    target = adds ? std::fma(value, factor, target) : value * factor;
  }
};

/// What a readout is computed from and where it goes.
struct Place {
  const float* y;  ///< [R, T, B, H]
  std::uint32_t frames, batch, units;
  std::size_t first_column, width;  ///< of out [R, B, W]
  Factors factors;
  RunRows runs;
  bool last, mean, maximum;  ///< what is read out

  Place(Readout kind, const Group& group, View<const float, 4> outputs, const RowMask& mask, std::size_t column,
        std::size_t columns)
      : y(outputs.data),
        frames(static_cast<std::uint32_t>(outputs.shape[1])),
        batch(static_cast<std::uint32_t>(outputs.shape[2])),
        units(static_cast<std::uint32_t>(outputs.shape[3])),
        first_column(column),
        width(columns),
        factors(mask),
        runs(run_rows(group)),
        last(kind == Readout::last),
        mean(kind == Readout::mean || kind == Readout::mean_max),
        maximum(kind == Readout::max || kind == Readout::mean_max) {}

  __device__ std::size_t frame_size() const { return static_cast<std::size_t>(batch) * units; }
  /// Where a run's number e [B, H] lies in y; a frame later is frame_size() further.
  __device__ std::size_t first(std::uint32_t r, std::uint32_t e) const {
    return static_cast<std::size_t>(r) * frames * frame_size() + e;
  }
  /// Of unit u in out; of mean_max the maximum lies `units` numbers further.
  __device__ std::size_t column(std::uint32_t u) const { return first_column + u; }
  __device__ std::size_t out(std::uint32_t r, std::uint32_t b, std::size_t at) const {
    return (static_cast<std::size_t>(r) * batch + b) * width + at;
  }
};

/// The largest of a unit's outputs and its frame, the first of equals.
struct Maximum {
  float value;
  std::uint32_t frame = 0;

  __device__ explicit Maximum(float first) : value(first) {}
  __device__ void meet(float other, std::uint32_t t) {
    if (other > value) value = other, frame = t;
  }
};

/// Number e of run r's rows and units [B, H].
struct ReadOut {
  Place place;
  float* out;

  __device__ void operator()(std::uint32_t r, std::uint32_t e) const {
    const std::uint32_t b = e / place.units, u = e % place.units, frames = place.frames;
    if (b >= place.runs.rows[r]) return;
    const float* const y = place.y + place.first(r, e);
    std::size_t column = place.column(u);
    const auto put = [&](float value) {
      out[place.out(r, b, column)] = value * place.factors.of(r, b, column);
      column += place.units;
    };
    if (place.last) {
      put(y[(frames - 1) * place.frame_size()]);
      return;
    }
    double sum = 0;
    Maximum maximum(y[0]);
#pragma unroll 8
    for (std::uint32_t t = 0; t < frames; ++t) {
      const float value = y[t * place.frame_size()];
      sum += value;
      maximum.meet(value, t);
    }
    if (place.mean) put(static_cast<float>(sum / frames));
    if (place.maximum) put(maximum.value);
  }
};

/// Number e of run r's rows and units [B, H].
struct ReadOutBackward {
  Place place;
  const float* dout;
  float* dy;  ///< like y

  __device__ void operator()(std::uint32_t r, std::uint32_t e) const {
    const std::uint32_t b = e / place.units, u = e % place.units, frames = place.frames;
    if (b >= place.runs.rows[r]) return;
    const std::size_t first = place.first(r, e);
    std::size_t column = place.column(u);
    const auto take = [&] {
      const float value = dout[place.out(r, b, column)] * place.factors.of(r, b, column);
      column += place.units;
      return value;
    };
    const float of_all = place.mean ? take() / static_cast<float>(frames) : 0;
    std::uint32_t chosen = frames - 1;
    if (place.maximum) {
      Maximum maximum(place.y[first]);
#pragma unroll 8
      for (std::uint32_t t = 1; t < frames; ++t) maximum.meet(place.y[first + t * place.frame_size()], t);
      chosen = maximum.frame;
    }
    const float of_chosen = place.last || place.maximum ? take() : 0;
    for (std::uint32_t t = 0; t < frames; ++t)
      dy[first + t * place.frame_size()] = of_all + (t == chosen ? of_chosen : 0);
  }
};

}  // namespace

void copy_columns(const Group& group, const ColumnCopy& copy, View<const float, 4> from, View<float, 4> to,
                  Queue& queue) {
  const auto extent = [&](std::size_t dimension) { return static_cast<std::uint32_t>(to.shape[dimension]); };
  for_each_of_runs(group.runs, to.shape[1] * to.shape[2] * copy.columns,
                   CopyColumns{from.data, to.data, from.shape[3], to.shape[3], copy.from_column, copy.to_column,
                               copy.mask_column, extent(1), extent(2), static_cast<std::uint32_t>(copy.columns),
                               copy.reversed, copy.adds, Factors(copy.mask), run_rows(group)},
                   stream_of(queue));
}

void readout(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask, std::size_t first_column,
             View<float, 3> out, Queue& queue) {
  for_each_of_runs(group.runs, y.shape[2] * y.shape[3],
                   ReadOut{Place(kind, group, y, mask, first_column, out.shape[2]), out.data}, stream_of(queue));
}

void readout_backward(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask,
                      std::size_t first_column, View<const float, 3> dout, View<float, 4> dy, Queue& queue) {
  for_each_of_runs(group.runs, y.shape[2] * y.shape[3],
                   ReadOutBackward{Place(kind, group, y, mask, first_column, dout.shape[2]), dout.data, dy.data},
                   stream_of(queue));
}

}  // namespace genretree::cuda
