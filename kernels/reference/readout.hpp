// From the outputs of an LSTM layer over time to what the dense layer is given, and what lies between passes; one run.
#pragma once

#include "kernels/ops.hpp"

namespace genretree::reference {

/// Backend::readout of run r.
///   y [T, B, H];  out [B, W]
void readout(Readout kind, std::size_t r, std::size_t rows, View<const float, 3> y, const RowMask& mask,
             std::size_t first_column, View<float, 2> out);

/// Backend::readout_backward of run r.
///   y, dy [T, B, H];  dout [B, W]
void readout_backward(Readout kind, std::size_t r, std::size_t rows, View<const float, 3> y, const RowMask& mask,
                      std::size_t first_column, View<const float, 2> dout, View<float, 3> dy);

/// Backend::copy_columns of run r.
///   from, to [T, B, any]
void copy_columns(const ColumnCopy& copy, std::size_t r, std::size_t rows, View<const float, 3> from,
                  View<float, 3> to);

}  // namespace genretree::reference
