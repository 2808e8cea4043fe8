// Batches, made where the data are.
#include "kernels/reference/backend.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

namespace {

constexpr std::size_t clips = 5, frames = 4, inputs = 3, batch = 3;

/// Runs of a group: what each asks of the same clips, and what it takes of them.
struct Choice {
  std::vector<std::uint32_t> rows;
  std::vector<std::int32_t> labels, chosen;  ///< [R, clips], [R, batch]; -1 where nothing may be read

  Choice alone(std::size_t r) const {
    const auto part = [&](const std::vector<std::int32_t>& values, std::size_t size) {
      const auto first = values.begin() + static_cast<std::ptrdiff_t>(r * size);
      return std::vector<std::int32_t>(first, first + static_cast<std::ptrdiff_t>(size));
    };
    return {{rows[r]}, part(labels, clips), part(chosen, batch)};
  }
};

struct Batch {
  std::vector<float> x;
  std::vector<std::int32_t> y;  ///< -7 where nothing was written
};

Batch gather(Backend& backend, const std::vector<float>& features, const Choice& choice) {
  const std::size_t runs = choice.rows.size();
  const Group group{runs, batch, frames, 3, choice.rows, std::vector<std::uint32_t>(runs, 3)};
  const auto queue = backend.device().make_queue();
  test::OnDevice<float> all_features(*queue, features), x(*queue, runs * frames * batch * inputs, test::untouched);
  test::OnDevice<std::int32_t> labels(*queue, choice.labels), chosen(*queue, choice.chosen),
      y(*queue, runs * batch, -7);
  backend.gather(group, all_features.view(clips, frames, inputs), labels.view(runs, clips), chosen.view(runs, batch),
                 x.view(runs, frames, batch, inputs), y.view(runs, batch), *queue);
  return {x.host(), y.host()};
}

}  // namespace

TEST_CASE("a batch has the chosen clips frame by frame, each run's own labels, and zeros in rows that do not count") {
  const std::vector<float> features = test::normal_numbers(clips * frames * inputs, 1);
  const Choice choice{{3, 0, 1}, {0, 1, 2, 1, 0, 2, 2, 2, 2, 2, 1, 0, 0, 2, 1}, {4, 1, 1, -1, -1, -1, 3, -1, -1}};
  const auto check = [&](Backend& backend) {
    const Batch result = gather(backend, features, choice);
    const auto x = view_of(result.x.data(), 3, frames, batch, inputs);
    for (std::size_t r = 0; r < 3; ++r)
      for (std::size_t b = 0; b < batch; ++b)
        for (std::size_t t = 0; t < frames; ++t)
          for (std::size_t i = 0; i < inputs; ++i) {
            const std::size_t clip = static_cast<std::size_t>(choice.chosen[r * batch + b]);
            CHECK(x(r, t, b, i) == (b < choice.rows[r] ? features[(clip * frames + t) * inputs + i] : 0));
          }
    CHECK(std::vector(result.y.begin(), result.y.begin() + 3) == std::vector<std::int32_t>{0, 1, 1});
    CHECK(result.y[6] == 2);
    for (std::size_t r = 0; r < 3; ++r) {
      const Batch alone = gather(backend, features, choice.alone(r));
      CHECK(std::equal(alone.x.begin(), alone.x.end(), result.x.begin() + r * alone.x.size()));
      CHECK(std::equal(alone.y.begin(), alone.y.end(), result.y.begin() + r * batch));
    }
  };
  check(*reference::make_backend());
  test::for_each_backend(check);
}
