#include <algorithm>

#include "kernels/cpu/bf16.hpp"
#include "kernels/cpu/lstm_bf16_kernels.hpp"
#include "kernels/cpu/target.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/lstm_bf16_kernels.cpp"
// clang-format off
#include <hwy/foreach_target.h>  // must come first: it includes this file once per target
#include <hwy/highway.h>
#include "kernels/cpu/activations-inl.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace genretree::cpu::HWY_NAMESPACE {
namespace {

using Float = hn::ScalableTag<float>;
using Int = hn::RebindToSigned<Float>;
using Word = hn::RebindToUnsigned<Float>;
using Int16 = hn::Rebind<std::int16_t, Float>;
using Bf16 = hn::Rebind<std::uint16_t, Float>;
using Vector = hn::Vec<Float>;

// --------------------------------------------------------------------------------------------------- 16 bits in memory

HWY_INLINE Vector load_bf16(const std::uint16_t* from) {
  return hn::BitCast(Float(), hn::ShiftLeft<16>(hn::PromoteTo(Word(), hn::LoadU(Bf16(), from))));
}

/// As to_bf16. A NaN stays one if its low bits are 0, as all are that come from canonical ones.
HWY_INLINE void store_bf16(Vector v, std::uint16_t* to) {
  const Word words;
  const auto rounded = hn::ShiftRight<16>(hn::Add(hn::BitCast(words, v), hn::Set(words, 0x8000u)));
  hn::StoreU(hn::TruncateTo(Bf16(), rounded), Bf16(), to);
}

HWY_INLINE Vector load_gate(const std::int16_t* from) {
  const auto whole = hn::PromoteTo(Int(), hn::LoadU(Int16(), from));
  return hn::Mul(hn::ConvertTo(Float(), whole), hn::Set(Float(), 1 / kept_gate_scale));
}

/// The sum's last binary place is that of 1 / kept_gate_scale, so that it is rounded there and its low 16 bits are the
/// whole number.
HWY_INLINE void store_gate(Vector v, std::int16_t* to) {
  const Vector shifted = hn::Add(v, hn::Set(Float(), 1.5f * (1 << 23) / kept_gate_scale));
  const auto low = hn::TruncateTo(Bf16(), hn::BitCast(Word(), shifted));
  hn::StoreU(hn::BitCast(Int16(), low), Int16(), to);
}

// ------------------------------------------------------------------------------------------------------------ the cell

// A gate is a chain of twenty instructions that wait for each other: two rows at a time keep the processor busier than
// its own look ahead can.

/// Rows `row` … `row` + Rows - 1 of a vector of units that begins with u.
template <class GateKind, std::size_t Rows>
HWY_INLINE void cell_forward_rows(const Bf16CellForward& p, std::size_t row, std::size_t u) {
  const Float d;
  constexpr std::size_t group = bf16_group;
  Vector i[Rows], f[Rows], g[Rows], o[Rows], c[Rows], h[Rows];
#pragma GCC unroll 2
  for (std::size_t r = 0; r < Rows; ++r) {
    const float* z = p.z + (row + r) * 4 * group + u;
    i[r] = GateKind::activate(d, hn::LoadU(d, z));
    f[r] = GateKind::activate(d, hn::LoadU(d, z + group));
    g[r] = tanh(d, hn::LoadU(d, z + 2 * group));
    o[r] = GateKind::activate(d, hn::LoadU(d, z + 3 * group));
    c[r] = hn::MulAdd(f[r], hn::LoadU(d, p.cell + (row + r) * group + u), hn::Mul(i[r], g[r]));
  }
#pragma GCC unroll 2
  for (std::size_t r = 0; r < Rows; ++r) h[r] = hn::Mul(o[r], tanh(d, c[r]));
#pragma GCC unroll 2
  for (std::size_t r = 0; r < Rows; ++r) {
    hn::StoreU(c[r], d, p.cell + (row + r) * group + u);
    store_bf16(h[r], p.h + (row + r) * p.h_row + u);
    if (p.h_above) store_bf16(h[r], p.h_above + (row + r) * p.h_above_row + u);
    if (p.output) hn::StoreU(h[r], d, p.output + (row + r) * p.output_row + u);
    if (!p.gates) continue;
    const std::size_t place = (row + r) * 4 * group + u;
    store_gate(i[r], p.gates + place);
    store_gate(f[r], p.gates + place + group);
    store_gate(g[r], p.gates + place + 2 * group);
    store_gate(o[r], p.gates + place + 3 * group);
    store_bf16(c[r], p.cells + (row + r) * group + u);
  }
}

template <class GateKind>
void cell_forward_with(const Bf16CellForward& p) {
  for (std::size_t u = 0; u < bf16_group; u += hn::Lanes(Float())) {
    std::size_t row = 0;
    for (; row + 2 <= p.rows; row += 2) cell_forward_rows<GateKind, 2>(p, row, u);
    if (row < p.rows) cell_forward_rows<GateKind, 1>(p, row, u);
  }
}

/// As above; sums[q] += dz of gate q.
template <class GateKind, std::size_t Rows>
HWY_INLINE void cell_backward_rows(const Bf16CellBackward& p, std::size_t row, std::size_t u, Vector (&sums)[4]) {
  const Float d;
  constexpr std::size_t group = bf16_group;
  const Vector one = hn::Set(d, 1.0f);
  Vector tanh_c[Rows];
#pragma GCC unroll 2
  for (std::size_t r = 0; r < Rows; ++r) tanh_c[r] = tanh(d, load_bf16(p.cell_after + (row + r) * group + u));
#pragma GCC unroll 2
  for (std::size_t r = 0; r < Rows; ++r) {
    const std::size_t place = (row + r) * 4 * group + u;
    const Vector i = load_gate(p.gates + place), f = load_gate(p.gates + place + group);
    const Vector g = load_gate(p.gates + place + 2 * group), o = load_gate(p.gates + place + 3 * group);
    Vector dh = hn::LoadU(d, p.dh + (row + r) * p.dh_row + u);
    if (p.dh_above) dh = hn::Add(dh, hn::LoadU(d, p.dh_above + (row + r) * p.dh_above_row + u));
    float* dcell = p.dcell + (row + r) * group + u;
    const Vector dc = hn::MulAdd(hn::Mul(dh, o), hn::NegMulAdd(tanh_c[r], tanh_c[r], one), hn::LoadU(d, dcell));
    const Vector c_before = load_bf16(p.cell_before + (row + r) * group + u);
    const Vector dz[4] = {
        hn::Mul(hn::Mul(dc, g), GateKind::slope(d, i)), hn::Mul(hn::Mul(dc, c_before), GateKind::slope(d, f)),
        hn::Mul(hn::Mul(dc, i), hn::NegMulAdd(g, g, one)), hn::Mul(hn::Mul(dh, tanh_c[r]), GateKind::slope(d, o))};
#pragma GCC unroll 4
    for (std::size_t q = 0; q < 4; ++q) {
      store_bf16(dz[q], p.dz + (row + r) * p.dz_row + q * p.dz_gate + u);
      sums[q] = hn::Add(sums[q], dz[q]);
    }
    hn::StoreU(hn::Mul(dc, f), d, dcell);
    __builtin_prefetch(p.gates_ahead + place, 0, 2);
    __builtin_prefetch(p.gates_ahead + place + 2 * group, 0, 2);
    __builtin_prefetch(p.cells_ahead + (row + r) * group + u, 0, 2);
  }
}

template <class GateKind>
void cell_backward_with(const Bf16CellBackward& p) {
  const Float d;
  for (std::size_t u = 0; u < bf16_group; u += hn::Lanes(d)) {
    Vector sums[4];
    for (std::size_t q = 0; q < 4; ++q) sums[q] = hn::LoadU(d, p.dbias + q * bf16_group + u);
    std::size_t row = 0;
    for (; row + 2 <= p.rows; row += 2) cell_backward_rows<GateKind, 2>(p, row, u, sums);
    if (row < p.rows) cell_backward_rows<GateKind, 1>(p, row, u, sums);
    for (std::size_t q = 0; q < 4; ++q) hn::StoreU(sums[q], d, p.dbias + q * bf16_group + u);
  }
}

void cell_forward(const Bf16CellForward& p) {
  with_gate(p.gate, [&](auto kind) { cell_forward_with<decltype(kind)>(p); });
}

void cell_backward(const Bf16CellBackward& p) {
  with_gate(p.gate, [&](auto kind) { cell_backward_with<decltype(kind)>(p); });
}

// ------------------------------------------------------------------------------------------------------------ operands

void round(const float* a, std::size_t size, std::uint16_t* out) {
  constexpr float largest = 3.3895314e38f;  // in bf16: an infinite operand times a weight of 0 would be NaN
  for (std::size_t i = 0; i < size; ++i) out[i] = to_bf16(std::clamp(a[i], -largest, largest));
}

void mask(const std::uint16_t* a, const float* mask, std::size_t size, std::uint16_t* out) {
  for (std::size_t i = 0; i < size; i += hn::Lanes(Float()))
    store_bf16(hn::Mul(load_bf16(a + i), hn::LoadU(Float(), mask + i)), out + i);
}

void add_masked(const float* products, const float* mask, std::size_t size, float* out) {
  const Float d;
  for (std::size_t i = 0; i < size; i += hn::Lanes(d))
    hn::StoreU(hn::MulAdd(hn::LoadU(d, products + i), hn::LoadU(d, mask + i), hn::LoadU(d, out + i)), d, out + i);
}

#if HWY_TARGET == HWY_SCALAR
void transpose(const std::uint16_t* a, std::size_t rows, std::size_t columns, std::uint16_t* out, std::size_t out_row) {
  for (std::size_t c = 0; c < columns; ++c)
    for (std::size_t r = 0; r < out_row; ++r) out[c * out_row + r] = r < rows ? a[r * columns + c] : 0;
}
#else
/// Blocks of 8 × 8: three rounds in which neighbours of one, two and four numbers change places.
void transpose(const std::uint16_t* a, std::size_t rows, std::size_t columns, std::uint16_t* out, std::size_t out_row) {
  const hn::Full128<std::uint16_t> ones;
  const hn::Full128<std::uint32_t> twos;
  const hn::Full128<std::uint64_t> fours;
  const auto exchange = [](auto d, auto* v, std::size_t distance) HWY_ATTR {
    for (std::size_t i = 0; i < 8; ++i) {
      if (i & distance) continue;
      const auto low = hn::BitCast(d, v[i]), high = hn::BitCast(d, v[i + distance]);
      v[i] = hn::BitCast(hn::Full128<std::uint16_t>(), hn::InterleaveLower(d, low, high));
      v[i + distance] = hn::BitCast(hn::Full128<std::uint16_t>(), hn::InterleaveUpper(d, low, high));
    }
  };
  for (std::size_t r = 0; r < out_row; r += 8)
    for (std::size_t c = 0; c < columns; c += 8) {
      hn::Vec<decltype(ones)> v[8];
      for (std::size_t i = 0; i < 8; ++i)
        v[i] = r + i < rows ? hn::LoadU(ones, a + (r + i) * columns + c) : hn::Zero(ones);
      exchange(ones, v, 1);
      exchange(twos, v, 2);
      exchange(fours, v, 4);
      // the last round leaves column c at the place whose three bits are those of c in reverse
      constexpr std::size_t place[8] = {0, 4, 2, 6, 1, 5, 3, 7};
      for (std::size_t i = 0; i < 8; ++i) hn::StoreU(v[place[i]], ones, out + (c + i) * out_row + r);
    }
}
#endif

void pair_rows(const std::uint16_t* a, std::size_t a_row, std::size_t rows, std::size_t pairs, std::uint32_t* out,
               std::size_t out_row) {
  const Word words;
  for (std::size_t pair = 0; pair < pairs; ++pair)
    for (std::size_t c = 0; c < bf16_group; c += hn::Lanes(words)) {
      const auto load = [&](std::size_t row) HWY_ATTR {
        return row < rows ? hn::PromoteTo(words, hn::LoadU(Bf16(), a + row * a_row + c)) : hn::Zero(words);
      };
      hn::StoreU(hn::Or(load(2 * pair), hn::ShiftLeft<16>(load(2 * pair + 1))), words, out + pair * out_row + c);
    }
}

LstmBf16Kernels kernels() { return {cell_forward, cell_backward, round, mask, add_masked, transpose, pair_rows}; }

}  // namespace
}  // namespace genretree::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genretree::cpu {

HWY_EXPORT(kernels);

LstmBf16Kernels lstm_bf16_kernels(std::int64_t target) { return entry_for(target, HWY_DISPATCH_TABLE(kernels))(); }

}  // namespace genretree::cpu
#endif
