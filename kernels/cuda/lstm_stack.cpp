#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/progress.hpp"
#include "core/random.hpp"
#include "core/text.hpp"
#include "kernels/cuda/libraries/rnn.hpp"
#include "kernels/cuda/lstm_cudnn.hpp"
#include "kernels/cuda/lstm_fused.hpp"
#include "kernels/cuda/lstm_stack.hpp"
#include "kernels/normal_numbers.hpp"

namespace genretree::cuda {
namespace {

const std::string fused = "fused", cudnn_prefix = "cudnn:";

/// Why this algorithm cannot compute one of the passes; or "".
std::string refusal_of(const std::string& algorithm, const std::string& precision,
                       const std::vector<StackConfig>& passes) {
  for (const StackConfig& pass : passes) {
    const std::string reason = algorithm == fused ? fused_refusal(precision, pass) : cudnn_refusal(pass);
    if (!reason.empty()) return reason;
  }
  return "";
}

/// Throws InputError: the reasons, and what in this precision computes such passes on a GPU, if anything does, or on
/// the cpu.
[[noreturn]] void refuse(const std::vector<std::string>& reasons, const std::string& precision,
                         const std::vector<StackConfig>& passes) {
  std::vector<std::string> able;
  for (const std::string& name : lstm_algorithms("auto", precision))
    if (refusal_of(name, precision, passes).empty()) able.push_back("lstm: " + name);
  if (precision != "tf32") able.push_back("device: cpu, whose lstm: interleaved can");
  if (able.empty()) able.push_back("precision: fp32 or bf16");
  reject("{}. Use {}", join(reasons, ", and "), join(able, ", or "));
}

}  // namespace

std::vector<std::string> lstm_algorithms(const std::string& lstm, const std::string& precision) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name, const std::string& family) {
    if (lstm == "auto" || lstm == name || lstm == family) names.push_back(name);
  };
  if (precision != "tf32") add(fused, fused);
  if (precision != "bf16")
    for (const auto& [name, algorithm] : rnn_algorithms) add(cudnn_prefix + name, "cudnn");
  return names;
}

std::vector<std::string> lstm_choices() {
  std::vector<std::string> names{"auto", fused, "cudnn"};
  for (const auto& [name, algorithm] : rnn_algorithms) names.push_back(cudnn_prefix + name);
  return names;
}

std::vector<std::string> lstm_candidates(const std::string& lstm, const std::string& precision,
                                         const NetworkConfig& network) {
  const std::vector<StackConfig> passes = network.passes();
  std::vector<std::string> candidates, reasons;
  for (const std::string& name : lstm_algorithms(lstm, precision)) {
    const std::string reason = refusal_of(name, precision, passes);
    if (reason.empty() && name == fused) return {fused};
    if (reason.empty())
      candidates.push_back(name);
    else if (reasons.empty() || reasons.back() != reason)
      reasons.push_back(reason);
  }
  if (candidates.empty()) refuse(reasons, precision, passes);
  return candidates;
}

std::unique_ptr<LstmState> make_lstm_state(const std::string& algorithm, const std::string& precision,
                                           const StackConfig& pass, const Group& largest, Mode mode, Queue& queue) {
  if (const std::string reason = refusal_of(algorithm, precision, {pass}); !reason.empty())
    refuse({reason}, precision, {pass});
  if (algorithm == fused)
    return (precision == "bf16" ? make_fused_bf16_state : make_fused_fp32_state)(pass, largest, mode, queue);
  for (const auto& [name, cudnn_algorithm] : rnn_algorithms)
    if (algorithm == cudnn_prefix + name)
      return make_cudnn_state(cudnn_algorithm, pass, largest, mode, precision == "tf32", queue);
  fail("there is no LSTM algorithm '{}'", algorithm);
}

// ------------------------------------------------------------------------------------------------------- the choice

namespace {

/// Batches of random numbers on the device, a pass's state for them, and a queue of its own that it works on.
class Trial {
 public:
  Trial(const LstmCandidate& candidate, const StackConfig& pass, const Group& group, Mode mode, Device& device)
      : group_(group),
        layout_(pass),
        inputs_(pass.inputs),
        output_frames_(pass.sequences ? group.frames : 1),
        outputs_(pass.outputs()),
        state_(candidate.make(pass, group, mode)),
        queue_(device.make_queue()),
        parameters_(upload(normal_numbers(group.runs * layout_.size, 1, 0.1))),
        x_(upload(normal_numbers(group.runs * group.frames * group.batch * inputs_, 2, 1))),
        dh_(upload(normal_numbers(group.runs * output_frames_ * group.batch * outputs_, 3, 0.01))),
        h_(device, dh_.size()),
        gradients_(device, parameters_.size()),
        dx_(device, pass.input_gradient ? x_.size() : 0) {
    std::fill(group_.rows.begin(), group_.rows.end(), static_cast<std::uint32_t>(group.batch));
  }

  std::size_t bytes() const {
    return state_->bytes() + 2 * parameters_.bytes() + x_.bytes() + dh_.bytes() + h_.bytes() + dx_.bytes();
  }

  /// Gives the queue a batch: forward, and in training backward. The first is done as it comes, the second recorded.
  void step() {
    queue_->repeat(recording_, [&] {
      const auto& [runs, batch, frames, classes, rows, counts] = group_;
      const View<const float, 4> x = std::as_const(x_).view(runs, frames, batch, inputs_);
      state_->forward(group_, std::as_const(parameters_).view(runs, layout_.size), x, {}, state_->mode(),
                      h_.view(runs, output_frames_, batch, outputs_), *queue_);
      if (state_->mode() == Mode::training)
        state_->backward(group_, x, std::as_const(dh_).view(runs, output_frames_, batch, outputs_),
                         gradients_.view(runs, layout_.size), dx_.view(runs, frames, batch, inputs_), *queue_);
    });
  }
  void wait() { queue_->synchronize(); }

