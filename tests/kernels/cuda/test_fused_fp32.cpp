// The fused LSTM's kernels in single precision against the definition: whole stacks, forward and backward, as a backend
// would give them to the GPU, in every order of blocks, warps and lanes.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cuda/fused_fp32.hpp"
#include "kernels/reference/lstm_stack.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using namespace genretree::cuda::fused_fp32;
using emulator::Emulator;
using emulator::Order;
using test::Problem;

namespace {

constexpr std::size_t shared_memory_8_0 = 163 * 1024, shared_memory_9_0 = 227 * 1024;
constexpr float nothing = std::numeric_limits<float>::quiet_NaN();  ///< what nobody has written

/// An array of each run, full of NaN.
struct Array {
  std::vector<float> values;
  std::size_t stride;

  Array(std::size_t runs, std::size_t size) : values(runs * size, nothing), stride(size) {}
  operator PerRun<float>() { return {values.data(), stride}; }
  operator PerRun<const float>() const { return {values.data(), stride}; }
};

/// Where a layer's weights are to lie, if not where the plan puts them.
using Placement = std::function<void(BlockPlan&)>;

/// One layer's memory.
struct Layer {
  LayerShape shape;
  LayerOffsets offsets;
  MaskLayout::Layer mask_offsets;
  BlockPlan forward_plan, backward_plan;
  Array forward_weights, backward_weights, masks, h, saved, dz, dx, dbias, partial_sums;

  Layer(const Problem& p, std::size_t layer, std::size_t shared_limit, const Placement& placement)
      : shape(shape_of(p, layer)),
        offsets(offsets_of(p, layer)),
        mask_offsets(MaskLayout(p.stack, p.group.batch).layers[layer]),
        forward_plan(placed(plan_forward(shape, !p.masks.empty(), shared_limit), placement)),
        backward_plan(placed(plan_backward(shape, layer > 0, shared_limit), placement)),
        forward_weights(shape.runs, forward_plan.weights_size()),
        backward_weights(shape.runs, backward_plan.weights_size()),
        masks(shape.runs, p.masks.empty() ? 0 : shape.masks_size()),
        h(shape.runs, shape.sequence_size(shape.units)),
        saved(shape.runs, shape.saved_size()),
        dz(shape.runs, shape.sequence_size(4 * shape.units)),
        dx(shape.runs, layer > 0 ? shape.sequence_size(shape.inputs) : 0),
        dbias(shape.runs, shape.bias_gradients_size()),
        partial_sums(shape.runs, shape.partial_sums_size()) {}

  static LayerShape shape_of(const Problem& p, std::size_t layer) {
    const auto narrow = [](std::size_t size) { return static_cast<unsigned>(size); };
    return {narrow(p.group.runs),         narrow(p.group.batch),
            narrow(p.group.frames),       narrow(p.stack.layer_inputs(layer)),
            narrow(p.stack.units[layer]), p.stack.gate};
  }
  static LayerOffsets offsets_of(const Problem& p, std::size_t layer) {
    const ParameterLayout::Layer tensors = ParameterLayout(p.stack, p.group.classes).layers[layer];
    return {tensors.kernel.offset, tensors.recurrent.offset, tensors.bias.offset};
  }
  static BlockPlan placed(BlockPlan plan, const Placement& placement) {
    if (placement) placement(plan);
    return plan;
  }
};

struct Result {
  std::vector<float> last_h;     ///< [R, B, H]
  std::vector<float> gradients;  ///< [R, P]
  std::vector<float> h;          ///< of the first layer, [R][blocks][T][H][8]

  bool operator==(const Result& other) const {
    return last_h == other.last_h && gradients == other.gradients && same_bits(h, other.h);
  }
  static bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](float x, float y) { return x == y || (std::isnan(x) && std::isnan(y)); });
  }
};

