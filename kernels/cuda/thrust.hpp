// Thrust, for work on each element of an array by itself: functors, on the queue's stream. For .cu files only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <thrust/execution_policy.h>
#include <thrust/for_each.h>
#include <thrust/iterator/counting_iterator.h>

#include "kernels/cuda/element_count.hpp"
#include "kernels/cuda/platform.hpp"

namespace genretree::cuda {

/// function(0), …, function(size - 1) in no order, as one launch on the stream. Neither takes memory nor waits, so that
/// it can be recorded. The function has a `__device__ void operator()(std::uint32_t) const`, and what it refers to by
/// pointer lies on the device.
template <class Function>
void for_each_index(std::size_t size, Function function, Stream stream) {
  const thrust::counting_iterator<std::uint32_t> first(0);
  const std::uint32_t count = element_count(size);
#ifdef GENRETREE_CUDA_EMULATED
  stream->submit([=] { thrust::for_each_n(thrust::device, first, count, function); });
#else
  thrust::for_each_n(thrust::cuda::par_nosync.on(stream), first, count, function);
#endif
}

}  // namespace genretree::cuda
