// The power spectra of as many real signals as a vector has lanes, one signal per lane, so that no step ever moves data
// between lanes. Highway includes this file once per instruction set.
//
// A signal a of n samples is the polynomial Σ a[i] x^i, and its Fourier transform the values at x = exp(-2πi k / n):
// its remainders modulo each x - exp(-2πi k / n). These are the factors of x^n - 1, which are reached by splitting
// factors in two (the fast Fourier transform as Bernstein tells it in "The tangent FFT", 2007):
//   real:    x^2m - 1  = (x^m - 1) (x^m + 1)   sums and differences of the halves
//            x^2m + 1  = (x^m - i) (x^m + i)   the first half becomes the real part, the second the imaginary part, and
//                                              x^m + i has the conjugates of x^m - i: it is left out
//   complex: x^2m - w² = (x^m - w) (x^m + w)   low + w high, low - w high
// A factor is called by a number: 0 is x^n - 1, and factor b splits into 2b (with the -) and 2b + 1. With
// turns(2b + c) = (turns(b) + c) / 2, factor b is x^m - exp(-2πi turns(b)), and it is split by w = root(b) =
// exp(-πi turns(b)), whatever m is. So root(2b + 1) = -i root(2b), and x^m - i, from which on all is complex, is 3.
// Up to four splits are done in registers, and each part then on its own, so that it stays in the nearest cache.

#if defined(GENRETREE_KERNELS_CPU_FFT_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef GENRETREE_KERNELS_CPU_FFT_INL_HPP
#undef GENRETREE_KERNELS_CPU_FFT_INL_HPP
#else
#define GENRETREE_KERNELS_CPU_FFT_INL_HPP
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <hwy/cache_control.h>
#include <hwy/highway.h>
#include <numbers>
#include <vector>

HWY_BEFORE_NAMESPACE();
namespace genretree::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class Number>
using Vector = hn::Vec<hn::ScalableTag<Number>>;
using FloatTag = hn::ScalableTag<float>;
using FloatVector = Vector<float>;

/// One complex number of each signal; Number is float or double.
template <class Number>
struct ComplexVector {
  Vector<Number> re, im;
};

/// Element i of an array of complex vectors, real and imaginary parts in turn.
template <class Number>
HWY_INLINE ComplexVector<Number> load_complex(const Number* z, std::size_t i) {
  const hn::ScalableTag<Number> d;
  const std::size_t lanes = hn::Lanes(d);
  return {hn::Load(d, z + 2 * i * lanes), hn::Load(d, z + (2 * i + 1) * lanes)};
}
template <class Number>
HWY_INLINE void store_complex(ComplexVector<Number> a, Number* z, std::size_t i) {
  const hn::ScalableTag<Number> d;
  const std::size_t lanes = hn::Lanes(d);
  hn::Store(a.re, d, z + 2 * i * lanes);
  hn::Store(a.im, d, z + (2 * i + 1) * lanes);
}
/// What will be stored there soon is not in the nearest cache: 16 frames fill 128 KB.
template <class Number>
HWY_INLINE void prefetch_complex(const Number* z, std::size_t i) {
  const std::size_t lanes = hn::Lanes(hn::ScalableTag<Number>());
  hwy::Prefetch(z + 2 * i * lanes), hwy::Prefetch(z + (2 * i + 1) * lanes);
}
/// The same complex number for every signal.
template <class Number>
HWY_INLINE ComplexVector<Number> set_complex(const Number* re_im) {
  const hn::ScalableTag<Number> d;
  return {hn::Set(d, re_im[0]), hn::Set(d, re_im[1])};
}

/// (low, high) → (low + high, low - high)
template <class V>
HWY_INLINE void split(V& low, V& high) {
  const auto sum = hn::Add(low, high);
  high = hn::Sub(low, high);
  low = sum;
}
/// (low, high) → (low + w high, low - w high), the latter as 2 low - (low + w high): six multiply-adds in all.
template <class Number>
HWY_INLINE void split(ComplexVector<Number>& low, ComplexVector<Number>& high, ComplexVector<Number> w) {
  const auto two = hn::Set(hn::ScalableTag<Number>(), Number{2});
  const auto re = hn::MulAdd(w.re, high.re, hn::NegMulAdd(w.im, high.im, low.re));
  const auto im = hn::MulAdd(w.re, high.im, hn::MulAdd(w.im, high.re, low.im));
  high = {hn::MulSub(two, low.re, re), hn::MulSub(two, low.im, im)};
  low = {re, im};
}
/// The same with -i w in place of w.
template <class Number>
HWY_INLINE void split_turned(ComplexVector<Number>& low, ComplexVector<Number>& high, ComplexVector<Number> w) {
  const auto two = hn::Set(hn::ScalableTag<Number>(), Number{2});
  const auto re = hn::MulAdd(w.im, high.re, hn::MulAdd(w.re, high.im, low.re));
  const auto im = hn::MulAdd(w.im, high.im, hn::NegMulAdd(w.re, high.re, low.im));
  high = {hn::MulSub(two, low.re, re), hn::MulSub(two, low.im, im)};
  low = {re, im};
}

