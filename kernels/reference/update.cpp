#include <cmath>

#include "kernels/reference/update.hpp"

namespace genretree::reference {

void update(const Optimiser& optimiser, std::int64_t step, std::span<double> parameters,
            std::span<const double> gradients, std::span<double> m, std::span<double> v) {
  const auto [kind, rate, beta1, beta2, epsilon] = optimiser;
  const double t = static_cast<double>(step);
  const double adam_rate = rate * std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t));
  for (std::size_t k = 0; k < parameters.size(); ++k) {
    const double g = gradients[k];
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
