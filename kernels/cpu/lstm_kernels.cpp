#include "kernels/cpu/lstm_kernels.hpp"
#include "kernels/cpu/row_tiles.hpp"
#include "kernels/cpu/target.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/lstm_kernels.cpp"
// clang-format off
#include <hwy/foreach_target.h>  // must come first: it includes this file once per target
#include <hwy/highway.h>
#include "kernels/cpu/activations-inl.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace genretree::cpu::HWY_NAMESPACE {
namespace {

using Float = hn::ScalableTag<float>;
using Vector = hn::Vec<Float>;

// ------------------------------------------------------------------------------------------------------ matrix product

/// Rows of a register tile of four vectors: the sums leave room for four vectors of the panel and one of the operand.
constexpr std::size_t max_tile_rows = HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON ? 6 : 3;

/// Rows `row` … `row` + Rows - 1 of a product of Columns vectors, all sums in registers.
template <std::size_t Rows, std::size_t Columns, bool PerGate>
void multiply_tile(const Product& p, std::size_t row) {
  const Float d;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t start_row = p.start_row, out_row = p.out_row;
  Vector sum[Rows][Columns];
  const float* start = p.start + row * start_row;
#pragma GCC unroll 8
  for (std::size_t r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (std::size_t c = 0; c < Columns; ++c)
      sum[r][c] = p.start ? hn::LoadU(d, start + r * start_row + c * lanes) : hn::Zero(d);

  const std::size_t a_row = p.a_row, a_depth = p.a_depth, a_gate = p.a_gate;
  // each tile fetches its share, a little with each k: a processor waits for no more than some dozens of lines at once
  const float* ahead = p.ahead + row * p.ahead_size / p.rows;
  const std::size_t ahead_step = Rows * p.ahead_size / (p.rows * p.segments * p.depth);
  for (std::size_t segment = 0; segment < p.segments; ++segment) {
    const float* HWY_RESTRICT a = p.a + segment * p.a_segment + row * p.a_row;
    const float* HWY_RESTRICT panel = p.panel + segment * p.panel_segment;
    for (std::size_t k = 0; k < p.depth; ++k) {
#pragma GCC unroll 8
      for (std::size_t r = 0; r < Rows; ++r)
#pragma GCC unroll 4
        for (std::size_t c = 0; c < Columns; ++c)
          sum[r][c] = hn::MulAdd(hn::Set(d, a[r * a_row + (PerGate ? c * a_gate : 0)]), hn::LoadU(d, panel + c * lanes),
                                 sum[r][c]);
      __builtin_prefetch(ahead, 0, 2);
      ahead += ahead_step;
      a += a_depth;
      panel += Columns * lanes;
    }
  }

  float* out = p.out + row * out_row;
#pragma GCC unroll 8
  for (std::size_t r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (std::size_t c = 0; c < Columns; ++c) hn::StoreU(sum[r][c], d, out + r * out_row + c * lanes);
}

template <std::size_t Columns, bool PerGate>
void multiply_columns(const Product& p) {
  for_each_row_tile<max_tile_rows>(
      p.rows, [&](auto rows, std::size_t row) { multiply_tile<rows(), Columns, PerGate>(p, row); });
}

void multiply(const Product& p) {
  switch (p.vectors) {
    case 1:
      return multiply_columns<1, false>(p);
    case 2:
      return multiply_columns<2, false>(p);
    case 3:
      return multiply_columns<3, false>(p);
    case 4:
      return p.a_gate ? multiply_columns<4, true>(p) : multiply_columns<4, false>(p);
  }
}

// ------------------------------------------------------------------------------------------------------------ the cell

/// Two loops, for a processor looks only some hundred instructions ahead, and a row's chain of them is long.
template <class GateKind>
void cell_forward_with(const CellForward& p) {
  const Float d;
  const std::size_t lanes = hn::Lanes(d);
  for (std::size_t r = 0; r < p.rows; ++r) {
    float* gates = p.gates + r * 4 * lanes;
    const Vector i = GateKind::activate(d, hn::LoadU(d, gates));
    const Vector f = GateKind::activate(d, hn::LoadU(d, gates + lanes));
    const Vector g = tanh(d, hn::LoadU(d, gates + 2 * lanes));
    const Vector o = GateKind::activate(d, hn::LoadU(d, gates + 3 * lanes));
    hn::StoreU(i, d, gates);
    hn::StoreU(f, d, gates + lanes);
    hn::StoreU(g, d, gates + 2 * lanes);
    hn::StoreU(o, d, gates + 3 * lanes);
    hn::StoreU(hn::MulAdd(f, hn::LoadU(d, p.cell_before + r * lanes), hn::Mul(i, g)), d, p.cell_after + r * lanes);
  }
  for (std::size_t r = 0; r < p.rows; ++r) {
    const Vector o = hn::LoadU(d, p.gates + (r * 4 + 3) * lanes);
    const Vector h = hn::Mul(o, tanh(d, hn::LoadU(d, p.cell_after + r * lanes)));
    hn::StoreU(h, d, p.h + r * p.h_row);
    if (p.h_above) hn::StoreU(h, d, p.h_above + r * p.h_above_row);
  }
}

template <class GateKind>
void cell_backward_with(const CellBackward& p) {
  const Float d;
  const std::size_t lanes = hn::Lanes(d);
  const Vector one = hn::Set(d, 1.0f);
  for (std::size_t r = 0; r < p.rows; ++r) {
    const float* gates = p.gates + r * 4 * lanes;
    const Vector i = hn::LoadU(d, gates), f = hn::LoadU(d, gates + lanes);
    const Vector g = hn::LoadU(d, gates + 2 * lanes), o = hn::LoadU(d, gates + 3 * lanes);
    // A gate that is shut lets nothing through, so that any number serves as tanh(c). In lanes beyond the layer's units
    // h is of whatever follows: cut, it makes no NaN.
    const Vector quotient = hn::Div(hn::LoadU(d, p.h + r * p.h_row), hn::Max(o, hn::Set(d, 1e-30f)));
    const Vector tanh_c = limit(d, quotient, -1.0f, 1.0f);
    Vector dh = hn::LoadU(d, p.dh + r * p.dh_row);
    if (p.dh_above) dh = hn::Add(dh, hn::LoadU(d, p.dh_above + r * p.dh_above_row));
    const Vector dtanh = hn::Mul(dh, o);
    const Vector dc = hn::MulAdd(dtanh, hn::NegMulAdd(tanh_c, tanh_c, one), hn::LoadU(d, p.dcell + r * lanes));
    float* dz = p.dz + r * 4 * lanes;
    hn::StoreU(hn::Mul(hn::Mul(dc, g), GateKind::slope(d, i)), d, dz);
    hn::StoreU(hn::Mul(hn::Mul(dc, hn::LoadU(d, p.cell_before + r * lanes)), GateKind::slope(d, f)), d, dz + lanes);
    hn::StoreU(hn::Mul(hn::Mul(dc, i), hn::NegMulAdd(g, g, one)), d, dz + 2 * lanes);
    hn::StoreU(hn::Mul(hn::Mul(dh, tanh_c), GateKind::slope(d, o)), d, dz + 3 * lanes);
    hn::StoreU(hn::Mul(dc, f), d, p.dcell + r * lanes);
  }
}

void cell_forward(const CellForward& p) {
  with_gate(p.gate, [&](auto kind) { cell_forward_with<decltype(kind)>(p); });
}

void cell_backward(const CellBackward& p) {
  with_gate(p.gate, [&](auto kind) { cell_backward_with<decltype(kind)>(p); });
}

// ------------------------------------------------------------------------------------------------------- dropout masks

void mask_gates(const MaskGates& p) {
  const Float d;
  const std::size_t lanes = hn::Lanes(d);
  for (std::size_t q = 0; q < 4; ++q)
    for (std::size_t r = 0; r < p.rows; ++r) {
      const float* a = p.a + r * p.width;
      const float* mask = p.masks + (q * p.batch + r % p.batch) * p.width;
      float* out = p.out + q * p.out_gate + r * p.width;
      for (std::size_t k = 0; k < p.width; k += lanes)
        hn::StoreU(hn::Mul(hn::LoadU(d, a + k), hn::LoadU(d, mask + k)), d, out + k);
    }
}

void mask_sum(const MaskSum& p) {
  const Float d;
  for (std::size_t e = 0; e < p.size; e += hn::Lanes(d)) {
    Vector sum = hn::Zero(d);
    for (std::size_t q = 0; q < 4; ++q)
      sum = hn::MulAdd(hn::LoadU(d, p.products + q * p.size + e), hn::LoadU(d, p.masks + q * p.size + e), sum);
    hn::StoreU(sum, d, p.out + e);
  }
}

LstmKernels kernels() { return {hn::Lanes(Float()), multiply, cell_forward, cell_backward, mask_gates, mask_sum}; }

}  // namespace
}  // namespace genretree::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genretree::cpu {

HWY_EXPORT(kernels);

LstmKernels lstm_kernels(std::int64_t target) { return entry_for(target, HWY_DISPATCH_TABLE(kernels))(); }

}  // namespace genretree::cpu
#endif
