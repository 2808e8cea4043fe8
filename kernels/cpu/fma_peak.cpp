#include "kernels/cpu/fma_peak.hpp"
#include "kernels/cpu/target.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/fma_peak.cpp"
// clang-format off
#include <hwy/foreach_target.h>  // must come first: it includes this file once per target
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace genretree::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

double multiply_adds(std::size_t rounds) {
  const hn::ScalableTag<float> d;
  constexpr std::size_t chains = 12;  // more than latency times multiply-adds a cycle on any processor of today
  hn::Vec<decltype(d)> sums[chains];
  auto factor = hn::Set(d, 0.5f), addend = hn::Set(d, 1.0f);
  for (auto& sum : sums) sum = addend;
  for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (std::size_t chain = 0; chain < chains; ++chain) sums[chain] = hn::MulAdd(sums[chain], factor, addend);
  }
  auto total = hn::Zero(d);
  for (const auto& sum : sums) total = hn::Add(total, sum);
  [[maybe_unused]] const volatile float used = hn::GetLane(total);  // or all of it would be left out
  return 2.0 * static_cast<double>(rounds * chains * hn::Lanes(d));
}

}  // namespace
}  // namespace genretree::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genretree::cpu {

HWY_EXPORT(multiply_adds);

double run_multiply_adds(std::int64_t target, std::size_t rounds) {
  return entry_for(target, HWY_DISPATCH_TABLE(multiply_adds))(rounds);
}

}  // namespace genretree::cpu
#endif
