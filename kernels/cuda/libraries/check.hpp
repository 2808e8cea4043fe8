// Errors of NVIDIA's libraries, and owners of their handles. For this folder's .cpp and .cu files only.
#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cudnn.h>
#include <cufft.h>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace genretree::cuda {

/// check(cudaMalloc(…), "cudaMalloc", "3 MB") throws Error that names the call, the library, what it said with its
/// code, and what was asked for, unless the call succeeded.
void check(cudaError_t status, const char* call, const std::string& what = "");
void check(cudnnStatus_t status, const char* call, const std::string& what = "");
void check(cufftResult status, const char* call, const std::string& what = "");
void check(cublasStatus_t status, const char* call, const std::string& what = "");

/// Owns a handle that is a pointer, e.g. Owned<cudaEvent_t, cudaEventDestroy>.
template <class Handle, auto destroy>
class Owned {
 public:
  Owned() = default;
  explicit Owned(Handle handle) : handle_(handle) {}
  Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, Handle{})) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Owned() {
    if (handle_) destroy(handle_);
  }
  Handle get() const { return handle_; }
  /// Where a library's make… function writes the handle; there is none yet.
  Handle* out() { return &handle_; }

 private:
  Handle handle_{};
};

}  // namespace genretree::cuda
