// What tests of all backends do not ask of the small operations on the GPU: the generator's words, rows that do not
// count, shapes beyond one warp, recorded steps. Each in every order of blocks, warps and lanes.
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/cuda/classify_loss.hpp"
#include "kernels/cuda/group_rows.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/random.hpp"
#include "kernels/reference/backend.hpp"
#include "kernels/reference/classify_loss.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using test::OnDevice;

TEST_CASE("dropout on the GPU keeps what the host's generator says, far into the stream and at every rate") {
  const RandomKey key{.seed = 5, .point = 3, .trial = 2, .node = 1, .epoch = 9, .batch = 4, .use = RandomUse::dropout};
  const Random random(key);
  for (const double rate : {0.05, 0.25, 0.35, 0.999, 1.0 / 3}) {
    const cuda::Dropout dropout(key, rate);
    for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{7} << 33}) {
      for (std::uint64_t index = first; index < first + 500; ++index)
        REQUIRE(dropout.at(index) == (random.uniform_at(index) >= rate ? static_cast<float>(1 / (1 - rate)) : 0));
    }
  }
  // the number on the edge is kept: uniform_at is a multiple of 2^-24
  const cuda::Dropout edge(key, random.uniform_at(11));
  CHECK(edge.at(11) > 0);
  CHECK(cuda::Dropout(key, random.uniform_at(11) + 0x1p-40).at(11) == 0);
  CHECK(cuda::Dropout().at(11) == 1);
}

namespace {

/// Rows of one run, with more units and classes than a warp has lanes.
struct Rows {
  std::size_t rows, units = 70, columns = 41, classes = 37;
  std::vector<float> h, kernel, bias;
  std::vector<std::int32_t> labels;
  std::vector<float> targets;  ///< [rows, columns], or empty; in columns beyond the classes NaN

  Rows(std::size_t count, bool has_targets)
      : rows(count),
        h(test::normal_numbers(count * units, 1)),
        kernel(test::normal_numbers(units * columns, 2, 0.3)),
        bias(test::normal_numbers(columns, 3)) {
    for (std::size_t b = 0; b < rows; ++b) labels.push_back(static_cast<std::int32_t>(7 * b % classes));
    for (std::size_t e = 0; has_targets && e < rows * columns; ++e) {
      const std::size_t c = e % columns, label = static_cast<std::size_t>(labels[e / columns]);
      const double spread = 0.3 / static_cast<double>(classes);
      targets.push_back(c < classes ? static_cast<float>(spread + (c == label ? 0.5
                                                                   : c == 36  ? 0.2
                                                                              : 0))
                                    : std::numeric_limits<float>::quiet_NaN());
    }
  }
};

struct Classified {
  std::vector<float> probabilities, dh, dkernel, dbias;
  double loss;
  std::int32_t correct;
};

/// The rows in one call, or one by one.
Classified classify(Backend& backend, const Rows& p, bool one_by_one) {
  const auto queue = backend.device().make_queue();
  OnDevice<float> h(*queue, p.h), kernel(*queue, p.kernel), bias(*queue, p.bias), targets(*queue, p.targets);
  OnDevice<std::int32_t> labels(*queue, p.labels);
  OnDevice<float> probabilities(*queue, p.rows * p.columns, 7), dh(*queue, p.h.size(), 7),
      dkernel(*queue, p.kernel.size(), 7), dbias(*queue, p.columns, 7);
  OnDevice<double> loss(*queue, 1, 0);
  OnDevice<std::int32_t> correct(*queue, 1, 0);
  const std::uint32_t rows = static_cast<std::uint32_t>(p.rows), classes = static_cast<std::uint32_t>(p.classes);
  const Group run{1, p.rows, 1, p.columns, {rows}, {classes}};
  const cuda::DenseSoftmax layer{kernel.view(1).data, bias.view(1).data, dkernel.view(1).data, dbias.view(1).data,
                                 p.units};
  const std::size_t step = one_by_one ? 1 : p.rows;
  for (std::size_t b = 0; b < p.rows; b += step)
    cuda::classify_rows(
        run, layer, Loss::clipped,
        {b, step, h.view(1).data + b * p.units, labels.view(1).data + b, probabilities.view(1).data + b * p.columns,
         dh.view(1).data + b * p.units, p.targets.empty() ? nullptr : targets.view(1).data + b * p.columns},
        loss.view(1).data, correct.view(1).data, *queue);
  return {probabilities.host(), dh.host(), dkernel.host(), dbias.host(), loss.host()[0], correct.host()[0]};
}

}  // namespace

