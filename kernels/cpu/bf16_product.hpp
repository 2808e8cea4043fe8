// The matrix product of precision bf16: operands of 8 significant bits, sums in single precision. One layout of data
// serves three ways to compute it, of which each machine has the last at least:
//   amx_bf16     Intel's tiles (Sapphire Rapids and later): 16 × 16 sums, 32 deep, by one instruction
//   avx512_bf16  the instruction vdpbf16ps (Zen 4, Cooper Lake and later): a pair of products added to each lane
//   emulated     the same pairs with multiply-adds of any instruction set, to the same bits as vdpbf16ps (but for
//                products below 1e-38)
// Tiles add up the same products in another order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace genretree::cpu {

/// out[r, c] = start[r, c] + Σ_k a[r, k] · b[k, c]. A row's result does not depend on the other rows. Numbers below
/// 1e-38 count as 0 (the caller holds a FlushDenormals). All sizes and strides are in elements.
struct Bf16Product {
  std::size_t rows;
  std::size_t depth;       ///< a multiple of 32
  std::size_t columns;     ///< a multiple of 16
  const std::uint16_t* a;  ///< a[r · a_row + k]
  std::size_t a_row;       ///< even
  const std::uint32_t* b;  ///< b[k / 2 · b_row + c] holds column c of k, an even one, in its lower half, k + 1 above
  std::size_t b_row;
  const float* start;     ///< start[r · start_row + c], or null: 0. May be `out` if rows are a multiple of 16.
  std::size_t start_row;  ///< 0: the same for all rows
  float* out;             ///< out[r · out_row + c]
  std::size_t out_row;
};

enum class Bf16Unit { amx_bf16, avx512_bf16, emulated };

/// What computes in precision bf16: products on `unit`, all else by the instruction set `vectors` of Highway's.
struct Bf16Target {
  std::int64_t vectors;
  Bf16Unit unit;
};

/// What this build has and this machine runs, fastest first: the best instruction set with each unit of its own, then
/// every one emulated. Asks the system for the use of tiles.
const std::vector<Bf16Target>& supported_bf16_targets();

/// "avx3+amx_bf16", "avx3+avx512_bf16", "avx3", "avx2", …: without a unit's name it is emulated.
std::string bf16_target_name(const Bf16Target& target);

/// The target of that name (in any case), or the fastest for "auto". InputError that lists what this machine runs.
Bf16Target find_bf16_target(const std::string& name);

using Bf16Multiply = void (*)(const Bf16Product&);

/// The product on a target of supported_bf16_targets().
Bf16Multiply bf16_multiply(const Bf16Target& target);

/// On this thread, hands the tiles back to the system, which then need not save them, and to others who set them up in
/// their own way. Ends every sequence of products.
void release_tiles();

}  // namespace genretree::cpu
