#include "kernels/cpu/memory_speed.hpp"
#include "kernels/cpu/target.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

// what bench calls bytes per second is only that if nothing is left out
TEST_CASE("memory speed: every element is read and written, on every target") {
  const std::size_t size = 3 * cpu::memory_speed_round;
  std::vector<float> b(size), c(size);
  for (std::size_t k = 0; k < size; ++k) b[k] = static_cast<float>(k), c[k] = static_cast<float>(size - k);
  for (const std::int64_t target : cpu::supported_targets()) {
    CAPTURE(cpu::target_name(target));
    CHECK(cpu::read_all(target, b.data(), size) == static_cast<float>(size * (size - 1) / 2));
    std::vector<float> a(size + 1, -1);
    cpu::triad(target, b.data(), c.data(), 2, a.data(), size);
    for (std::size_t k = 0; k < size; ++k)
      if (a[k] != b[k] + 2 * c[k]) FAIL("element " << k);
    CHECK(a[size] == -1);
  }
}

}  // namespace
}  // namespace genretree