TEST_CASE("the classifier's rows have the same bits alone and together, and agree with the definition") {
  const Rows p(9, GENERATE(false, true));
  std::vector<double> targets;
  for (std::size_t b = 0; b < p.rows && !p.targets.empty(); ++b)
    for (std::size_t c = 0; c < p.classes; ++c) targets.push_back(p.targets[b * p.columns + c]);
  std::vector<double> kernel, bias(p.bias.begin(), p.bias.begin() + static_cast<std::ptrdiff_t>(p.classes));
  for (std::size_t u = 0; u < p.units; ++u)
    for (std::size_t c = 0; c < p.classes; ++c) kernel.push_back(p.kernel[u * p.columns + c]);
  const std::vector<double> h(p.h.begin(), p.h.end());
  const reference::Classification expected = reference::classify_loss(
      Loss::clipped, view_of(h.data(), p.rows, p.units), view_of<const double>(kernel.data(), p.units, p.classes), bias,
      p.labels, view_of<const double>(targets.empty() ? nullptr : targets.data(), p.rows, p.classes));
  test::for_each_backend("fp32", [&](Backend& backend) {
    const Classified together = classify(backend, p, false), apart = classify(backend, p, true);
    CHECK(together.probabilities == apart.probabilities);
    CHECK(together.dh == apart.dh);
    CHECK(test::relative_difference<float, float>(apart.dkernel, together.dkernel) < 1e-6);
    CHECK(apart.loss == Approx(together.loss).epsilon(1e-14));
    CHECK(apart.correct == together.correct);

    CHECK(together.loss == Approx(expected.loss).epsilon(1e-6));
    CHECK(together.correct == static_cast<std::int32_t>(expected.correct));
    CHECK(test::relative_difference<float, double>(together.dh, expected.dh) < 1e-6);
    for (std::size_t b = 0; b < p.rows; ++b)
      for (std::size_t c = 0; c < p.columns; ++c) {
        const double wanted = c < p.classes ? expected.probabilities[b * p.classes + c] : 0;
        REQUIRE(together.probabilities[b * p.columns + c] == Approx(wanted).epsilon(1e-5));
      }
    for (std::size_t c = 0; c < p.columns; ++c) {
      REQUIRE(together.dbias[c] == Approx(c < p.classes ? expected.dbias[c] : 0).margin(1e-7));
      for (std::size_t u = 0; u < p.units; ++u)
        REQUIRE(together.dkernel[u * p.columns + c] ==
                Approx(c < p.classes ? expected.dkernel[u * p.classes + c] : 0).margin(1e-6));
    }
  });
}

