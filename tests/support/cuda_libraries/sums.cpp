// The twin of kernels/cuda/libraries/sums.cu.
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/libraries/sums.hpp"

namespace genretree::cuda {
namespace {

template <class Value>
void add_sums_of(const Value* values, std::size_t arrays, std::size_t size, std::size_t stride, Value* totals,
                 Queue& queue) {
  stream_of(queue)->submit([=] {
    for (std::size_t a = 0; a < arrays; ++a) {
      Value sum = 0;
      for (std::size_t i = 0; i < size; ++i) sum += values[a * stride + i];
      totals[a] += sum;
    }
  });
}

}  // namespace

std::size_t sum_scratch_bytes(std::size_t) { return 1; }

void add_sums(const double* values, std::size_t arrays, std::size_t size, std::size_t stride, double* totals, void*,
              Queue& queue) {
  add_sums_of(values, arrays, size, stride, totals, queue);
}
void add_sums(const std::int32_t* values, std::size_t arrays, std::size_t size, std::size_t stride,
              std::int32_t* totals, void*, Queue& queue) {
  add_sums_of(values, arrays, size, stride, totals, queue);
}

}  // namespace genretree::cuda