/// |Fourier transform|² of n = 2^m real samples, n at least 4, computed in floats or doubles.
template <class Number>
class LanePowerSpectrum {
  using Tag = hn::ScalableTag<Number>;
  using Complex = ComplexVector<Number>;

 public:
  explicit LanePowerSpectrum(std::size_t n) : n_(n), bins_(n / 2 + 1) {
    // result m + i is what factor 3 of degree m, a power of two, is split into: the factor 3 m + i of degree 1
    std::vector<double> turns(n);
    for (std::size_t b = 1; b < n; ++b) turns[b] = (turns[b / 2] + static_cast<double>(b % 2)) / 2;
    for (std::size_t b = 0; b < n / 2; ++b) {
      roots_.push_back(static_cast<Number>(std::cos(std::numbers::pi * turns[b])));
      roots_.push_back(static_cast<Number>(-std::sin(std::numbers::pi * turns[b])));
    }
    for (std::size_t m = 1; m <= n / 4; m *= 2)
      for (std::size_t i = 0; i < m; ++i) {
        const auto k = static_cast<std::size_t>(turns[3 * m + i] * static_cast<double>(n));
        bins_[m + i] = std::min(k, n - k);
      }
    bins_[n / 2] = n / 2;
  }

  /// The bin of each result: [n / 2 + 1]
  const std::vector<std::size_t>& bins() const { return bins_; }

  /// Numbers of scratch memory that run() needs.
  std::size_t scratch_size() const { return (n_ + std::max<std::size_t>(n_ / 8, 8)) * hn::Lanes(Tag()); }

  /// The spectrum of the signal whose element i is load(i): calls take(i, power) for i = 0 … n / 2 in some order.
  template <class Load, class Take>
  HWY_INLINE void run(const Load& load, Number* HWY_RESTRICT scratch, const Take& take) const {
    const Tag d;
    const std::size_t step = hn::Lanes(d);
    Number *HWY_RESTRICT z = scratch, *HWY_RESTRICT real = scratch + n_ * step;
    std::size_t n = n_;
    if (n >= 16) {
      split_real_in_16(load, real, z);
      for (std::size_t m = 1; m <= 4; m *= 2)
        for (std::size_t i = 0; i < m; ++i) split_down(n / 16, 3 * m + i, (m + i) * (n / 16), z, take);
      n /= 8;
    } else {
      for (std::size_t i = 0; i < n; ++i) hn::Store(load(i), d, real + i * step);
    }
    for (; n >= 4; n /= 2) {
      split_real(n, real, z);
      split_down(n / 4, 3, n / 4, z, take);
    }
    const auto a = hn::Load(d, real), b = hn::Load(d, real + step);
    const auto first = hn::Add(a, b), last = hn::Sub(a, b);
    take(0, hn::Mul(first, first));
    take(n_ / 2, hn::Mul(last, last));
  }

 private:
  Complex root(std::size_t b) const { return set_complex(&roots_[2 * b]); }

  /// x^n - 1: leaves the remainder modulo x^(n/2) - 1 in `real` and that modulo x^(n/4) - i from z[n / 4] on.
  static HWY_INLINE void split_real(std::size_t n, Number* HWY_RESTRICT real, Number* HWY_RESTRICT z) {
    const Tag d;
    const std::size_t m = n / 4, step = hn::Lanes(d);
    for (std::size_t i = 0; i < m; ++i) {
      const auto v0 = hn::Load(d, real + i * step), v1 = hn::Load(d, real + (i + m) * step);
      const auto v2 = hn::Load(d, real + (i + 2 * m) * step), v3 = hn::Load(d, real + (i + 3 * m) * step);
      hn::Store(hn::Add(v0, v2), d, real + i * step);
      hn::Store(hn::Add(v1, v3), d, real + (i + m) * step);
      store_complex({hn::Sub(v0, v2), hn::Sub(v1, v3)}, z, m + i);
    }
  }

  /// The first splits of x^n - 1, n = 16 m: leaves the remainder modulo x^2m - 1 in `real`, those modulo the factors 3,
  /// 6 and 7, 12 to 15 of degree m at z[m], z[2m], …, z[7m].
  template <class Load>
  HWY_INLINE void split_real_in_16(const Load& load, Number* HWY_RESTRICT real, Number* HWY_RESTRICT z) const {
    const Tag d;
    const std::size_t m = n_ / 16, step = hn::Lanes(d);
    const Complex root3 = root(3), root6 = root(6);
    for (std::size_t i = 0; i < m; ++i) {
      for (std::size_t part = 1; part < 8; ++part) prefetch_complex(z, i + part * m + 8);
      Vector<Number> s0 = load(i), s8 = load(i + 8 * m), s4 = load(i + 4 * m), s12 = load(i + 12 * m);
      Vector<Number> s2 = load(i + 2 * m), s10 = load(i + 10 * m), s6 = load(i + 6 * m), s14 = load(i + 14 * m);
      Vector<Number> s1 = load(i + m), s9 = load(i + 9 * m), s5 = load(i + 5 * m), s13 = load(i + 13 * m);
      Vector<Number> s3 = load(i + 3 * m), s11 = load(i + 11 * m), s7 = load(i + 7 * m), s15 = load(i + 15 * m);
      split(s0, s8), split(s4, s12), split(s2, s10), split(s6, s14);
      split(s1, s9), split(s5, s13), split(s3, s11), split(s7, s15);
      Complex v4{s8, s12}, v5{s9, s13}, v6{s10, s14}, v7{s11, s15};
      split(v4, v6, root3), split(v5, v7, root3);
      split(v4, v5, root6), split_turned(v6, v7, root6);
      store_complex(v4, z, i + 4 * m), store_complex(v5, z, i + 5 * m);
      store_complex(v6, z, i + 6 * m), store_complex(v7, z, i + 7 * m);
      split(s0, s4), split(s1, s5), split(s2, s6), split(s3, s7);
      Complex v2{s4, s6}, v3{s5, s7};
      split(v2, v3, root3);
      store_complex(v2, z, i + 2 * m), store_complex(v3, z, i + 3 * m);
      split(s0, s2), split(s1, s3);
      store_complex({s2, s3}, z, i + m);
      hn::Store(s0, d, real + i * step), hn::Store(s1, d, real + (i + m) * step);
    }
  }

