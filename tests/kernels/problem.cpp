#include <set>

#include "kernels/backends.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

namespace genretree::test {
namespace {

/// Precisions of all backends of this build, each once.
std::set<std::string> precisions() {
  std::set<std::string> names;
  for (const std::string& device : built_backends())
    for (const std::string& precision : backend_precisions(device)) names.insert(precision);
  return names;
}

}  // namespace

void skip_once(const std::string& reason) {
  static std::set<std::pair<std::string, std::string>> known;
  if (known.emplace(Catch::getResultCapture().getCurrentTestName(), reason).second) skip(reason);
}

void for_each_backend(const std::string& precision, const std::function<void(Backend&)>& check) {
  for (const Variant& variant : variants_of(precision)) {
    INFO("backend " << variant.name << ", precision " << precision);
    const auto backend = variant.make();
    check(*backend);
  }
}

void for_each_backend(const std::function<void(Backend&)>& check) {
  for (const std::string& precision : precisions()) for_each_backend(precision, check);
}

void for_each_backend(const StackConfig& stack, const std::function<void(Backend&)>& check) {
  for (const std::string& precision : precisions()) for_each_backend(precision, stack, check);
}

void for_each_backend(const std::string& precision, const StackConfig& stack,
                      const std::function<void(Backend&)>& check) {
  for_each_backend(precision, [&](Backend& backend) {
    const std::string refusal = backend.refusal(stack);
    if (refusal.empty())
      check(backend);
    else
      skip_once(refusal);
  });
}

std::vector<float> counted_rows(const std::vector<float>& values, const Group& group, std::size_t frames) {
  std::vector<float> counted;
  const std::size_t frame = values.size() / (group.runs * frames), width = frame / group.batch;
  for (std::size_t f = 0; f < group.runs * frames; ++f) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(f * frame);
    counted.insert(counted.end(), first, first + static_cast<std::ptrdiff_t>(group.rows[f / frames] * width));
  }
  return counted;
}

Problem::Problem(const StackConfig& config, std::size_t runs, std::size_t batch, std::size_t frames,
                 std::size_t classes)
    : stack(config) {
  group = {runs, batch, frames, classes, {}, {}};
  group.rows.assign(runs, static_cast<std::uint32_t>(batch));
  group.class_counts.assign(runs, static_cast<std::uint32_t>(classes));
  parameters = normal_numbers(runs * parameter_count(), 1, 0.3);
  x = normal_numbers(runs * frames * batch * config.inputs, 2);
  dh = normal_numbers(runs * output_frames() * batch * config.outputs(), 3);
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

/// The inputs of a problem where a backend wants them.
struct ProblemOnDevice {
  const Problem& p;
  OnDevice<float> parameters, x, masks, dh;

  ProblemOnDevice(Queue& queue, const Problem& problem)
      : p(problem), parameters(queue, p.parameters), x(queue, p.x), masks(queue, p.masks), dh(queue, p.dh) {}
  View<const float, 2> parameters_view() { return parameters.view(p.group.runs, p.parameter_count()); }
  View<const float, 4> x_view() { return x.view(p.group.runs, p.group.frames, p.group.batch, p.stack.inputs); }
  View<const float, 2> masks_view() { return masks.view(p.group.runs, p.masks.size() / p.group.runs); }
  /// Of dh, and of what is like it.
  View<float, 4> output_view(OnDevice<float>& outputs) {
    return outputs.view(p.group.runs, p.output_frames(), p.group.batch, p.stack.outputs());
  }
};

}  // namespace

std::vector<float> run_forward(Backend& backend, const Problem& p, StackState& state, Mode mode) {
  const auto queue = backend.device().make_queue();
  ProblemOnDevice on_device(*queue, p);
  OnDevice<float> h(*queue, p.dh.size(), untouched);
  backend.stack_forward(p.stack, p.group, on_device.parameters_view(), on_device.x_view(),
                        mode == Mode::training ? on_device.masks_view() : View<const float, 2>(), mode, state,
                        on_device.output_view(h), *queue);
  return h.host();
}

std::vector<float> run_inference(Backend& backend, const Problem& p) {
  return run_forward(backend, p, *backend.make_stack_state(p.stack, p.group, Mode::inference), Mode::inference);
}

StackResult run_stack(Backend& backend, const Problem& p) {
  const auto queue = backend.device().make_queue();
  const auto state = backend.make_stack_state(p.stack, p.group, Mode::training);
  ProblemOnDevice on_device(*queue, p);
  OnDevice<float> h(*queue, p.dh.size(), untouched), gradients(*queue, p.parameters.size(), untouched),
      dx(*queue, p.stack.input_gradient ? p.x.size() : 0, untouched);
  const auto parameters = on_device.parameters_view();
  const auto x = on_device.x_view();
  const auto masks = on_device.masks_view();
  backend.stack_forward(p.stack, p.group, parameters, x, masks, Mode::training, *state, on_device.output_view(h),
                        *queue);
  backend.stack_backward(
      p.stack, p.group, parameters, x, masks, on_device.output_view(on_device.dh), *state,
      gradients.view(p.group.runs, p.parameter_count()),
      p.stack.input_gradient ? dx.view(p.group.runs, p.group.frames, p.group.batch, p.stack.inputs) : View<float, 4>(),
      *queue);
  return {h.host(), gradients.host(), dx.host()};
}

}  // namespace genretree::test
