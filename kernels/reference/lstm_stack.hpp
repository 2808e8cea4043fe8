// A stack of LSTM layers over whole sequences, forward and backward through time, in double precision: the definition.
// One run at a time; shapes as in kernels/ops.hpp.
#pragma once

#include <span>
#include <vector>

#include "kernels/ops.hpp"

namespace genretree::reference {

/// What the forward pass of one layer leaves for the backward pass.
struct LayerTrace {
  std::vector<double> inputs;   ///< [T, B, in]
  std::vector<double> gates;    ///< [T, B, 4, H] activated: i, f, g = tanh(z_c), o
  std::vector<double> cells;    ///< [T + 1, B, H]; cells[0] = 0, cells[t + 1] = c_t
  std::vector<double> outputs;  ///< [T + 1, B, H]; outputs[0] = 0, outputs[t + 1] = h_t
};

struct StackTrace {
  std::size_t frames = 0, batch = 0;
  std::vector<LayerTrace> layers;

  /// Of the last layer: [T, B, H] after each frame, or [B, H] after the last.
  std::span<const double> outputs(bool sequences) const;
};

/// c_t = f·c_{t-1} + i·g and h_t = o·tanh(c_t), with z_q = (x_t ⊙ m_q)·W_q + (h_{t-1} ⊙ r_q)·U_q + b_q for each gate q.
/// Source: Keras, LSTMCell.call.
///   parameters  [P];  x [T, B, F];  masks [D] in MaskLayout of B rows, or empty
StackTrace stack_forward(const StackConfig& config, std::span<const double> parameters, View<const double, 3> x,
                         std::span<const double> masks);

/// The gradient of the loss with respect to the stack's part of the parameters. Returns that with respect to x.
///   dh         [T, B, H] or [B, H]: gradient with respect to outputs()
///   gradients  [P] the stack's part is overwritten
std::vector<double> stack_backward(const StackConfig& config, std::span<const double> parameters,
                                   std::span<const double> masks, const StackTrace& trace, std::span<const double> dh,
                                   std::span<double> gradients);

}  // namespace genretree::reference
