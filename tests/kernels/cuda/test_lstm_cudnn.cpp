// The LSTM stack by cuDNN, with the host's twin in cuDNN's place: our kernels and the order of calls against the
// definition, groups and partial batches, what is refused, and the choice of an algorithm.
#include <algorithm>
#include <functional>
#include <limits>
#include <utility>

#include "kernels/backends.hpp"
#include "kernels/cuda/lstm_stack.hpp"
#include "kernels/reference/backend.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/cuda_libraries/device.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using test::Problem;

namespace {

std::unique_ptr<Backend> make_cuda(const std::string& lstm = "cudnn", const std::string& precision = "fp32") {
  return make_backend({.device = "cuda", .lstm = lstm, .precision = precision});
}

/// The stack's part of the gradients is near the other's; the dense layer's is left alone.
void check_gradients(const Problem& p, std::span<const float> a, std::span<const float> b, double tolerance) {
  const ParameterLayout layout(p.stack, p.group.classes);
  for (const ParameterLayout::Layer& layer : layout.layers)
    for (const ParameterLayout::Tensor& tensor : {layer.kernel, layer.recurrent, layer.bias})
      CHECK(test::relative_difference(a.subspan(tensor.offset, tensor.size()),
                                      b.subspan(tensor.offset, tensor.size())) <= tolerance);
  CHECK(std::all_of(a.begin() + static_cast<std::ptrdiff_t>(layout.dense_kernel.offset), a.end(),
                    [](float value) { return value == test::untouched; }));
}

void check_against_definition(const Problem& p, const std::string& lstm) {
  const auto definition = reference::make_backend();
  const auto backend = make_cuda(lstm);
  const test::StackResult expected = test::run_stack(*definition, p), result = test::run_stack(*backend, p);
  CHECK(test::relative_difference<float, float>(result.h, expected.h) <= 2e-6);
  check_gradients(p, result.gradients, expected.gradients, 5e-6);
}

/// Nothing but training on the problem's group.
StackWork training(const Problem& p) { return {{p.group}, {}, 1}; }

}  // namespace

TEST_CASE("each algorithm of cuDNN's computes the definition's stack, also wider than a block of threads") {
  for (const char* lstm : {"cudnn:standard", "cudnn:persist_static_small_h"}) {
    check_against_definition(Problem({.inputs = 13, .units = {128, 32}}, 1, 7, 3, 6), lstm);
    check_against_definition(Problem({.inputs = 300, .units = {1, 5}}, 1, 3, 2, 2), lstm);
  }
}

TEST_CASE("what stands in rows that do not count reaches no gradient by cuDNN") {
  const bool in_midst = GENERATE(false, true);
  Problem p({.inputs = 4, .units = {10, 6}, .sequences = in_midst, .input_gradient = in_midst}, 1, 12, 7, 2);
  p.group.rows = {5};
  const auto backend = make_cuda();
  const test::StackResult expected = test::run_stack(*backend, p);
  for (std::size_t e = 0; e < p.dh.size(); ++e)
    if (e / 6 % 12 >= 5) p.dh[e] = std::numeric_limits<float>::quiet_NaN();
  for (const float other : {0.0f, 1e6f}) {  // gather leaves 0 there
    for (std::size_t e = 0; e < p.x.size(); ++e)
      if (e / 4 % 12 >= 5) p.x[e] = other;
    const test::StackResult result = test::run_stack(*backend, p);
    CHECK(result.gradients == expected.gradients);
    CHECK(test::counted_rows(result.dx, p.group, 7) == test::counted_rows(expected.dx, p.group, 7));
  }
}

