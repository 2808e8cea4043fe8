#include <algorithm>
#include <cmath>
#include <numbers>

#include "models/classifier.hpp"

namespace genretree {
namespace {

/// Uniform in ±√(6 / (inputs + outputs)). Source: keras.initializers.GlorotUniform.
void glorot_uniform(std::span<float> kernel, const ParameterLayout::Tensor& shape, Random& random) {
  const double limit = std::sqrt(6.0 / static_cast<double>(shape.rows + shape.columns));
  for (float& weight : kernel) weight = static_cast<float>(random.uniform(-limit, limit));
}

/// A tall matrix, column by column, that Householder's reflections turn into the Q of its QR decomposition.
class TallMatrix {
 public:
  TallMatrix(std::size_t rows, std::size_t columns) : rows_(rows), columns_(columns), values_(rows * columns) {}

  std::span<double> column(std::size_t j) { return {&values_[j * rows_], rows_}; }

  /// Replaces the matrix by Q · sign(diag R): its columns, made orthonormal one after another. Source: Golub and Van
  /// Loan, "Matrix Computations", algorithms 5.2.1 and 5.1.5 (backward accumulation).
  void orthonormalise() {
    TallMatrix reflectors(rows_, columns_);
    std::vector<double> sign(columns_);
    for (std::size_t k = 0; k < columns_; ++k) {
      const std::span<double> v = reflectors.column(k);
      std::copy(column(k).begin() + static_cast<std::ptrdiff_t>(k), column(k).end(),
                v.begin() + static_cast<std::ptrdiff_t>(k));
      const double length = std::sqrt(dot(v, v));
      sign[k] = v[k] > 0 ? -1 : 1;  // the reflection puts R[k][k] = ∓length, away from v[k], so that nothing cancels
      v[k] -= sign[k] * length;
      for (std::size_t j = k; j < columns_; ++j) reflect(column(j), v);
    }
    for (std::size_t k = columns_; k-- > 0;) {
      std::fill(column(k).begin(), column(k).end(), 0.0);
      column(k)[k] = 1;
      for (std::size_t j = k; j < columns_; ++j) reflect(column(j), reflectors.column(k));
    }
    for (std::size_t k = 0; k < columns_; ++k)
      for (double& value : column(k)) value *= sign[k];
  }

 private:
  static double dot(std::span<const double> a, std::span<const double> b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  }

  /// x -= 2 v (v·x) / (v·v)
  static void reflect(std::span<double> x, std::span<const double> v) {
    const double factor = 2 * dot(v, x) / dot(v, v);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] -= factor * v[i];
  }

  std::size_t rows_, columns_;
  std::vector<double> values_;
};

/// A [H, 4H] kernel with orthonormal rows: (Q · sign(diag R))ᵀ of a normal [4H, H] matrix. Source:
/// keras.initializers.Orthogonal.
void orthogonal(std::span<float> kernel, const ParameterLayout::Tensor& shape, Random& random) {
  TallMatrix matrix(shape.columns, shape.rows);
  for (std::size_t i = 0; i < shape.columns; ++i)
    for (std::size_t j = 0; j < shape.rows; ++j) matrix.column(j)[i] = random.normal();
  matrix.orthonormalise();
  for (std::size_t j = 0; j < shape.rows; ++j)
    for (std::size_t i = 0; i < shape.columns; ++i)
      kernel[j * shape.columns + i] = static_cast<float>(matrix.column(j)[i]);
}

std::vector<float> initial_cnn(const ClassifierConfig& config, Random& random) {
  const CnnLayout layout(*config.cnn, config.classes);
  std::vector<float> parameters(layout.size, 0.0f);
  const auto part = [&](const CnnLayout::Tensor& tensor) {
    return std::span(parameters).subspan(tensor.offset, tensor.size());
  };
  const auto draw = [&](const CnnLayout::Tensor& tensor, double deviation) {
    for (float& weight : part(tensor)) weight = static_cast<float>(deviation * random.normal());
  };
  std::ranges::fill(part(layout.scale), 1.0f);
  std::vector<CnnLayout::Layer> layers = layout.stages;
  layers.push_back(layout.hidden);
  if (config.initialisation == Initialisation::original) {
    layers.push_back(layout.output);
    for (const CnnLayout::Layer& layer : layers) draw(layer.kernel, 1), draw(layer.bias, 1);
    return parameters;
  }
  for (const CnnLayout::Layer& layer : layers)
    draw(layer.kernel, std::sqrt(2.0 / static_cast<double>(layer.kernel.rows)));
  glorot_uniform(part(layout.output.kernel), layout.output.kernel, random);
  return parameters;
}

}  // namespace

std::string_view name_of(Initialisation initialisation) {
  return initialisation == Initialisation::he ? "he" : "original";
}

ClassifierConfig::InputConstants ClassifierConfig::input_constants() const {
  if (cnn) {
    const CnnLayout layout(*cnn, classes);
    return {layout.mean, layout.scale};
  }
  const ParameterLayout layout(stack, classes);
  return {layout.mean, layout.scale};
}

double rate_factor(const TrainingConfig& training, std::size_t epoch, std::size_t epochs) {
  using Schedule = TrainingConfig::Schedule;
  const auto ratio = [](std::size_t a, std::size_t b) { return static_cast<double>(a) / static_cast<double>(b); };
  if (epoch < training.warmup) return ratio(epoch + 1, training.warmup + 1);
  if (training.schedule == Schedule::constant) return 1;
  const double done = ratio(epoch - training.warmup, epochs - training.warmup);
  return training.schedule == Schedule::linear ? 1 - done : 0.5 + 0.5 * std::cos(std::numbers::pi * done);
}

std::vector<float> initial_parameters(const ClassifierConfig& config, const RandomKey& key) {
  RandomKey weights_key = key;
  weights_key.epoch = weights_key.batch = 0;
  weights_key.use = RandomUse::initial_weights;
  Random random(weights_key);
  if (config.cnn) return initial_cnn(config, random);

  const ParameterLayout layout(config.stack, config.classes);
  std::vector<float> parameters(layout.size, 0.0f);
  const auto part = [&](const ParameterLayout::Tensor& tensor) {
    return std::span(parameters).subspan(tensor.offset, tensor.size());
  };
  std::ranges::fill(part(layout.scale), 1.0f);
  for (const ParameterLayout::Layer& layer : layout.layers) {
    glorot_uniform(part(layer.kernel), layer.kernel, random);
    orthogonal(part(layer.recurrent), layer.recurrent, random);
    const std::size_t units = layer.recurrent.rows;
    std::ranges::fill(part(layer.bias).subspan(units, units), 1.0f);  // blocks i, f, c, o: the forget gate starts open
  }
  glorot_uniform(part(layout.dense_kernel), layout.dense_kernel, random);
  return parameters;
}

}  // namespace genretree
