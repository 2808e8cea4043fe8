// Batches, made where the data are.
#include <algorithm>

#include "kernels/reference/backend.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

namespace {

constexpr std::size_t clips = 5, clip_frames = 7, inputs = 3, batch = 3, classes = 3;

/// Runs of a group: what each asks of the same clips, and what it takes of them.
struct Choice {
  std::size_t frames;
  std::vector<std::uint32_t> rows, class_counts;
  std::vector<std::int32_t> labels;   ///< [R, clips]
  std::vector<BatchRow> chosen;       ///< [R, batch]; clip -1 where nothing may be read
  std::vector<float> constants = {};  ///< [R, parameters] or empty
  double smoothing = 0;
  bool with_targets = false;

  std::size_t runs() const { return rows.size(); }
  Choice alone(std::size_t r) const {
    Choice one = *this;
    one.rows = {rows[r]}, one.class_counts = {class_counts[r]};
    const auto take = [&](auto& values) {
      const std::size_t size = values.size() / runs();
      values = {values.begin() + static_cast<std::ptrdiff_t>(r * size),
                values.begin() + static_cast<std::ptrdiff_t>((r + 1) * size)};
    };
    take(one.labels), take(one.chosen), take(one.constants);
    return one;
  }
};

struct Batch {
  std::vector<float> x;
  std::vector<std::int32_t> y;  ///< -7 where nothing was written
  std::vector<float> targets;   ///< or empty
};

Batch gather(Backend& backend, const std::vector<float>& features, const Choice& choice) {
  const std::size_t runs = choice.runs(), frames = choice.frames;
  const Group group{runs, batch, frames, classes, choice.rows, choice.class_counts};
  const auto queue = backend.device().make_queue();
  test::OnDevice<float> all_features(*queue, features), x(*queue, runs * frames * batch * inputs, test::untouched),
      constants(*queue, choice.constants),
      targets(*queue, choice.with_targets ? runs * batch * classes : 0, test::untouched);
  test::OnDevice<BatchRow> chosen(*queue, choice.chosen);
  test::OnDevice<std::int32_t> labels(*queue, choice.labels), y(*queue, runs * batch, -7);
  backend.gather(group, all_features.view(clips, features.size() / (clips * inputs), inputs), labels.view(runs, clips),
                 chosen.view(runs, batch), constants.view(runs, choice.constants.size() / runs), choice.smoothing,
                 x.view(runs, frames, batch, inputs), y.view(runs, batch),
                 choice.with_targets ? targets.view(runs, batch, classes) : View<float, 3>(), *queue);
  return {x.host(), y.host(), targets.host()};
}

void check_runs_alone(Backend& backend, const std::vector<float>& features, const Choice& choice,
                      const Batch& together) {
  for (std::size_t r = 0; r < choice.runs(); ++r) {
    const Batch alone = gather(backend, features, choice.alone(r));
    const auto is_part = [&](const auto& own, const auto& all) {
      return std::equal(own.begin(), own.end(), all.begin() + static_cast<std::ptrdiff_t>(r * own.size()));
    };
    CHECK(is_part(alone.x, together.x));
    CHECK(is_part(alone.y, together.y));
    CHECK(is_part(alone.targets, together.targets));
  }
}

/// Windows, mixtures, masks that reach beyond the row, and rows that do not count.
Choice mixed_choice() {
  const BatchRow unread{.clip = -1, .partner = -1};
  Choice choice{.frames = 4,
                .rows = {3, 0, 2},
                .class_counts = {3, 3, 2},
                .labels = {0, 1, 2, 1, 0, 2, 2, 2, 2, 2, 1, 0, 0, 1, 1},
                .chosen = {{.clip = 4, .first_frame = 3},
                           {.clip = 1, .first_frame = 2, .share = 0.7f, .partner = 2, .partner_frame = 1},
                           {.clip = 3,
                            .first_frame = 1,
                            .share = 0.4f,
                            .partner = 1,
                            .masked_frames = {{{1, 1}, {3, 9}}},
                            .masked_inputs = {{{0, 0}, {2, 1}}}},
                           unread,
                           unread,
                           unread,
                           {.clip = 0, .masked_frames = {{{-2, 3}, {0, 0}}}, .masked_inputs = {{{1, 1}, {0, 1}}}},
                           {.clip = 2, .first_frame = 3, .share = 0.5f, .partner = 4, .partner_frame = 3},
                           unread},
                .constants = {},
                .smoothing = 0.1,
                .with_targets = true};
  for (std::size_t r = 0; r < 3; ++r)  // mean, scale, and two parameters that do not matter
    for (const float constant : {0.5f, -1.0f, 2.0f, 3.0f, 0.25f, 1.5f, test::untouched, test::untouched})
      choice.constants.push_back(constant + static_cast<float>(r));
  return choice;
}

}  // namespace