TEST_CASE("a training step by cuDNN can be recorded, and what is recorded reads the next batch") {
  const Problem p({.inputs = 5, .units = {9, 4}, .sequences = true, .input_gradient = true}, 2, 6, 4, 3);
  Problem next = p;
  next.x = test::normal_numbers(p.x.size(), 9);
  const auto backend = make_cuda();
  const auto queue = backend->device().make_queue();
  const auto state = backend->make_stack_state(p.stack, p.group, Mode::training);
  test::OnDevice<float> parameters(*queue, p.parameters), dh(*queue, p.dh);
  test::OnDevice<float> h(*queue, p.dh.size(), 0), gradients(*queue, p.parameters.size(), test::untouched),
      dx(*queue, p.x.size(), 0);
  Buffer<float> x(backend->device(), p.x.size());
  std::unique_ptr<Recording> recording;
  const auto check_step = [&](const Problem& batch) {
    x.copy_in(batch.x, *queue);
    const auto parameter_view = parameters.view(2, p.parameter_count());
    const View<const float, 4> x_view = std::as_const(x).view(2, 4, 6, 5);
    queue->repeat(recording, [&] {
      backend->stack_forward(p.stack, p.group, parameter_view, x_view, {}, Mode::training, *state, h.view(2, 4, 6, 4),
                             *queue);
      backend->stack_backward(p.stack, p.group, parameter_view, x_view, {}, dh.view(2, 4, 6, 4), *state,
                              gradients.view(2, p.parameter_count()), dx.view(2, 4, 6, 5), *queue);
    });
    const test::StackResult expected = test::run_stack(*backend, batch);
    CHECK(h.host() == expected.h);
    CHECK(gradients.host() == expected.gradients);
    CHECK(dx.host() == expected.dx);
  };
  check_step(p), check_step(p), check_step(p), check_step(next), check_step(p);
}

TEST_CASE("cuDNN's state for training also infers, and keeps memory for each run") {
  const Problem one({.inputs = 4, .units = {16, 8}}, 1, 6, 50, 2), three({.inputs = 4, .units = {16, 8}}, 3, 6, 50, 2);
  const auto backend = make_cuda();
  const auto training = backend->make_stack_state(three.stack, three.group, Mode::training);
  CHECK(test::run_forward(*backend, three, *training, Mode::inference) == test::run_inference(*backend, three));
  CHECK(training->bytes() > 2 * backend->make_stack_state(one.stack, one.group, Mode::training)->bytes());
  // inference keeps nothing of a run when it goes on to the next
  CHECK(backend->make_stack_state(three.stack, three.group, Mode::inference)->bytes() ==
        backend->make_stack_state(one.stack, one.group, Mode::inference)->bytes());
}

TEST_CASE("cuDNN's state is for the batch and the frames that it was made for") {
  const Problem p({.inputs = 3, .units = {4}}, 1, 6, 5, 2), shorter({.inputs = 3, .units = {4}}, 1, 6, 4, 2);
  const auto backend = make_cuda();
  const auto state = backend->make_stack_state(p.stack, p.group, Mode::inference);
  CHECK_THROWS_WITH(test::run_forward(*backend, shorter, *state, Mode::inference),
                    Catch::Contains("1 runs of 6 rows and 5 frames was given 1 of 6 and 4"));
}

TEST_CASE("cuDNN's longest sequences are 65535 frames, and longer ones are refused with what can be done") {
  const auto backend = make_cuda();
  const StackConfig stack{.inputs = 1, .units = {1}};
  const auto error = [&](std::size_t frames) {
    return test::error_of([&] { backend->make_stack_state(stack, {1, 1, frames, 2, {1}, {2}}, Mode::inference); });
  };
  CHECK(error(65535) == "no error");
  CHECK_THAT(error(65536), Catch::Contains("at most 65535 frames, but these have 65536") &&
                               Catch::Contains("features.frames") && Catch::Contains("device: cpu"));
}

