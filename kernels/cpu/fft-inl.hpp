// A fast Fourier transform of as many signals as a vector has lanes, one signal per lane, so that no step ever moves
// data between lanes. Highway includes this file once per instruction set.
//
// Decimation in frequency (Gentleman and Sande 1966), radix 4, in place: the result stands in digit-reversed order, and
// the reader looks up where. One pass over n elements leaves four transforms of n / 4; they are done one after another,
// so that all but the first passes stay in the nearest cache.

#if defined(GENRETREE_KERNELS_CPU_FFT_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef GENRETREE_KERNELS_CPU_FFT_INL_HPP
#undef GENRETREE_KERNELS_CPU_FFT_INL_HPP
#else
#define GENRETREE_KERNELS_CPU_FFT_INL_HPP
#endif

#include <cmath>
#include <cstdint>
#include <hwy/highway.h>
#include <numbers>
#include <vector>

HWY_BEFORE_NAMESPACE();
namespace genretree::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using FloatVector = hn::Vec<FloatTag>;

/// One complex number of each signal.
struct ComplexVector {
  FloatVector re, im;
};

HWY_INLINE ComplexVector operator+(ComplexVector a, ComplexVector b) {
  return {hn::Add(a.re, b.re), hn::Add(a.im, b.im)};
}
HWY_INLINE ComplexVector operator-(ComplexVector a, ComplexVector b) {
  return {hn::Sub(a.re, b.re), hn::Sub(a.im, b.im)};
}
/// -i a
HWY_INLINE ComplexVector turned_back(ComplexVector a) { return {a.im, hn::Neg(a.re)}; }
HWY_INLINE ComplexVector operator*(ComplexVector a, ComplexVector b) {
  return {hn::NegMulAdd(a.im, b.im, hn::Mul(a.re, b.re)), hn::MulAdd(a.im, b.re, hn::Mul(a.re, b.im))};
}

/// Element i of an array of complex vectors, real and imaginary parts in turn.
HWY_INLINE ComplexVector load_complex(const float* z, std::size_t i) {
  const FloatTag d;
  const std::size_t lanes = hn::Lanes(d);
  return {hn::Load(d, z + 2 * i * lanes), hn::Load(d, z + (2 * i + 1) * lanes)};
}
HWY_INLINE void store_complex(ComplexVector a, float* z, std::size_t i) {
  const FloatTag d;
  const std::size_t lanes = hn::Lanes(d);
  hn::Store(a.re, d, z + 2 * i * lanes);
  hn::Store(a.im, d, z + (2 * i + 1) * lanes);
}
/// The same complex number for every signal.
HWY_INLINE ComplexVector set_complex(const float* re_im) {
  const FloatTag d;
  return {hn::Set(d, re_im[0]), hn::Set(d, re_im[1])};
}

/// A transform of n = 2^m complex elements.
class LaneFft {
 public:
  explicit LaneFft(std::size_t n) : n_(n) {
    for (std::size_t size = n; size >= 4; size /= 4)
      for (std::size_t k = 0; k < size / 4; ++k)
        for (std::size_t power = 1; power <= 3; ++power) {
          const double angle = -2 * std::numbers::pi * static_cast<double>(k * power) / static_cast<double>(size);
          twiddles_.push_back(static_cast<float>(std::cos(angle)));
          twiddles_.push_back(static_cast<float>(std::sin(angle)));
        }
    for (std::size_t k = 0; k < n; ++k) positions_.push_back(static_cast<std::uint32_t>(position(k, n)));
  }

  /// Where result k stands: [n]
  const std::uint32_t* positions() const { return positions_.data(); }

  /// Transforms what load(i) gives for element i; the result goes to z [n][2][lanes], which load may read from.
  template <class Load>
  HWY_INLINE void run(const Load& load, float* z) const {
    if (n_ < 4) {
      for (std::size_t i = 0; i < n_; ++i) store_complex(load(i), z, i);
      if (n_ == 2) radix_2(z);
      return;
    }
    radix_4_pass(n_, twiddles_.data(), load, z);
    if (n_ > 4) quarters(n_, twiddles_.data(), z);
  }

 private:
  static std::size_t position(std::size_t k, std::size_t n) {
    if (n <= 2) return k;
    return k % 4 * (n / 4) + position(k / 4, n / 4);
  }

  /// The four transforms that a pass over n elements left.
  void quarters(std::size_t n, const float* twiddles, float* z) const {
    const std::size_t lanes = hn::Lanes(FloatTag());
    for (std::size_t q = 0; q < 4; ++q) transform(n / 4, twiddles + 6 * (n / 4), z + q * (n / 4) * 2 * lanes);
  }

  void transform(std::size_t n, const float* twiddles, float* z) const {
    if (n == 2) return radix_2(z);
    radix_4_pass(
        n, twiddles, [z](std::size_t i) HWY_ATTR { return load_complex(z, i); }, z);
    if (n > 4) quarters(n, twiddles, z);
  }

  static HWY_INLINE void radix_2(float* z) {
    const ComplexVector a = load_complex(z, 0), b = load_complex(z, 1);
    store_complex(a + b, z, 0);
    store_complex(a - b, z, 1);
  }

  /// twiddles: [n / 4][3] w^k, w^2k, w^3k with w = exp(-2πi / n)
  template <class Load>
  static HWY_INLINE void radix_4_pass(std::size_t n, const float* HWY_RESTRICT twiddles, const Load& load, float* z) {
    const std::size_t quarter = n / 4;
    for (std::size_t k = 0; k < quarter; ++k, twiddles += 6) {
      const ComplexVector a = load(k), b = load(k + quarter), c = load(k + 2 * quarter), d = load(k + 3 * quarter);
      const ComplexVector sum_ac = a + c, difference_ac = a - c, sum_bd = b + d, turned_bd = turned_back(b - d);
      store_complex(sum_ac + sum_bd, z, k);
      store_complex((difference_ac + turned_bd) * set_complex(twiddles), z, k + quarter);
      store_complex((sum_ac - sum_bd) * set_complex(twiddles + 2), z, k + 2 * quarter);
      store_complex((difference_ac - turned_bd) * set_complex(twiddles + 4), z, k + 3 * quarter);
    }
  }

  std::size_t n_;
  std::vector<float> twiddles_;  ///< of each pass, the largest first
  std::vector<std::uint32_t> positions_;
};

}  // namespace genretree::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