TEST_CASE("a batch has the chosen clips frame by frame, each run's own labels, and zeros in rows that do not count") {
  const std::vector<float> features = test::normal_numbers(clips * clip_frames * inputs, 1);
  Choice choice{.frames = clip_frames,
                .rows = {3, 0, 1},
                .class_counts = {3, 3, 3},
                .labels = {0, 1, 2, 1, 0, 2, 2, 2, 2, 2, 1, 0, 0, 2, 1},
                .chosen = {}};
  for (const std::int32_t clip : {4, 1, 1, -1, -1, -1, 3, -1, -1}) choice.chosen.push_back({.clip = clip});
  const auto check = [&](Backend& backend) {
    const Batch result = gather(backend, features, choice);
    const auto x = view_of(result.x.data(), 3, clip_frames, batch, inputs);
    for (std::size_t r = 0; r < 3; ++r)
      for (std::size_t b = 0; b < batch; ++b)
        for (std::size_t t = 0; t < clip_frames; ++t)
          for (std::size_t i = 0; i < inputs; ++i) {
            const std::size_t clip = static_cast<std::size_t>(choice.chosen[r * batch + b].clip);
            CHECK(x(r, t, b, i) == (b < choice.rows[r] ? features[(clip * clip_frames + t) * inputs + i] : 0));
          }
    CHECK(std::vector(result.y.begin(), result.y.begin() + 3) == std::vector<std::int32_t>{0, 1, 1});
    CHECK(result.y[6] == 2);
    check_runs_alone(backend, features, choice, result);
  };
  check(*reference::make_backend());
  test::for_each_backend(check);
}

TEST_CASE("windows, mixtures, masks, constants and soft targets are the definition's, also in a group") {
  const std::vector<float> features = test::normal_numbers(clips * clip_frames * inputs, 1);
  const Choice choice = mixed_choice();
  const Group group{3, batch, choice.frames, classes, choice.rows, choice.class_counts};
  const auto definition = reference::make_backend();
  const Batch expected = gather(*definition, features, choice);
  test::for_each_backend([&](Backend& backend) {
    const Batch result = gather(backend, features, choice);
    CHECK(test::relative_difference<float, float>(result.x, expected.x) < 1e-6);
    for (std::size_t e = 0; e < expected.x.size(); ++e) CHECK((result.x[e] == 0) == (expected.x[e] == 0));
    CHECK(test::counted_rows({result.y.begin(), result.y.end()}, group) ==
          test::counted_rows({expected.y.begin(), expected.y.end()}, group));
    CHECK(test::relative_difference<float, float>(test::counted_rows(result.targets, group),
                                                  test::counted_rows(expected.targets, group)) < 1e-6);
    check_runs_alone(backend, features, choice, result);
  });
}

TEST_CASE("a mixed row with masks, worked by hand") {
  // clip c has 10 c + t in all inputs of frame t; the row is 3/4 of clip 1 from frame 2 on and 1/4 of clip 3 from frame
  // 1 on, less the mean 1, times 2: 2 · (0.75 · (11 + t) + 0.25 · (30 + t)) in frame t, where it is not masked
  std::vector<float> features;
  for (std::size_t c = 0; c < clips; ++c)
    for (std::size_t t = 0; t < clip_frames; ++t)
      features.insert(features.end(), inputs, static_cast<float>(10 * c + t));
  const Choice choice{.frames = 3,
                      .rows = {1},
                      .class_counts = {2},
                      .labels = {0, 1, 0, 0, 1},
                      .chosen = {{.clip = 1,
                                  .first_frame = 2,
                                  .share = 0.75f,
                                  .partner = 3,
                                  .partner_frame = 1,
                                  .masked_frames = {{{1, 1}, {0, 0}}},
                                  .masked_inputs = {{{0, 1}, {0, 0}}}},
                                 {},
                                 {}},
                      .constants = {1, 1, 1, 2, 2, 2},
                      .smoothing = 0.2,
                      .with_targets = true};
  const auto check = [&](Backend& backend) {
    const Batch result = gather(backend, features, choice);
    const auto x = view_of(result.x.data(), 3, batch, inputs);
    for (std::size_t i = 0; i < inputs; ++i) {
      CHECK(x(0, 0, i) == Approx(i == 0 ? 0 : 31.5));
      CHECK(x(1, 0, i) == 0);
      CHECK(x(2, 0, i) == Approx(i == 0 ? 0 : 35.5));
      CHECK(x(0, 1, i) == 0);
    }
    CHECK(result.y[0] == 1);
    CHECK(result.targets[0] == Approx(0.8 * 0.25 + 0.1));
    CHECK(result.targets[1] == Approx(0.8 * 0.75 + 0.1));
    CHECK(result.targets[2] == 0);  // the run has two classes
  };
  check(*reference::make_backend());
  test::for_each_backend(check);
}
