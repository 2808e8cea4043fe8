#include <cmath>

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

/// All parameters of one run. `rate` is the learning rate, for Adam with its bias correction.
struct Update {
  Optimiser::Kind kind;
  float rate, beta1, one_minus_beta1, one_minus_beta2, epsilon;
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
  const V g = hn::LoadU(d, u.gradients + e), rate = hn::Set(d, u.rate);
  V p = hn::LoadU(d, u.parameters + e);
  if (u.kind == Optimiser::Kind::sgd) {
    const V m = hn::MulSub(hn::Set(d, u.beta1), hn::LoadU(d, u.m + e), hn::Mul(rate, g));
    hn::StoreU(m, d, u.m + e);
    hn::StoreU(hn::Add(p, m), d, u.parameters + e);
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
  p = hn::Sub(p, hn::Div(hn::Mul(rate, direction), hn::Add(hn::Sqrt(v), hn::Set(d, u.epsilon))));
  hn::StoreU(p, d, u.parameters + e);
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

void update(std::int64_t target, const Optimiser& optimiser, const Group& group, View<std::int64_t, 1> steps,
            View<float, 2> parameters, View<const float, 2> gradients, View<float, 3> moments) {
  const auto [kind, learning_rate, beta1, beta2, epsilon] = optimiser;
  for (std::size_t r = 0; r < group.runs; ++r) {
    if (group.rows[r] == 0) continue;
    const double t = static_cast<double>(++steps[r]);
    double rate = learning_rate;
    if (kind == Optimiser::Kind::adam) rate *= std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t));
    const auto single = [](double value) { return static_cast<float>(value); };
    entry_for(target, HWY_DISPATCH_TABLE(update_run))(
        {kind, single(rate), single(beta1), single(1 - beta1), single(1 - beta2), single(epsilon), parameters.shape[1],
         parameters[r].data, gradients[r].data, moments[r][0].data, moments[r][1].data});
  }
}

}  // namespace genretree::cpu
#endif
