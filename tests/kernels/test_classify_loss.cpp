// The classifier of every backend against the definition, and by hand.
#include <algorithm>
#include <cmath>

#include "kernels/reference/backend.hpp"
#include "kernels/reference/classify_loss.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using test::Problem;

namespace {

struct Result {
  std::vector<float> probabilities, dh, gradients;
  std::vector<double> loss;
  std::vector<std::int32_t> correct;
};

Result classify(Backend& backend, const Problem& p, const std::vector<float>& h, Loss kind, bool with_gradient = true) {
  const auto queue = backend.device().make_queue();
  const auto [runs, batch, frames, classes, rows, counts] = p.group;
  const std::size_t units = p.stack.outputs();
  test::OnDevice<float> parameters(*queue, p.parameters), inputs(*queue, h);
  test::OnDevice<std::int32_t> labels(*queue, p.labels);
  test::OnDevice<float> probabilities(*queue, runs * batch * classes, test::untouched);
  test::OnDevice<float> dh(*queue, h.size(), test::untouched), gradients(*queue, p.parameters.size(), test::untouched);
  test::OnDevice<double> loss(*queue, runs, 0);
  test::OnDevice<std::int32_t> correct(*queue, runs, 0);
  backend.classify_loss(p.stack, p.group, kind, parameters.view(runs, p.parameter_count()),
                        inputs.view(runs, batch, units), labels.view(runs, batch),
                        probabilities.view(runs, batch, classes), loss.view(runs), correct.view(runs),
                        with_gradient ? dh.view(runs, batch, units) : View<float, 3>(),
                        gradients.view(runs, p.parameter_count()), *queue);
  return {probabilities.host(), dh.host(), gradients.host(), loss.host(), correct.host()};
}

/// Of the rows that count; the others are undefined.
double counted_difference(const Group& group, const std::vector<float>& a, const std::vector<float>& b) {
  return test::relative_difference<float, float>(test::counted_rows(a, group), test::counted_rows(b, group));
}

/// The dense layer's gradient is the expected one in the runs that have rows; nothing else is written.
void check_gradients(const Problem& p, std::span<const float> result, std::span<const float> expected) {
  const ParameterLayout layout(p.stack, p.group.classes);
  const std::size_t dense = layout.dense_kernel.offset;
  for (std::size_t r = 0; r < p.group.runs; ++r) {
    const std::span<const float> run = result.subspan(r * layout.size, layout.size);
    const std::size_t written = p.group.rows[r] ? layout.size - dense : 0;
    CHECK(test::relative_difference(run.last(written), expected.subspan(r * layout.size, layout.size).last(written)) <
          1e-6);
    const std::span<const float> rest = run.first(layout.size - written);
    CHECK(std::count(rest.begin(), rest.end(), test::untouched) == static_cast<std::ptrdiff_t>(rest.size()));
  }
}

}  // namespace

TEST_CASE("every backend classifies as the definition does, also runs with fewer rows and classes") {
  Problem p({.inputs = 1, .units = {5}}, 3, 6, 1, 4);
  p.group.rows = {6, 0, 4};
  p.group.class_counts = {4, 4, 2};
  for (std::size_t b = 12; b < 18; ++b) p.labels[b] %= 2;
  const std::vector<float> h = test::normal_numbers(3 * 6 * 5, 5, 3);
  const auto definition = reference::make_backend();
  for (const Loss kind : {Loss::logits, Loss::clipped}) {
    const Result expected = classify(*definition, p, h, kind);
    test::for_each_backend([&](Backend& backend) {
      const Result result = classify(backend, p, h, kind), scored = classify(backend, p, h, kind, false);
      CHECK(counted_difference(p.group, result.probabilities, expected.probabilities) < 1e-6);
      CHECK(counted_difference(p.group, result.dh, expected.dh) < 1e-6);
      check_gradients(p, result.gradients, expected.gradients);
      CHECK(test::relative_difference<double, double>(result.loss, expected.loss) < 1e-6);
      CHECK(result.correct == expected.correct);
      CHECK(result.probabilities[12 * 4 + 2] == 0);  // run 2 has two classes
      CHECK(scored.loss == result.loss);
      CHECK(test::counted_rows(scored.probabilities, p.group) == test::counted_rows(result.probabilities, p.group));
      CHECK(scored.gradients[0] == test::untouched);
    });
  }
}