  /// Splits factor b of degree m, whose remainder stands from z[first] on, down to degree 1: the results first …
  /// first + m - 1.
  template <class Take>
  void split_down(std::size_t m, std::size_t b, std::size_t first, Number* z, const Take& take) const {
    const auto to_memory = [=](std::size_t i, Complex v) HWY_ATTR { store_complex(v, z, i); };
    const auto to_taker = [=](std::size_t i, Complex v)
                              HWY_ATTR { take(i, hn::MulAdd(v.re, v.re, hn::Mul(v.im, v.im))); };
    switch (m) {
      case 1:
        return to_taker(first, load_complex(z, first));
      case 2:
        return split_in_2(b, first, z, to_taker);
      case 4:
        return split_in_4(m, b, first, z, to_taker);
      case 8:
        return split_in_8(m, b, first, z, to_taker);
    }
    const bool by_8 = m % 7 == 1;  // a power of 8; other powers of 2 are first brought to one
    by_8 ? split_in_8(m, b, first, z, to_memory) : split_in_4(m, b, first, z, to_memory);
    const std::size_t parts = by_8 ? 8 : 4, degree = m / parts;
    for (std::size_t i = 0; i < parts; ++i) split_down(degree, parts * b + i, first + i * degree, z, take);
  }

  template <class Give>
  HWY_INLINE void split_in_2(std::size_t b, std::size_t first, const Number* z, const Give& give) const {
    Complex v0 = load_complex(z, first), v1 = load_complex(z, first + 1);
    split(v0, v1, root(b));
    give(first, v0), give(first + 1, v1);
  }

  template <class Give>
  HWY_INLINE void split_in_4(std::size_t m, std::size_t b, std::size_t first, const Number* z, const Give& give) const {
    const Complex root1 = root(b), root2 = root(2 * b);
    const std::size_t part = m / 4;
    for (std::size_t i = first; i < first + part; ++i) {
      Complex v0 = load_complex(z, i), v1 = load_complex(z, i + part);
      Complex v2 = load_complex(z, i + 2 * part), v3 = load_complex(z, i + 3 * part);
      split(v0, v2, root1), split(v1, v3, root1);
      split(v0, v1, root2), split_turned(v2, v3, root2);
      give(i, v0), give(i + part, v1), give(i + 2 * part, v2), give(i + 3 * part, v3);
    }
  }

  template <class Give>
  HWY_INLINE void split_in_8(std::size_t m, std::size_t b, std::size_t first, const Number* z, const Give& give) const {
    const Complex root1 = root(b), root2 = root(2 * b), root4 = root(4 * b), root6 = root(4 * b + 2);
    const std::size_t part = m / 8;
    for (std::size_t i = first; i < first + part; ++i) {
      Complex v0 = load_complex(z, i), v1 = load_complex(z, i + part);
      Complex v2 = load_complex(z, i + 2 * part), v3 = load_complex(z, i + 3 * part);
      Complex v4 = load_complex(z, i + 4 * part), v5 = load_complex(z, i + 5 * part);
      Complex v6 = load_complex(z, i + 6 * part), v7 = load_complex(z, i + 7 * part);
      split(v0, v4, root1), split(v1, v5, root1), split(v2, v6, root1), split(v3, v7, root1);
      split(v0, v2, root2), split(v1, v3, root2), split_turned(v4, v6, root2), split_turned(v5, v7, root2);
      split(v0, v1, root4), split_turned(v2, v3, root4), split(v4, v5, root6), split_turned(v6, v7, root6);
      give(i, v0), give(i + part, v1), give(i + 2 * part, v2), give(i + 3 * part, v3);
      give(i + 4 * part, v4), give(i + 5 * part, v5), give(i + 6 * part, v6), give(i + 7 * part, v7);
    }
  }

  std::size_t n_;
  std::vector<Number> roots_;      ///< [n / 2][2]
  std::vector<std::size_t> bins_;  ///< [n / 2 + 1]
};

}  // namespace genretree::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
