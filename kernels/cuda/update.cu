// The optimisers' step over all parameters of the runs. One launch counts the steps, which lie on the device so that a
// recorded step can be repeated, and works out their factors in double, a thread for each run; the next reads them and
// changes all parameters, a thread each, with the roundings of kernels/cpu/update.cpp. Gradients that are to be clipped
// are measured before: a block takes a run and adds up its squares in double, in an order that depends on P alone,
// which is that of the group: where runs have fewer classes, the last bit may differ from that of the run alone.
#include "kernels/cuda/group_rows.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/run_elements.hpp"
#include "kernels/cuda/update.hpp"
#include "kernels/cuda/warp.hpp"

namespace genretree::cuda {
namespace {

constexpr unsigned norm_threads = 1024;

struct NormShared {
  double sums[norm_threads / 32];
};

/// norms [R] of the gradients [R, P] of the runs that have rows. Block (run).
__global__ void __launch_bounds__(norm_threads)
    norm_kernel(const float* gradients, std::size_t size, RunRows runs, float* norms) {
  if (runs.rows[blockIdx.x] == 0) return;
  auto& shared = dynamic_shared<NormShared>();
  const float* const own = gradients + blockIdx.x * size;
  double sum = 0;
  for (std::size_t e = threadIdx.x; e < size; e += norm_threads) sum = std::fma(double{own[e]}, double{own[e]}, sum);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) shared.sums[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  sum = warp_sum(shared.sums[threadIdx.x]);
  if (threadIdx.x == 0) norms[blockIdx.x] = static_cast<float>(std::sqrt(sum));
}

/// What a run's step has of its own.
struct StepFactors {
  float rate;   ///< the learning rate, for Adam with its bias correction
  float decay;  ///< what parameters lose of themselves
  float clip;   ///< of gradients
};

/// Counts the step of run r and makes its factors.
struct BeginStep {
  Optimiser optimiser;
  const float* rates;    ///< [R], or null: 1
  const float* norms;    ///< [R], or null: no clipping
  std::int64_t* steps;   ///< [R]
  StepFactors* factors;  ///< [R]
  RunRows runs;

  __device__ void operator()(std::uint32_t r, std::uint32_t) const {
    if (runs.rows[r] == 0) return;
    const double t = static_cast<double>(++steps[r]), rate = optimiser.learning_rate * (rates ? rates[r] : 1);
    double corrected = rate, clip = 1;
    if (optimiser.kind == Optimiser::Kind::adam)
      corrected *= std::sqrt(1 - std::pow(optimiser.beta2, t)) / (1 - std::pow(optimiser.beta1, t));
    if (norms && norms[r] > optimiser.clip_norm) clip = optimiser.clip_norm / norms[r];
    factors[r] = {static_cast<float>(corrected), static_cast<float>(rate * optimiser.weight_decay),
                  static_cast<float>(clip)};
  }
};

/// Parameter e of run r. Formulas: kernels/ops.hpp, Optimiser.
struct UpdateParameter {
  Optimiser::Kind kind;
  float beta1, one_minus_beta1, one_minus_beta2, epsilon;
  std::size_t size, constants;  ///< P; those at the beginning that do not decay
  const StepFactors* factors;   ///< [R]
  const float* gradients;       ///< [R, P]
  float* parameters;            ///< [R, P]
  float* moments;               ///< [R, 2, P]
  RunRows runs;

  __device__ void operator()(std::uint32_t r, std::uint32_t e) const {
    if (runs.rows[r] == 0) return;
    const StepFactors factor = factors[r];
    const float rate = factor.rate, g = gradients[r * size + e] * factor.clip;
    float &parameter = parameters[r * size + e], &m = moments[2 * r * size + e], &v = moments[(2 * r + 1) * size + e];
    // decay goes into the step first: alone, a small one would be rounded away
    const auto decayed = [&](float step) {
      return e < constants || factor.decay == 0 ? step : std::fma(-factor.decay, parameter, step);
    };
    if (kind == Optimiser::Kind::sgd) {
      m = std::fma(beta1, m, -(rate * g));
      parameter += decayed(m);
      return;
    }
    const float square = std::fma(one_minus_beta2, std::fma(g, g, -v), v);
    v = square;
    float direction = g;
    if (kind == Optimiser::Kind::adam) m = direction = std::fma(one_minus_beta1, g - m, m);
    parameter += decayed(-(rate * direction / (std::sqrt(square) + epsilon)));
  }
};

}  // namespace

void update(const Optimiser& optimiser, const Group& group, View<const float, 1> rates, View<std::int64_t, 1> steps,
            View<float, 2> parameters, View<const float, 2> gradients, View<float, 3> moments, View<float, 1> norms,
            Queue& queue) {
  const Stream stream = stream_of(queue);
  const RunRows rows = run_rows(group);
  StepFactors* factors = static_cast<StepFactors*>(workspace_of(queue, group.runs * sizeof(StepFactors)));
  const auto single = [](double value) { return static_cast<float>(value); };
  const std::size_t size = parameters.shape[1];
  const bool clips = optimiser.clip_norm > 0;
  if (clips)
    launch(norm_kernel, static_cast<unsigned>(group.runs), norm_threads, sizeof(NormShared), stream, gradients.data,
           size, rows, norms.data);
  for_each_of_runs(group.runs, 1,
                   BeginStep{optimiser, rates.data, clips ? norms.data : nullptr, steps.data, factors, rows}, stream);
  for_each_of_runs(group.runs, size,
                   UpdateParameter{optimiser.kind, single(optimiser.beta1), single(1 - optimiser.beta1),
                                   single(1 - optimiser.beta2), single(optimiser.epsilon), size, optimiser.constants,
                                   factors, gradients.data, parameters.data, moments.data, rows},
                   stream);
}

}  // namespace genretree::cuda
