// The LSTM stack by cuDNN, with the host's twin in cuDNN's place: our kernels and the order of calls against the
// definition, groups and partial batches, what is refused, and the choice of an algorithm.
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/backends.hpp"
#include "kernels/cuda/lstm_stack.hpp"
#include "kernels/reference/backend.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/cuda_libraries/device.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using cuda::emulate;
using emulator::Order;
using test::Problem;

namespace {

std::unique_ptr<Backend> make_cuda(const std::string& lstm = "auto", const std::string& precision = "fp32") {
  return make_backend({.device = "cuda", .lstm = lstm, .precision = precision});
}

/// A problem in a backend's memory, and what comes of it.
class Desk {
 public:
  Desk(Backend& backend, const Problem& problem, Mode mode = Mode::training)
      : problem_(problem),
        backend_(backend),
        queue_(backend.device().make_queue()),
        state_(backend.make_stack_state(problem.stack, problem.group, mode)),
        parameters_(upload(problem.parameters)),
        x_(upload(problem.x)),
        dh_(upload(problem.dh)),
        h_(upload(std::vector<float>(problem.dh.size(), test::untouched))),
        gradients_(upload(std::vector<float>(problem.parameters.size(), test::untouched))) {}

  Queue& queue() { return *queue_; }
  StackState& state() { return *state_; }
  Buffer<float>& x() { return x_; }

  void forward(Mode mode = Mode::training) {
    backend_.stack_forward(problem_.stack, problem_.group, parameter_view(), x_view(), {}, mode, *state_,
                           h_.view(problem_.group.runs, problem_.group.batch, problem_.stack.outputs()), *queue_);
  }
  void backward() {
    backend_.stack_backward(
        problem_.stack, problem_.group, parameter_view(), x_view(), {},
        std::as_const(dh_).view(problem_.group.runs, problem_.group.batch, problem_.stack.outputs()), *state_,
        gradients_.view(problem_.group.runs, problem_.parameter_count()), *queue_);
  }
  test::StackResult result() {
    test::StackResult result{std::vector<float>(h_.size()), std::vector<float>(gradients_.size())};
    h_.copy_out(result.h, *queue_);
    gradients_.copy_out(result.gradients, *queue_);
    queue_->synchronize();
    return result;
  }

 private:
  Buffer<float> upload(const std::vector<float>& values) {
    Buffer<float> memory(backend_.device(), values.size());
    memory.copy_in(values, *queue_);
    return memory;
  }
  View<const float, 2> parameter_view() const {
    return parameters_.view(problem_.group.runs, problem_.parameter_count());
  }
  View<const float, 4> x_view() const {
    return std::as_const(x_).view(problem_.group.runs, problem_.group.frames, problem_.group.batch,
                                  problem_.stack.inputs);
  }

  Problem problem_;
  Backend& backend_;
  std::unique_ptr<Queue> queue_;
  std::unique_ptr<StackState> state_;
  Buffer<float> parameters_, x_, dh_, h_, gradients_;
};

test::StackResult train(Backend& backend, const Problem& problem) {
  Desk desk(backend, problem);
  desk.forward();
  desk.backward();
  return desk.result();
}

void check_tensors(const Problem& p, std::span<const float> a, std::span<const float> b, double tolerance) {
  const ParameterLayout layout(p.stack, p.group.classes);
  for (std::size_t r = 0; r < p.group.runs; ++r)
    for (const ParameterLayout::Layer& layer : layout.layers)
      for (const ParameterLayout::Tensor& tensor : {layer.kernel, layer.recurrent, layer.bias}) {
        const std::size_t offset = r * layout.size + tensor.offset;
        CHECK(test::relative_difference(a.subspan(offset, tensor.size()), b.subspan(offset, tensor.size())) <=
              tolerance);
      }
}

/// h of the rows that count, and gradients, are the definition's, in the present order of the emulator; what is not the
/// stack's is left alone.
void check_against_definition(const Problem& p, const std::string& lstm = "auto") {
  const auto definition = reference::make_backend();
  const test::StackResult expected = test::run_stack(*definition, p);
  const auto backend = make_cuda(lstm);
  const test::StackResult result = train(*backend, p);
  const std::size_t units = p.stack.outputs();
  for (std::size_t r = 0; r < p.group.runs; ++r) {
    const std::size_t first = r * p.group.batch * units, size = p.group.rows[r] * units;
    CHECK(test::relative_difference(std::span(result.h).subspan(first, size),
                                    std::span(expected.h).subspan(first, size)) <= 2e-6);
  }
  check_tensors(p, result.gradients, expected.gradients, 5e-6);
  const ParameterLayout layout(p.stack, p.group.classes);
  for (std::size_t r = 0; r < p.group.runs; ++r)
    for (std::size_t k = r * layout.size + layout.dense_kernel.offset; k < (r + 1) * layout.size; ++k)
      REQUIRE(result.gradients[k] == test::untouched);

  Desk inference(*backend, p, Mode::inference);
  inference.forward(Mode::inference);
  CHECK(inference.result().h == result.h);
}

/// Queues that are made after it run launches in another order, until it ends.
struct InOrder {
  explicit InOrder(Order order, std::uint64_t seed = 0) { emulate(order, seed); }
  ~InOrder() { emulate(Order::first_to_last); }
};

}  // namespace

