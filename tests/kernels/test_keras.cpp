// Parity with Keras: forward, both losses, every gradient, dropout with given masks, and three steps of each optimiser;
// the definition in double precision and every backend in single. Golden data: tests/golden/make_keras_golden.py, and
// Keras fixtures from outside the project where they are.
#include <cmath>

#include "core/io/hdf5.hpp"
#include "kernels/reference/classify_loss.hpp"
#include "kernels/reference/lstm_stack.hpp"
#include "kernels/reference/update.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

namespace {

using Doubles = std::vector<double>;

/// Weights after steps 1, 2, …; an empty vector where Keras's are not recorded.
struct Steps {
  Optimiser optimiser;
  std::vector<Doubles> weights;
};

/// What Keras computed. All weights and gradients are flat, in ParameterLayout.
struct KerasCase {
  std::string name;
  StackConfig stack;
  std::size_t batch, frames, classes;
  Doubles x, masks, weights;  ///< [T, B, F], [D], [P]
  std::vector<std::int32_t> labels;
  Doubles h, probabilities;
  double loss[2];       ///< mean, of Loss::logits and Loss::clipped
  Doubles gradient[2];  ///< of the same; empty where it is not recorded
  std::vector<Steps> steps;
};

Gate gate_of(const std::string& case_name) {
  if (case_name.starts_with("hard_sigmoid_keras3")) return Gate::hard_sigmoid_keras3;
  return case_name.starts_with("hard_sigmoid") ? Gate::hard_sigmoid : Gate::sigmoid;
}

/// The project's own cases that end in `precision`.
std::vector<KerasCase> own_cases(const std::string& precision) {
  const Hdf5File file = Hdf5File::open(test::golden("keras_lstm.h5"));
  const auto read = [&](const std::string& name) { return file.read<double>(name).values; };
  std::vector<KerasCase> cases;
  for (const std::string& name : file.members("/")) {
    if (!name.ends_with(precision)) continue;
    const std::vector<std::size_t> shape = file.read<double>(name + "/x").shape;
    KerasCase c{name, {.inputs = shape[2], .units = {7, 5}, .gate = gate_of(name)}, shape[1], shape[0], 3};
    c.x = read(name + "/x"), c.weights = read(name + "/weights");
    c.labels = file.read<std::int32_t>(name + "/labels").values;
    c.h = read(name + "/h"), c.probabilities = read(name + "/probabilities");
    if (name.starts_with("dropout"))
      c.masks = read(name + "/masks"), c.stack.dropout = 0.05, c.stack.recurrent_dropout = 0.35;
    for (const Loss kind : {Loss::logits, Loss::clipped}) {
      const std::string group = name + (kind == Loss::clipped ? "/clipped" : "/logits");
      c.loss[static_cast<int>(kind)] = read(group + "/loss")[0];
      c.gradient[static_cast<int>(kind)] = read(group + "/gradient");
    }
    if (c.masks.empty())
      c.steps = {{{Optimiser::Kind::adam, 0.01, 0.9, 0.999, 1e-7},
                  {read(name + "/adam/weights1"), read(name + "/adam/weights2"), read(name + "/adam/weights3")}},
                 {{Optimiser::Kind::rmsprop, 0.01, 0, 0.875, 1e-30}, {{}, {}, read(name + "/rmsprop/weights3")}},
                 {{Optimiser::Kind::sgd, 0.1, 0.875, 0, 0}, {{}, {}, read(name + "/sgd/weights3")}}};
    cases.push_back(std::move(c));
  }
  REQUIRE(cases.size() == 4);
  return cases;
}

/// The cases of the outside fixtures (5 clips, 20 frames, 6 inputs, LSTM 8, LSTM 4, 3 classes; only the clipped loss)
/// that end in `ending`.
std::vector<KerasCase> outside_cases(const std::string& path, const std::string& ending) {
  const Hdf5File file = Hdf5File::open(path);
  const auto read = [&](const std::string& name) { return file.read<double>(name).values; };
  const auto flat = [&](const std::string& group) {
    Doubles all;
    for (const char* tensor : {"lstm/kernel", "lstm/recurrent_kernel", "lstm/bias", "lstm_1/kernel",
                               "lstm_1/recurrent_kernel", "lstm_1/bias", "dense/kernel", "dense/bias"}) {
      const Doubles values = read(group + "/" + tensor);
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  };
  std::vector<KerasCase> cases;
  for (const std::string& name : file.members("/")) {
    if (!name.ends_with(ending) || name.starts_with("fit") || name.starts_with("dropout_impl2")) continue;
    KerasCase c{name, {.inputs = 6, .units = {8, 4}, .gate = gate_of(name)}, 5, 20, 3};
    const Doubles x = read(name + "/x"), y = read(name + "/y");
    for (std::size_t t = 0; t < 20; ++t)
      for (std::size_t b = 0; b < 5; ++b)
        for (std::size_t i = 0; i < 6; ++i) c.x.push_back(x[(b * 20 + t) * 6 + i]);
    for (std::size_t b = 0; b < 5; ++b) c.labels.push_back(y[b * 3] == 1 ? 0 : y[b * 3 + 1] == 1 ? 1 : 2);
    if (name.starts_with("dropout")) {
      c.stack.dropout = 0.05, c.stack.recurrent_dropout = 0.35;
      for (const char* mask : {"/mask_x_0", "/mask_h_0", "/mask_x_1", "/mask_h_1"}) {
        const Doubles values = read(name + mask);
        c.masks.insert(c.masks.end(), values.begin(), values.end());
      }
    } else {
      for (const auto& [group, epsilon] : {std::pair{"/adam/keras_default", 1e-7}, std::pair{"/adam/eps1e-8", 1e-8}}) {
        Steps steps{{Optimiser::Kind::adam, 0.001, 0.9, 0.999, epsilon}, {}};
        for (const char* step : {"/w1", "/w2", "/w3"}) steps.weights.push_back(flat(name + group + step));
        c.steps.push_back(steps);
      }
    }
    c.weights = flat(name + "/w0"), c.gradient[1] = flat(name + "/grad"), c.loss[1] = read(name + "/loss")[0];
    c.h = read(name + "/lstm_1_out"), c.probabilities = read(name + "/probs");
    cases.push_back(std::move(c));
  }
  return cases;
}

/// Per tensor: max |a - b| / max |b| ≤ tolerance.
template <class T>
void check_tensors(const KerasCase& c, std::span<const T> a, std::span<const double> b, double tolerance) {
  const ParameterLayout layout(c.stack, c.classes);
  REQUIRE(b.size() == layout.size);
  std::vector<ParameterLayout::Tensor> tensors{layout.dense_kernel, layout.dense_bias};
  for (const ParameterLayout::Layer& layer : layout.layers)
    tensors.insert(tensors.end(), {layer.kernel, layer.recurrent, layer.bias});
  for (const ParameterLayout::Tensor& tensor : tensors)
    CHECK(test::relative_difference(a.subspan(tensor.offset, tensor.size()), b.subspan(tensor.offset, tensor.size())) <=
          tolerance);
}

/// What we compute for a case, in double (the definition) or float (a backend).
template <class T>
struct Computed {
  std::vector<T> h, probabilities, gradient;
  double loss = 0;
};

Computed<double> compute(const KerasCase& c, const Doubles& weights, Loss kind) {
  const ParameterLayout layout(c.stack, c.classes);
  const reference::StackTrace trace =
      reference::stack_forward(c.stack, weights, view_of(c.x.data(), c.frames, c.batch, c.stack.inputs), c.masks);
  const reference::Classification result = reference::classify_loss(
      kind, view_of(trace.outputs(false).data(), c.batch, c.stack.outputs()),
      view_of(weights.data() + layout.dense_kernel.offset, layout.dense_kernel.rows, c.classes),
      std::span(weights).subspan(layout.dense_bias.offset), c.labels, {});
  Doubles gradient(layout.size);
  reference::stack_backward(c.stack, weights, c.masks, trace, result.dh, gradient);
  std::copy(result.dkernel.begin(), result.dkernel.end(),
            gradient.begin() + static_cast<std::ptrdiff_t>(layout.dense_kernel.offset));
  std::copy(result.dbias.begin(), result.dbias.end(),
            gradient.begin() + static_cast<std::ptrdiff_t>(layout.dense_bias.offset));
  return {{trace.outputs(false).begin(), trace.outputs(false).end()},
          result.probabilities,
          gradient,
          result.loss / static_cast<double>(c.batch)};
}

Computed<float> compute(const KerasCase& c, Backend& backend, const std::vector<float>& weights, Loss kind) {
  const Group group{
      1, c.batch, c.frames, c.classes, {static_cast<std::uint32_t>(c.batch)}, {static_cast<std::uint32_t>(c.classes)}};
  const auto queue = backend.device().make_queue();
  const auto state = backend.make_stack_state(c.stack, group, Mode::training);
  const auto floats = [&](const Doubles& values) {
    return test::OnDevice<float>(*queue, std::vector<float>(values.begin(), values.end()));
  };
  test::OnDevice<float> parameters(*queue, weights), x = floats(c.x), masks = floats(c.masks);
  test::OnDevice<std::int32_t> labels(*queue, c.labels), correct(*queue, 1, 0);
  test::OnDevice<float> h(*queue, c.h.size(), 0), dh(*queue, c.h.size(), 0),
      probabilities(*queue, c.probabilities.size(), 0), gradient(*queue, weights.size(), 0);
  test::OnDevice<double> loss(*queue, 1, 0);
  const auto parameter_view = parameters.view(1, weights.size());
  const auto x_view = x.view(1, c.frames, c.batch, c.stack.inputs);
  const auto mask_view = masks.view(1, c.masks.size());
  const auto h_view = h.view(1, 1, c.batch, c.stack.outputs()), dh_view = dh.view(1, 1, c.batch, c.stack.outputs());
  const auto gradient_view = gradient.view(1, weights.size());
  backend.stack_forward(c.stack, group, parameter_view, x_view, mask_view, Mode::training, *state, h_view, *queue);
  backend.classify_loss(c.stack, group, kind, parameter_view, h_view[0], labels.view(1, c.batch), {},
                        probabilities.view(1, c.batch, c.classes), loss.view(1), correct.view(1), dh_view[0],
                        gradient_view, *queue);
  backend.stack_backward(c.stack, group, parameter_view, x_view, mask_view, dh_view, *state, gradient_view, {}, *queue);
  return {h.host(), probabilities.host(), gradient.host(), loss.host()[0] / static_cast<double>(c.batch)};
}

template <class T>
void check_computed(const KerasCase& c, const Computed<T>& result, Loss kind, double tolerance) {
  const int k = static_cast<int>(kind);
  CHECK(test::relative_difference<T, double>(result.h, c.h) <= tolerance);
  CHECK(test::relative_difference<T, double>(result.probabilities, c.probabilities) <= tolerance);
  CHECK(result.loss == Approx(c.loss[k]).epsilon(tolerance));
  check_tensors<T>(c, result.gradient, c.gradient[k], tolerance);
}

/// The learning rate that makes our step into Keras 3's, which rounds Adam's β to single precision before it takes its
/// powers for the bias correction, and uses it exactly elsewhere (keras.optimizers.Adam.update_step).
double keras_rate(const Optimiser& optimiser, std::int64_t step) {
  if (optimiser.kind != Optimiser::Kind::adam) return optimiser.learning_rate;
  const auto correction = [step](double beta1, double beta2) {
    const double t = static_cast<double>(step);
    return std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t));
  };
  return optimiser.learning_rate *
         correction(static_cast<float>(optimiser.beta1), static_cast<float>(optimiser.beta2)) /
         correction(optimiser.beta1, optimiser.beta2);
}

