// The classifier: an LSTM stack and a dense softmax layer, or a CNN; its settings, its initial weights.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/ops.hpp"

namespace genretree {

/// Where a CNN's weights begin. (Those of an LSTM begin as Keras's.)
///   he        kernels normal with variance 2 / inputs (He et al., "Delving deep into rectifiers", 2015), the softmax
///             layer's Glorot uniform; biases 0
///   original  every kernel and every bias normal with variance 1, as in the CNN that the paper compares itself with.
///             Its first losses are in the millions
enum class Initialisation { he, original };
/// "he", "original"
std::string_view name_of(Initialisation initialisation);

/// Shape and settings of one classifier.
struct ClassifierConfig {
  StackConfig stack;
  std::size_t classes = 0;
  std::optional<CnnConfig> cnn = {};  ///< in place of the stack
  Initialisation initialisation = Initialisation::he;

  /// Numbers of a frame of features.
  std::size_t inputs() const { return cnn ? cnn->bands : stack.inputs; }
  bool has_dropout() const { return cnn ? cnn->dropout > 0 : stack.has_dropout(); }
  std::size_t parameter_count() const {
    return cnn ? CnnLayout(*cnn, classes).size : ParameterLayout(stack, classes).size;
  }
};

/// How it is trained.
struct TrainingConfig {
  Optimiser optimiser;
  std::size_t batch = 35;
  Loss loss = Loss::clipped;
  bool shuffle = true;  ///< a new order in each epoch; false keeps the order of the training set (Keras's
                        ///< fit(shuffle=False), for comparisons)
};

/// Keras's initial weights of an LSTM in ParameterLayout: Glorot uniform kernels, orthogonal recurrent kernels, zero
/// biases with a forget bias of 1. Source: keras/initializers (VarianceScaling, Orthogonal), LSTM unit_forget_bias. Of
/// a CNN, as its Initialisation says, in CnnLayout; a mean of its inputs is 0 and a scale 1. `key` names the run; its
/// use, epoch and batch are set here.
std::vector<float> initial_parameters(const ClassifierConfig& config, const RandomKey& key);

}  // namespace genretree
