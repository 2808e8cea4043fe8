// Batches, made where the data are.
#include "kernels/reference/backend.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

TEST_CASE("a batch has the chosen clips frame by frame, and zeros in the rows that do not count") {
  constexpr std::size_t clips = 5, frames = 4, inputs = 3, batch = 3;
  const std::vector<float> features = test::normal_numbers(clips * frames * inputs, 1);
  const std::vector<std::int32_t> labels{0, 1, 2, 1, 0}, chosen{4, 1, 1, 3, -1, -1};
  const Group group{2, batch, frames, 3, {3, 1}, {3, 3}};
  const auto check = [&](Backend& backend) {
    const auto queue = backend.device().make_queue();
    std::vector<float> x(2 * frames * batch * inputs, test::untouched);
    std::vector<std::int32_t> y(2 * batch);
    const auto out = view_of(x.data(), 2, frames, batch, inputs);
    backend.gather(group, view_of(features.data(), clips, frames, inputs), view_of(labels.data(), clips),
                   view_of(chosen.data(), 2, batch), out, view_of(y.data(), 2, batch), *queue);
    queue->synchronize();
    for (std::size_t r = 0; r < 2; ++r)
      for (std::size_t b = 0; b < batch; ++b)
        for (std::size_t t = 0; t < frames; ++t)
          for (std::size_t i = 0; i < inputs; ++i) {
            const std::size_t clip = static_cast<std::size_t>(chosen[r * batch + b]);
            CHECK(out(r, t, b, i) == (b < group.rows[r] ? features[(clip * frames + t) * inputs + i] : 0));
          }
    CHECK(y[0] == 0);
    CHECK(y[1] == 1);
    CHECK(y[2] == 1);
    CHECK(y[3] == 1);
  };
  check(*reference::make_backend());
  test::for_each_backend(check);
}
