// The twin of kernels/cuda/libraries/blas.cpp: sums in double, in plain loops.
#include "kernels/cuda/libraries/blas.hpp"
#include "kernels/cuda/libraries/device.hpp"

namespace genretree::cuda {

void multiply(const MatrixProduct& product, Queue& queue) {
  stream_of(queue)->submit([p = product] {
    for (std::size_t row = 0; row < p.rows; ++row)
      for (std::size_t column = 0; column < p.columns; ++column) {
        double sum = p.add ? p.c[row * p.columns + column] : 0;
        for (std::size_t k = 0; k < p.inner; ++k)
          sum += static_cast<double>(p.a[p.transpose_a ? k * p.rows + row : row * p.inner + k]) *
                 p.b[p.transpose_b ? column * p.inner + k : k * p.columns + column];
        p.c[row * p.columns + column] = static_cast<float>(sum);
      }
  });
}

std::string blas_version() { return "host twin of cuBLAS"; }

}  // namespace genretree::cuda
