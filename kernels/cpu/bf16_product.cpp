#include <algorithm>

#include "core/error.hpp"
#include "core/text.hpp"
#include "kernels/cpu/bf16_product.hpp"
#include "kernels/cpu/row_tiles.hpp"
#include "kernels/cpu/target.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/bf16_product.cpp"
// clang-format off
#include <hwy/foreach_target.h>  // must come first: it includes this file once per target
#include <hwy/highway.h>
// clang-format on

// --------------------------------------------------------------------------------------- pairs in vectors of floats

HWY_BEFORE_NAMESPACE();
namespace genretree::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using Float = hn::ScalableTag<float>;
using Words = hn::RebindToUnsigned<Float>;
using Vector = hn::Vec<Float>;
using Pairs = hn::Vec<Words>;  // two neighbours along k in a word, the first in the lower half

#define GENRETREE_HAS_DOT_PRODUCT (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3)

/// sum + a's second · b's second, then + a's first · b's first, as vdpbf16ps adds them. A product of two bf16 is exact
/// in single precision, so that it does not matter whether a target has fused multiply-adds.
HWY_INLINE Vector add_pairs(Vector sum, Pairs a, Pairs b) {
  const Words words;
  const Float d;
  const Pairs second = hn::Set(words, 0xFFFF0000u);
  sum = hn::MulAdd(hn::BitCast(d, hn::And(a, second)), hn::BitCast(d, hn::And(b, second)), sum);
  return hn::MulAdd(hn::BitCast(d, hn::ShiftLeft<16>(a)), hn::BitCast(d, hn::ShiftLeft<16>(b)), sum);
}

#if GENRETREE_HAS_DOT_PRODUCT
/// Highway 1.0.3 has no function for it.
HWY_INLINE Vector add_pairs_at_once(Vector sum, Pairs a, Pairs b) {
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
  return sum;
}
#endif

/// Rows `row` … `row` + Rows - 1 of Columns vectors from column `column`, all sums in registers.
template <std::size_t Rows, std::size_t Columns, bool AtOnce>
void multiply_block(const Bf16Product& p, std::size_t row, std::size_t column) {
  const Float d;
  const Words words;
  const std::size_t lanes = hn::Lanes(d);
  Vector sum[Rows][Columns];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (std::size_t c = 0; c < Columns; ++c)
      sum[r][c] = p.start ? hn::LoadU(d, p.start + (row + r) * p.start_row + column + c * lanes) : hn::Zero(d);

  const std::uint16_t* HWY_RESTRICT a = p.a + row * p.a_row;
  const std::uint32_t* HWY_RESTRICT b = p.b + column;
  const std::size_t a_row = p.a_row, b_row = p.b_row;
  for (std::size_t k = 0; k < p.depth; k += 2) {
    Pairs b_pairs[Columns];
#pragma GCC unroll 4
    for (std::size_t c = 0; c < Columns; ++c) b_pairs[c] = hn::LoadU(words, b + c * lanes);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < Rows; ++r) {
      std::uint32_t pair;
      __builtin_memcpy(&pair, a + r * a_row, sizeof pair);
      const Pairs a_pairs = hn::Set(words, pair);
#pragma GCC unroll 4
      for (std::size_t c = 0; c < Columns; ++c) {
#if GENRETREE_HAS_DOT_PRODUCT
        if constexpr (AtOnce) {
          sum[r][c] = add_pairs_at_once(sum[r][c], a_pairs, b_pairs[c]);
          continue;
        }
#endif
        sum[r][c] = add_pairs(sum[r][c], a_pairs, b_pairs[c]);
      }
    }
    a += 2, b += b_row;
  }

  float* out = p.out + row * p.out_row + column;
#pragma GCC unroll 8
  for (std::size_t r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (std::size_t c = 0; c < Columns; ++c) hn::StoreU(sum[r][c], d, out + r * p.out_row + c * lanes);
}

template <std::size_t Columns, bool AtOnce>
void multiply_columns(const Bf16Product& p, std::size_t column) {
  constexpr std::size_t max_rows = HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON ? 6 : 3;
  for_each_row_tile<max_rows>(
      p.rows, [&](auto rows, std::size_t row) { multiply_block<rows(), Columns, AtOnce>(p, row, column); });
}

