// Sigmoid and tanh of vectors for each target (no include guard of the common kind: Highway includes this once for
// each). Relative errors stay below 4e-7; the sigmoid's grows with |x|·6e-8 where it is small (x < -8). A NaN stays
// one.
#if defined(GENRETREE_ACTIVATIONS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef GENRETREE_ACTIVATIONS_INL
#undef GENRETREE_ACTIVATIONS_INL
#else
#define GENRETREE_ACTIVATIONS_INL
#endif

#include "kernels/cpu/target.hpp"
#include "kernels/ops.hpp"

HWY_BEFORE_NAMESPACE();
namespace genretree::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// e^{ax} for |ax| ≤ 87. ax·log2(e) = n + f with n whole and |f| ≤ 1/2; the polynomial for 2^f is the one of degree 5
/// with the smallest relative error that is exact at 0 (9e-8). Adding 1.5·2^23 rounds to a whole number and leaves n in
/// the low bits.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exponential(D d, float a, V x) {
  const hn::RebindToSigned<D> di;
  const V a_log2_e = hn::Set(d, a * 1.44269504f), magic = hn::Set(d, 12582912.0f);
  const V shifted = hn::MulAdd(x, a_log2_e, magic);
  const V f = hn::MulSub(x, a_log2_e, hn::Sub(shifted, magic));
  V p = hn::MulAdd(f, hn::Set(d, 1.326472506e-3f), hn::Set(d, 9.671512652e-3f));
  p = hn::MulAdd(f, p, hn::Set(d, 5.550733750e-2f));
  p = hn::MulAdd(f, p, hn::Set(d, 2.402224208e-1f));
  p = hn::MulAdd(f, p, hn::Set(d, 6.931469776e-1f));
  p = hn::MulAdd(f, p, hn::Set(d, 1.0f));
  const auto exponent = hn::Add(hn::ShiftLeft<23>(hn::BitCast(di, shifted)), hn::Set(di, 0x3F800000));
  return hn::Mul(p, hn::BitCast(d, exponent));
}

/// 1 / x for x ≥ 1. AVX-512's 14-bit estimate and one step of Newton's method cost a third of its division.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V reciprocal(D d, V x) {
  const V one = hn::Set(d, 1.0f);
#if HWY_TARGET <= HWY_AVX3
  const V estimate = hn::ApproximateReciprocal(x);
  return hn::MulAdd(estimate, hn::NegMulAdd(x, estimate, one), estimate);
#else
  return hn::Div(one, x);
#endif
}

/// x cut to low … high; a NaN stays one. Of a number and a NaN x86 returns the second, other targets the number.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V limit(D d, V x, float low, float high) {
  const V cut = hn::Min(hn::Set(d, high), hn::Max(hn::Set(d, low), x));
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_SSSE3
  return cut;
#else
  return hn::IfThenElse(hn::Eq(x, x), cut, x);
#endif
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid(D d, V x) {
  return reciprocal(d, hn::Add(exponential(d, -1.0f, limit(d, x, -87.0f, 87.0f)), hn::Set(d, 1.0f)));
}

/// tanh(x) = x·p(x²) / q(x²), p and q of degree 4, the quotient with the smallest relative error for |x| ≤ 9 (2e-8). It
/// is cut at ±8, where it is 1 - 2e-7: rounding never carries it beyond ±1.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V tanh(D d, V x) {
  x = limit(d, x, -8.0f, 8.0f);
  const V s = hn::Mul(x, x), one = hn::Set(d, 1.0f);
  V p = hn::MulAdd(s, hn::Set(d, 1.335527537e-8f), hn::Set(d, 2.060952964e-5f));
  V q = hn::MulAdd(s, hn::Set(d, 7.776811223e-7f), hn::Set(d, 3.285679292e-4f));
  p = hn::MulAdd(s, p, hn::Set(d, 3.495615295e-3f));
  q = hn::MulAdd(s, q, hn::Set(d, 2.587708543e-2f));
  p = hn::MulAdd(s, p, hn::Set(d, 1.338104847e-1f));
  q = hn::MulAdd(s, q, hn::Set(d, 4.671436407e-1f));
  return hn::Div(hn::Mul(x, hn::MulAdd(s, p, one)), hn::MulAdd(s, q, one));
}

/// The three gates: how z is activated, and the slope of that written with the activated value. A hard gate at its
/// limits has none.
struct SigmoidGate {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V activate(D d, V z) {
    return sigmoid(d, z);
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V slope(D, V activated) {
    return hn::NegMulAdd(activated, activated, activated);
  }
};

template <class D, class V = hn::Vec<D>>
HWY_INLINE V hard_slope(D d, V activated, float slope) {
  const auto inside = hn::And(hn::Gt(activated, hn::Zero(d)), hn::Lt(activated, hn::Set(d, 1.0f)));
  return hn::IfThenElseZero(inside, hn::Set(d, slope));
}

struct HardSigmoidGate {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V activate(D d, V z) {
    return limit(d, hn::MulAdd(z, hn::Set(d, 0.2f), hn::Set(d, 0.5f)), 0.0f, 1.0f);
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V slope(D d, V activated) {
    return hard_slope(d, activated, 0.2f);
  }
};

struct HardSigmoidKeras3Gate {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V activate(D d, V z) {
    return hn::Mul(limit(d, hn::Add(z, hn::Set(d, 3.0f)), 0.0f, 6.0f), hn::Set(d, 1.0f / 6));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V slope(D d, V activated) {
    return hard_slope(d, activated, 1.0f / 6);
  }
};

/// Calls call(kind) with an object of the gate's type.
template <class Call>
void with_gate(Gate gate, Call call) {
  switch (gate) {
    case Gate::sigmoid:
      return call(SigmoidGate());
    case Gate::hard_sigmoid:
      return call(HardSigmoidGate());
    case Gate::hard_sigmoid_keras3:
      return call(HardSigmoidKeras3Gate());
  }
}

}  // namespace genretree::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
