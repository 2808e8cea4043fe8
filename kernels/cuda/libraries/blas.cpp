#include <fmt/format.h>

#include "kernels/cuda/libraries/blas.hpp"
#include "kernels/cuda/libraries/queue.hpp"

namespace genretree::cuda {

// cuBLAS has columns one after another: to it, our row-major c is its transpose, b's times a's.
void multiply(const MatrixProduct& p, Queue& queue) {
  const auto narrow = [](std::size_t size) { return static_cast<int>(size); };
  const auto operation = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
  const float one = 1, before = p.add ? 1 : 0;
  check(cublasSgemm(cublas_of(queue), operation(p.transpose_b), operation(p.transpose_a), narrow(p.columns),
                    narrow(p.rows), narrow(p.inner), &one, p.b, narrow(p.transpose_b ? p.inner : p.columns), p.a,
                    narrow(p.transpose_a ? p.rows : p.inner), &before, p.c, narrow(p.columns)),
        "cublasSgemm", fmt::format("{} × {} by {} × {}", p.rows, p.inner, p.inner, p.columns));
}

std::string blas_version() {
  int major = 0, minor = 0;
  check(cublasGetProperty(MAJOR_VERSION, &major), "cublasGetProperty");
  check(cublasGetProperty(MINOR_VERSION, &minor), "cublasGetProperty");
  return fmt::format("cuBLAS {}.{}", major, minor);
}

}  // namespace genretree::cuda
