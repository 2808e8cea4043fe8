// The checks that check_device runs: they pass on every backend, and an operation that is off fails its own.
#include <atomic>
#include <cmath>
#include <map>

#include "kernels/backends.hpp"
#include "kernels/checks.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

namespace {

/// The CPU backend with one operation that gets its first number wrong; "fickle": the update, each time by more.
class WrongBackend final : public Backend {
 public:
  WrongBackend(const std::string& wrong, float error) : wrong_(wrong), error_(error) {}

  BackendInfo info() const override { return {.target = wrong_}; }
  Device& device() override { return right_->device(); }
  std::unique_ptr<SpectralState> make_spectral_state(const SpectralTables& tables) override {
    return right_->make_spectral_state(tables);
  }
  std::unique_ptr<StackState> make_stack_state(const StackConfig& config, const Group& largest, Mode mode) override {
    return right_->make_stack_state(config, largest, mode);
  }
  void spectral_features(SpectralState& state, View<const float, 1> samples, std::span<const std::size_t> lengths,
                         View<float, 2> out, Queue& queue) override {
    right_->spectral_features(state, samples, lengths, out, queue);
    spoil("spectral_features", out.data);
  }
  void dropout_masks(const NetworkConfig& config, const Group& group, std::span<const RandomKey> keys,
                     View<float, 2> masks, Queue& queue) override {
    right_->dropout_masks(config, group, keys, masks, queue);
    spoil("dropout_masks", masks.data);
  }
  void stack_forward(const StackConfig& config, const Group& group, View<const float, 2> parameters,
                     View<const float, 4> x, View<const float, 2> masks, Mode mode, StackState& state, View<float, 4> h,
                     Queue& queue) override {
    right_->stack_forward(config, group, parameters, x, masks, mode, state, h, queue);
    spoil("stack_forward", h.data);
  }
  void stack_backward(const StackConfig& config, const Group& group, View<const float, 2> parameters,
                      View<const float, 4> x, View<const float, 2> masks, View<const float, 4> dh, StackState& state,
                      View<float, 2> gradients, View<float, 4> dx, Queue& queue) override {
    right_->stack_backward(config, group, parameters, x, masks, dh, state, gradients, dx, queue);
    spoil("stack_backward", gradients.data + config.first_parameter);
  }
  void copy_columns(const Group& group, const ColumnCopy& copy, View<const float, 4> from, View<float, 4> to,
                    Queue& queue) override {
    right_->copy_columns(group, copy, from, to, queue);
    spoil("copy_columns", to.data);
  }
  void readout(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask, std::size_t first_column,
               View<float, 3> out, Queue& queue) override {
    right_->readout(kind, group, y, mask, first_column, out, queue);
    spoil("readout", out.data);
  }
  void readout_backward(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask,
                        std::size_t first_column, View<const float, 3> dout, View<float, 4> dy, Queue& queue) override {
    right_->readout_backward(kind, group, y, mask, first_column, dout, dy, queue);
    spoil("readout_backward", dy.data);
  }
  void classify_loss(const NetworkConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                     View<const float, 3> h, View<const std::int32_t, 2> labels, View<const float, 3> targets,
                     View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
                     View<float, 3> dh, View<float, 2> gradients, Queue& queue) override {
    right_->classify_loss(config, group, kind, parameters, h, labels, targets, probabilities, loss, correct, dh,
                          gradients, queue);
    spoil("classify_loss", probabilities.data);
  }
  std::unique_ptr<CnnState> make_cnn_state(const CnnConfig& config, const Group& largest, Mode mode) override {
    return right_->make_cnn_state(config, largest, mode);
  }
  void cnn_step(const CnnConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                View<const float, 4> x, View<const std::int32_t, 2> labels, std::span<const RandomKey> keys,
                CnnState& state, View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
                View<float, 2> gradients, Queue& queue) override {
    right_->cnn_step(config, group, kind, parameters, x, labels, keys, state, probabilities, loss, correct, gradients,
                     queue);
    spoil("cnn_step", gradients.data);
  }
  void cnn_evaluate(const CnnConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                    View<const float, 4> x, View<const std::int32_t, 2> labels, CnnState& state,
                    View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
                    Queue& queue) override {
    right_->cnn_evaluate(config, group, kind, parameters, x, labels, state, probabilities, loss, correct, queue);
    spoil("cnn_evaluate", probabilities.data);
  }
  void update(const Optimiser& optimiser, const Group& group, View<const float, 1> rates, View<std::int64_t, 1> steps,
              View<float, 2> parameters, View<const float, 2> gradients, View<float, 3> moments, View<float, 1> norms,
              Queue& queue) override {
    right_->update(optimiser, group, rates, steps, parameters, gradients, moments, norms, queue);
    spoil("update", parameters.data);
  }
  void gather(const Group& group, View<const float, 3> features, View<const std::int32_t, 2> labels,
              View<const BatchRow, 2> rows, View<const float, 2> constants, double smoothing, View<float, 4> x,
              View<std::int32_t, 2> y, View<float, 3> targets, Queue& queue) override {
    right_->gather(group, features, labels, rows, constants, smoothing, x, y, targets, queue);
    spoil("gather", x.data);
  }

