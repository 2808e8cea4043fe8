// The optimisers' step of every backend against the definition.
#include "kernels/reference/backend.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

namespace {

struct Weights {
  std::vector<float> parameters, moments;
};

constexpr std::size_t runs = 3, size = 37;

/// An optimiser of one kind with all that is off by default; of the runs' gradients some are clipped.
Optimiser decaying(Optimiser::Kind kind) {
  return {kind, 0.01, 0.9, 0.99, 1e-7, /*weight_decay*/ 0.3, /*clip_norm*/ 0.06, /*constants*/ 5};
}
constexpr Optimiser::Kind kinds[] = {Optimiser::Kind::adam, Optimiser::Kind::rmsprop, Optimiser::Kind::sgd};

/// Three steps with three gradients of `count` runs from `first` on; run 1 has no rows, run 2 is some steps ahead. With
/// weight decay each run has a learning rate of its own.
Weights three_steps(Backend& backend, const Optimiser& optimiser, std::size_t first = 0, std::size_t count = runs) {
  const auto own = [&](const auto& all) {
    const std::size_t part = all.size() / runs;
    return std::vector(all.begin() + first * part, all.begin() + (first + count) * part);
  };
  const auto queue = backend.device().make_queue();
  test::OnDevice<float> parameters(*queue, own(test::normal_numbers(runs * size, 1))),
      moments(*queue, count * 2 * size, 0);
  const Group group{count, 4, 1, 2, own(std::vector<std::uint32_t>{4, 0, 3}), std::vector<std::uint32_t>(count, 2)};
  test::OnDevice<std::int64_t> steps(*queue, own(std::vector<std::int64_t>{0, 0, 5}));
  test::OnDevice<float> rates(*queue, own(std::vector<float>{0.5f, 1, 1.75f})), norms(*queue, count, 0);
  for (std::uint64_t step = 1; step <= 3; ++step) {
    test::OnDevice<float> gradients(*queue, own(test::normal_numbers(runs * size, 10 + step, 0.01)));
    backend.update(optimiser, group, optimiser.weight_decay > 0 ? rates.view(count) : View<float, 1>(),
                   steps.view(count), parameters.view(count, size), gradients.view(count, size),
                   moments.view(count, 2, size), optimiser.clip_norm > 0 ? norms.view(count) : View<float, 1>(),
                   *queue);
  }
  CHECK(steps.host() == own(std::vector<std::int64_t>{3, 0, 8}));
  return {parameters.host(), moments.host()};
}

}  // namespace

TEST_CASE("every backend updates as the definition does, and leaves a run without rows alone") {
  const auto definition = reference::make_backend();
  for (const auto kind : kinds)
    for (const Optimiser& optimiser : {Optimiser{kind, 0.01, 0.9, 0.99, 1e-7}, decaying(kind)}) {
      const Weights expected = three_steps(*definition, optimiser);
      const std::vector<float> before = test::normal_numbers(runs * size, 1);
      test::for_each_backend([&](Backend& backend) {
        const Weights result = three_steps(backend, optimiser);
        CHECK(test::relative_difference<float, float>(result.parameters, expected.parameters) < 1e-6);
        CHECK(test::relative_difference<float, float>(result.moments, expected.moments) < 1e-6);
        CHECK(std::equal(before.begin() + size, before.begin() + 2 * size, result.parameters.begin() + size));
        CHECK(result.parameters[0] != before[0]);
        CHECK(result.parameters[runs * size - 1] != before[runs * size - 1]);
      });
    }
}

TEST_CASE("a run is updated in a group as it is alone, bit for bit") {
  for (const auto kind : kinds)
    for (const Optimiser& optimiser : {Optimiser{kind, 0.01, 0.9, 0.99, 1e-7}, decaying(kind)}) {
      test::for_each_backend([&](Backend& backend) {
        const Weights together = three_steps(backend, optimiser);
        for (std::size_t r = 0; r < runs; ++r) {
          const Weights alone = three_steps(backend, optimiser, r, 1);
          CHECK(std::equal(alone.parameters.begin(), alone.parameters.end(), together.parameters.begin() + r * size));
          CHECK(std::equal(alone.moments.begin(), alone.moments.end(), together.moments.begin() + r * 2 * size));
        }
      });
    }
}

