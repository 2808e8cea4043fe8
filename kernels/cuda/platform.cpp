#include "core/error.hpp"
#include "kernels/cuda/platform.hpp"

namespace genretree::cuda {

void launch_failed(cudaError_t error, dim3 grid, dim3 block, std::size_t shared_bytes) {
  fail("CUDA refused a launch of {}×{}×{} blocks of {}×{}×{} threads with {} bytes of shared memory each: {} ({})",
       grid.x, grid.y, grid.z, block.x, block.y, block.z, shared_bytes, cudaGetErrorString(error),
       cudaGetErrorName(error));
}

}  // namespace genretree::cuda