/// Columns go by as many vectors as there are registers for: emulation keeps both halves of its operands in some.
template <bool AtOnce>
void multiply(const Bf16Product& p) {
  const std::size_t lanes = hn::Lanes(Float());
  std::size_t column = 0;
  constexpr std::size_t wide = AtOnce ? 4 : 2;
  for (; column + wide * lanes <= p.columns; column += wide * lanes) multiply_columns<wide, AtOnce>(p, column);
  for (; column < p.columns; column += lanes) multiply_columns<1, AtOnce>(p, column);
}

Bf16Multiply pairs_product([[maybe_unused]] bool at_once) {
#if GENRETREE_HAS_DOT_PRODUCT
  if (at_once) return multiply<true>;
#endif
  return multiply<false>;
}

}  // namespace
}  // namespace genretree::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#if HWY_ARCH_X86
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace genretree::cpu {
namespace {

HWY_EXPORT(pairs_product);

// --------------------------------------------------------------------------------------------------------------- tiles

#if HWY_ARCH_X86
/// Shapes of the eight tile registers, as ldtilecfg reads them. Source: Intel's SDM, LDTILECFG.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

/// Rows for which this thread's tiles are shaped; 0: they are not.
thread_local std::size_t shaped_rows = 0;

#define GENRETREE_TILES __attribute__((target("amx-tile,amx-bf16")))

/// Tiles 0 … 5 hold sums of `rows` rows, 6 rows of b's pairs, 7 `rows` rows of a.
GENRETREE_TILES void shape_tiles(std::size_t rows) {
  if (rows == shaped_rows) return;
  TileShapes shapes;
  for (std::size_t tile = 0; tile < 8; ++tile) {
    shapes.row_bytes[tile] = 64;
    shapes.rows[tile] = tile == 6 ? 16 : static_cast<std::uint8_t>(rows);
  }
  asm volatile("" : : "r"(&shapes) : "memory");  // the compiler's own declaration says that 8 bytes are read
  _tile_loadconfig(&shapes);
  shaped_rows = rows;
}

/// A block of Rows × Columns tiles; row[i] is the first row of the block's i-th tile of rows.
template <std::size_t Rows, std::size_t Columns>
GENRETREE_TILES void multiply_tiles(const Bf16Product& p, const std::size_t* row, std::size_t column) {
  const std::size_t start_bytes = p.start_row * sizeof(float), out_bytes = p.out_row * sizeof(float);
  const std::size_t a_bytes = p.a_row * sizeof(std::uint16_t), b_bytes = p.b_row * sizeof(std::uint32_t);
  // the names of tiles are literals to the compiler
#define GENRETREE_EACH_TILE(DO)              \
  do {                                       \
    DO(0, 0, 0);                             \
    if constexpr (Rows > 1) {                \
      DO(1, 1, 0);                           \
    }                                        \
    if constexpr (Rows > 2) {                \
      DO(2, 2, 0);                           \
    }                                        \
    if constexpr (Columns > 1) {             \
      DO(3, 0, 1);                           \
    }                                        \
    if constexpr (Columns > 1 && Rows > 1) { \
      DO(4, 1, 1);                           \
    }                                        \
    if constexpr (Columns > 1 && Rows > 2) { \
      DO(5, 2, 1);                           \
    }                                        \
  } while (false)

#define GENRETREE_START(tile, r, c)                                                   \
  if (p.start) {                                                                      \
    _tile_loadd(tile, p.start + row[r] * p.start_row + column + 16 * c, start_bytes); \
  } else {                                                                            \
    _tile_zero(tile);                                                                 \
  }
#define GENRETREE_MULTIPLY(tile, r, c)                       \
  if constexpr (r == 0) _tile_loadd(6, b + 16 * c, b_bytes); \
  _tile_loadd(7, p.a + row[r] * p.a_row + k, a_bytes);       \
  _tile_dpbf16ps(tile, 7, 6)
#define GENRETREE_STORE(tile, r, c) _tile_stored(tile, p.out + row[r] * p.out_row + column + 16 * c, out_bytes)

  GENRETREE_EACH_TILE(GENRETREE_START);
  for (std::size_t k = 0; k < p.depth; k += 32) {
    const std::uint32_t* b = p.b + k / 2 * p.b_row + column;
    GENRETREE_EACH_TILE(GENRETREE_MULTIPLY);
  }
  GENRETREE_EACH_TILE(GENRETREE_STORE);
#undef GENRETREE_EACH_TILE
#undef GENRETREE_START
#undef GENRETREE_MULTIPLY
#undef GENRETREE_STORE
}

template <std::size_t Rows>
void multiply_tile_rows(const Bf16Product& p, const std::size_t* row) {
  std::size_t column = 0;
  for (; column + 32 <= p.columns; column += 32) multiply_tiles<Rows, 2>(p, row, column);
  if (column < p.columns) multiply_tiles<Rows, 1>(p, row, column);
}

/// A tile's time grows with its rows, so all have the same number, as small as possible: 35 rows are 12 + 12 + 12,
/// where the last tile computes a row anew that the one before it has done. Tiles are shared out evenly over blocks.
void multiply_on_tiles(const Bf16Product& p) {
  const std::size_t tiles = (p.rows + 15) / 16, tile_rows = (p.rows + tiles - 1) / tiles, blocks = (tiles + 2) / 3;
  shape_tiles(tile_rows);
  for (std::size_t block = 0; block < blocks; ++block) {
    const std::size_t first = block * tiles / blocks, count = (block + 1) * tiles / blocks - first;
    std::size_t row[3];
    for (std::size_t i = 0; i < 3; ++i) row[i] = std::min((first + i) * tile_rows, p.rows - tile_rows);
    switch (count) {
      case 1:
        multiply_tile_rows<1>(p, row);
        break;
      case 2:
        multiply_tile_rows<2>(p, row);
        break;
      case 3:
        multiply_tile_rows<3>(p, row);
        break;
    }
  }
}

// -------------------------------------------------------------------------------------------- what this machine has

/// The processor has tiles of bf16, and the system lets this process use them. Source: Intel's SDM, CPUID leaf 7;
/// Linux, Documentation/x86/xstate.rst.
bool has_tiles() {
  constexpr long request_permission = 0x1023, tile_data = 18;
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const bool bf16 = d >> 22 & 1, tile = d >> 24 & 1;
  return bf16 && tile && syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

bool has_dot_product() {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
}
#endif

std::vector<Bf16Target> find_targets() {
  std::vector<Bf16Target> targets;
#if HWY_ARCH_X86
  const std::int64_t best = supported_targets().front();
  if (best <= HWY_AVX3 && has_tiles()) targets.push_back({best, Bf16Unit::amx_bf16});
  if (best <= HWY_AVX3 && has_dot_product()) targets.push_back({best, Bf16Unit::avx512_bf16});
#endif
  for (const std::int64_t vectors : supported_targets()) targets.push_back({vectors, Bf16Unit::emulated});
  return targets;
}

}  // namespace

const std::vector<Bf16Target>& supported_bf16_targets() {
  static const std::vector<Bf16Target> targets = find_targets();
  return targets;
}

Bf16Target find_bf16_target(const std::string& name) {
  std::vector<std::string> names;
  for (const Bf16Target& target : supported_bf16_targets()) {
    names.push_back(bf16_target_name(target));
    if (name == "auto" || names.back() == lower_case(name)) return target;
  }
  reject("target '{}' of precision bf16 is not in this build or not on this machine; use auto or one of: {}{}", name,
         join(names), did_you_mean(name, names));
}

std::string bf16_target_name(const Bf16Target& target) {
  static const char* const units[] = {"+amx_bf16", "+avx512_bf16", ""};
  return target_name(target.vectors) + units[static_cast<std::size_t>(target.unit)];
}

Bf16Multiply bf16_multiply(const Bf16Target& target) {
#if HWY_ARCH_X86
  if (target.unit == Bf16Unit::amx_bf16) return multiply_on_tiles;
#endif
  return entry_for(target.vectors, HWY_DISPATCH_TABLE(pairs_product))(target.unit == Bf16Unit::avx512_bf16);
}

#if HWY_ARCH_X86
GENRETREE_TILES void release_tiles() {
  if (shaped_rows == 0) return;
  _tile_release();
  shaped_rows = 0;
}
#else
void release_tiles() {}
#endif

}  // namespace genretree::cpu
#endif