TEST_CASE("NaN in rows that do not count reaches neither loss, hits nor gradients") {
  const StackConfig stack{.inputs = 1, .units = {33}};
  const Group group{2, 5, 1, 3, {3, 0}, {3, 2}};
  const ParameterLayout layout(stack, 3);
  std::vector<float> h = test::normal_numbers(2 * 5 * 33, 1);
  std::fill(h.begin() + 3 * 33, h.end(), std::numeric_limits<float>::quiet_NaN());
  const std::vector<std::int32_t> labels{0, 2, 1, -1, -1, -1, -1, -1, -1, -1};
  std::vector<float> targets(2 * 5 * 3, std::numeric_limits<float>::quiet_NaN());
  std::fill_n(targets.begin(), 3 * 3, 1.0f / 3);
  test::for_each_backend("fp32", [&](Backend& backend) {
    const auto queue = backend.device().make_queue();
    OnDevice<float> parameters(*queue, test::normal_numbers(2 * layout.size, 2)), inputs(*queue, h),
        soft(*queue, targets);
    OnDevice<std::int32_t> y(*queue, labels), correct(*queue, 2, 9);
    OnDevice<float> probabilities(*queue, 2 * 5 * 3, 7), dh(*queue, h.size(), 7), gradients(*queue, 2 * layout.size, 7);
    OnDevice<double> loss(*queue, 2, 9);
    backend.classify_loss(stack, group, Loss::clipped, parameters.view(2, layout.size), inputs.view(2, 5, 33),
                          y.view(2, 5), soft.view(2, 5, 3), probabilities.view(2, 5, 3), loss.view(2), correct.view(2),
                          dh.view(2, 5, 33), gradients.view(2, layout.size), *queue);
    const std::vector<float> gradient = gradients.host(), hidden = dh.host();
    const std::size_t dense = layout.dense_kernel.offset;
    for (std::size_t e = 0; e < layout.size; ++e) {
      REQUIRE(std::isfinite(gradient[e]));
      REQUIRE((gradient[e] == 7) == (e < dense));
      REQUIRE(gradient[layout.size + e] == 7);  // run 1 has no rows
    }
    for (std::size_t e = 0; e < hidden.size(); ++e) REQUIRE((hidden[e] == 7) == (e >= 3 * 33));
    CHECK(loss.host()[0] > 0);
    CHECK(loss.host()[1] == 0);
    CHECK(correct.host()[1] == 0);
  });
}

TEST_CASE("a recorded step gathers what the rows now say, classifies, updates by its rate and counts as another") {
  constexpr std::size_t batch = 4, frames = 2, inputs = 6, classes = 3, clips = 9, steps = 5;
  const StackConfig stack{.inputs = inputs, .units = {inputs}};
  const Group group{1, batch, frames, classes, {3}, {classes}};
  const std::size_t size = ParameterLayout(stack, classes).size;
  const std::vector<float> features = test::normal_numbers(clips * (frames + 1) * inputs, 1),
                           start = test::normal_numbers(size, 2);
  std::vector<std::int32_t> genres(clips);
  for (std::size_t c = 0; c < clips; ++c) genres[c] = static_cast<std::int32_t>(c % classes);

  struct Result {
    std::vector<float> parameters, moments;
    std::vector<double> loss;
    std::vector<std::int64_t> counted;
  };
  test::for_each_backend("fp32", [&](Backend& backend) {
    const auto train = [&](bool recorded) {
      const auto queue = backend.device().make_queue();
      OnDevice<float> data(*queue, features), parameters(*queue, start), moments(*queue, 2 * size, 0),
          gradients(*queue, size, 0), x(*queue, frames * batch * inputs, 7), dh(*queue, batch * inputs, 7),
          probabilities(*queue, batch * classes, 7);
      OnDevice<std::int32_t> all_labels(*queue, genres), y(*queue, batch, 0), correct(*queue, 1, 0);
      Buffer<BatchRow> chosen(queue->device(), batch);
      Buffer<float> rates(queue->device(), 1);
      OnDevice<std::int64_t> counted(*queue, 1, 0);
      OnDevice<double> loss(*queue, 1, 0);
      OnDevice<float> targets(*queue, batch * classes, 7), h(*queue, batch * inputs, 7), norms(*queue, 1, 7);
      const auto step = [&] {
        backend.gather(group, data.view(clips, frames + 1, inputs), all_labels.view(1, clips),
                       std::as_const(chosen).view(1, batch), {}, 0.1, x.view(1, frames, batch, inputs),
                       y.view(1, batch), targets.view(1, batch, classes), *queue);
        backend.readout(Readout::max, group, x.view(1, frames, batch, inputs), {}, 0, h.view(1, batch, inputs), *queue);
        backend.classify_loss(stack, group, Loss::logits, parameters.view(1, size), h.view(1, batch, inputs),
                              y.view(1, batch), targets.view(1, batch, classes), probabilities.view(1, batch, classes),
                              loss.view(1), correct.view(1), dh.view(1, batch, inputs), gradients.view(1, size),
                              *queue);
        backend.update({.weight_decay = 0.1, .clip_norm = 0.2}, group, std::as_const(rates).view(1), counted.view(1),
                       parameters.view(1, size), gradients.view(1, size), moments.view(1, 2, size), norms.view(1),
                       *queue);
      };
      std::unique_ptr<Recording> recording;
      Result result;
      for (std::size_t s = 0; s < steps; ++s) {
        std::vector<BatchRow> next(batch);
        for (std::size_t b = 0; b < batch; ++b)
          next[b] = {.clip = static_cast<std::int32_t>((s + 2 * b) % clips),
                     .first_frame = static_cast<std::int32_t>(s % 2),
                     .share = b == 1 ? 0.7f : 1.0f,
                     .partner = static_cast<std::int32_t>(s)};
        chosen.copy_in(next, *queue);
        rates.copy_in(std::vector<float>{1 / static_cast<float>(s + 1)}, *queue);
        if (recorded)
          queue->repeat(recording, step);
        else
          step();
        result.loss.push_back(loss.host()[0]);
      }
      result.parameters = parameters.host(), result.moments = moments.host(), result.counted = counted.host();
      return result;
    };
    const Result plain = train(false), recorded = train(true);
    CHECK(plain.parameters != start);
    CHECK(recorded.parameters == plain.parameters);
    CHECK(recorded.moments == plain.moments);
    CHECK(recorded.loss == plain.loss);
    CHECK(recorded.counted == std::vector<std::int64_t>{steps});
  });
}

