#include <cmath>
#include <numeric>
#include <span>

#include "kernels/cpu/target.hpp"
#include "kernels/cpu/update.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/update.cpp"
// clang-format off
#include <hwy/foreach_target.h>  // must come first: it includes this file once per target
#include <hwy/highway.h>
// clang-format on

#ifndef GENRETREE_UPDATE_ONCE
#define GENRETREE_UPDATE_ONCE
namespace genretree::cpu {

/// Parameters of one run. `rate` is the learning rate, for Adam with its bias correction; gradients are multiplied by
/// `clip`, and `decay` of a parameter is taken from it.
struct Update {
  Optimiser::Kind kind;
  float rate, beta1, one_minus_beta1, one_minus_beta2, epsilon, clip, decay;
  std::size_t size;
  float* parameters;
  const float* gradients;
  float* m;
  float* v;
};

}  // namespace genretree::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace genretree::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

/// Parameters e … of one vector. Formulas: kernels/ops.hpp, Optimiser.
template <class D>
HWY_INLINE void update_vector(D d, const Update& u, std::size_t e) {
  using V = hn::Vec<D>;
  const V g = hn::Mul(hn::LoadU(d, u.gradients + e), hn::Set(d, u.clip)), rate = hn::Set(d, u.rate);
  const V p = hn::LoadU(d, u.parameters + e);
  // a decay is so small a part of p that it is added to the step before p is rounded
  const auto decayed = [&](V step) { return u.decay > 0 ? hn::NegMulAdd(hn::Set(d, u.decay), p, step) : step; };
  if (u.kind == Optimiser::Kind::sgd) {
    const V m = hn::MulSub(hn::Set(d, u.beta1), hn::LoadU(d, u.m + e), hn::Mul(rate, g));
    hn::StoreU(m, d, u.m + e);
    hn::StoreU(hn::Add(p, decayed(m)), d, u.parameters + e);
    return;
  }
  V v = hn::LoadU(d, u.v + e);
  v = hn::MulAdd(hn::Set(d, u.one_minus_beta2), hn::MulSub(g, g, v), v);
  hn::StoreU(v, d, u.v + e);
  V direction = g;
  if (u.kind == Optimiser::Kind::adam) {
    const V m = hn::LoadU(d, u.m + e);
    direction = hn::MulAdd(hn::Set(d, u.one_minus_beta1), hn::Sub(g, m), m);
    hn::StoreU(direction, d, u.m + e);
  }
  const V step = hn::Div(hn::Mul(rate, direction), hn::Add(hn::Sqrt(v), hn::Set(d, u.epsilon)));
  hn::StoreU(hn::Add(p, decayed(hn::Neg(step))), d, u.parameters + e);
}

void update_run(const Update& u) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> single;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t e = 0;
  for (; e + lanes <= u.size; e += lanes) update_vector(d, u, e);
  for (; e < u.size; ++e) update_vector(single, u, e);
}

}  // namespace
}  // namespace genretree::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genretree::cpu {

HWY_EXPORT(update_run);

namespace {

/// The Euclidean norm, by the same additions on every instruction set.
double norm_of(std::span<const float> values) {
  constexpr std::size_t parts = 8;
  double sums[parts] = {};
  for (; values.size() >= parts; values = values.subspan(parts))
    for (std::size_t i = 0; i < parts; ++i) sums[i] += static_cast<double>(values[i]) * values[i];
  for (std::size_t i = 0; i < values.size(); ++i) sums[i] += static_cast<double>(values[i]) * values[i];
  return std::sqrt(std::accumulate(sums, sums + parts, 0.0));
}

}  // namespace

void update(std::int64_t target, const Optimiser& optimiser, const Group& group, View<const float, 1> rates,
            View<std::int64_t, 1> steps, View<float, 2> parameters, View<const float, 2> gradients,
            View<float, 3> moments) {
  const auto [kind, learning_rate, beta1, beta2, epsilon, weight_decay, clip_norm, constants] = optimiser;
  const auto single = [](double value) { return static_cast<float>(value); };
  for (std::size_t r = 0; r < group.runs; ++r) {
    if (group.rows[r] == 0) continue;
    const double t = static_cast<double>(++steps[r]);
    const double plain_rate = learning_rate * (rates.empty() ? 1 : rates[r]);
    double rate = plain_rate, clip = 1;
    if (kind == Optimiser::Kind::adam) rate *= std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t));
    if (clip_norm > 0)
      if (const double norm = norm_of(gradients[r].flat()); norm > clip_norm) clip = clip_norm / norm;
    const auto update_part = [&](std::size_t first, std::size_t end, double decay) {
      entry_for(target, HWY_DISPATCH_TABLE(update_run))(
          {kind, single(rate), single(beta1), single(1 - beta1), single(1 - beta2), single(epsilon), single(clip),
           single(decay), end - first, parameters[r].data + first, gradients[r].data + first,
           moments[r][0].data + first, moments[r][1].data + first});
    };
    update_part(0, constants, 0);
    update_part(constants, parameters.shape[1], plain_rate * weight_decay);
  }
}

}  // namespace genretree::cpu
#endif