TEST_CASE("a run in a group is classified as it is alone, bit for bit") {
  constexpr std::size_t runs = 4, batch = 9, units = 11;
  Problem p({.inputs = 1, .units = {units}}, runs, batch, 1, 5);
  p.group.rows = {9, 0, 4, 1};
  p.group.class_counts = {5, 3, 2, 4};
  for (std::size_t row = 0; row < runs * batch; ++row)
    p.labels[row] %= static_cast<std::int32_t>(p.group.class_counts[row / batch]);
  const std::vector<float> h = test::normal_numbers(runs * batch * units, 5, 3);
  test::for_each_backend([&](Backend& backend) {
    for (const Loss kind : {Loss::logits, Loss::clipped}) {
      const Result together = classify(backend, p, h, kind);
      for (std::size_t r = 0; r < runs; ++r) {
        const auto is_part = [&](const auto& own, const auto& all) {
          return std::equal(own.begin(), own.end(), all.begin() + r * own.size());
        };
        const std::vector<float> own_h(h.begin() + r * batch * units, h.begin() + (r + 1) * batch * units);
        const Result alone = classify(backend, p.alone(r), own_h, kind);
        CHECK(is_part(alone.probabilities, together.probabilities));
        CHECK(is_part(alone.dh, together.dh));
        CHECK(is_part(alone.gradients, together.gradients));
        CHECK(is_part(alone.loss, together.loss));
        CHECK(is_part(alone.correct, together.correct));
      }
    }
  });
}

TEST_CASE("the definition's gradient is the slope of its loss") {
  const std::vector<double> h{0.3, -0.8, 0.5, 0.1}, bias{0.2, -0.1, 0};
  std::vector<double> kernel{0.5, -0.3, 0.8, 0.1, 0.9, -0.7};
  const std::vector<std::int32_t> labels{2, 0};
  for (const Loss kind : {Loss::logits, Loss::clipped}) {
    const auto mean_loss = [&] {
      return reference::classify_loss(kind, view_of(h.data(), 2, 2), view_of<const double>(kernel.data(), 2, 3), bias,
                                      labels)
                 .loss /
             2;
    };
    const auto result = reference::classify_loss(kind, view_of(h.data(), 2, 2),
                                                 view_of<const double>(kernel.data(), 2, 3), bias, labels);
    for (std::size_t k = 0; k < kernel.size(); ++k) {
      const double saved = kernel[k];
      kernel[k] = saved + 1e-6;
      const double above = mean_loss();
      kernel[k] = saved - 1e-6;
      CHECK(result.dkernel[k] == Approx((above - mean_loss()) / 2e-6).epsilon(1e-6));
      kernel[k] = saved;
    }
  }
}

TEST_CASE("a row that is certain and wrong, worked by hand") {
  // logits (h, -h): with h = 20 the wrong class has probability 1 to 17 digits. Keras 2 clips: -log(1e-7) = 16.118 and
  // no gradient; Keras 3 does not: 40 and a gradient of ±1. Equal logits (h = 0) count for the first class.
  Problem p({.inputs = 1, .units = {1}}, 1, 2, 1, 2);
  const ParameterLayout layout(p.stack, 2);
  p.parameters[layout.dense_kernel.offset] = 1, p.parameters[layout.dense_kernel.offset + 1] = -1;
  p.parameters[layout.dense_bias.offset] = p.parameters[layout.dense_bias.offset + 1] = 0;
  p.labels = {1, 0};
  const std::vector<float> h{20, 0};
  test::for_each_backend([&](Backend& backend) {
    const Result clipped = classify(backend, p, h, Loss::clipped), exact = classify(backend, p, h, Loss::logits);
    CHECK(clipped.loss[0] == Approx(-std::log(1e-7) + std::log(2)));
    CHECK(clipped.dh[0] == 0);
    CHECK(exact.loss[0] == Approx(40 + std::log(2)));
    CHECK(exact.dh[0] == Approx(1));     // (1, -1) · (1, -1) / 2 rows
    CHECK(exact.dh[1] == Approx(-0.5));  // (-1/2, 1/2) · (1, -1) / 2 rows
    CHECK(clipped.dh[1] == Approx(-0.5));
    CHECK(exact.correct[0] == 1);
  });
}