TEST_CASE("what cuDNN cannot compute is refused with what can") {
  const auto backend = make_cuda();
  const Problem p({.inputs = 3, .units = {4}}, 1, 2, 2, 2);
  CHECK(backend->refusal(p.stack).empty());
  const auto refused = [&](const StackConfig& stack, const char* what) {
    INFO(what);
    const std::string reason = backend->refusal(stack);
    CHECK_THAT(reason, Catch::Contains(what) && Catch::Contains("device: cpu") && Catch::Contains("interleaved"));
    CHECK(test::error_of([&] { backend->make_stack_state(stack, p.group, Mode::training); }) == reason);
    CHECK(test::error_of([&] { backend->choose_algorithm(stack, training(p)); }) == reason);
  };
  refused({.inputs = 3, .units = {4}, .gate = Gate::hard_sigmoid}, "hard sigmoid");
  refused({.inputs = 3, .units = {4}, .gate = Gate::hard_sigmoid_keras3}, "hard sigmoid");
  refused({.inputs = 3, .units = {4}, .dropout = 0.1}, "dropout");
  refused({.inputs = 3, .units = {4}, .recurrent_dropout = 0.1}, "recurrent dropout");
  NetworkConfig network = StackConfig{.inputs = 3, .units = {4, 5}};
  network.bidirectional = true, network.readout = Readout::mean_max, network.layer_dropout = 0.4;
  CHECK(backend->refusal(network).empty());  // all that is between the passes
  network.recurrent_dropout = 0.1;
  CHECK_THAT(backend->refusal(network), Catch::Contains("recurrent dropout"));
}

TEST_CASE("lstm: names an algorithm of the cuda backend, and what it does not know is an error with the names") {
  CHECK(make_cuda("cudnn")->info().algorithm == "cudnn:standard");
  CHECK(make_cuda("cudnn:persist_static")->info().algorithm == "cudnn:persist_static");
  CHECK_THAT(test::error_of([] { make_cuda("cudnn:persist_statik"); }),
             Catch::Contains("'cudnn:persist_statik'") && Catch::Contains("did you mean 'cudnn:persist_static'") &&
                 Catch::Contains("auto, fused, cudnn, cudnn:standard, cudnn:persist_static_small_h"));
  CHECK_THAT(test::error_of([] { make_cuda("interleaved"); }), Catch::Contains("'interleaved' cannot run on the cuda"));
}

TEST_CASE("an algorithm that is named but that cuDNN has not got is an error that says what to use") {
  const Problem p({.inputs = 3, .units = {4, 129}}, 1, 2, 2, 2);
  const auto error = [&](const std::string& lstm) {
    const auto backend = make_cuda(lstm);
    backend->choose_algorithm(p.stack, training(p));  // there is no choice
    CHECK(backend->info().algorithm == lstm);
    return test::error_of([&] { backend->make_stack_state(p.stack, p.group, Mode::training); });
  };
  CHECK_THAT(error("cudnn:persist_static_small_h"), Catch::Contains("4 inputs and 129 units over 2 rows of 2 frames") &&
                                                        Catch::Contains("NOT_SUPPORTED") &&
                                                        Catch::Contains("lstm: cudnn:standard"));
  CHECK_THAT(error("cudnn:persist_dynamic"), Catch::Contains("persist_dynamic"));
  CHECK(error("cudnn:standard") == "no error");
}

TEST_CASE("the algorithm is chosen among those that cuDNN has got") {
  const auto backend = make_cuda();
  const Problem small({.inputs = 3, .units = {8, 4}}, 1, 5, 6, 2), wide({.inputs = 3, .units = {129}}, 1, 2, 2, 2);
  CHECK(backend->info().algorithm == "cudnn:standard");
  backend->choose_algorithm(small.stack, training(small));
  const std::string chosen = backend->info().algorithm;
  CHECK((chosen == "cudnn:standard" || chosen == "cudnn:persist_static_small_h"));  // the twin's take the same time
  check_against_definition(small, chosen);
  backend->choose_algorithm(wide.stack, training(wide));
  CHECK(backend->info().algorithm == "cudnn:standard");
  NetworkConfig network = StackConfig{.inputs = 3, .units = {8, 129}};
  network.bidirectional = true, network.readout = Readout::mean;
  backend->choose_algorithm(network, training(small));  // the twin has another for the first layer only
  CHECK(backend->info().algorithm == "cudnn:standard");
}

