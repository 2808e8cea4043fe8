// Launchers of the fused LSTM in single precision: one layer of all runs of a group, over all frames, in one launch.
//
// A block of a launch owns 8 rows of one run's batch (a "block of rows") for the whole sequence; rows need each other
// nowhere, so no block waits for another, and a run has the same bits whatever runs lie beside it. What lies between
// the launches is made of sequences: of width K, one for each run and block of rows, [T][K][8], the 8 rows of a number
// side by side. Rows that do not count hold 0 in every sequence; blocks of rows without any that count are neither
// written nor read.
//
// A layer with I inputs and H units multiplies v_t = [x_t ; h_{t-1}], K = I + H numbers, with the kernel and the
// recurrent kernel; its 4H columns are gate · H + unit in Keras's order i, f, c, o. H is a multiple of 16, 16 … 256.
//
// All launchers: device memory; nothing is allocated or waited for; nothing overlaps. Runs with rows[r] = 0 are left
// alone.
#pragma once

#include <array>
#include <cstddef>

#include "core/tensor.hpp"
#include "kernels/cuda/group_rows.hpp"
#include "kernels/cuda/platform.hpp"
#include "kernels/ops.hpp"

namespace genretree::cuda::fused_fp32 {

inline constexpr unsigned block_rows = 8;      ///< rows of a block
inline constexpr unsigned saved_numbers = 5;   ///< i, f, c (after tanh), o and the cell, of a unit and frame
inline constexpr unsigned chunk_frames = 128;  ///< of a partial sum of the gradients
inline constexpr unsigned least_units = 16, most_units = 256;

/// An array of each run: run r's part begins at data + r · stride. A null pointer: not given or not wanted.
template <class T>
struct PerRun {
  T* data = nullptr;
  std::size_t stride = 0;

  __device__ T* of(unsigned run) const { return data + run * stride; }
  operator PerRun<const T>() const requires(!std::is_const_v<T>) { return {data, stride}; }
};

/// One layer of a group.
struct LayerShape {
  unsigned runs, batch, frames;  ///< R, B, T
  unsigned inputs, units;        ///< I, H
  Gate gate = Gate::sigmoid;

  unsigned blocks() const { return blocks_of(batch, block_rows); }
  unsigned depth() const { return inputs + units; }  ///< K
  unsigned chunks() const { return blocks_of(frames, chunk_frames); }

  // floats of one run
  std::size_t sequence_size(unsigned width) const { return std::size_t{blocks()} * frames * width * block_rows; }
  std::size_t saved_size() const { return sequence_size(saved_numbers * units); }
  std::size_t masks_size() const { return std::size_t{blocks()} * depth() * 4 * block_rows; }
  std::size_t bias_gradients_size() const { return std::size_t{blocks()} * 4 * units; }
  std::size_t partial_sums_size() const { return std::size_t{chunks()} * depth() * 4 * units; }
};

/// A layer's tensors in a run's flat vector of parameters or gradients (ParameterLayout).
struct LayerOffsets {
  std::size_t kernel, recurrent, bias;
};

/// How a kernel's block is laid out and where its weights lie. A thread multiplies with `weight_rows` pairs of
/// weights, always in the same order: the first from registers, the next from shared memory, the others from global
/// memory (the second-level cache). So where they lie changes the speed, and no bit.
struct BlockPlan {
  unsigned lanes = 0;    ///< threads of a unit
  unsigned groups = 1;   ///< backward: as many sets of H outputs are computed side by side
  unsigned threads = 0;  ///< of a block
  unsigned weight_rows = 0, register_rows = 0, shared_rows = 0;
  std::size_t sequence_bytes = 0;  ///< shared memory for everything but weights

