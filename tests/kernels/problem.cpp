#include "kernels/backends.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

namespace genretree::test {

void for_each_backend(const std::string& precision, const std::function<void(Backend&)>& check) {
  for (const std::string& device : built_backends())
    for (const std::string& target : backend_targets(device, precision)) {
      INFO("backend " << device << ", precision " << precision << ", target " << target);
      const auto backend = make_backend({.device = device, .precision = precision, .target = target});
      check(*backend);
    }
}

void for_each_backend(const std::function<void(Backend&)>& check) {
  for (const char* precision : {"fp32", "bf16"}) for_each_backend(precision, check);
}

std::vector<float> normal_numbers(std::size_t size, std::uint64_t seed, double deviation) {
  Random random({.seed = seed});
  std::vector<float> numbers(size);
  for (float& number : numbers) number = static_cast<float>(deviation * random.normal());
  return numbers;
}

Problem::Problem(const StackConfig& config, std::size_t runs, std::size_t batch, std::size_t frames,
                 std::size_t classes)
    : stack(config) {
  group = {runs, batch, frames, classes, {}, {}};
  group.rows.assign(runs, static_cast<std::uint32_t>(batch));
  group.class_counts.assign(runs, static_cast<std::uint32_t>(classes));
  parameters = normal_numbers(runs * parameter_count(), 1, 0.3);
  x = normal_numbers(runs * frames * batch * config.inputs, 2);
  dh = normal_numbers(runs * batch * config.outputs(), 3);
  Random random({.seed = 4});
  for (std::size_t row = 0; row < runs * batch; ++row)
    labels.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(classes))));
  if (!config.has_dropout()) return;
  const MaskLayout layout(config, batch);
  for (std::size_t e = 0; e < runs * layout.size; ++e) masks.push_back(random.uniform() < 0.3 ? 0.0f : 1.25f);
}

Problem Problem::alone(std::size_t r) const {
  Problem one = *this;
  one.group.runs = 1;
  one.group.rows = {group.rows[r]};
  one.group.class_counts = {group.class_counts[r]};
  const auto take = [&](auto& values) {
    const std::size_t size = values.size() / group.runs;
    values = {values.begin() + static_cast<std::ptrdiff_t>(r * size),
              values.begin() + static_cast<std::ptrdiff_t>((r + 1) * size)};
  };
  take(one.parameters), take(one.x), take(one.dh), take(one.masks), take(one.labels);
  return one;
}

namespace {

View<const float, 2> masks_of(const Problem& p) {
  if (p.masks.empty()) return {};
  return view_of(p.masks.data(), p.group.runs, p.masks.size() / p.group.runs);
}

View<const float, 4> x_of(const Problem& p) {
  return view_of(p.x.data(), p.group.runs, p.group.frames, p.group.batch, p.stack.inputs);
}

}  // namespace

StackResult run_stack(Backend& backend, const Problem& p) {
  const auto queue = backend.device().make_queue();
  const auto state = backend.make_stack_state(p.stack, p.group, Mode::training);
  StackResult result{std::vector<float>(p.dh.size(), untouched), std::vector<float>(p.parameters.size(), untouched)};
  const auto parameters = view_of(p.parameters.data(), p.group.runs, p.parameter_count());
  backend.stack_forward(p.stack, p.group, parameters, x_of(p), masks_of(p), Mode::training, *state,
                        view_of(result.h.data(), p.group.runs, p.group.batch, p.stack.outputs()), *queue);
  backend.stack_backward(p.stack, p.group, parameters, x_of(p), masks_of(p),
                         view_of(p.dh.data(), p.group.runs, p.group.batch, p.stack.outputs()), *state,
                         view_of(result.gradients.data(), p.group.runs, p.parameter_count()), *queue);
  queue->synchronize();
  return result;
}

std::vector<float> run_inference(Backend& backend, const Problem& p) {
  const auto queue = backend.device().make_queue();
  const auto state = backend.make_stack_state(p.stack, p.group, Mode::inference);
  std::vector<float> h(p.dh.size(), untouched);
  backend.stack_forward(p.stack, p.group, view_of(p.parameters.data(), p.group.runs, p.parameter_count()), x_of(p), {},
                        Mode::inference, *state, view_of(h.data(), p.group.runs, p.group.batch, p.stack.outputs()),
                        *queue);
  queue->synchronize();
  return h;
}

}  // namespace genretree::test
