#include <cmath>
#include <numeric>

#include "kernels/reference/update.hpp"

namespace genretree::reference {

void update(const Optimiser& optimiser, double rate_factor, std::int64_t step, std::span<double> parameters,
            std::span<const double> gradients, std::span<double> m, std::span<double> v) {
  const auto [kind, base_rate, beta1, beta2, epsilon, decay, clip_norm, constants] = optimiser;
  const double rate = base_rate * rate_factor;
  const double norm = std::sqrt(std::inner_product(gradients.begin(), gradients.end(), gradients.begin(), 0.0));
  const double clip = clip_norm > 0 && norm > clip_norm ? clip_norm / norm : 1;
  const double t = static_cast<double>(step);
  const double adam_rate = rate * std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t));
  for (std::size_t k = 0; k < parameters.size(); ++k) {
    const double g = clip * gradients[k];
    if (k >= constants) parameters[k] -= rate * decay * parameters[k];
    switch (kind) {
      case Optimiser::Kind::adam:
        m[k] += (1 - beta1) * (g - m[k]);
        v[k] += (1 - beta2) * (g * g - v[k]);
        parameters[k] -= adam_rate * m[k] / (std::sqrt(v[k]) + epsilon);
        break;
      case Optimiser::Kind::rmsprop:
        v[k] += (1 - beta2) * (g * g - v[k]);
        parameters[k] -= rate * g / (std::sqrt(v[k]) + epsilon);
        break;
      case Optimiser::Kind::sgd:
        m[k] = beta1 * m[k] - rate * g;
        parameters[k] += m[k];
        break;
    }
  }
}

}  // namespace genretree::reference
