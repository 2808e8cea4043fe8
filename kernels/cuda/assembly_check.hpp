// Each wrapper of assembly.hpp, and each function of platform.hpp that a GPU computes in its own way, against what its
// emulated twin computes: the emulator's proof of our kernels holds on a GPU only if the two are the same.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/device.hpp"
#include "kernels/checks.hpp"
#include "kernels/cuda/platform.hpp"

namespace genretree::cuda {

// ---- what the device computes: assembly_check.cu

/// What is computed of numbers x and y, all [N]. Pairs and tf32 are bits, all others floats.
struct ScalarResults {
  float *bf16, *tanh, *exp, *log, *quotient;
  std::uint32_t *pair, *tf32;
};
void compute_scalars(const float* x, const float* y, int size, const ScalarResults& results, Stream stream);

/// The products that the hardware has: A [16][inner], B [inner][8].
enum class Mma { bf16_k16, bf16_k8, tf32_k8 };
inline constexpr int mma_rows = 16, mma_columns = 8;
constexpr int inner_of(Mma kind) { return kind == Mma::bf16_k16 ? 16 : 8; }

/// d = c + a·b by one instruction of one warp; c and d [16][8], all row-major floats, rounded by the device.
void compute_mma(Mma kind, const float* a, const float* b, const float* c, float* d, Stream stream);

/// Two 8 × 8 matrices of 16 bits, one below the other, as pairs of neighbours [16][4]; loaded by a warp [32 lanes][2].
inline constexpr int transposed_words = 64;
void compute_transposed(const std::uint32_t* pairs, std::uint32_t* loaded, Stream stream);

// ---- what it should compute: assembly_check.cpp

/// The twins' formulas, in double where they are not a matter of bits. A test puts wrong ones in their place.
struct Formulas {
  std::function<std::uint32_t(float)> bf16_bits, tf32_bits;
  std::function<double(double)> tanh = [](double x) { return std::tanh(x); };
  std::function<double(double)> exp = [](double x) { return std::exp(x); };
  std::function<double(double)> log = [](double x) { return std::log(x); };
  std::function<double(double, double)> divide = [](double x, double y) { return x / y; };
  /// Where a[row][k] meets b[k][column] in d[row][column].
  std::function<int(int row, int column)> place = [](int row, int column) { return row * mma_columns + column; };
  /// Where the number of row k and this column stands in the 16 × 8 numbers that are loaded transposed.
  std::function<int(int k, int column)> transposed = [](int k, int column) { return k * mma_columns + column; };

  Formulas();
};

/// A line for each wrapper. Of bits, the error is the part of the numbers that differ.
std::vector<OperationCheck> check_assembly(Device& device, const Formulas& formulas = {});

}  // namespace genretree::cuda