/// The whole stack, forward and backward. Rows that do not count hold NaN.
Result compute(const Problem& original, Emulator& emulator, std::size_t shared_limit = shared_memory_9_0,
               const Placement& placement = nullptr) {
  Problem p = original;
  const std::size_t runs = p.group.runs, batch = p.group.batch, frames = p.group.frames, units = p.stack.outputs();
  cuda::RunRows rows{};
  for (std::size_t r = 0; r < runs; ++r) {
    rows.rows[r] = static_cast<std::uint16_t>(p.group.rows[r]);
    for (std::size_t b = p.group.rows[r]; b < batch; ++b) {
      for (std::size_t t = 0; t < frames; ++t)
        std::fill_n(&p.x[((r * frames + t) * batch + b) * p.stack.inputs], p.stack.inputs, nothing);
      std::fill_n(&p.dh[(r * batch + b) * units], units, nothing);
    }
  }
  const PerRun<const float> parameters{p.parameters.data(), p.parameter_count()};
  const PerRun<const float> all_masks{p.masks.data(), p.masks.size() / runs};
  Array x(runs, Layer::shape_of(p, 0).sequence_size(static_cast<unsigned>(p.stack.inputs)));
  Array last_h(runs, batch * units), gradients(runs, p.parameter_count());
  std::fill(last_h.values.begin(), last_h.values.end(), test::untouched);
  std::fill(gradients.values.begin(), gradients.values.end(), test::untouched);

  std::vector<Layer> layers;
  for (std::size_t layer = 0; layer < p.stack.layers(); ++layer) layers.emplace_back(p, layer, shared_limit, placement);
  const auto masks_of = [&](const Layer& layer) {
    return p.masks.empty() ? PerRun<const float>() : PerRun<const float>(layer.masks);
  };
  const auto inputs_of = [&](std::size_t layer) { return PerRun<const float>(layer == 0 ? x : layers[layer - 1].h); };
  arrange_inputs(view_of(std::as_const(p.x).data(), runs, frames, batch, p.stack.inputs), rows, x, &emulator);
  for (std::size_t l = 0; l < layers.size(); ++l) {
    Layer& layer = layers[l];
    const bool is_last = l + 1 == layers.size();
    pack_forward(layer.shape, layer.forward_plan, rows, parameters, layer.offsets, layer.forward_weights, &emulator);
    pack_backward(layer.shape, layer.backward_plan, rows, parameters, layer.offsets, layer.backward_weights, &emulator);
    if (!p.masks.empty())
      arrange_masks(layer.shape, rows, all_masks, layer.mask_offsets.input_offset, layer.mask_offsets.recurrent_offset,
                    layer.masks, &emulator);
    forward(layer.shape, layer.forward_plan, rows,
            {.weights = layer.forward_weights,
             .bias = {parameters.data + layer.offsets.bias, parameters.stride},
             .x = inputs_of(l),
             .masks = masks_of(layer),
             .h = layer.h,
             .last_h = is_last ? PerRun<float>(last_h) : PerRun<float>(),
             .saved = layer.saved},
            &emulator);
  }
  for (std::size_t l = layers.size(); l-- > 0;) {
    Layer& layer = layers[l];
    const bool is_last = l + 1 == layers.size();
    backward(layer.shape, layer.backward_plan, rows,
             {.weights = layer.backward_weights,
              .masks = masks_of(layer),
              .saved = layer.saved,
              .dlast = is_last ? PerRun<const float>{p.dh.data(), batch * units} : PerRun<const float>(),
              .dh = is_last ? PerRun<const float>() : PerRun<const float>(layers[l + 1].dx),
              .dz = layer.dz,
              .dx = l > 0 ? PerRun<float>(layer.dx) : PerRun<float>(),
              .dbias = layer.dbias},
             &emulator);
    genretree::cuda::fused_fp32::gradients(layer.shape, rows,
                                           {.x = inputs_of(l),
                                            .h = layer.h,
                                            .masks = masks_of(layer),
                                            .dz = layer.dz,
                                            .dbias = layer.dbias,
                                            .partial_sums = layer.partial_sums,
                                            .gradients = gradients,
                                            .offsets = layer.offsets},
                                           &emulator);
  }
  return {last_h.values, gradients.values, layers[0].h.values};
}

