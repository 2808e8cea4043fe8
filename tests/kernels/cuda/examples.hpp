// Kernels that are right, small and like those of the CUDA backend: they show how to write for platform.hpp, and the
// emulator must pass them in every order.
#pragma once

#include "kernels/cuda/platform.hpp"

namespace genretree::cuda {

constexpr int sum_threads = 128;
/// sums [blocks] of every `per_block` of values [blocks × per_block]. Only each block's first warp adds up the warps.
void block_sums(const float* values, int blocks, int per_block, float* sums, Stream stream);

/// counts [bins ≤ 64] += how many of values [size] lie in each bin (a value outside counts nowhere). Atomics on shared,
/// then on global memory.
constexpr int most_bins = 64;
void histogram(const int* values, int size, int bins, int* counts, Stream stream);

/// product [rows, columns] = left [rows, inner] · rightᵀ, right [columns, inner]; any sizes.
void transposed_product(const float* left, const float* right, int rows, int columns, int inner, float* product,
                        Stream stream);

constexpr int step_units = 64, step_rows = 8;
/// h(t) = tanh(U h(t − 1) + x(t)), h(−1) = 0, in bf16 with float sums: weights U [units, units], x [steps, blocks ×
/// rows, units], last h [blocks × rows, units]. A block holds 8 rows and all 64 units; U stays in registers.
void recurrence(const float* weights, const float* x, int steps, int blocks, float* h, Stream stream);

/// Every thread of one block passes `count` barriers, to measure what that costs.
void pass_barriers(int threads, int count, Stream stream);

}  // namespace genretree::cuda
