// The twin of kernels/cuda/libraries/sums.cu.
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/libraries/sums.hpp"

namespace genretree::cuda {
namespace {

template <class Value>
void add_sum_of(const Value* values, std::size_t size, Value* total, Queue& queue) {
  stream_of(queue)->submit([=] {
    Value sum = 0;
    for (std::size_t i = 0; i < size; ++i) sum += values[i];
    *total += sum;
  });
}

}  // namespace

std::size_t sum_scratch_bytes(std::size_t) { return 1; }

void add_sum(const double* values, std::size_t size, double* total, void*, Queue& queue) {
  add_sum_of(values, size, total, queue);
}
void add_sum(const std::int32_t* values, std::size_t size, std::int32_t* total, void*, Queue& queue) {
  add_sum_of(values, size, total, queue);
}

}  // namespace genretree::cuda
