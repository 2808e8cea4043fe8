// Products of matrices by cuBLAS.
#pragma once

#include <cstddef>
#include <string>

#include "core/device.hpp"

namespace genretree::cuda {

/// c [rows, columns] = a · b, or c += a · b. Row-major; a is [rows, inner], or [inner, rows] if it is to be transposed,
/// b [inner, columns] or [columns, inner]. All on the device; c overlaps neither.
struct MatrixProduct {
  std::size_t rows, columns, inner;
  const float* a;
  bool transpose_a;
  const float* b;
  bool transpose_b;
  float* c;
  bool add;
};

/// In strict fp32; the same bits each time.
void multiply(const MatrixProduct& product, Queue& queue);

/// "cuBLAS 13.0"
std::string blas_version();

}  // namespace genretree::cuda