  std::size_t shared_bytes() const { return sequence_bytes + std::size_t{shared_rows} * threads * 2 * sizeof(float); }
  /// Floats of one run's packed weights.
  std::size_t weights_size() const { return std::size_t{weight_rows} * threads * 2; }
};

/// Rows of weights that a thread multiplies with between two decisions: all ranges are multiples of it.
inline constexpr unsigned rows_at_once = 4;

/// The kernels' instances: rows of weights in registers, and the threads of a block with which nothing spills. With 72
/// the paper's first layer fits the registers and the shared memory of compute capability 8.0.
constexpr std::array<unsigned, 3> forward_register_rows(bool dropout) { return {dropout ? 64u : 72u, 24, 8}; }
constexpr unsigned forward_threads(unsigned register_rows, bool dropout) {
  return register_rows > 24 || (register_rows == 24 && dropout) ? 256 : 512;
}
inline constexpr std::array<unsigned, 3> backward_register_rows{64, 32, 8};
constexpr unsigned backward_threads(unsigned register_rows) {
  return register_rows == 64 ? 256 : register_rows == 32 ? 384 : 512;
}

/// The plan that keeps most weights on the multiprocessor. `shared_limit`: bytes of shared memory that a block may have
/// (166,912 on compute capability 8.0, 232,448 on 9.0). InputError if the layer's inputs are too wide even without
/// weights.
BlockPlan plan_forward(const LayerShape& shape, bool dropout, std::size_t shared_limit);
BlockPlan plan_backward(const LayerShape& shape, bool wants_dx, std::size_t shared_limit);

// ------------------------------------------------------------------------------------------- layouts, once per batch

/// sequence [R][blocks][T][F][8] = x [R, T, B, F], 0 in rows that do not count, whatever x holds there.
void arrange_inputs(View<const float, 4> x, const RunRows& rows, PerRun<float> sequence, Stream stream);

/// The other way, in the rows that count: to [R, T, B, W] = sequence [R][blocks][T][W][8].
void write_sequence(PerRun<const float> sequence, const RunRows& rows, View<float, 4> to, Stream stream);

/// arranged [R][blocks][K][4][8] = the layer's dropout masks, [4, B, I] at input_offset and [4, B, H] at
/// recurrent_offset of each run's masks (MaskLayout); 0 in rows that do not count.
void arrange_masks(const LayerShape& shape, const RunRows& rows, PerRun<const float> masks, std::size_t input_offset,
                   std::size_t recurrent_offset, PerRun<float> arranged, Stream stream);

/// packed [R][plan.weights_size()]: the layer's weights of each run, as the kernel of that plan reads them.
///   parameters  [R, P]
void pack_forward(const LayerShape& shape, const BlockPlan& plan, const RunRows& rows, PerRun<const float> parameters,
                  const LayerOffsets& offsets, PerRun<float> packed, Stream stream);
void pack_backward(const LayerShape& shape, const BlockPlan& plan, const RunRows& rows, PerRun<const float> parameters,
                   const LayerOffsets& offsets, PerRun<float> packed, Stream stream);

// ------------------------------------------------------------------------------------------------------- the passes

struct ForwardArguments {
  PerRun<const float> weights;  ///< of pack_forward
  PerRun<const float> bias;     ///< [R][4H], e.g. at its offset in the parameters
  PerRun<const float> x;        ///< [R][blocks][T][I][8]
  PerRun<const float> masks;    ///< of arrange_masks, or null: no dropout
  PerRun<float> h;              ///< [R][blocks][T][H][8], or null
  PerRun<float> last_h;         ///< [R][B][H] after the last frame, the rows that count; or null
  PerRun<float> saved;          ///< [R][blocks][T][5][H][8] for the backward pass, or null
};

/// h_t and c_t of all frames from a zero state; the formulas of reference::stack_forward.
void forward(const LayerShape& shape, const BlockPlan& plan, const RunRows& rows, const ForwardArguments& arguments,
             Stream stream);

struct BackwardArguments {
  PerRun<const float> weights;  ///< of pack_backward
  PerRun<const float> masks;    ///< as in the forward pass
  PerRun<const float> saved;    ///< of the forward pass
  PerRun<const float> dlast;    ///< [R][B][H] gradient with respect to h of the last frame, or null: none
  PerRun<const float> dh;       ///< [R][blocks][T][H][8] with respect to h of all frames, or null: none
  PerRun<float> dz;             ///< [R][blocks][T][4H][8] with respect to what the gates' functions are given
  PerRun<float> dx;             ///< [R][blocks][T][I][8]; with a plan that wants_dx, else null
  PerRun<float> dbias;          ///< [R][blocks][4H] of the rows of a block
};

/// Backward through time; the formulas of reference::stack_backward. What dlast holds in rows that do not count is
/// ignored.
void backward(const LayerShape& shape, const BlockPlan& plan, const RunRows& rows, const BackwardArguments& arguments,
              Stream stream);

struct GradientArguments {
  PerRun<const float> x, h;    ///< [R][blocks][T][I][8], [R][blocks][T][H][8]
  PerRun<const float> masks;   ///< as in the forward pass
  PerRun<const float> dz;      ///< of the backward pass
  PerRun<const float> dbias;   ///< of the backward pass
  PerRun<float> partial_sums;  ///< [R][chunks][K][4H] scratch
  PerRun<float> gradients;     ///< [R, P]; the layer's three tensors are overwritten
  LayerOffsets offsets;
};

/// The gradients of the layer's parameters: Σ v_t · dz_tᵀ by chunks of frames, then over the chunks in their order.
void gradients(const LayerShape& shape, const RunRows& rows, const GradientArguments& arguments, Stream stream);

}  // namespace genretree::cuda::fused_fp32
