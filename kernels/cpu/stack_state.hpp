// What the LSTM stacks of all precisions share: the memory of a group of runs, and the walk through its runs. How one
// run goes through its sequences is lstm_stack.cpp (fp32) and lstm_bf16.cpp.
#pragma once

#include <algorithm>
#include <cstddef>

#include "core/device.hpp"
#include "core/rounding.hpp"
#include "kernels/ops.hpp"

namespace genretree::cpu {

class CpuStackState : public StackState {
 public:
  CpuStackState(const StackConfig& config, Mode mode)
      : mode_(mode), takes_masks_(mode == Mode::training && config.has_dropout()) {}

  std::size_t bytes() const final { return held_; }
  /// What it was made for.
  Mode mode() const { return mode_; }
  bool takes_masks() const { return takes_masks_; }

  template <class T = float>
  Buffer<T> zeros(std::size_t size) {
    Buffer<T> buffer(host_device(), size);
    std::fill_n(buffer.data(), size, T{});
    held_ += buffer.bytes();
    return buffer;
  }

  /// Backend::stack_forward of one run that has rows. masks: [D], or null: no dropout. h [T or 1, B, H].
  virtual void forward(const StackConfig& config, const Group& group, std::size_t run, const float* parameters,
                       View<const float, 3> x, const float* masks, Mode mode, View<float, 3> h) = 0;
  /// Backend::stack_backward of the same. masked: dropout masks were given to forward. dx [T, B, F] or empty.
  virtual void backward(const StackConfig& config, const Group& group, std::size_t run, const float* parameters,
                        View<const float, 3> dh, bool masked, float* gradients, View<float, 3> dx) = 0;

 private:
  Mode mode_;
  bool takes_masks_;
  std::size_t held_ = 0;
};

/// Backend::stack_forward and stack_backward, run by run; `state` is a CpuStackState.
void stack_forward(const StackConfig& config, const Group& group, View<const float, 2> parameters,
                   View<const float, 4> x, View<const float, 2> masks, Mode mode, StackState& state, View<float, 4> h);
void stack_backward(const StackConfig& config, const Group& group, View<const float, 2> parameters,
                    View<const float, 2> masks, View<const float, 4> dh, StackState& state, View<float, 2> gradients,
                    View<float, 4> dx);

/// Copies the first `rows` of [B, H] to places `row` numbers apart, or from there.
inline void copy_rows(View<const float, 2> from, std::size_t rows, float* to, std::size_t row) {
  for (std::size_t b = 0; b < rows; ++b) std::copy_n(from[b].data, from.shape[1], to + b * row);
}
inline void copy_rows(const float* from, std::size_t row, std::size_t rows, View<float, 2> to) {
  for (std::size_t b = 0; b < rows; ++b) std::copy_n(from + b * row, to.shape[1], to[b].data);
}

/// Rows of a layer's operands, or of their gradients, as its dropout masks need to know them.
struct MaskedRow {
  std::size_t size;         ///< columns in all; the units' are from 0 on
  std::size_t first_input;  ///< column where the inputs' begin
  bool has_inputs = true;
};

/// Masks of the first `rows` rows of a batch, in the shape of these rows: out [4, rows, row.size]. Columns of neither
/// part are left alone.
void pack_mask_rows(const StackConfig& config, std::size_t layer, const float* masks, std::size_t batch,
                    std::size_t rows, const MaskedRow& row, float* out);

}  // namespace genretree::cpu
