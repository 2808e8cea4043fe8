#include "kernels/cpu/memory_speed.hpp"
#include "kernels/cpu/target.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/memory_speed.cpp"
// clang-format off
#include <hwy/foreach_target.h>  // must come first: it includes this file once per target
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace genretree::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

/// Several sums side by side: one alone would wait for its additions, not for the memory.
float sum_all(const float* data, std::size_t size) {
  const hn::ScalableTag<float> d;
  constexpr std::size_t chains = 8;
  const std::size_t lanes = hn::Lanes(d);
  hn::Vec<decltype(d)> sums[chains];
  for (auto& sum : sums) sum = hn::Zero(d);
  for (std::size_t k = 0; k < size; k += chains * lanes) {
#pragma GCC unroll 8
    for (std::size_t chain = 0; chain < chains; ++chain)
      sums[chain] = hn::Add(sums[chain], hn::LoadU(d, data + k + chain * lanes));
  }
  auto total = hn::Zero(d);
  for (const auto& sum : sums) total = hn::Add(total, sum);
  return hn::GetLane(hn::SumOfLanes(d, total));
}

void add_scaled(const float* b, const float* c, float factor, float* a, std::size_t size) {
  const hn::ScalableTag<float> d;
  const auto factors = hn::Set(d, factor);
  for (std::size_t k = 0; k < size; k += hn::Lanes(d))
    hn::StoreU(hn::MulAdd(factors, hn::LoadU(d, c + k), hn::LoadU(d, b + k)), d, a + k);
}

}  // namespace
}  // namespace genretree::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genretree::cpu {

HWY_EXPORT(sum_all);
HWY_EXPORT(add_scaled);

float read_all(std::int64_t target, const float* data, std::size_t size) {
  return entry_for(target, HWY_DISPATCH_TABLE(sum_all))(data, size);
}

void triad(std::int64_t target, const float* b, const float* c, float factor, float* a, std::size_t size) {
  entry_for(target, HWY_DISPATCH_TABLE(add_scaled))(b, c, factor, a, size);
}

}  // namespace genretree::cpu
#endif
