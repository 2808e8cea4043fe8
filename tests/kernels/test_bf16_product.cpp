// The three ways to multiply bf16 matrices: against plain definitions of what each adds up in which order.
#include <bit>
#include <cmath>

#include "kernels/cpu/bf16.hpp"
#include "kernels/cpu/bf16_product.hpp"
#include "kernels/cpu/denormals.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

namespace {

/// A product with random operands; rows of all matrices are longer than they need to be.
struct Matrices {
  std::size_t rows, depth, columns, a_row, b_row, out_row;
  std::vector<std::uint16_t> a;
  std::vector<std::uint32_t> b;
  std::vector<float> start;

  Matrices(std::size_t r, std::size_t k, std::size_t c)
      : rows(r), depth(k), columns(c), a_row(k + 6), b_row(c + 16), out_row(c + 5) {
    for (const float value : test::normal_numbers(rows * a_row, 1)) a.push_back(cpu::to_bf16(value));
    const std::vector<float> values = test::normal_numbers(depth * b_row, 2);
    for (std::size_t i = 0; i < values.size(); i += 2)
      b.push_back(cpu::to_bf16(values[i]) | std::uint32_t{cpu::to_bf16(values[i + 1])} << 16);
    start = test::normal_numbers(rows * out_row, 3);
  }
  float a_at(std::size_t r, std::size_t k) const { return cpu::from_bf16(a[r * a_row + k]); }
  float b_at(std::size_t k, std::size_t c) const {
    return cpu::from_bf16(static_cast<std::uint16_t>(b[k / 2 * b_row + c] >> (k % 2 * 16)));
  }

  std::vector<float> multiply(const cpu::Bf16Target& target) const {
    const cpu::FlushDenormals flush;
    std::vector<float> out(rows * out_row, test::untouched);
    cpu::bf16_multiply(target)({.rows = rows,
                                .depth = depth,
                                .columns = columns,
                                .a = a.data(),
                                .a_row = a_row,
                                .b = b.data(),
                                .b_row = b_row,
                                .start = start.data(),
                                .start_row = out_row,
                                .out = out.data(),
                                .out_row = out_row});
    cpu::release_tiles();
    return out;
  }

  /// out[r, c] by `sum(r, c)`.
  template <class Sum>
  std::vector<float> each(Sum sum) const {
    std::vector<float> out(rows * out_row, test::untouched);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c) out[r * out_row + c] = sum(r, c);
    return out;
  }
  /// Intel's SDM, VDPBF16PS: of each pair, the second is added first.
  std::vector<float> by_pairs() const {
    return each([this](std::size_t r, std::size_t c) {
      float sum = start[r * out_row + c];
      for (std::size_t k = 0; k < depth; k += 2) {
        sum += a_at(r, k + 1) * b_at(k + 1, c);
        sum += a_at(r, k) * b_at(k, c);
      }
      return sum;
    });
  }
  /// Intel's SDM, TDPBF16PS: even and odd k of a tile are summed apart, and both sums are added to the tile's.
  std::vector<float> by_tiles() const {
    return each([this](std::size_t r, std::size_t c) {
      float sum = start[r * out_row + c];
      for (std::size_t tile = 0; tile < depth; tile += 32) {
        float even = 0, odd = 0;
        for (std::size_t k = tile; k < tile + 32; k += 2) {
          even += a_at(r, k) * b_at(k, c);
          odd += a_at(r, k + 1) * b_at(k + 1, c);
        }
        sum += even + odd;
      }
      return sum;
    });
  }
};

}  // namespace

TEST_CASE("bf16 is the nearest of 8 significant bits, ties away from zero") {
  CHECK(cpu::to_bf16(1.0f) == 0x3F80);
  CHECK(cpu::from_bf16(cpu::to_bf16(1 + 0.9f / 256)) == 1);
  CHECK(cpu::from_bf16(cpu::to_bf16(1 + 1.0f / 256)) == 1 + 2 / 256.0f);
  CHECK(cpu::from_bf16(cpu::to_bf16(-1 - 1.0f / 256)) == -1 - 2 / 256.0f);
  CHECK(std::isinf(cpu::from_bf16(cpu::to_bf16(3.4e38f))));
  CHECK(std::isnan(cpu::from_bf16(cpu::to_bf16(std::bit_cast<float>(0x7FFFFFFFu)))));
}

TEST_CASE("every bf16 product adds what its definition adds, in that order, for any number of rows and columns") {
  for (const auto& [rows, depth, columns] : std::vector<std::array<std::size_t, 3>>{{1, 32, 16},
                                                                                    {2, 64, 32},
                                                                                    {7, 32, 48},
                                                                                    {16, 96, 64},
                                                                                    {17, 160, 80},
                                                                                    {35, 160, 64},
                                                                                    {50, 64, 112},
                                                                                    {64, 288, 64}}) {
    const Matrices matrices(rows, depth, columns);
    const std::vector<float> by_pairs = matrices.by_pairs(), by_tiles = matrices.by_tiles();
    for (const cpu::Bf16Target& target : cpu::supported_bf16_targets()) {
      INFO(cpu::bf16_target_name(target) << ", " << rows << " × " << depth << " × " << columns);
      const bool tiles = target.unit == cpu::Bf16Unit::amx_bf16;
      CHECK((matrices.multiply(target) == (tiles ? by_tiles : by_pairs)));
    }
    // the orders differ only in how sums are rounded
    CHECK(test::relative_difference<float, float>(by_tiles, by_pairs) <= 1e-6);
  }
}
