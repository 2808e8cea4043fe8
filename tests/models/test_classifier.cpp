#include <cmath>

#include "models/classifier.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

ClassifierConfig paper_network() { return {.stack = StackConfig{.inputs = 13, .units = {128, 32}}, .classes = 6}; }

std::span<const float> part(const std::vector<float>& parameters, const ParameterLayout::Tensor& tensor) {
  return std::span(parameters).subspan(tensor.offset, tensor.size());
}

TEST_CASE("the paper's network has 93510 weights") {
  // kernel, recurrent kernel and bias of each LSTM, then the dense layer
  const std::size_t first = 4 * 128 * (13 + 128 + 1), second = 4 * 32 * (128 + 32 + 1), dense = (32 + 1) * 6;
  CHECK(first + second + dense == 93510);
  CHECK(initial_parameters(paper_network(), {.seed = 1}).size() == 93510);
}

TEST_CASE("kernels start Glorot uniform: within the limit, filling it evenly") {
  const ClassifierConfig config = paper_network();
  const ParameterLayout layout(config.stack, config.classes);
  const std::vector<float> parameters = initial_parameters(config, {.seed = 1});
  for (const auto& tensor : {layout.layers[0].kernel, layout.layers[1].kernel, layout.dense_kernel}) {
    const double limit = std::sqrt(6.0 / static_cast<double>(tensor.rows + tensor.columns));
    double largest = 0, sum = 0, squares = 0;
    for (float weight : part(parameters, tensor)) {
      largest = std::max(largest, std::abs(double{weight}));
      sum += weight, squares += double{weight} * weight;
    }
    const double count = static_cast<double>(tensor.size());
    CHECK(largest <= limit);
    CHECK(largest > 0.95 * limit);
    CHECK(std::abs(sum / count) < 5 * limit / std::sqrt(3 * count));  // five standard errors
    CHECK(squares / count ==
          Approx(limit * limit / 3).epsilon(5 * 0.9 / std::sqrt(count)));  // variance of a uniform number
  }
}

TEST_CASE("recurrent kernels have orthonormal rows, gate blocks alone do not") {
  const ClassifierConfig config = paper_network();
  const ParameterLayout layout(config.stack, config.classes);
  const std::vector<float> parameters = initial_parameters(config, {.seed = 1});
  for (const auto& layer : layout.layers) {
    const std::size_t units = layer.recurrent.rows, columns = layer.recurrent.columns;
    const auto kernel = part(parameters, layer.recurrent);
    double worst = 0, block = 0;
    for (std::size_t i = 0; i < units; ++i)
      for (std::size_t j = 0; j < units; ++j) {
        double dot = 0;
        for (std::size_t k = 0; k < columns; ++k) dot += double{kernel[i * columns + k]} * kernel[j * columns + k];
        worst = std::max(worst, std::abs(dot - (i == j)));
      }
    for (std::size_t k = 0; k < units; ++k) block += double{kernel[k]} * kernel[k];
    CHECK(worst < 1e-6);
    CHECK(block < 0.9);
  }
}

// Keras's Orthogonal is Q · sign(diag R) of a normal matrix A, so A = Q'R' with a positive diagonal of R', and that
// makes Q' unique. A is drawn again here, after the numbers of the kernel, and R' = Q'ᵀA must be upper triangular with
// a positive diagonal.
TEST_CASE("the recurrent kernel is the Q of the drawn matrix, with the signs of Keras") {
  const ClassifierConfig config{.stack = StackConfig{.inputs = 3, .units = {5}}, .classes = 2};
  const RandomKey key{.seed = 9, .point = 5, .trial = 1};
  const ParameterLayout layout(config.stack, config.classes);
  const std::vector<float> parameters = initial_parameters(config, key);
  RandomKey weights_key = key;
  weights_key.use = RandomUse::initial_weights;
  Random random(weights_key);
  for (std::size_t i = 0; i < layout.layers[0].kernel.size(); ++i) random.uniform();
  double drawn[20][5];
  for (auto& row : drawn)
    for (double& value : row) value = random.normal();
  const auto kernel = part(parameters, layout.layers[0].recurrent);  // [5, 20] = Q'ᵀ
  for (std::size_t i = 0; i < 5; ++i)
    for (std::size_t j = 0; j < 5; ++j) {
      double r = 0;
      for (std::size_t k = 0; k < 20; ++k) r += kernel[i * 20 + k] * drawn[k][j];
      if (i == j) CHECK(r > 0.1);
      if (i > j) CHECK(std::abs(r) < 1e-5);
    }
}

TEST_CASE("biases start at zero, the forget gate's at one") {
  const ClassifierConfig config = paper_network();
  const ParameterLayout layout(config.stack, config.classes);
  const std::vector<float> parameters = initial_parameters(config, {.seed = 1});
  for (const auto& layer : layout.layers) {
    const auto bias = part(parameters, layer.bias);
    const std::size_t units = layer.recurrent.rows;
    for (std::size_t k = 0; k < bias.size(); ++k) CHECK(bias[k] == (k / units == 1 ? 1.0f : 0.0f));
  }
  for (float bias : part(parameters, layout.dense_bias)) CHECK(bias == 0.0f);
}

TEST_CASE("initial weights are a function of the run's key alone") {
  const ClassifierConfig config{.stack = StackConfig{.inputs = 3, .units = {4, 2}}, .classes = 3};
  const RandomKey key{.seed = 2018, .point = 50, .trial = 2};
  const std::vector<float> parameters = initial_parameters(config, key);
  CHECK(parameters == initial_parameters(config, key));
  RandomKey later = key;
  later.epoch = 3, later.batch = 4, later.use = RandomUse::dropout;  // not part of the run's name
  CHECK(parameters == initial_parameters(config, later));
  for (RandomKey other :
       {RandomKey{.seed = 2019, .point = 50, .trial = 2}, RandomKey{.seed = 2018, .point = 100, .trial = 2},
        RandomKey{.seed = 2018, .point = 50, .trial = 3}, RandomKey{.seed = 2018, .point = 50, .trial = 2, .node = 1}})
    CHECK(parameters != initial_parameters(config, other));

  // these very numbers are kept: a change here changes every result that was ever published with a seed
  const ParameterLayout layout(config.stack, config.classes);
  const float golden[] = {0.16575098f,  -0.165544048f, -0.284786075f, 0.350874573f,
                          0.308346152f, 0.239126459f,  -0.483778358f};
  const std::size_t offsets[] = {0,
                                 1,
                                 layout.layers[0].recurrent.offset,
                                 layout.layers[0].recurrent.offset + 1,
                                 layout.layers[1].kernel.offset,
                                 layout.layers[1].recurrent.offset,
                                 layout.dense_kernel.offset};
  for (std::size_t i = 0; i < std::size(offsets); ++i) CHECK(parameters[offsets[i]] == Approx(golden[i]).epsilon(1e-6));
}

}  // namespace
}  // namespace genretree