void check_reference(const KerasCase& c, double tolerance) {
  INFO(c.name << ", the definition");
  for (const Loss kind : {Loss::logits, Loss::clipped})
    if (!c.gradient[static_cast<int>(kind)].empty()) check_computed(c, compute(c, c.weights, kind), kind, tolerance);
  for (const Steps& steps : c.steps) {
    Doubles weights = c.weights, m(weights.size()), v(weights.size());
    for (std::size_t s = 0; s < steps.weights.size(); ++s) {
      const std::int64_t step = static_cast<std::int64_t>(s + 1);
      Optimiser optimiser = steps.optimiser;
      optimiser.learning_rate = keras_rate(optimiser, step);
      reference::update(optimiser, 1, step, weights, compute(c, weights, Loss::clipped).gradient, m, v);
      INFO("optimiser " << static_cast<int>(steps.optimiser.kind) << ", ε " << steps.optimiser.epsilon << ", step "
                        << s + 1);
      if (!steps.weights[s].empty()) check_tensors<double>(c, weights, steps.weights[s], tolerance);
    }
  }
}

void check_backends(const KerasCase& c, double tolerance, bool with_steps) {
  INFO(c.name);
  const std::vector<float> start(c.weights.begin(), c.weights.end());
  test::for_each_backend("fp32", c.stack, [&](Backend& backend) {
    for (const Loss kind : {Loss::logits, Loss::clipped})
      if (!c.gradient[static_cast<int>(kind)].empty())
        check_computed(c, compute(c, backend, start, kind), kind, tolerance);
    if (!with_steps) return;
    const auto queue = backend.device().make_queue();
    for (const Steps& steps : c.steps) {
      test::OnDevice<float> weights(*queue, start), moments(*queue, 2 * start.size(), 0);
      test::OnDevice<std::int64_t> done(*queue, 1, 0);
      for (std::size_t s = 0; s < steps.weights.size(); ++s) {
        test::OnDevice<float> gradient(*queue, compute(c, backend, weights.host(), Loss::clipped).gradient);
        backend.update(steps.optimiser, {1, c.batch, c.frames, c.classes, {1}, {3}}, {}, done.view(1),
                       weights.view(1, start.size()), gradient.view(1, start.size()), moments.view(1, 2, start.size()),
                       {}, *queue);
        INFO("optimiser " << static_cast<int>(steps.optimiser.kind) << ", step " << s + 1);
        if (!steps.weights[s].empty()) check_tensors<float>(c, weights.host(), steps.weights[s], tolerance);
      }
    }
  });
}

}  // namespace

