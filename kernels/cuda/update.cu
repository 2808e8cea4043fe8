// The optimisers' step over all parameters of the runs. A first launch counts the steps, which lie on the device so that
// a recorded step can be repeated, and works out their learning rates in double, a thread for each run; the second reads
// them and changes all parameters, a thread each, with the roundings of kernels/cpu/update.cpp.
#include "kernels/cuda/group_rows.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/run_elements.hpp"
#include "kernels/cuda/update.hpp"

namespace genretree::cuda {
namespace {

/// Counts the step of run r; its rate is the learning rate, for Adam with its bias correction.
struct BeginStep {
  Optimiser optimiser;
  std::int64_t* steps;  ///< [R]
  float* rates;         ///< [R]
  RunRows runs;

  __device__ void operator()(std::uint32_t r, std::uint32_t) const {
    if (runs.rows[r] == 0) return;
    const double t = static_cast<double>(++steps[r]);
    double corrected = optimiser.learning_rate;
    if (optimiser.kind == Optimiser::Kind::adam)
      corrected *= std::sqrt(1 - std::pow(optimiser.beta2, t)) / (1 - std::pow(optimiser.beta1, t));
    rates[r] = static_cast<float>(corrected);
  }
};

/// Parameter e of run r. Formulas: kernels/ops.hpp, Optimiser.
struct UpdateParameter {
  Optimiser::Kind kind;
  float beta1, one_minus_beta1, one_minus_beta2, epsilon;
  std::size_t size;        ///< P
  const float* rates;      ///< [R]
  const float* gradients;  ///< [R, P]
  float* parameters;       ///< [R, P]
  float* moments;          ///< [R, 2, P]
  RunRows runs;

  __device__ void operator()(std::uint32_t r, std::uint32_t e) const {
    if (runs.rows[r] == 0) return;
    const float rate = rates[r], g = gradients[r * size + e];
    float &parameter = parameters[r * size + e], &m = moments[2 * r * size + e], &v = moments[(2 * r + 1) * size + e];
    if (kind == Optimiser::Kind::sgd) {
      m = std::fma(beta1, m, -(rate * g));
      parameter += m;
      return;
    }
    const float square = std::fma(one_minus_beta2, std::fma(g, g, -v), v);
    v = square;
    float direction = g;
    if (kind == Optimiser::Kind::adam) m = direction = std::fma(one_minus_beta1, g - m, m);
    parameter -= rate * direction / (std::sqrt(square) + epsilon);
  }
};

}  // namespace

void update(const Optimiser& optimiser, const Group& group, View<std::int64_t, 1> steps, View<float, 2> parameters,
            View<const float, 2> gradients, View<float, 3> moments, Queue& queue) {
  const Stream stream = stream_of(queue);
  const RunRows rows = run_rows(group);
  float* rates = static_cast<float*>(workspace_of(queue, group.runs * sizeof(float)));
  const auto single = [](double value) { return static_cast<float>(value); };
  const std::size_t size = parameters.shape[1];
  for_each_of_runs(group.runs, 1, BeginStep{optimiser, steps.data, rates, rows}, stream);
  for_each_of_runs(
      group.runs, size,
      UpdateParameter{optimiser.kind, single(optimiser.beta1), single(1 - optimiser.beta1), single(1 - optimiser.beta2),
                      single(optimiser.epsilon), size, rates, gradients.data, parameters.data, moments.data, rows},
      stream);
}

}  // namespace genretree::cuda