namespace {

/// What is special about a state that leaves all work to cuDNN's standard algorithm.
struct Traits {
  std::size_t work = 1;  ///< times that a forward pass is done
  bool wrong_gradients = false, wrong_h = false, wrong_dx = false;
};

class Variant final : public cuda::LstmState {
 public:
  Variant(std::unique_ptr<cuda::LstmState> state, const StackConfig& pass, const Traits& traits)
      : LstmState(state->mode()), state_(std::move(state)), first_parameter_(pass.first_parameter), traits_(traits) {}
  std::size_t bytes() const override { return state_->bytes(); }
  void forward(const Group& group, View<const float, 2> parameters, View<const float, 4> x, View<const float, 2> masks,
               Mode mode, View<float, 4> h, Queue& queue) override {
    for (std::size_t i = 0; i < traits_.work; ++i) state_->forward(group, parameters, x, masks, mode, h, queue);
    if (traits_.wrong_h) queue.zero(h.data, sizeof(float));
  }
  void backward(const Group& group, View<const float, 4> x, View<const float, 4> dh, View<float, 2> gradients,
                View<float, 4> dx, Queue& queue) override {
    state_->backward(group, x, dh, gradients, dx, queue);
    if (traits_.wrong_gradients) queue.zero(gradients.data + first_parameter_, sizeof(float));
    if (traits_.wrong_dx) queue.zero(dx.data, sizeof(float));
  }

 private:
  std::unique_ptr<cuda::LstmState> state_;
  std::size_t first_parameter_;
  Traits traits_;
};

/// A device on which candidates for one network are compared.
struct Comparison {
  NetworkConfig network = StackConfig{.inputs = 6, .units = {8}};
  Group group{1, 4, 6, 2, {4}, {2}};
  Group few{1, 1, 6, 2, {1}, {2}}, evaluated{1, 7, 6, 2, {7}, {2}};
  std::unique_ptr<Device> device = cuda::make_device();
  std::unique_ptr<Queue> queue = device->make_queue();

  using TraitsOfPass = std::function<Traits(const StackConfig&, const Group&, Mode)>;
  /// traits_of: of the states for each pass, shape and mode; may throw what make would.
  cuda::LstmCandidate candidate(const std::string& name, TraitsOfPass traits_of) {
    return {name, [this, traits_of](const StackConfig& pass, const Group& shape, Mode mode) {
              const Traits traits = traits_of(pass, shape, mode);
              auto state = cuda::make_lstm_state("cudnn:standard", "fp32", pass, shape, mode, *queue);
              queue->synchronize();
              return std::make_unique<Variant>(std::move(state), pass, traits);
            }};
  }
  cuda::LstmCandidate candidate(const std::string& name, std::function<Traits(const Group&, Mode)> traits_of) {
    return candidate(name,
                     [traits_of](const StackConfig&, const Group& shape, Mode mode) { return traits_of(shape, mode); });
  }
  cuda::LstmCandidate candidate(const std::string& name, const Traits& traits) {
    return candidate(name, [traits](const Group&, Mode) { return traits; });
  }
  std::string fastest(const std::vector<cuda::LstmCandidate>& candidates, std::size_t side_by_side = 1) {
    const StackWork work{{group, few}, {evaluated}, side_by_side};
    return cuda::fastest(candidates, network, work, cuda::fp32_tolerance, *device);
  }
};

constexpr Traits quick{.work = 1}, slow{.work = 30};  // far beyond what other programs disturb

}  // namespace

TEST_CASE("the fastest candidate is chosen, of those that are to be had and whose gradients agree with the first's") {
  Comparison c;
  const auto refused = c.candidate("refused", [](const Group&, Mode) -> Traits { reject("there is none"); });
  const auto broken = c.candidate("broken", [](const Group&, Mode) -> Traits { fail("it broke"); });
  CHECK(c.fastest({c.candidate("slow", slow), c.candidate("quick", quick), refused}) == "quick");
  CHECK(c.fastest({c.candidate("quick", quick), refused, broken, c.candidate("slow", slow)}, 2) == "quick");
  CHECK(c.fastest({c.candidate("slow", slow), c.candidate("wrong", Traits{.wrong_gradients = true})}) == "slow");
}

