// From the outputs of an LSTM layer over time to what the dense layer is given, and what lies between passes.
#pragma once

#include "kernels/ops.hpp"

namespace genretree::cpu {

/// Backend::copy_columns.
void copy_columns(const Group& group, const ColumnCopy& copy, View<const float, 4> from, View<float, 4> to);

/// Backend::readout.
void readout(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask, std::size_t first_column,
             View<float, 3> out);

/// Backend::readout_backward.
void readout_backward(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask,
                      std::size_t first_column, View<const float, 3> dout, View<float, 4> dy);

}  // namespace genretree::cpu
