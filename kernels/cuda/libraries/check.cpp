#include <array>
#include <fmt/format.h>

#include "core/error.hpp"
#include "kernels/cuda/libraries/check.hpp"

namespace genretree::cuda {
namespace {

[[noreturn]] void failed(const char* library, const char* call, const std::string& name, int code,
                         const std::string& what) {
  // a library that failed may leave CUDA's own error behind, which the next launch of Thrust would take for its own
  cudaGetLastError();
  fail("{} failed in {}{}{}: {} (code {})", library, call, what.empty() ? "" : " of ", what, name, code);
}

const char* name_of(cufftResult status) {
  switch (status) {
    case CUFFT_INVALID_PLAN:
      return "CUFFT_INVALID_PLAN";
    case CUFFT_ALLOC_FAILED:
      return "CUFFT_ALLOC_FAILED";
    case CUFFT_INVALID_VALUE:
      return "CUFFT_INVALID_VALUE";
    case CUFFT_INTERNAL_ERROR:
      return "CUFFT_INTERNAL_ERROR";
    case CUFFT_EXEC_FAILED:
      return "CUFFT_EXEC_FAILED";
    case CUFFT_SETUP_FAILED:
      return "CUFFT_SETUP_FAILED";
    case CUFFT_INVALID_SIZE:
      return "CUFFT_INVALID_SIZE";
    default:
      return "cuFFT error";
  }
}

}  // namespace

void check(cudaError_t status, const char* call, const std::string& what) {
  if (status != cudaSuccess)
    failed("CUDA", call, fmt::format("{}, {}", cudaGetErrorName(status), cudaGetErrorString(status)), status, what);
}
void check(cudnnStatus_t status, const char* call, const std::string& what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  std::array<char, 512> more{};
  cudnnGetLastErrorString(more.data(), more.size());
  failed("cuDNN", call, fmt::format("{} {}", cudnnGetErrorString(status), more.data()), status, what);
}
void check(cufftResult status, const char* call, const std::string& what) {
  if (status != CUFFT_SUCCESS) failed("cuFFT", call, name_of(status), status, what);
}
void check(cublasStatus_t status, const char* call, const std::string& what) {
  if (status != CUBLAS_STATUS_SUCCESS) failed("cuBLAS", call, cublasGetStatusName(status), status, what);
}

}  // namespace genretree::cuda
