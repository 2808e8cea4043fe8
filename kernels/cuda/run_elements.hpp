// Work on each element of each run of a group by itself: functors, on the queue's stream, as one launch. A run is a row
// of the grid: an element's run costs no division, and a functor may hold what differs between the runs (group_rows.hpp),
// which stays among the launch's arguments. Thrust would copy it onto the stack of every thread. For .cu files only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/element_count.hpp"
#include "kernels/cuda/platform.hpp"

namespace genretree::cuda {

inline constexpr unsigned run_elements_threads = 256;

template <class Function>
__global__ void __launch_bounds__(run_elements_threads)
    run_elements_kernel(const Function function, std::uint32_t size) {
  const std::uint32_t index = blockIdx.x * run_elements_threads + threadIdx.x;
  if (index < size) function(blockIdx.y, index);
}

/// function(r, 0), …, function(r, size - 1) for each run r, in no order. Takes no memory and does not wait. The function
/// has a `__device__ void operator()(std::uint32_t run, std::uint32_t index) const`, and what it refers to by pointer
/// lies on the device.
template <class Function>
void for_each_of_runs(std::size_t runs, std::size_t size, const Function& function, Stream stream) {
  launch(run_elements_kernel<Function>, dim3(blocks_of(size, run_elements_threads), static_cast<unsigned>(runs)),
         run_elements_threads, 0, stream, function, element_count(size));
}

}  // namespace genretree::cuda