/// By the definition: of the rows that count.
struct Expected {
  std::vector<double> h, gradients;  ///< [R, B, H], [R, P]
};

Expected expected_of(const Problem& p) {
  const std::size_t runs = p.group.runs, batch = p.group.batch, units = p.stack.outputs();
  Expected expected;
  for (std::size_t r = 0; r < runs; ++r) {
    const Problem run = p.alone(r);
    const auto wide = [](const std::vector<float>& values) {
      return std::vector<double>(values.begin(), values.end());
    };
    const std::vector<double> parameters = wide(run.parameters), x = wide(run.x), masks = wide(run.masks);
    std::vector<double> dh = wide(run.dh), gradients(run.parameter_count(), test::untouched);
    std::fill(dh.begin() + static_cast<std::ptrdiff_t>(p.group.rows[r] * units), dh.end(), 0.0);
    const reference::StackTrace trace =
        reference::stack_forward(p.stack, parameters, view_of(x.data(), p.group.frames, batch, p.stack.inputs), masks);
    reference::stack_backward(p.stack, parameters, masks, trace, dh, gradients);
    const std::span<const double> h = trace.outputs(false);
    expected.h.insert(expected.h.end(), h.begin(), h.end());
    expected.gradients.insert(expected.gradients.end(), gradients.begin(), gradients.end());
  }
  return expected;
}

/// Every tensor agrees, and nothing else was written.
void check_agreement(const Problem& p, const Result& result, const Expected& expected, double tolerance) {
  const std::size_t batch = p.group.batch, units = p.stack.outputs();
  const ParameterLayout layout(p.stack, p.group.classes);
  for (std::size_t r = 0; r < p.group.runs; ++r) {
    INFO("run " << r << " with " << p.group.rows[r] << " rows");
    const std::size_t rows = p.group.rows[r] * units, all_rows = batch * units;
    const std::span<const float> h = std::span(result.last_h).subspan(r * all_rows, all_rows);
    CHECK(test::relative_difference<float, double>(h.first(rows), std::span(expected.h).subspan(r * all_rows, rows)) <
          tolerance);
    const auto is_untouched = [](float value) { return value == test::untouched; };
    CHECK(std::all_of(h.begin() + static_cast<std::ptrdiff_t>(rows), h.end(), is_untouched));
    const std::span<const float> gradients = std::span(result.gradients).subspan(r * layout.size, layout.size);
    if (rows == 0) {
      CHECK(std::all_of(gradients.begin(), gradients.end(), is_untouched));
      continue;
    }
    CHECK(std::all_of(gradients.begin() + static_cast<std::ptrdiff_t>(layout.dense_kernel.offset), gradients.end(),
                      is_untouched));
    const std::span<const double> wanted = std::span(expected.gradients).subspan(r * layout.size, layout.size);
    for (std::size_t layer = 0; layer < p.stack.layers(); ++layer) {
      INFO("layer " << layer);
      const ParameterLayout::Layer& tensors = layout.layers[layer];
      for (const ParameterLayout::Tensor& tensor : {tensors.kernel, tensors.recurrent, tensors.bias}) {
        INFO("tensor " << tensor.rows << " x " << tensor.columns);
        CHECK(test::relative_difference<float, double>(gradients.subspan(tensor.offset, tensor.size()),
                                                       wanted.subspan(tensor.offset, tensor.size())) < tolerance);
      }
    }
  }
}

/// All orders; under the checks of each access one is enough, for they find what is wrong in any.
std::vector<Emulator> orders() {
  if (emulator::checks_accesses()) return {Emulator(Order::random, 1)};
  return emulator::all_orders();
}

constexpr double tolerance = 3e-6;

void check_in(Emulator& emulator, const Problem& p) {
  check_agreement(p, compute(p, emulator), expected_of(p), tolerance);
}

