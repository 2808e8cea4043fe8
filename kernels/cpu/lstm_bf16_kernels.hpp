// The vector code of the LSTM stack in precision bf16, beside its products (bf16_product.hpp): the cell's two
// elementwise passes, and what brings operands into shape. What calls them, and in which order, is lstm_bf16.cpp.
//
// Units go by groups of 16 on every instruction set; those beyond the layer's own fill the last group, with weights of
// 0 and so with outputs and gradients of 0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/ops.hpp"

namespace genretree::cpu {

constexpr std::size_t bf16_group = 16;

/// Activated gates are kept as whole numbers of this part of 1: 0 and 1 are exact, so that hard gates know their
/// limits, and near 1, where the slope of a sigmoid depends on the distance, they are 64 times finer than bf16.
constexpr float kept_gate_scale = 1 << 14;

/// One group of units, one time step, all rows.
struct Bf16CellForward {
  Gate gate;
  std::size_t rows;
  const float* z;        ///< [rows, 4, 16]
  float* cell;           ///< [rows, 16] c_{t-1} on entry, c_t on return
  std::int16_t* gates;   ///< [rows, 4, 16] i, f, g, o · kept_gate_scale for the backward pass, or null
  std::uint16_t* cells;  ///< [rows, 16] c_t for the backward pass, or null
  std::uint16_t* h;      ///< [rows] groups h_row apart: the layer's own next operand
  std::size_t h_row;
  std::uint16_t* h_above;  ///< the same for the layer above, or null
  std::size_t h_above_row;
  float* output;  ///< [rows] groups output_row apart: h unrounded, or null
  std::size_t output_row;
};

struct Bf16CellBackward {
  Gate gate;
  std::size_t rows;
  const std::int16_t* gates;         ///< [rows, 4, 16]
  const std::uint16_t* cell_before;  ///< [rows, 16] c_{t-1}
  const std::uint16_t* cell_after;   ///< [rows, 16] c_t
  const float* dh;                   ///< [rows] groups dh_row apart: gradient of h_t from step t + 1
  std::size_t dh_row;
  const float* dh_above;  ///< the same from the layer above, or null
  std::size_t dh_above_row;
  float* dcell;       ///< [rows, 16] gradient of c_t from step t + 1 on entry, of c_{t-1} on return
  std::uint16_t* dz;  ///< dz[r · dz_row + q · dz_gate + unit] out
  std::size_t dz_row, dz_gate;
  float* dbias;  ///< [4, 16] dz is added, before it is rounded
  /// Read next, and far off: fetched meanwhile.
  const std::int16_t* gates_ahead;
  const std::uint16_t* cells_ahead;
};

struct LstmBf16Kernels {
  void (*cell_forward)(const Bf16CellForward&);
  void (*cell_backward)(const Bf16CellBackward&);
  /// out[i] = the bf16 nearest to a[i]
  void (*round)(const float* a, std::size_t size, std::uint16_t* out);
  /// out[i] = the bf16 nearest to a[i] · mask[i]; size is a multiple of 16
  void (*mask)(const std::uint16_t* a, const float* mask, std::size_t size, std::uint16_t* out);
  /// out[i] += products[i] · mask[i]; size is a multiple of 16
  void (*add_masked)(const float* products, const float* mask, std::size_t size, float* out);
  /// out[c · out_row + r] = a[r · columns + c]; columns are a multiple of 8; 0 for r = rows … out_row - 1
  void (*transpose)(const std::uint16_t* a, std::size_t rows, std::size_t columns, std::uint16_t* out,
                    std::size_t out_row);
  /// out[p · out_row + c] = a[2p · a_row + c] and, in the upper half, a[(2p + 1) · a_row + c], for 16 columns; 0 for
  /// rows from `rows` to 2 · pairs - 1
  void (*pair_rows)(const std::uint16_t* a, std::size_t a_row, std::size_t rows, std::size_t pairs, std::uint32_t* out,
                    std::size_t out_row);
};

/// The kernels for a target of supported_targets().
LstmBf16Kernels lstm_bf16_kernels(std::int64_t target);

}  // namespace genretree::cpu
