// Numbers below 1e-38 count as 0 while an object of this class lives, on this thread. Gradients that vanish over a
// thousand steps end in that range, where processors are a hundred times slower.
#pragma once

#include <cstdint>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace genretree::cpu {

class FlushDenormals {
 public:
  FlushDenormals() : before_(control()) { set_control(before_ | flush_bits); }
  ~FlushDenormals() { set_control(before_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
#if defined(__SSE__)
  static constexpr std::uint64_t flush_bits = 0x8040;  // MXCSR: results to zero (bit 15), operands are zero (bit 6)
  static std::uint64_t control() { return _mm_getcsr(); }
  static void set_control(std::uint64_t bits) { _mm_setcsr(static_cast<unsigned>(bits)); }
#elif defined(__aarch64__)
  static constexpr std::uint64_t flush_bits = 1 << 24;  // FPCR.FZ: both
  static std::uint64_t control() {
    std::uint64_t bits;
    asm volatile("mrs %0, fpcr" : "=r"(bits));
    return bits;
  }
  static void set_control(std::uint64_t bits) { asm volatile("msr fpcr, %0" : : "r"(bits)); }
#else
  static constexpr std::uint64_t flush_bits = 0;  // elsewhere it is only slower
  static std::uint64_t control() { return 0; }
  static void set_control(std::uint64_t) {}
#endif

  std::uint64_t before_;
};

}  // namespace genretree::cpu