TEST_CASE("a candidate is chosen only if it can do every shape of batch that will come, also of an evaluation") {
  Comparison c;
  const auto chosen_with = [&](const std::function<Traits(const Group&, Mode)>& traits_of) {
    return c.fastest({c.candidate("slow", slow), c.candidate("quick", traits_of)});
  };
  const auto evaluates = [](Mode mode) { return mode == Mode::inference; };
  CHECK(chosen_with([&](const Group& group, Mode mode) -> Traits {
          CHECK(group.batch == (evaluates(mode) ? 7 : group.batch == 1 ? 1 : 4));
          return quick;
        }) == "quick");
  CHECK(chosen_with([&](const Group&, Mode mode) -> Traits {
          if (evaluates(mode)) reject("it only trains");
          return quick;
        }) == "slow");
  CHECK(chosen_with([](const Group& group, Mode) -> Traits {
          if (group.batch == 1) reject("it is for more rows");
          return quick;
        }) == "slow");
  CHECK(chosen_with([&](const Group&, Mode mode) -> Traits { return {.wrong_h = evaluates(mode)}; }) == "slow");
  CHECK(chosen_with([](const Group& group, Mode) -> Traits { return {.wrong_gradients = group.batch == 1}; }) ==
        "slow");
}

TEST_CASE("a candidate is chosen for what it makes of all passes of a network") {
  Comparison c;
  c.network.units = {8, 5}, c.network.bidirectional = true;
  // it is a little slower in the first layer and far quicker in the second
  const auto chosen_with = [&](const Comparison::TraitsOfPass& traits_of) {
    const auto first = c.candidate("first", [](const StackConfig& pass, const Group&, Mode) -> Traits {
      return {.work = pass.input_gradient ? 60u : 1u};
    });
    return c.fastest({first, c.candidate("other", traits_of)});
  };
  std::vector<std::size_t> parameters;
  CHECK(chosen_with([&](const StackConfig& pass, const Group& group, Mode mode) -> Traits {
          if (mode == Mode::training && group.batch == 4) parameters.push_back(pass.first_parameter);
          return {.work = pass.input_gradient ? 1u : 3u};
        }) == "other");
  std::vector<std::size_t> expected;  // compared, then timed
  for (int turn = 0; turn < 2; ++turn)
    for (const StackConfig& pass : c.network.passes()) expected.push_back(pass.first_parameter);
  CHECK(parameters == expected);

  const auto is_last = [&](const StackConfig& pass) {
    return pass.first_parameter == c.network.passes().back().first_parameter;
  };
  CHECK(chosen_with([&](const StackConfig& pass, const Group&, Mode) -> Traits {
          if (is_last(pass)) reject("it has not got this one");
          return quick;
        }) == "first");
  CHECK(chosen_with([&](const StackConfig& pass, const Group&, Mode) -> Traits {
          return {.wrong_gradients = is_last(pass)};
        }) == "first");
  CHECK(chosen_with([&](const StackConfig& pass, const Group&, Mode) -> Traits {
          return {.wrong_dx = is_last(pass)};
        }) == "first");
}

TEST_CASE("as many trainings are timed together as will be, up to seven") {
  Comparison c;
  std::size_t made = 0;
  const auto counted = c.candidate("counted", [&](const Group& group, Mode mode) -> Traits {
    made += mode == Mode::training && group.batch == 4;
    return quick;
  });
  const auto timed = [&](std::size_t side_by_side) {
    made = 0;
    c.fastest({counted}, side_by_side);
    return made - 1;  // one was compared
  };
  CHECK(timed(1) == 1);
  CHECK(timed(5) == 5);
  CHECK(timed(28) == 7);
}