TEST_CASE("cuDNN's stack is the definition's, whatever the order of threads") {
  for (const Order order : {Order::first_to_last, Order::last_to_first, Order::random}) {
    const InOrder in_order(order, 5);
    for (const std::size_t frames : {1, 2, 16})
      check_against_definition(Problem({.inputs = 13, .units = {16, 8}}, 1, 5, frames, 3));
    check_against_definition(Problem({.inputs = 1, .units = {1, 33, 17, 2}}, 1, 4, 5, 2));
  }
  check_against_definition(Problem({.inputs = 13, .units = {128, 32}}, 1, 7, 3, 6));
  check_against_definition(Problem({.inputs = 70, .units = {5}}, 1, 3, 2, 2), "cudnn:persist_static_small_h");
}

TEST_CASE("cuDNN's stack has the gradient of the rows that count alone, whatever lies in the others") {
  Problem p({.inputs = 4, .units = {10, 6}}, 1, 12, 7, 2);
  p.group.rows = {5};
  check_against_definition(p);
  const auto backend = make_cuda();
  const test::StackResult expected = train(*backend, p);
  std::fill(p.dh.begin() + 5 * 6, p.dh.end(), std::numeric_limits<float>::quiet_NaN());
  for (std::size_t e = 0; e < p.x.size(); ++e)
    if (e / 4 % 12 >= 5) p.x[e] = 0;  // as gather leaves them
  CHECK(train(*backend, p).gradients == expected.gradients);
}

TEST_CASE("cuDNN's runs of a group do not see each other, and one without rows is left alone") {
  Problem p({.inputs = 4, .units = {12, 6}}, 3, 9, 5, 5);
  p.group.rows = {9, 0, 4};
  p.group.class_counts = {5, 3, 2};
  const auto backend = make_cuda();
  const test::StackResult together = train(*backend, p);
  const std::size_t h_size = together.h.size() / 3, size = together.gradients.size() / 3;
  for (std::size_t r = 0; r < 3; ++r) {
    const test::StackResult alone = train(*backend, p.alone(r));
    CHECK(std::equal(alone.h.begin(), alone.h.end(), together.h.begin() + static_cast<std::ptrdiff_t>(r * h_size)));
    CHECK(std::equal(alone.gradients.begin(), alone.gradients.end(),
                     together.gradients.begin() + static_cast<std::ptrdiff_t>(r * size)));
  }
  CHECK(together.h[h_size] == test::untouched);
  CHECK(together.gradients[size] == test::untouched);
}

TEST_CASE("a training step by cuDNN can be recorded, and what is recorded reads the next batch") {
  const Problem p({.inputs = 5, .units = {9, 4}}, 2, 6, 4, 3);
  Problem next = p;
  next.x = test::normal_numbers(p.x.size(), 9);
  const auto backend = make_cuda();
  const test::StackResult expected = train(*backend, p), expected_next = train(*backend, next);
  Desk desk(*backend, p);
  std::unique_ptr<Recording> recording;
  const auto step = [&] {
    desk.queue().repeat(recording, [&] { desk.forward(), desk.backward(); });
    return desk.result();
  };
  for (int repetition = 0; repetition < 3; ++repetition) {
    const test::StackResult result = step();
    CHECK(result.h == expected.h);
    CHECK(result.gradients == expected.gradients);
  }
  desk.x().copy_in(next.x, desk.queue());
  CHECK(step().gradients == expected_next.gradients);
}

TEST_CASE("cuDNN's state for inference is small and refuses to train; one for training can do both") {
  const Problem p({.inputs = 4, .units = {16, 8}}, 2, 6, 200, 2);
  const auto backend = make_cuda();
  Desk training(*backend, p), inference(*backend, p, Mode::inference);
  CHECK(training.state().bytes() >= 2 * 200 * 6 * (16 + 8) * 6 * sizeof(float));
  CHECK(inference.state().bytes() * 4 < training.state().bytes());
  CHECK_THROWS_WITH(inference.forward(), Catch::Contains("inference"));
  training.forward(Mode::inference);
  inference.forward(Mode::inference);
  CHECK(training.result().h == inference.result().h);
}