TEST_CASE("gradients of more parameters than a block has threads are clipped, in a group as alone") {
  constexpr std::size_t runs = 3, size = 2500;
  const Optimiser optimiser{.kind = Optimiser::Kind::sgd, .learning_rate = 1, .beta1 = 0, .clip_norm = 2};
  const std::vector<float> numbers = test::normal_numbers(runs * size, 1);
  std::vector<float> small = numbers;
  std::for_each(small.begin() + size, small.end(), [](float& gradient) { gradient *= 0.01f; });  // norm 0.5
  const auto step = [&](Backend& backend, std::span<const float> gradients, std::vector<std::uint32_t> rows) {
    const std::size_t count = rows.size();
    const auto queue = backend.device().make_queue();
    OnDevice<float> parameters(*queue, count * size, 0), given(*queue, gradients), norms(*queue, count, 7),
        moments(*queue, count * 2 * size, 0);
    OnDevice<std::int64_t> steps(*queue, count, 0);
    backend.update(optimiser, {count, 1, 1, 2, std::move(rows), std::vector<std::uint32_t>(count, 2)}, {},
                   steps.view(count), parameters.view(count, size), given.view(count, size),
                   moments.view(count, 2, size), norms.view(count), *queue);
    return parameters.host();
  };
  const std::vector<float> expected = step(*reference::make_backend(), small, {1, 1, 0});
  test::for_each_backend("fp32", [&](Backend& backend) {
    const std::vector<float> together = step(backend, small, {1, 1, 0});
    CHECK(test::relative_difference<float, float>(together, expected) < 1e-6);
    CHECK(together[0] != -small[0]);
    for (std::size_t e = size; e < 2 * size; ++e) REQUIRE(together[e] == -small[e]);
    CHECK(step(backend, std::span(small).first(size), {1}) == std::vector(together.begin(), together.begin() + size));
  });
}

