#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/progress.hpp"
#include "core/random.hpp"
#include "kernels/cuda/libraries/rnn.hpp"
#include "kernels/cuda/lstm_cudnn.hpp"
#include "kernels/cuda/lstm_stack.hpp"

namespace genretree::cuda {
namespace {

const std::string cudnn_prefix = "cudnn:";

}  // namespace

std::vector<std::string> lstm_algorithms() {
  std::vector<std::string> names;
  for (const auto& [name, algorithm] : rnn_algorithms) names.push_back(cudnn_prefix + name);
  return names;
}

std::vector<std::string> lstm_choices() {
  std::vector<std::string> names = lstm_algorithms();
  names.insert(names.begin(), {"auto", "cudnn"});
  return names;
}

std::string lstm_refusal(const StackConfig& config) { return cudnn_refusal(config); }

std::unique_ptr<LstmState> make_lstm_state(const std::string& algorithm, const StackConfig& config,
                                           const Group& largest, Mode mode, bool tf32, Queue& queue) {
  if (const std::string reason = lstm_refusal(config); !reason.empty()) reject("{}", reason);
  for (const auto& [name, cudnn_algorithm] : rnn_algorithms)
    if (algorithm == cudnn_prefix + name) return make_cudnn_state(cudnn_algorithm, config, largest, mode, tf32, queue);
  fail("there is no LSTM algorithm '{}'", algorithm);
}

// ------------------------------------------------------------------------------------------------------- the choice

namespace {

std::vector<float> normal_numbers(std::size_t size, std::uint64_t seed, double deviation) {
  Random random({.seed = seed});
  std::vector<float> numbers(size);
  for (float& number : numbers) number = static_cast<float>(deviation * random.normal());
  return numbers;
}

/// A batch of random numbers on the device, and a queue of its own to train on it.
class Trial {
 public:
  Trial(const StackConfig& config, const Group& group, Device& device)
      : group_(group),
        layout_(config, group.classes),
        inputs_(config.inputs),
        outputs_(config.outputs()),
        queue_(device.make_queue()),
        parameters_(upload(normal_numbers(group.runs * layout_.size, 1, 0.1))),
        x_(upload(normal_numbers(group.runs * group.frames * group.batch * inputs_, 2, 1))),
        dh_(upload(normal_numbers(group.runs * group.batch * outputs_, 3, 0.01))),
        h_(device, dh_.size()),
        gradients_(device, parameters_.size()) {
    std::fill(group_.rows.begin(), group_.rows.end(), static_cast<std::uint32_t>(group.batch));
  }

  /// Seconds of a step, the least of a few.
  double seconds_of(LstmState& state) {
    std::unique_ptr<Recording> recording;
    const auto step = [&] { queue_->repeat(recording, [&] { train(state); }); };
    step(), step();  // libraries get ready; recorded
    queue_->synchronize();
    double least = std::numeric_limits<double>::infinity();
    for (int repetition = 0; repetition < 3; ++repetition) {
      const Clock::time_point begin = Clock::now();
      step();
      queue_->synchronize();
      least = std::min(least, seconds_since(begin));
    }
    return least;
  }

  /// What the last step wrote.
  std::vector<float> gradients() {
    std::vector<float> values(gradients_.size());
    gradients_.copy_out(values, *queue_);
    queue_->synchronize();
    return values;
  }

  /// The largest of the relative differences of all tensors; NaN if there is one.
  double difference(std::span<const float> a, std::span<const float> b) const {
    double worst = 0;
    for (std::size_t r = 0; r < group_.runs; ++r)
      for (const ParameterLayout::Layer& layer : layout_.layers)
        for (const ParameterLayout::Tensor& tensor : {layer.kernel, layer.recurrent, layer.bias}) {
          const std::size_t begin = r * layout_.size + tensor.offset;
          double distance = 0, largest = 0;
          for (std::size_t e = begin; e < begin + tensor.size(); ++e) {
            const double difference = std::abs(double{a[e]} - double{b[e]});
            if (std::isnan(difference)) return difference;
            distance = std::max(distance, difference);
            largest = std::max(largest, std::abs(double{b[e]}));
          }
          if (distance > 0) worst = std::max(worst, distance / largest);
        }
    return worst;
  }

 private:
  Buffer<float> upload(const std::vector<float>& values) {
    Buffer<float> memory(queue_->device(), values.size());
    memory.copy_in(values, *queue_);
    return memory;
  }

  void train(LstmState& state) {
    const auto& [runs, batch, frames, classes, rows, counts] = group_;
    const View<const float, 4> x = std::as_const(x_).view(runs, frames, batch, inputs_);
    state.forward(group_, std::as_const(parameters_).view(runs, layout_.size), x, Mode::training,
                  h_.view(runs, batch, outputs_), *queue_);
    state.backward(group_, x, std::as_const(dh_).view(runs, batch, outputs_), gradients_.view(runs, layout_.size),
                   *queue_);
  }

  Group group_;
  ParameterLayout layout_;
  std::size_t inputs_, outputs_;
  std::unique_ptr<Queue> queue_;
  Buffer<float> parameters_, x_, dh_;  ///< [R, P], [R, T, B, F], [R, B, H]
  Buffer<float> h_, gradients_;        ///< [R, B, H], [R, P]
};

}  // namespace

std::string fastest(const std::vector<LstmCandidate>& candidates, const StackConfig& config, const Group& group,
                    double tolerance, Device& device) {
  Trial trial(config, group, device);
  const LstmCandidate& first = candidates.front();
  std::string best = first.name;
  double least = trial.seconds_of(*first.make());
  const std::vector<float> expected = trial.gradients();
  for (const LstmCandidate& candidate : std::span(candidates).subspan(1)) {
    double seconds = 0;
    try {
      seconds = trial.seconds_of(*candidate.make());
    } catch (const InputError&) {
      continue;  // it is not to be had here
    } catch (const Error& error) {
      warn(fmt::format("{} is not used: {}", candidate.name, error.what()));
      continue;
    }
    const double difference = trial.difference(trial.gradients(), expected);
    if (!(difference <= tolerance)) {
      warn(fmt::format("{} is not used: its gradients are off by {:.1e} of the largest, where {:.0e} is allowed",
                       candidate.name, difference, tolerance));
    } else if (seconds < least) {
      least = seconds, best = candidate.name;
    }
  }
  return best;
}

}  // namespace genretree::cuda