TEST_CASE("cuDNN's state is for the batch and the frames that it was made for") {
  const Problem p({.inputs = 3, .units = {4}}, 1, 6, 5, 2), shorter({.inputs = 3, .units = {4}}, 1, 6, 4, 2);
  const auto backend = make_cuda();
  const auto queue = backend->device().make_queue();
  const auto state = backend->make_stack_state(p.stack, p.group, Mode::inference);
  Buffer<float> x(backend->device(), p.x.size()), h(backend->device(), 6 * 4), weights(backend->device(), 500);
  CHECK_THROWS_WITH(backend->stack_forward(p.stack, shorter.group, weights.view(1, 500), x.view(1, 4, 6, 3), {},
                                           Mode::inference, *state, h.view(1, 6, 4), *queue),
                    Catch::Contains("1 runs of 6 rows and 5 frames was given 1 of 6 and 4"));
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
    CHECK(test::error_of([&] { backend->choose_algorithm(stack, p.group); }) == reason);
  };
  refused({.inputs = 3, .units = {4}, .gate = Gate::hard_sigmoid}, "hard sigmoid");
  refused({.inputs = 3, .units = {4}, .gate = Gate::hard_sigmoid_keras3}, "hard sigmoid");
  refused({.inputs = 3, .units = {4}, .dropout = 0.1}, "dropout");
  refused({.inputs = 3, .units = {4}, .recurrent_dropout = 0.1}, "recurrent dropout");
}

TEST_CASE("lstm: names an algorithm of the cuda backend, and what it does not know is an error with the names") {
  CHECK(make_cuda("cudnn")->info().algorithm == "cudnn:standard");
  CHECK(make_cuda("cudnn:persist_static")->info().algorithm == "cudnn:persist_static");
  CHECK_THAT(test::error_of([] { make_cuda("cudnn:persist_statik"); }),
             Catch::Contains("'cudnn:persist_statik'") && Catch::Contains("did you mean 'cudnn:persist_static'") &&
                 Catch::Contains("auto, cudnn, cudnn:standard, cudnn:persist_static_small_h"));
  CHECK_THAT(test::error_of([] { make_cuda("interleaved"); }), Catch::Contains("'interleaved' cannot run on the cuda"));
}

TEST_CASE("an algorithm that is named but that cuDNN has not got is an error that says what to use") {
  const Problem p({.inputs = 3, .units = {4, 129}}, 1, 2, 2, 2);
  const auto error = [&](const std::string& lstm) {
    const auto backend = make_cuda(lstm);
    backend->choose_algorithm(p.stack, p.group);  // there is no choice
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
  backend->choose_algorithm(small.stack, small.group);
  const std::string chosen = backend->info().algorithm;
  CHECK((chosen == "cudnn:standard" || chosen == "cudnn:persist_static_small_h"));  // the twin's take the same time
  check_against_definition(small, chosen);
  backend->choose_algorithm(wide.stack, wide.group);
  CHECK(backend->info().algorithm == "cudnn:standard");
}

namespace {

/// A state that does all by another, whose gradients are then made wrong, or that takes longer.
class Variant final : public cuda::LstmState {
 public:
  Variant(std::unique_ptr<cuda::LstmState> state, std::size_t work, bool wrong)
      : LstmState(Mode::training), state_(std::move(state)), work_(work), wrong_(wrong) {}
  std::size_t bytes() const override { return state_->bytes(); }
  void forward(const Group& group, View<const float, 2> parameters, View<const float, 4> x, Mode mode, View<float, 3> h,
               Queue& queue) override {
    for (std::size_t i = 0; i < work_; ++i) state_->forward(group, parameters, x, mode, h, queue);
  }
  void backward(const Group& group, View<const float, 4> x, View<const float, 3> dh, View<float, 2> gradients,
                Queue& queue) override {
    state_->backward(group, x, dh, gradients, queue);
    if (wrong_) queue.zero(gradients.data, sizeof(float));
  }

 private:
  std::unique_ptr<cuda::LstmState> state_;
  std::size_t work_;
  bool wrong_;
};

}  // namespace

TEST_CASE("the fastest candidate is chosen, of those that are to be had and whose gradients agree with the first's") {
  const Problem p({.inputs = 6, .units = {8}}, 1, 4, 6, 2);
  const auto device = cuda::make_device();
  const auto queue = device->make_queue();
  const auto candidate = [&](const std::string& name, std::size_t work, bool wrong = false) {
    return cuda::LstmCandidate{name, [&, work, wrong] {
                                 auto state = cuda::make_lstm_state("cudnn:standard", p.stack, p.group, Mode::training,
                                                                    false, *queue);
                                 queue->synchronize();
                                 return std::make_unique<Variant>(std::move(state), work, wrong);
                               }};
  };
  const cuda::LstmCandidate refused{"refused", []() -> std::unique_ptr<cuda::LstmState> { reject("there is none"); }};
  const cuda::LstmCandidate broken{"broken", []() -> std::unique_ptr<cuda::LstmState> { fail("it broke"); }};
  const auto fastest = [&](std::vector<cuda::LstmCandidate> candidates) {
    return cuda::fastest(candidates, p.stack, p.group, cuda::fp32_tolerance, *device);
  };
  constexpr std::size_t slow = 200;  // times the work: far beyond what other programs disturb
  CHECK(fastest({candidate("slow", slow), candidate("quick", 1), refused}) == "quick");
  CHECK(fastest({candidate("quick", 1), refused, broken, candidate("slow", slow)}) == "quick");
  CHECK(fastest({candidate("slow", slow), candidate("wrong", 1, true)}) == "slow");
}
