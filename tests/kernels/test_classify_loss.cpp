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

/// targets: [R, B, C] or empty
Result classify(Backend& backend, const Problem& p, const std::vector<float>& h, Loss kind, bool with_gradient = true,
                const std::vector<float>& targets = {}) {
  const auto queue = backend.device().make_queue();
  const auto [runs, batch, frames, classes, rows, counts] = p.group;
  const std::size_t units = p.stack.outputs();
  test::OnDevice<float> parameters(*queue, p.parameters), inputs(*queue, h), soft(*queue, targets);
  test::OnDevice<std::int32_t> labels(*queue, p.labels);
  test::OnDevice<float> probabilities(*queue, runs * batch * classes, test::untouched);
  test::OnDevice<float> dh(*queue, h.size(), test::untouched), gradients(*queue, p.parameters.size(), test::untouched);
  test::OnDevice<double> loss(*queue, runs, 0);
  test::OnDevice<std::int32_t> correct(*queue, runs, 0);
  backend.classify_loss(p.stack, p.group, kind, parameters.view(runs, p.parameter_count()),
                        inputs.view(runs, batch, units), labels.view(runs, batch),
                        targets.empty() ? View<float, 3>() : soft.view(runs, batch, classes),
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

/// Positive numbers of sum 1 over the classes of each run; of every third row all of it is the label's.
std::vector<float> soft_targets(const Problem& p) {
  std::vector<float> targets = test::normal_numbers(p.labels.size() * p.group.classes, 11);
  for (std::size_t row = 0; row < p.labels.size(); ++row) {
    float* const target = targets.data() + row * p.group.classes;
    const std::size_t classes = p.group.class_counts[row / p.group.batch];
    float sum = 0;
    for (std::size_t c = 0; c < p.group.classes; ++c) {
      const bool is_label = c == static_cast<std::size_t>(p.labels[row]);
      target[c] = c >= classes ? 0.0f : row % 3 == 0 ? static_cast<float>(is_label) : std::abs(target[c]) + 0.01f;
      sum += target[c];
    }
    for (std::size_t c = 0; c < p.group.classes; ++c) target[c] /= sum;
  }
  return targets;
}

}  // namespace

TEST_CASE("every backend classifies as the definition does, also runs with fewer rows and classes") {
  Problem p({.inputs = 1, .units = {5}}, 3, 6, 1, 4);
  const bool soft = GENERATE(false, true);
  p.group.rows = {6, 0, 4};
  p.group.class_counts = {4, 4, 2};
  for (std::size_t b = 12; b < 18; ++b) p.labels[b] %= 2;
  // so far from 0 that some probabilities are clipped, also where the target is soft
  const std::vector<float> h = test::normal_numbers(3 * 6 * 5, 5, soft ? 20 : 3),
                           targets = soft ? soft_targets(p) : std::vector<float>();
  const auto definition = reference::make_backend();
  for (const Loss kind : {Loss::logits, Loss::clipped}) {
    const Result expected = classify(*definition, p, h, kind, true, targets);
    if (soft && kind == Loss::clipped)
      CHECK(expected.loss[0] < 0.99 * classify(*definition, p, h, Loss::logits, true, targets).loss[0]);
    test::for_each_backend([&](Backend& backend) {
      const Result result = classify(backend, p, h, kind, true, targets),
                   scored = classify(backend, p, h, kind, false, targets);
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
  const std::vector<float> h = test::normal_numbers(runs * batch * units, 5, 3),
                           targets = GENERATE(false, true) ? soft_targets(p) : std::vector<float>();
  test::for_each_backend([&](Backend& backend) {
    for (const Loss kind : {Loss::logits, Loss::clipped}) {
      const Result together = classify(backend, p, h, kind, true, targets);
      for (std::size_t r = 0; r < runs; ++r) {
        const auto is_part = [&](const auto& own, const auto& all) {
          return std::equal(own.begin(), own.end(), all.begin() + r * own.size());
        };
        const auto own = [&](const std::vector<float>& all) {
          const std::size_t size = all.size() / runs;
          return std::vector<float>(all.begin() + r * size, all.begin() + (r + 1) * size);
        };
        const Result alone = classify(backend, p.alone(r), own(h), kind, true, own(targets));
        CHECK(is_part(alone.probabilities, together.probabilities));
        CHECK(is_part(alone.dh, together.dh));
        CHECK(is_part(alone.gradients, together.gradients));
        CHECK(is_part(alone.loss, together.loss));
        CHECK(is_part(alone.correct, together.correct));
      }
    }
  });
}

TEST_CASE("targets that are all the label's make the bits of no targets") {
  const Problem p({.inputs = 1, .units = {5}}, 1, 6, 1, 4);
  std::vector<float> targets(6 * 4);
  for (std::size_t b = 0; b < 6; ++b) targets[b * 4 + static_cast<std::size_t>(p.labels[b])] = 1;
  const std::vector<float> h = test::normal_numbers(6 * 5, 5, 20);  // some rows are clipped
  test::for_each_backend([&](Backend& backend) {
    for (const Loss kind : {Loss::logits, Loss::clipped}) {
      const Result plain = classify(backend, p, h, kind), result = classify(backend, p, h, kind, true, targets);
      CHECK(result.probabilities == plain.probabilities);
      CHECK(result.loss == plain.loss);
      CHECK(result.dh == plain.dh);
      CHECK(result.gradients == plain.gradients);
    }
  });
}

TEST_CASE("the definition's gradient is the slope of its loss") {
  // the second row is so sure that the first class's probability is clipped
  std::vector<double> h{0.3, -0.8, 12, -15}, kernel{0.5, -0.3, 0.8, 0.1, 0.9, -0.7}, bias{0.2, -0.1, 0};
  const std::vector<double> soft{0.2, 0.5, 0.3, 0.6, 0.1, 0.3};
  const std::vector<std::int32_t> labels{2, 0};
  for (const Loss kind : {Loss::logits, Loss::clipped})
    for (const auto& targets : {View<const double, 2>(), view_of(soft.data(), 2, 3)}) {
      const auto classified = [&] {
        return reference::classify_loss(kind, view_of<const double>(h.data(), 2, 2),
                                        view_of<const double>(kernel.data(), 2, 3), bias, labels, targets);
      };
      const auto check_slopes = [&](std::vector<double>& values, const std::vector<double>& gradient) {
        for (std::size_t k = 0; k < values.size(); ++k) {
          const double saved = values[k];
          values[k] = saved + 1e-6;
          const double above = classified().loss;
          values[k] = saved - 1e-6;
          INFO("loss " << static_cast<int>(kind) << ", number " << k);
          CHECK(gradient[k] == Approx((above - classified().loss) / 2e-6 / 2).epsilon(1e-6).margin(1e-8));
          values[k] = saved;
        }
      };
      const reference::Classification result = classified();
      check_slopes(h, result.dh), check_slopes(kernel, result.dkernel), check_slopes(bias, result.dbias);
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