TEST_CASE("the definition agrees with Keras in double precision") {
  for (const KerasCase& c : own_cases("_float64")) check_reference(c, 1e-12);
}

TEST_CASE("every backend agrees with Keras in single precision") {
  for (const KerasCase& c : own_cases("_float32")) check_backends(c, 1e-5, true);
}

TEST_CASE("every backend agrees with Keras in double precision, as far as single reaches") {
  for (const KerasCase& c : own_cases("_float64")) check_backends(c, 1e-5, true);
}

TEST_CASE("the losses of saturated rows are Keras's") {
  const Hdf5File file = Hdf5File::open(test::golden("keras_lstm.h5"));
  const Doubles z = file.read<double>("saturated/z").values;
  const auto labels = file.read<std::int32_t>("saturated/labels").values;
  for (const Loss kind : {Loss::logits, Loss::clipped}) {
    const std::string group = kind == Loss::clipped ? "saturated/clipped" : "saturated/logits";
    const Doubles gradient = file.read<double>(group + "/gradient").values;
    double loss = 0;
    for (std::size_t b = 0; b < 4; ++b) {
      Doubles target(3);
      target[static_cast<std::size_t>(labels[b])] = 1;
      const auto row = reference::row_loss(kind, std::span(z).subspan(3 * b, 3), target);
      loss += row.loss / 4;
      for (std::size_t c = 0; c < 3; ++c) CHECK(row.dlogits[c] / 4 == Approx(gradient[3 * b + c]).margin(1e-15));
    }
    CHECK(loss == Approx(file.read<double>(group + "/loss").values[0]).epsilon(1e-12));
  }
}

TEST_CASE("outside Keras fixtures agree too") {
  const std::string path = test::shared("fixtures/keras_lstm.h5").string();
  if (path.empty()) SKIP_TEST("fixtures/keras_lstm.h5 is not here");
  const auto cases = [&](const std::string& ending, std::size_t count) {
    std::vector<KerasCase> found = outside_cases(path, ending);
    REQUIRE(found.size() == count);
    return found;
  };
  for (const KerasCase& c : cases("_float64", 6)) check_reference(c, 1e-9);
  for (const KerasCase& c : cases("_float32", 3)) check_backends(c, 1e-5, true);
  // inputs of the size of MFCCs saturate the gates: single precision has the gradients less exactly, and Adam makes
  // full steps out of gradients that are nearly 0
  for (const KerasCase& c : cases("_mfccscale_float64", 2)) check_backends(c, 1e-4, false);
  for (const KerasCase& c : cases("impl1_float64", 1)) check_backends(c, 1e-5, false);
}
