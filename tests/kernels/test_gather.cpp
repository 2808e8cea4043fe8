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
    test::OnDevice<float> all_features(*queue, features), batch_x(*queue, 2 * frames * batch * inputs, test::untouched);
    test::OnDevice<std::int32_t> all_labels(*queue, labels), rows(*queue, chosen), batch_y(*queue, 2 * batch, -7);
    backend.gather(group, all_features.view(clips, frames, inputs), all_labels.view(clips), rows.view(2, batch),
                   batch_x.view(2, frames, batch, inputs), batch_y.view(2, batch), *queue);
    const std::vector<float> x = batch_x.host();
    const std::vector<std::int32_t> y = batch_y.host();
    const auto out = view_of(x.data(), 2, frames, batch, inputs);
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
