// From the outputs of an LSTM layer over time to what the dense layer is given, and what lies between passes. Each is
// one launch for all runs, at most most_grouped_runs.
#pragma once

#include "kernels/ops.hpp"

namespace genretree::cuda {

/// Backend::copy_columns.
void copy_columns(const Group& group, const ColumnCopy& copy, View<const float, 4> from, View<float, 4> to,
                  Queue& queue);

/// Backend::readout.
void readout(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask, std::size_t first_column,
             View<float, 3> out, Queue& queue);

/// Backend::readout_backward.
void readout_backward(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask,
                      std::size_t first_column, View<const float, 3> dout, View<float, 4> dy, Queue& queue);

}  // namespace genretree::cuda
