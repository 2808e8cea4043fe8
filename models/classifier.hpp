// The classifier: an LSTM stack and a dense softmax layer; its settings, its initial weights.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "kernels/ops.hpp"

namespace genretree {

/// Shape and settings of one classifier.
struct ClassifierConfig {
  StackConfig stack;
  std::size_t classes = 0;
};

/// How it is trained.
struct TrainingConfig {
  Optimiser optimiser;
  std::size_t batch = 35;
  Loss loss = Loss::clipped;
  bool shuffle = true;  ///< a new order in each epoch; false keeps the order of the training set (Keras's
                        ///< fit(shuffle=False), for comparisons)
};

/// Keras's initial weights in ParameterLayout: Glorot uniform kernels, orthogonal recurrent kernels, zero biases with a
/// forget bias of 1. Source: keras/initializers (VarianceScaling, Orthogonal), LSTM unit_forget_bias. `key` names the
/// run; its use, epoch and batch are set here.
std::vector<float> initial_parameters(const ClassifierConfig& config, const RandomKey& key);

}  // namespace genretree