/// One run of all rows, computed in one order.
void check_stack(const StackConfig& stack, std::size_t batch, std::size_t frames) {
  Emulator emulator(Order::random, 1);
  check_in(emulator, Problem(stack, 1, batch, frames, 3));
}

}  // namespace

TEST_CASE("the fused LSTM in fp32 agrees with the definition, any batch and few frames, in all orders") {
  const std::size_t batch = GENERATE(1, 7, 15, 25, 35, 40);
  for (const std::size_t frames : {1, 2, 16}) {
    if (emulator::checks_accesses() && batch > 15) continue;
    INFO("batch " << batch << ", frames " << frames);
    const Problem p({.inputs = 5, .units = {16, 32}}, 1, batch, frames, 3);
    const Expected expected = expected_of(p);
    for (Emulator& emulator : orders()) check_agreement(p, compute(p, emulator), expected, tolerance);
  }
}

TEST_CASE("the fused LSTM in fp32 agrees with the definition with hard sigmoids and with dropout, in all orders") {
  const Gate gate = GENERATE(Gate::sigmoid, Gate::hard_sigmoid, Gate::hard_sigmoid_keras3);
  const bool dropout = GENERATE(false, true);
  if (gate == Gate::sigmoid && !dropout) return;
  StackConfig stack{.inputs = 3, .units = {32, 16}, .gate = gate};
  if (dropout) stack.dropout = 0.2, stack.recurrent_dropout = 0.3;
  const Problem p(stack, 1, 11, 5, 3);
  const Expected expected = expected_of(p);
  for (Emulator& emulator : orders()) check_agreement(p, compute(p, emulator), expected, tolerance);
}

TEST_CASE("the fused LSTM in fp32 agrees with the definition whatever the widths") {
  struct Case {
    StackConfig stack;
    std::size_t batch, frames;
  };
  std::vector<Case> cases{
      {{.inputs = 13, .units = {128, 32}}, 7, 4},  // the paper's
      {{.inputs = 300, .units = {16}}, 3, 3},      // inputs of which a thread fetches more than it can keep
      {{.inputs = 1, .units = {48, 64}}, 2, 3},    // the last with splits; sets of inputs that are not full
      {{.inputs = 2, .units = {80, 16}}, 9, 2},    // five sets of inputs
      {{.inputs = 7, .units = {160, 144}}, 2, 2},  // 320 and 288 threads
      {{.inputs = 4, .units = {256, 256}}, 8, 2},  // 512 threads
  };
  StackConfig with_dropout{.inputs = 6, .units = {128, 256, 64}, .dropout = 0.2, .recurrent_dropout = 0.2};
  cases.push_back({with_dropout, 4, 2});
  if (emulator::checks_accesses()) cases.erase(cases.begin() + 4, cases.end());
  for (const Case& one : cases) {
    INFO("first layer of " << one.stack.units[0] << " units");
    check_stack(one.stack, one.batch, one.frames);
  }
}

TEST_CASE("the fused LSTM in fp32 agrees with the definition over 1293 frames") {
  if (emulator::checks_accesses()) return;  // the same instructions as of few frames
  Problem p({.inputs = 13, .units = {128, 32}}, 1, 2, 1293, 6);
  Emulator emulator;
  check_agreement(p, compute(p, emulator), expected_of(p), 1e-5);
}

TEST_CASE("the fused LSTM in fp32 sums gradients over several chunks of frames and blocks of rows") {
  check_stack({.inputs = 2, .units = {16}}, 9, 2 * chunk_frames + 3);
}