  /// What a recorded step makes: h and, in training, the gradients of each tensor of each run and of x.
  std::vector<std::vector<float>> results() {
    step(), step();
    std::vector<std::vector<float>> arrays{download(h_)};
    if (state_->mode() == Mode::inference) return arrays;
    if (dx_.size() > 0) arrays.push_back(download(dx_));
    const std::vector<float> gradients = download(gradients_);
    for (std::size_t r = 0; r < group_.runs; ++r)
      for (const ParameterLayout::Layer& layer : layout_.layers)
        for (const ParameterLayout::Tensor& tensor : {layer.kernel, layer.recurrent, layer.bias}) {
          const float* begin = gradients.data() + r * layout_.size + tensor.offset;
          arrays.emplace_back(begin, begin + tensor.size());
        }
    return arrays;
  }

 private:
  Buffer<float> upload(const std::vector<float>& values) {
    Buffer<float> memory(queue_->device(), values.size());
    memory.copy_in(values, *queue_);
    return memory;
  }
  std::vector<float> download(const Buffer<float>& memory) {
    std::vector<float> values(memory.size());
    memory.copy_out(values, *queue_);
    queue_->synchronize();
    return values;
  }

  Group group_;
  ParameterLayout layout_;
  std::size_t inputs_, output_frames_, outputs_;
  std::unique_ptr<LstmState> state_;
  std::unique_ptr<Queue> queue_;
  Buffer<float> parameters_, x_, dh_;  ///< [R, P], [R, T, B, F], like h
  Buffer<float> h_, gradients_, dx_;   ///< [R, 1 or T, B, H], [R, P], like x or empty
  std::unique_ptr<Recording> recording_;
};

/// What the candidate's passes make of a batch of every shape.
std::vector<std::vector<float>> results_of(const LstmCandidate& candidate, const std::vector<StackConfig>& passes,
                                           const StackWork& work, Device& device) {
  std::vector<std::vector<float>> all;
  const auto add = [&](const Group& group, Mode mode) {
    for (const StackConfig& pass : passes)
      for (std::vector<float>& array : Trial(candidate, pass, group, mode, device).results())
        all.push_back(std::move(array));
  };
  for (const Group& group : work.training) add(group, Mode::training);
  for (const Group& group : work.evaluation) add(group, Mode::inference);
  return all;
}

/// The largest of the relative differences of all arrays; NaN if there is one.
double difference(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    double distance = 0, largest = 0;
    for (std::size_t e = 0; e < a[i].size(); ++e) {
      const double difference = std::abs(double{a[i][e]} - double{b[i][e]});
      if (std::isnan(difference)) return difference;
      distance = std::max(distance, difference);
      largest = std::max(largest, std::abs(double{b[i][e]}));
    }
    if (distance > 0) worst = std::max(worst, distance / largest);
  }
  return worst;
}

/// Trainings for this work side by side, no more than half of the device's memory holds.
std::vector<std::unique_ptr<Trial>> make_trials(const LstmCandidate& candidate, const StackConfig& pass,
                                                const StackWork& work, Device& device) {
  const auto make = [&] {
    return std::make_unique<Trial>(candidate, pass, work.training.front(), Mode::training, device);
  };
  const std::size_t memory = device.free_memory() / 2;
  std::vector<std::unique_ptr<Trial>> trials;
  trials.push_back(make());
  const std::size_t count = std::min({work.side_by_side, most_trials, memory / trials.front()->bytes()});
  while (trials.size() < count) trials.push_back(make());
  return trials;
}

/// Seconds until each of the trials has done a step, the least of a few, over their number: that depends on memory.
double seconds_of(const std::vector<std::unique_ptr<Trial>>& trials) {
  const auto steps = [&] {
    for (const auto& trial : trials) trial->step();
  };
  const auto wait = [&] {
    for (const auto& trial : trials) trial->wait();
  };
  steps(), steps(), wait();  // libraries get ready; recorded
  double least = std::numeric_limits<double>::infinity();
  for (int repetition = 0; repetition < 3; ++repetition) {
    const Clock::time_point begin = Clock::now();
    steps(), wait();
    least = std::min(least, seconds_since(begin));
  }
  return least / static_cast<double>(trials.size());
}

}  // namespace

std::string fastest(const std::vector<LstmCandidate>& candidates, const NetworkConfig& network, const StackWork& work,
                    double tolerance, Device& device) {
  const std::vector<StackConfig> passes = network.passes();
  const auto seconds_of_passes = [&](const LstmCandidate& candidate) {
    double sum = 0;
    for (const StackConfig& pass : passes) sum += seconds_of(make_trials(candidate, pass, work, device));
    return sum;
  };
  const LstmCandidate& first = candidates.front();
  std::string best = first.name;
  const std::vector<std::vector<float>> expected = results_of(first, passes, work, device);
  double least = seconds_of_passes(first);
  for (const LstmCandidate& candidate : std::span(candidates).subspan(1)) {
    try {
      const double off = difference(results_of(candidate, passes, work, device), expected);
      if (!(off <= tolerance))
        fail("its results are off by {:.1e} of the largest, where {:.0e} is allowed", off, tolerance);
      const double seconds = seconds_of_passes(candidate);
      if (seconds < worthwhile * least) least = seconds, best = candidate.name;
    } catch (const InputError&) {  // it is not to be had here
    } catch (const Error& error) {
      warn(fmt::format("{} is not used: {}", candidate.name, error.what()));
    }
  }
  return best;
}

}  // namespace genretree::cuda
