// Dropout masks: the same numbers on every backend.
#include <algorithm>
#include <cmath>

#include "kernels/reference/backend.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

namespace {

std::vector<float> masks_of(Backend& backend, const NetworkConfig& stack, std::size_t batch,
                            std::span<const RandomKey> keys, const std::vector<std::uint32_t>& rows) {
  const auto queue = backend.device().make_queue();
  const Group group{keys.size(), batch, 1, 2, rows, {}};
  const std::size_t size = MaskLayout(stack, batch).size;
  test::OnDevice<float> masks(*queue, keys.size() * size, test::untouched);
  backend.dropout_masks(stack, group, keys, masks.view(keys.size(), size), *queue);
  return masks.host();
}

}  // namespace

TEST_CASE("every backend draws the definition's masks, at the rates asked for") {
  const StackConfig stack{.inputs = 50, .units = {60, 20}, .dropout = 0.05, .recurrent_dropout = 0.35};
  const std::vector<RandomKey> keys{{.seed = 1, .batch = 3, .use = RandomUse::dropout},
                                    {.seed = 2, .use = RandomUse::dropout}};
  constexpr std::size_t batch = 10;
  const auto definition = reference::make_backend();
  const std::vector<float> expected = masks_of(*definition, stack, batch, keys, {1, 1});
  const MaskLayout layout(stack, batch);
  for (std::size_t l = 0; l < 2; ++l) {
    const auto check_rate = [&](std::size_t offset, std::size_t size, double rate) {
      double dropped = 0;
      for (std::size_t e = offset; e < offset + size; ++e) {
        CHECK((expected[e] == 0 || expected[e] == static_cast<float>(1 / (1 - rate))));
        dropped += expected[e] == 0;
      }
      const double n = static_cast<double>(size);
      CHECK(std::abs(dropped / n - rate) < 4 * std::sqrt(rate * (1 - rate) / n));
    };
    check_rate(layout.layers[l].input_offset, 4 * batch * stack.layer_inputs(l), 0.05);
    check_rate(layout.layers[l].recurrent_offset, 4 * batch * stack.units[l], 0.35);
  }
  test::for_each_backend([&](Backend& backend) { CHECK(masks_of(backend, stack, batch, keys, {1, 1}) == expected); });
}

TEST_CASE("the outputs of a network's layers have masks too, with and without those of the cells") {
  NetworkConfig network(StackConfig{.inputs = 50, .units = {61, 21}});
  network.layer_dropout = 0.4, network.bidirectional = true, network.readout = Readout::mean_max;
  const std::vector<RandomKey> keys{{.seed = 1, .batch = 3, .use = RandomUse::dropout},
                                    {.seed = 2, .use = RandomUse::dropout}};
  constexpr std::size_t batch = 9;
  constexpr std::size_t outputs = 9 * 2 * 61, read = 9 * 4 * 21;  // of the first layer, and of the readout
  const std::size_t padded = outputs + 2 + read;                  // to multiples of 4
  const auto definition = reference::make_backend();
  for (const double dropout : {0.0, 0.3}) {
    network.dropout = dropout;
    const MaskLayout layout(network, batch);
    const std::size_t cells = dropout > 0 ? 2 * 4 * batch * (50 + 61 + 122 + 21) : 0;
    CHECK(layout.size == cells + padded);
    CHECK(layout.layer_outputs == std::vector<std::size_t>{cells, cells + outputs + 2});
    const std::vector<float> expected = masks_of(*definition, network, batch, keys, {1, 1});
    double dropped = 0;
    for (std::size_t e = cells; e < layout.size; ++e) {
      CHECK((expected[e] == 0 || expected[e] == static_cast<float>(1 / (1 - 0.4))));
      dropped += expected[e] == 0;
    }
    CHECK(std::abs(dropped / padded - 0.4) < 4 * std::sqrt(0.4 * 0.6 / padded));
    test::for_each_backend([&](Backend& backend) {
      CHECK(masks_of(backend, network, batch, keys, {1, 1}) == expected);
    });
  }
}

TEST_CASE("a run's masks are the same in a group and alone, and those of a run without rows are left alone") {
  NetworkConfig stack(StackConfig{.inputs = 13, .units = {20, 7}, .dropout = 0.25, .recurrent_dropout = 0.5});
  stack.layer_dropout = GENERATE(0.0, 0.1);
  const std::vector<RandomKey> keys{{.seed = 1, .epoch = 7, .use = RandomUse::dropout},
                                    {.seed = 1, .trial = 2, .epoch = 7, .use = RandomUse::dropout},
                                    {.seed = 3, .node = 4, .batch = 9, .use = RandomUse::dropout}};
  constexpr std::size_t batch = 5;
  const std::vector<std::uint32_t> rows{5, 0, 2};
  const auto check = [&](Backend& backend) {
    const std::vector<float> together = masks_of(backend, stack, batch, keys, rows);
    std::vector<float> apart;
    for (std::size_t r = 0; r < keys.size(); ++r) {
      const std::vector<float> masks = masks_of(backend, stack, batch, {&keys[r], 1}, {rows[r]});
      apart.insert(apart.end(), masks.begin(), masks.end());
    }
    CHECK(together == apart);
    const auto ended = together.begin() + static_cast<std::ptrdiff_t>(together.size() / 3);
    CHECK(std::count(ended, ended + static_cast<std::ptrdiff_t>(together.size() / 3), test::untouched) ==
          static_cast<std::ptrdiff_t>(together.size() / 3));
  };
  check(*reference::make_backend());
  test::for_each_backend(check);
}

TEST_CASE("a rate of zero keeps everything as it is") {
  const StackConfig stack{.inputs = 3, .units = {4}, .recurrent_dropout = 0.5};
  const std::vector<RandomKey> keys{{.use = RandomUse::dropout}};
  test::for_each_backend([&](Backend& backend) {
    const std::vector<float> masks = masks_of(backend, stack, 2, keys, {2});
    for (std::size_t e = 0; e < 4 * 2 * 3; ++e) CHECK(masks[e] == 1);
  });
}