TEST_CASE("a run of a fused group in fp32 has the bits that it has alone, whatever lies beside it") {
  StackConfig stack{.inputs = 3, .units = {16, 32}};
  if (GENERATE(false, true)) stack.dropout = stack.recurrent_dropout = 0.2;
  Problem p(stack, 5, 18, 4, 3);
  p.group.rows = {18, 0, 5, 8, 17};
  for (Emulator& emulator : orders()) {
    const Result together = compute(p, emulator);
    check_agreement(p, together, expected_of(p), tolerance);
    const auto part = [&](const std::vector<float>& values, std::size_t r) {
      const auto size = static_cast<std::ptrdiff_t>(values.size() / p.group.runs);
      const auto first = values.begin() + static_cast<std::ptrdiff_t>(r) * size;
      return std::vector<float>(first, first + size);
    };
    for (std::size_t r = 0; r < p.group.runs; ++r)
      CHECK(compute(p.alone(r), emulator) ==
            Result{part(together.last_h, r), part(together.gradients, r), part(together.h, r)});
  }
}

TEST_CASE("rows that do not count are 0 in the fused LSTM's sequences, and blocks without others are not written") {
  Problem p({.inputs = 3, .units = {16}}, 1, 18, 2, 3);
  p.group.rows = {11};
  Emulator emulator;
  const std::vector<float> h = compute(p, emulator).h;
  for (std::size_t place = 0; place < h.size(); ++place) {
    const std::size_t block = place / (2 * 16 * block_rows), row = block * block_rows + place % block_rows;
    if (block == 2)
      REQUIRE(std::isnan(h[place]));
    else
      REQUIRE((h[place] == 0) == (row >= 11));
  }
}

TEST_CASE("the fused LSTM in fp32 has the same bits wherever its weights lie") {
  StackConfig stack{.inputs = 6, .units = {128, 32}};
  if (GENERATE(false, true)) stack.dropout = stack.recurrent_dropout = 0.2;
  const Problem p(stack, 1, 3, 3, 3);
  Emulator emulator;
  const Result nearest = compute(p, emulator);
  const Result on_8_0 = compute(p, emulator, shared_memory_8_0);
  const Result far = compute(p, emulator, shared_memory_9_0, [](BlockPlan& plan) { plan.shared_rows = 0; });
  const Result shared = compute(p, emulator, shared_memory_9_0, [](BlockPlan& plan) {
    plan.register_rows = 8;
    plan.shared_rows = 2 * rows_at_once;
  });
  CHECK(nearest == on_8_0);
  CHECK(nearest == far);
  CHECK(nearest == shared);
}

TEST_CASE("the plans of the fused LSTM in fp32 keep the paper's weights on the multiprocessor, and fit it") {
  const auto is_near = [](const BlockPlan& plan) { return plan.register_rows + plan.shared_rows == plan.weight_rows; };
  for (const std::size_t limit : {shared_memory_8_0, shared_memory_9_0}) {
    for (const unsigned inputs : {13, 128}) {
      const LayerShape paper{1, 35, 1293, inputs, inputs == 13 ? 128u : 32u};
      CHECK(is_near(plan_forward(paper, false, limit)));
      CHECK(is_near(plan_backward(paper, inputs == 128, limit)));
    }
    for (unsigned units = least_units; units <= most_units; units += 16)
      for (const unsigned inputs : {1u, 13u, units}) {
        const LayerShape shape{1, 8, 10, inputs, units};
        for (const bool flag : {false, true})
          for (const bool is_forward : {false, true}) {
            const BlockPlan plan = (is_forward ? plan_forward : plan_backward)(shape, flag, limit);
            REQUIRE(plan.shared_bytes() <= limit);
            REQUIRE(plan.threads % 32 == 0);
            REQUIRE(plan.register_rows > 0);
            REQUIRE(plan.threads <=
                    (is_forward ? forward_threads(plan.register_rows, flag) : backward_threads(plan.register_rows)));
            REQUIRE(plan.register_rows + plan.shared_rows <= plan.weight_rows);
          }
      }
  }
  CHECK_THAT(test::error_of([] {
               plan_forward({1, 8, 10, 4000, 16}, false, shared_memory_9_0);
             }),
             Catch::Contains("4000 inputs and 16 units") && Catch::Contains("232448"));
}
