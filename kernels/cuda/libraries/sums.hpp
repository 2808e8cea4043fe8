// Sums of arrays on the device, by CUB.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/device.hpp"

namespace genretree::cuda {

/// Arrays to be summed begin so many numbers apart, or a multiple of it. CUB reads an array, and so adds it up, by
/// vectors where its memory is aligned for them: then all are.
inline constexpr std::size_t sum_alignment = 32;

/// Bytes of scratch that add_sums needs for so many arrays of either kind.
std::size_t sum_scratch_bytes(std::size_t arrays);

/// totals[a] += Σ values[a, 0 … size - 1] for each array a, in an order that depends on `size` alone. Takes no memory
/// and does not wait.
///   values   [arrays, stride], 256-byte aligned; stride is a multiple of sum_alignment; at most 2^31 - 1 in all
///   totals   [arrays], already there
///   scratch  sum_scratch_bytes(arrays), 256-byte aligned
/// All on the device, none overlapping.
void add_sums(const double* values, std::size_t arrays, std::size_t size, std::size_t stride, double* totals,
              void* scratch, Queue& queue);
void add_sums(const std::int32_t* values, std::size_t arrays, std::size_t size, std::size_t stride,
              std::int32_t* totals, void* scratch, Queue& queue);

}  // namespace genretree::cuda
