// The optimisers' step over all parameters of a run. A first launch of one thread counts the step, which lies on the
// device so that a recorded step can be repeated, and works out its learning rate in double; the second reads it and
// changes all parameters, a thread each, with the roundings of kernels/cpu/update.cpp.
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/thrust.hpp"
#include "kernels/cuda/update.hpp"

namespace genretree::cuda {
namespace {

/// Counts the step; rate = the learning rate, for Adam with its bias correction.
struct BeginStep {
  Optimiser optimiser;
  std::int64_t* steps;
  float* rate;

  __device__ void operator()(std::uint32_t) const {
    const double t = static_cast<double>(++*steps);
    double corrected = optimiser.learning_rate;
    if (optimiser.kind == Optimiser::Kind::adam)
      corrected *= std::sqrt(1 - std::pow(optimiser.beta2, t)) / (1 - std::pow(optimiser.beta1, t));
    *rate = static_cast<float>(corrected);
  }
};

/// Parameter e. Formulas: kernels/ops.hpp, Optimiser.
struct UpdateParameter {
  Optimiser::Kind kind;
  float beta1, one_minus_beta1, one_minus_beta2, epsilon;
  const float* rate;
  const float* gradients;
  float *parameters, *m, *v;

  __device__ void operator()(std::uint32_t e) const {
    const float g = gradients[e];
    if (kind == Optimiser::Kind::sgd) {
      m[e] = std::fma(beta1, m[e], -(*rate * g));
      parameters[e] += m[e];
      return;
    }
    const float square = std::fma(one_minus_beta2, std::fma(g, g, -v[e]), v[e]);
    v[e] = square;
    float direction = g;
    if (kind == Optimiser::Kind::adam) m[e] = direction = std::fma(one_minus_beta1, g - m[e], m[e]);
    parameters[e] -= *rate * direction / (std::sqrt(square) + epsilon);
  }
};

}  // namespace

void update(const Optimiser& optimiser, const Group& group, View<std::int64_t, 1> steps, View<float, 2> parameters,
            View<const float, 2> gradients, View<float, 3> moments, Queue& queue) {
  const Stream stream = stream_of(queue);
  float* rate = static_cast<float*>(workspace_of(queue, sizeof(float)));
  const auto single = [](double value) { return static_cast<float>(value); };
  for (std::size_t r = 0; r < group.runs; ++r) {
    if (group.rows[r] == 0) continue;
    for_each_index(1, BeginStep{optimiser, &steps[r], rate}, stream);
    for_each_index(parameters.shape[1],
                   UpdateParameter{optimiser.kind, single(optimiser.beta1), single(1 - optimiser.beta1),
                                   single(1 - optimiser.beta2), single(optimiser.epsilon), rate, gradients[r].data,
                                   parameters[r].data, moments[r][0].data, moments[r][1].data},
                   stream);
  }
}

}  // namespace genretree::cuda
