// The vector code of the LSTM stack: one matrix product and the cell's two elementwise passes, for each instruction
// set. What calls them, and in which order, is lstm_stack.cpp.
//
// All arrays are in "packed" order: units are grouped by vectors of `lanes` units, and the four gates of one vector of
// units lie together, so that columns of the product are [unit vector][gate i, f, g, o][lane]. Units beyond the layer's
// own fill the last vector; their weights are 0 and so are their outputs and gradients.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/ops.hpp"

namespace genretree::cpu {

/// out[r, c] = start[r, c] + Σ_k a[r, k] · panel[k, c], summed in the order of k: a row's result does not depend on the
/// other rows. All sizes and strides are in floats.
struct Product {
  std::size_t rows, depth;
  std::size_t vectors;  ///< columns of the panel, in vectors: 1 … 4
  const float* a;       ///< a[r · a_row + k · a_depth]
  std::size_t a_row, a_depth;
  const float* panel;     ///< [depth][vectors · lanes]
  const float* start;     ///< start[r · start_row + c], or null: 0. May be `out`.
  std::size_t start_row;  ///< 0: the same for all rows
  float* out;             ///< out[r · out_row + c]
  std::size_t out_row;
  std::size_t a_gate = 0;  ///< with dropout: the operand of column vector q is a + q · a_gate
  /// The whole sum may come in segments of `depth`, whose operands and panels lie this far apart.
  std::size_t segments = 1, a_segment = 0, panel_segment = 0;
  /// What is needed soon and lies far off: fetched into the second-level cache meanwhile. Any address if the size is 0.
  const float* ahead;
  std::size_t ahead_size = 0;
};

/// One vector of units, one time step, all rows.
struct CellForward {
  Gate gate;
  std::size_t rows;
  float* gates;              ///< [rows, 4, lanes] z on entry, activated i, f, g, o on return
  const float* cell_before;  ///< [rows, lanes] c_{t-1}
  float* cell_after;         ///< [rows, lanes] c_t; may be cell_before
  float* h;                  ///< [rows] vectors h_row apart: the layer's own next operand
  std::size_t h_row;
  float* h_above;  ///< the same for the layer above, or null
  std::size_t h_above_row;
};

struct CellBackward {
  Gate gate;
  std::size_t rows;
  const float* gates;        ///< [rows, 4, lanes] activated
  const float* cell_before;  ///< [rows, lanes] c_{t-1}
  const float* h;            ///< [rows] vectors h_row apart: h_t = o · tanh(c_t), from which tanh(c_t) is found
  std::size_t h_row;
  const float* dh;  ///< [rows] vectors dh_row apart: gradient of h_t from step t + 1
  std::size_t dh_row;
  const float* dh_above;  ///< the same from the layer above, or null
  std::size_t dh_above_row;
  float* dcell;  ///< [rows, lanes] gradient of c_t from step t + 1 on entry, of c_{t-1} on return
  float* dz;     ///< [rows, 4, lanes] out
};

/// out[q, r, k] = a[r, k] · masks[q, r % batch, k] for each gate q. All rows are `width` floats, a multiple of `lanes`.
struct MaskGates {
  std::size_t rows, batch, width;
  const float* a;
  const float* masks;
  float* out;
  std::size_t out_gate;  ///< from one gate's rows to the next
};

/// out[e] = Σ_q products[q, e] · masks[q, e], e < size, a multiple of the lanes.
struct MaskSum {
  std::size_t size;
  const float* products;
  const float* masks;
  float* out;
};

struct LstmKernels {
  std::size_t lanes;
  void (*multiply)(const Product&);
  void (*cell_forward)(const CellForward&);
  void (*cell_backward)(const CellBackward&);
  void (*mask_gates)(const MaskGates&);
  void (*mask_sum)(const MaskSum&);
};

/// The kernels for a target of supported_targets().
LstmKernels lstm_kernels(std::int64_t target);

}  // namespace genretree::cpu