 private:
  void spoil(const std::string& operation, float* output) const {
    if (operation == wrong_) *output += error_;
    if (operation == "update" && wrong_ == "fickle") *output += static_cast<float>(++calls_);
  }

  std::unique_ptr<Backend> right_ = make_backend({});
  std::string wrong_;
  float error_;
  mutable std::atomic<int> calls_ = 0;
};

SpectralTables small_tables() {
  SpectralTables tables{.n_fft = 64, .hop = 40, .window = std::vector<double>(64, 0.5)};
  for (std::size_t bin = 0; bin < 32; bin += 4) tables.mel.push_back({bin, {0.25, 0.5, 0.5, 0.25}});
  tables.coefficients = 2;
  for (std::size_t i = 0; i < 2 * tables.mel.size(); ++i) tables.dct.push_back(i % 3 - 1.0);
  tables.bin_hz = 100;
  tables.first_pitch_bin = 2, tables.end_pitch_bin = 30;
  for (std::size_t i = 0; i < SpectralTables::tunings * 33 * SpectralTables::pitch_classes; ++i)
    tables.chroma.push_back(static_cast<float>(i % 97) / 97);
  tables.contrast = {{0, 10, 1}, {9, 33, 3}};
  return tables;
}

}  // namespace

TEST_CASE("every operation passes its check on every target, in each precision") {
  for (const std::string& precision : backend_precisions("cpu")) {
    const std::vector<std::string> targets = backend_targets("cpu", precision);
    std::vector<std::unique_ptr<Backend>> backends;
    for (const std::string& target : targets)
      backends.push_back(make_backend({.device = "cpu", .precision = precision, .target = target}));
    std::map<std::string, int> counts;
    for (const OperationCheck& check : check_operations(backends, small_tables())) {
      INFO(check_line(check));
      CHECK((check.passed() && !check.refused));
      CHECK(check.milliseconds > 0);
      CHECK_THAT(check_line(check), Catch::Contains("ok") && Catch::Contains(check.backend));
      ++counts[check.backend];
    }
    CHECK(counts.size() == targets.size());
    for (const std::string& target : targets)  // the two checks of queues with the first alone
      CHECK(counts["cpu " + target + " " + precision] == (target == targets.front() ? 27 : 25));
  }
}

TEST_CASE("an operation that gets one number wrong fails its checks and no others") {
  const std::vector<std::string> wrong{"nothing",       "spectral_features", "gather",        "dropout_masks",
                                       "stack_forward", "stack_backward",    "classify_loss", "update",
                                       "cnn_step",      "cnn_evaluate",      "fickle",        "copy_columns",
                                       "readout",       "readout_backward"};
  std::vector<std::unique_ptr<Backend>> backends;
  for (const std::string& operation : wrong)
    backends.push_back(std::make_unique<WrongBackend>(operation, operation == "update" ? std::nanf("") : 0.5f));
  for (const OperationCheck& check : check_operations(backends, small_tables(), {.queues_of_first_only = false})) {
    INFO(check_line(check));
    const auto concerns = [&](const std::string& operation) {
      return check.operation.find(operation) != std::string::npos;
    };
    const std::string spoilt = check.backend.substr(1, check.backend.size() - 2);  // " target "
    bool concerned = concerns(spoilt);
    if (concerns("two runs") || concerns("a pass")) concerned = spoilt == "stack_forward" || spoilt == "stack_backward";
    if (concerns("hard sigmoid"))  // a whole step of the stack, which draws its own masks
      concerned = spoilt == "dropout_masks" || spoilt == "stack_forward" || spoilt == "stack_backward";
    if (concerns("stack_forward and")) concerned = spoilt == "stack_forward" || spoilt == "stack_backward";
    if (concerns("training steps")) concerned = spoilt == "fickle" || spoilt == "update";  // against themselves
    if (concerns("readout")) concerned = spoilt == "readout" || spoilt == "readout_backward";
    if (concerns("update,")) concerned = spoilt == "fickle" || spoilt == "update";
    CHECK(check.passed() != concerned);
    CHECK_THAT(check_line(check), Catch::Contains(concerned ? "FAILED" : "ok"));
  }
}

TEST_CASE("a stack that a backend refuses is said to be refused, and does not fail") {
  const OperationCheck refused{.operation = "stack", .backend = "cuda", .note = "no dropout. Use cpu", .refused = true};
  CHECK(refused.passed());
  CHECK_THAT(check_line(refused), Catch::Contains("refused: no dropout. Use cpu") && !Catch::Contains("ok"));
}
