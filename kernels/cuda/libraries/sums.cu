#include <algorithm>
#include <cub/device/device_reduce.cuh>
#include <cuda/std/functional>
#include <thrust/iterator/transform_output_iterator.h>

#include "kernels/cuda/libraries/check.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/libraries/sums.hpp"

namespace genretree::cuda {
namespace {

/// CUB writes its result once, by one thread: there it is added to what was in its place.
template <class Value>
struct AddTo {
  const Value* total;
  __host__ __device__ Value operator()(Value sum) const { return *total + sum; }
};

/// Without scratch, only says how many bytes of it are needed.
template <class Value>
void reduce(const Value* values, std::size_t size, Value* total, void* scratch, std::size_t& scratch_bytes,
            cudaStream_t stream) {
  const auto result = thrust::make_transform_output_iterator(total, AddTo<Value>{total});
  check(cub::DeviceReduce::Reduce(scratch, scratch_bytes, values, result, static_cast<int>(size),
                                  ::cuda::std::plus<Value>(), Value{0}, stream),
        "cub::DeviceReduce::Reduce", std::to_string(size) + " numbers");
}

template <class Value>
std::size_t scratch_bytes_of(std::size_t size) {
  std::size_t bytes = 0;
  reduce<Value>(nullptr, size, nullptr, nullptr, bytes, nullptr);
  return bytes;
}

template <class Value>
void add_sum_of(const Value* values, std::size_t size, Value* total, void* scratch, Queue& queue) {
  std::size_t bytes = sum_scratch_bytes(size);
  reduce(values, size, total, scratch, bytes, stream_of(queue));
}

}  // namespace

std::size_t sum_scratch_bytes(std::size_t size) {
  return std::max(scratch_bytes_of<double>(size), scratch_bytes_of<std::int32_t>(size));
}

void add_sum(const double* values, std::size_t size, double* total, void* scratch, Queue& queue) {
  add_sum_of(values, size, total, scratch, queue);
}

void add_sum(const std::int32_t* values, std::size_t size, std::int32_t* total, void* scratch, Queue& queue) {
  add_sum_of(values, size, total, scratch, queue);
}

}  // namespace genretree::cuda