TEST_CASE("readouts and copies do not hear rows that do not count, however many frames and units") {
  constexpr std::size_t runs = 2, frames = 19, batch = 5, units = 70;
  const Group group{runs, batch, 1, 2, {3, 5}, {2, 2}};
  std::vector<float> y = test::normal_numbers(runs * frames * batch * units, 1);
  std::vector<float> dout = test::normal_numbers(runs * batch * 2 * units, 2);
  for (std::size_t e = 0; e < y.size() / runs; ++e)
    if (e / units % batch >= 3) y[e] = std::numeric_limits<float>::quiet_NaN();
  const auto results = [&](Backend& backend) {
    const auto queue = backend.device().make_queue();
    OnDevice<float> from(*queue, y), gradient(*queue, dout), out(*queue, dout.size(), 7), dy(*queue, y.size(), 7),
        to(*queue, y.size(), 7);
    backend.readout(Readout::mean_max, group, from.view(runs, frames, batch, units), {}, 0,
                    out.view(runs, batch, 2 * units), *queue);
    backend.readout_backward(Readout::mean_max, group, from.view(runs, frames, batch, units), {}, 0,
                             gradient.view(runs, batch, 2 * units), dy.view(runs, frames, batch, units), *queue);
    for (const bool adds : {false, true})
      backend.copy_columns(group, {.columns = units, .reversed = !adds, .adds = adds},
                           from.view(runs, frames, batch, units), to.view(runs, frames, batch, units), *queue);
    std::vector<std::vector<float>> all{out.host(), dy.host(), to.host()};
    return all;
  };
  const auto expected = results(*reference::make_backend());
  test::for_each_backend("fp32", [&](Backend& backend) {
    const auto result = results(backend);
    for (std::size_t i = 0; i < result.size(); ++i)
      CHECK(test::relative_difference<float, float>(result[i], expected[i]) < 1e-6);
  });
}

namespace {

/// The operations of a step beside the LSTM, for a group of tiny runs with 0, 1, 2, 3, 0, … rows.
class TinyGroup {
 public:
  TinyGroup(Backend& backend, std::size_t runs)
      : backend_(backend),
        queue_(backend.device().make_queue()),
        group_{runs, batch, 1, classes, {}, std::vector<std::uint32_t>(runs, classes)},
        keys_(runs, {.use = RandomUse::dropout}),
        size_(ParameterLayout(stack_, classes).size),
        masks_size_(MaskLayout(stack_, batch).size),
        features_(*queue_, test::normal_numbers(clips * units, 1)),
        x_(*queue_, runs * batch * units, 7),
        dh_(*queue_, runs * batch * units, 7),
        parameters_(*queue_, test::normal_numbers(runs * size_, 2)),
        gradients_(*queue_, runs * size_, 7),
        moments_(*queue_, runs * 2 * size_, 0),
        masks_(*queue_, runs * masks_size_, 7),
        probabilities_(*queue_, runs * batch * classes, 7),
        copies_(*queue_, runs * batch * 2 * units, 7),
        targets_(*queue_, runs * batch * classes, 7),
        norms_(*queue_, runs, 7),
        chosen_(*queue_, std::vector<BatchRow>(runs * batch, {.clip = 1})),
        labels_(*queue_, labels_of(runs)),
        y_(*queue_, runs * batch, 7),
        correct_(*queue_, runs, 7),
        steps_(*queue_, runs, 0),
        loss_(*queue_, runs, 7) {
    for (std::size_t r = 0; r < runs; ++r) group_.rows.push_back(r % (batch + 1));
  }

  void gather() {
    backend_.gather(group_, features_.view(clips, 1, units), labels_.view(group_.runs, clips),
                    chosen_.view(group_.runs, batch), {}, 0, x(), y_.view(group_.runs, batch), targets(), *queue_);
  }
  void draw() { backend_.dropout_masks(stack_, group_, keys_, masks_.view(group_.runs, masks_size_), *queue_); }
  void copy() {
    backend_.copy_columns(group_, {.to_column = units, .columns = units}, x(),
                          copies_.view(group_.runs, 1, batch, 2 * units), *queue_);
  }
  void read_out() {
    backend_.readout(Readout::mean_max, group_, x(), {}, 0, copies_.view(group_.runs, batch, 2 * units), *queue_);
  }
  void read_out_backward() {
    backend_.readout_backward(Readout::mean_max, group_, x(), {}, 0, copies_.view(group_.runs, batch, 2 * units),
                              dh_.view(group_.runs, 1, batch, units), *queue_);
  }
  void classify() {
    const std::size_t runs = group_.runs;
    backend_.classify_loss(stack_, group_, Loss::logits, parameters_.view(runs, size_), x_.view(runs, batch, units),
                           y_.view(runs, batch), targets(), probabilities_.view(runs, batch, classes), loss_.view(runs),
                           correct_.view(runs), dh_.view(runs, batch, units), gradients_.view(runs, size_), *queue_);
  }
  void update() {
    const std::size_t runs = group_.runs;
    backend_.update({.clip_norm = 1}, group_, {}, steps_.view(runs), parameters_.view(runs, size_),
                    gradients_.view(runs, size_), moments_.view(runs, 2, size_), norms_.view(runs), *queue_);
  }

