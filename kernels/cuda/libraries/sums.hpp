// Sums of arrays on the device, by CUB.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/device.hpp"

namespace genretree::cuda {

/// Bytes of scratch that add_sum needs for `size` numbers of either kind.
std::size_t sum_scratch_bytes(std::size_t size);

/// *total += Σ values [size], in an order that depends on `size` alone. Takes no memory and does not wait.
///   values   256-byte aligned
///   total    one number, already there
///   scratch  sum_scratch_bytes(size), 256-byte aligned
/// All on the device, none overlapping.
void add_sum(const double* values, std::size_t size, double* total, void* scratch, Queue& queue);
void add_sum(const std::int32_t* values, std::size_t size, std::int32_t* total, void* scratch, Queue& queue);

}  // namespace genretree::cuda