TEST_CASE("the first step of Adam is the learning rate against the gradient's sign, worked by hand") {
  // m = 0.1 g, v = 0.001 g²; the correction √0.001 / 0.1 makes m / √v into the sign, ε apart
  test::for_each_backend([](Backend& backend) {
    const auto queue = backend.device().make_queue();
    test::OnDevice<float> parameters(*queue, {1, 1, 1}), moments(*queue, 6, 0), gradients(*queue, {0.5f, -2, 0});
    test::OnDevice<std::int64_t> steps(*queue, 1, 0);
    backend.update({}, {1, 1, 1, 2, {1}, {2}}, {}, steps.view(1), parameters.view(1, 3), gradients.view(1, 3),
                   moments.view(1, 2, 3), {}, *queue);
    const std::vector<float> updated = parameters.host();
    CHECK(updated[0] == Approx(0.999));
    CHECK(updated[1] == Approx(1.001));
    CHECK(updated[2] == 1);
  });
}

TEST_CASE("a rate, decay and a clipped gradient, worked by hand") {
  // the rate is 0.5 · 0.1; the gradient has norm 5 and is cut to (0, 0.6, 0.8); half the rate of each parameter but the
  // constant decays: p - 0.05 · 0.5 · p - 0.05 · g
  const Optimiser optimiser{.kind = Optimiser::Kind::sgd,
                            .learning_rate = 0.1,
                            .beta1 = 0,
                            .weight_decay = 0.5,
                            .clip_norm = 1,
                            .constants = 1};
  const auto check = [&](Backend& backend) {
    const auto queue = backend.device().make_queue();
    test::OnDevice<float> parameters(*queue, {2, 2, 4}), moments(*queue, 6, 0), gradients(*queue, {0, 3, 4}),
        rates(*queue, 1, 0.5f), norms(*queue, 1, 0);
    test::OnDevice<std::int64_t> steps(*queue, 1, 0);
    const auto update = [&](Optimiser with) {
      backend.update(with, {1, 1, 1, 2, {1}, {2}}, rates.view(1), steps.view(1), parameters.view(1, 3),
                     gradients.view(1, 3), moments.view(1, 2, 3), with.clip_norm > 0 ? norms.view(1) : View<float, 1>(),
                     *queue);
      return parameters.host();
    };
    const std::vector<float> updated = update(optimiser);
    CHECK(updated[0] == 2);
    CHECK(updated[1] == Approx(2 - 0.05 - 0.03));
    CHECK(updated[2] == Approx(4 - 0.1 - 0.04));
    Optimiser loose = optimiser;  // a norm that the gradient does not reach leaves it alone
    loose.clip_norm = 5.5, loose.weight_decay = 0;
    const std::vector<float> again = update(loose);
    CHECK(again[1] == Approx(updated[1] - 0.15));
    CHECK(again[2] == Approx(updated[2] - 0.2));
  };
  check(*reference::make_backend());
  test::for_each_backend(check);
}

TEST_CASE("a small decay beside a small step is not rounded away") {
  // 2e-8 of a parameter of 1 is less than its last bit; with the step it is more
  test::for_each_backend([](Backend& backend) {
    const auto queue = backend.device().make_queue();
    test::OnDevice<float> parameters(*queue, {1}), moments(*queue, 2, 0), gradients(*queue, {2e-8f});
    test::OnDevice<std::int64_t> steps(*queue, 1, 0);
    backend.update({Optimiser::Kind::sgd, 1, 0, 0, 0, /*weight_decay*/ 2e-8}, {1, 1, 1, 2, {1}, {2}}, {}, steps.view(1),
                   parameters.view(1, 1), gradients.view(1, 1), moments.view(1, 2, 1), {}, *queue);
    CHECK(parameters.host()[0] < 1);
  });
}
