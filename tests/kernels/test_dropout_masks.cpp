// Dropout masks: the same numbers on every backend.
#include <cmath>

#include "kernels/reference/backend.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

namespace {

std::vector<float> masks_of(Backend& backend, const StackConfig& stack, std::size_t batch,
                            std::span<const RandomKey> keys) {
  const auto queue = backend.device().make_queue();
  const Group group{keys.size(), batch, 1, 2, std::vector<std::uint32_t>(keys.size(), 1), {}};
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
  const std::vector<float> expected = masks_of(*definition, stack, batch, keys);
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
  test::for_each_backend([&](Backend& backend) { CHECK(masks_of(backend, stack, batch, keys) == expected); });
}

TEST_CASE("a rate of zero keeps everything as it is") {
  const StackConfig stack{.inputs = 3, .units = {4}, .recurrent_dropout = 0.5};
  const std::vector<RandomKey> keys{{.use = RandomUse::dropout}};
  test::for_each_backend([&](Backend& backend) {
    const std::vector<float> masks = masks_of(backend, stack, 2, keys);
    for (std::size_t e = 0; e < 4 * 2 * 3; ++e) CHECK(masks[e] == 1);
  });
}