  /// What an operation gives to the queue, without doing it.
  std::size_t launches_of(void (TinyGroup::*operation)()) {
    std::vector<std::function<void()>> launches;
    cuda::stream_of(*queue_)->keep_in(&launches);
    (this->*operation)();
    return launches.size();
  }
  static std::vector<std::int32_t> labels_of(std::size_t runs) {
    std::vector<std::int32_t> labels;
    for (std::size_t i = 0; i < runs * clips; ++i) labels.push_back(static_cast<std::int32_t>(i / clips % classes));
    return labels;
  }
  std::vector<std::int32_t> labels() const { return y_.host(); }
  std::vector<std::int64_t> steps() const { return steps_.host(); }

  static constexpr std::size_t batch = 3, units = 4, classes = 3, clips = 2;

 private:
  View<float, 4> x() { return x_.view(group_.runs, 1, batch, units); }
  View<float, 3> targets() { return targets_.view(group_.runs, batch, classes); }

  Backend& backend_;
  std::unique_ptr<Queue> queue_;
  const StackConfig stack_{.inputs = units, .units = {units}, .dropout = 0.5, .recurrent_dropout = 0.5};
  Group group_;
  std::vector<RandomKey> keys_;
  std::size_t size_, masks_size_;
  OnDevice<float> features_, x_, dh_, parameters_, gradients_, moments_, masks_, probabilities_, copies_, targets_,
      norms_;
  OnDevice<BatchRow> chosen_;
  OnDevice<std::int32_t> labels_, y_, correct_;
  OnDevice<std::int64_t> steps_;
  OnDevice<double> loss_;
};

constexpr void (TinyGroup::*operations[])() = {
    &TinyGroup::gather,   &TinyGroup::draw,  &TinyGroup::copy, &TinyGroup::read_out, &TinyGroup::read_out_backward,
    &TinyGroup::classify, &TinyGroup::update};

}  // namespace

TEST_CASE("an operation is as many launches for a group as for a run") {
  test::for_each_backend("fp32", [](Backend& backend) {
    for (const auto operation : operations) {
      const std::size_t alone = TinyGroup(backend, 1).launches_of(operation);
      CHECK(alone > 0);
      CHECK(TinyGroup(backend, 6).launches_of(operation) == alone);
    }
  });
}

TEST_CASE("a launch has room for so many runs, and a larger group is refused") {
  test::for_each_backend("fp32", [](Backend& backend) {
    constexpr std::size_t most = cuda::most_grouped_runs;
    TinyGroup largest(backend, most);
    for (const auto operation : operations) (largest.*operation)();
    const std::vector<std::int32_t> labels = largest.labels();
    const std::vector<std::int64_t> steps = largest.steps();
    for (std::size_t r = 0; r < most; ++r) {
      const std::size_t rows = r % (TinyGroup::batch + 1);
      CHECK(steps[r] == (rows > 0));
      for (std::size_t b = 0; b < TinyGroup::batch; ++b)
        CHECK(labels[r * TinyGroup::batch + b] == (b < rows ? static_cast<std::int32_t>(r % TinyGroup::classes) : 7));
    }
    TinyGroup larger(backend, most + 1);
    for (const auto operation : operations)
      CHECK_THROWS_WITH((larger.*operation)(), Catch::Contains("129 runs") && Catch::Contains("at most 128"));
  });
  CHECK_THROWS_WITH(cuda::run_rows({2, 70000, 1, 2, {65535, 65536}, {2, 2}}),
                    Catch::Contains("run 1 of a group has 65536 rows") && Catch::Contains("at most 65535"));
  CHECK_THROWS_WITH(cuda::run_classes({1, 1, 1, 70000, {1}, {70000}}), Catch::Contains("70000 classes"));
}
