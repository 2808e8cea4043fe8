#include <algorithm>
#include <cub/device/device_segmented_reduce.cuh>
#include <cuda/std/functional>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/tabulate_output_iterator.h>
#include <thrust/iterator/transform_iterator.h>

#include "kernels/cuda/libraries/check.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/libraries/sums.hpp"

namespace genretree::cuda {
namespace {

/// CUB writes each result once, by one thread: there it is added to what was in its place.
template <class Value>
struct AddTo {
  Value* totals;
  __device__ void operator()(std::ptrdiff_t array, Value sum) const { totals[array] += sum; }
};

/// Where an array begins, or ends. In 32 bits: with 64, CUB's kernel spills registers.
struct Bound {
  int stride, offset;
  __host__ __device__ int operator()(int array) const { return array * stride + offset; }
};

thrust::transform_iterator<Bound, thrust::counting_iterator<int>> bounds(std::size_t stride, std::size_t offset) {
  return {thrust::counting_iterator<int>(0), Bound{static_cast<int>(stride), static_cast<int>(offset)}};
}

/// Without scratch, only says how many bytes of it are needed.
template <class Value>
void reduce(const Value* values, std::size_t arrays, std::size_t size, std::size_t stride, Value* totals, void* scratch,
            std::size_t& scratch_bytes, cudaStream_t stream) {
  check(cub::DeviceSegmentedReduce::Reduce(scratch, scratch_bytes, values,
                                           thrust::make_tabulate_output_iterator(AddTo<Value>{totals}),
                                           static_cast<std::int64_t>(arrays), bounds(stride, 0), bounds(stride, size),
                                           ::cuda::std::plus<Value>(), Value{0}, stream),
        "cub::DeviceSegmentedReduce::Reduce", std::to_string(arrays) + " × " + std::to_string(size) + " numbers");
}

template <class Value>
std::size_t scratch_bytes_of(std::size_t arrays) {
  std::size_t bytes = 0;
  reduce<Value>(nullptr, arrays, 0, 0, nullptr, nullptr, bytes, nullptr);
  return bytes;
}

template <class Value>
void add_sums_of(const Value* values, std::size_t arrays, std::size_t size, std::size_t stride, Value* totals,
                 void* scratch, Queue& queue) {
  std::size_t bytes = sum_scratch_bytes(arrays);
  reduce(values, arrays, size, stride, totals, scratch, bytes, stream_of(queue));
}

}  // namespace

std::size_t sum_scratch_bytes(std::size_t arrays) {
  return std::max(scratch_bytes_of<double>(arrays), scratch_bytes_of<std::int32_t>(arrays));
}

void add_sums(const double* values, std::size_t arrays, std::size_t size, std::size_t stride, double* totals,
              void* scratch, Queue& queue) {
  add_sums_of(values, arrays, size, stride, totals, scratch, queue);
}

void add_sums(const std::int32_t* values, std::size_t arrays, std::size_t size, std::size_t stride,
              std::int32_t* totals, void* scratch, Queue& queue) {
  add_sums_of(values, arrays, size, stride, totals, scratch, queue);
}

}  // namespace genretree::cuda
