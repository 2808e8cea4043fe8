// The fused LSTM in bf16: the kernels of one layer, and how its numbers lie in memory. kernels/cuda/lstm_fused_bf16.cpp
// owns the memory and calls them in order.
//
// A run's batch is cut into blocks of 8 rows, because the products' instruction, mma.m16n8k16, has 8 columns: weights
// are its A [16][16], rows of the batch the columns of its B [16][8]. All arrays have a part for each run and within
// it one for each block:
//
//   sequence of width W  [R][blocks][T][W][8] bf16: the rows of the batch lie side by side, so that what a lane holds of
//                        a product, two neighbouring rows, is one pair (32 bits). Rows that do not count are 0, but for h,
//                        which is finite there.
//   fragments of M × K   [R][K/16][M/16][32 lanes] uint4: a matrix as lanes hold it in A (assembly.hpp)
//   tiles of M           [R][blocks][T][M/16][32 lanes] float4: products as lanes hold them in C
//
// Widths are multiples of 16: I (inputs, filled up with zeros) and H (units). The rows of the gates' products are in the
// order m = 64·(u/16) + 16·q + u%16, for unit u and gate q of i, f, c, o: a warp computes 16 units, a tile for each gate,
// and so each lane gets all gates of its cells.
//
// All launchers: one launch for all runs; blocks of rows beyond a run's rows do nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/group_rows.hpp"
#include "kernels/cuda/platform.hpp"

namespace genretree::cuda::fused_bf16 {

inline constexpr unsigned block_rows = 8;  ///< rows of the batch that a block of threads computes
inline constexpr unsigned tile = 16;       ///< rows of A and of its k
inline constexpr unsigned gates = 4;

/// One layer of the runs of a group. Strides are of a run's part.
struct Layer {
  RunRows runs;            ///< rows that count
  unsigned batch, frames;  ///< B, T
  unsigned features;       ///< F: inputs that are not filling
  unsigned inputs, units;  ///< I, H
  float hard_slope;        ///< of i, f and o, which are then hard sigmoids; 0: they are sigmoids
  unsigned shared_bytes;   ///< shared memory that a block may have
  unsigned blocks() const { return (batch + block_rows - 1) / block_rows; }
};

/// InputError if what a layer needs for one frame is more than the shared memory of a block, `limit`.
void check_shared_memory(unsigned inputs, unsigned units, bool dropout, std::size_t limit);

/// Where a layer's tensors lie in the parameters and gradients [R, P], Keras's layout.
struct Tensors {
  std::size_t kernel, recurrent, bias, stride;
};

/// x [R, T, B, F] as a sequence [I].
void arrange_inputs(const Layer& layer, unsigned runs, const float* x, std::uint32_t* sequence, Stream stream);

/// dh [R, T, B, H] as tiles of H, 0 in rows that do not count, whatever dh holds there.
void arrange_gradients(const Layer& layer, unsigned runs, const float* dh, float4* tiles, Stream stream);

/// dx [R, T, B, F] from its tiles of I, in the rows that count.
void write_input_gradients(const Layer& layer, unsigned runs, const float4* tiles, float* dx, Stream stream);

/// The weights as fragments.
///   forward    M = 4H, K = I + H: kernel and recurrent kernel, transposed
///   backward   M = H, K = 4H: the recurrent kernel
///   to_inputs  M = I, K = 4H: the kernel; null: not wanted
struct Fragments {
  uint4 *forward, *backward, *to_inputs;
};
void pack_weights(const Layer& layer, unsigned runs, const float* parameters, const Tensors& tensors,
                  const Fragments& fragments, Stream stream);

/// Dropout masks of the layer, of run r at + r · stride; null: no dropout. input [4, B, F], recurrent [4, B, H].
struct Masks {
  const float *input = nullptr, *recurrent = nullptr;
  std::size_t stride = 0;
};

/// tiles[t] = A · sequence[t] for all frames at once.
///   a         fragments of M × K, of a run at a + r · a_stride (in uint4)
///   sequence  of width K
///   masks     if there are any, M = I and K = 4H, and each gate's part of the product is masked as the layer's input is
void multiply(const Layer& layer, unsigned runs, unsigned m, unsigned k, const uint4* a, std::size_t a_stride,
              const std::uint32_t* sequence, const Masks& masks, float4* tiles, Stream stream);

/// What the backward pass needs of a frame.
///   gates  [R][blocks][T][H/16][2][32] uint4: pairs (fused_gates.hpp) of i, f, c, o of a lane's unit u, then of u + 8
///   cells  [R][blocks][T][H/16][32] uint2: pairs of the cells' states, likewise
struct Saved {
  uint4* gates;
  uint2* cells;
};

/// Where h goes as it is, not rounded.
struct Outputs {
  float* h;              ///< [R, T - first_frame, B, H], or null
  unsigned first_frame;  ///< that is wanted
};

/// The layer through all frames, from a zero state.
///   inputs   the input sequence, or null if `projected`: tiles [4H] of the kernel's products with it
///   h        sequence [H], or null
///   saved    null pointers: not wanted
void forward(const Layer& layer, unsigned runs, const uint4* weights, const float* parameters, const Tensors& tensors,
             const std::uint32_t* inputs, const float4* projected, const Masks& masks, std::uint32_t* h,
             const Outputs& outputs, const Saved& saved, Stream stream);

/// Back through all frames.
///   dh_last  [R, B, H] gradient of h after the last frame, or null
///   dh       tiles [H] of the gradients of h from the layer above, or null
///   dz       sequence [4H], gate-major (q·H + u): gradients of what enters the gates' functions
///   dbias    [R][blocks][4H] sums of dz over frames and rows
void backward(const Layer& layer, unsigned runs, const uint4* weights, const Masks& masks, const Saved& saved,
              const float* dh_last, const float4* dh, std::uint32_t* dz, float* dbias, Stream stream);

/// Gradients of the weights: sums of v_t · dz_tᵀ with v_t = [x_t; h_{t-1}] over rows and frames, in chunks of frames
/// whose number depends on T alone, and then over the chunks in their order.
inline constexpr unsigned chunk_frames = 128;
inline constexpr unsigned chunks_of(unsigned frames) { return (frames + chunk_frames - 1) / chunk_frames; }
///   inputs, h, dz  sequences [I], [H], [4H]
///   dbias          as of backward
///   partial        [R][chunks][I + H][4H] scratch
///   gradients      [R, P]: the layer's tensors are overwritten in the runs that have rows
void weight_gradients(const Layer& layer, unsigned runs, const std::uint32_t* inputs, const std::uint32_t* h,
                      const std::uint32_t* dz, const Masks& masks, const float* dbias, float* partial,
                      const Tensors& tensors, float* gradients, Stream stream);

}  // namespace genretree::cuda::fused_bf16
