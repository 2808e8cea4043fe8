// The classifier: an LSTM stack and a dense softmax layer, or a CNN; its settings, its initial weights.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/ops.hpp"
#include "models/windows.hpp"

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
  NetworkConfig stack;
  std::size_t classes = 0;
  std::optional<CnnConfig> cnn = {};  ///< in place of the stack
  Initialisation initialisation = Initialisation::he;
  /// Frames that it hears at once. It judges a clip by the mean of its probabilities over windows of it. 0: the whole
  /// clip.
  std::size_t window = 0;

  /// Frames of a row of its batches, of clips of so many frames.
  std::size_t row_frames(std::size_t frames) const { return window == 0 ? frames : std::min(window, frames); }
  /// Numbers of a frame of features.
  std::size_t inputs() const { return cnn ? cnn->bands : stack.inputs; }
  bool has_dropout() const { return cnn ? cnn->dropout > 0 : stack.has_any_dropout(); }
  /// Where the mean and the scale of its inputs lie in its parameters; empty if it has none.
  struct InputConstants {
    ParameterLayout::Tensor mean, scale;
  };
  InputConstants input_constants() const;
  /// Numbers at the beginning of its parameters that training never changes.
  std::size_t constants() const { return input_constants().mean.size() + input_constants().scale.size(); }
  /// Backend::gather applies them; a CNN does so itself.
  bool gathers_standardised() const { return !cnn && stack.standardise; }
  std::size_t parameter_count() const {
    return cnn ? CnnLayout(*cnn, classes).size : ParameterLayout(stack, classes).size;
  }
};

/// How it is trained.
struct TrainingConfig {
  Optimiser optimiser;
  std::size_t batch = 35;
  Loss loss = Loss::clipped;
  double label_smoothing = 0;  ///< share of each target that is spread over all classes
  Augmentation augmentation = {};
  /// How the learning rate goes down from its full size over the epochs of a run, after it has gone up to that over the
  /// first `warmup` of them.
  enum class Schedule { constant, linear, cosine } schedule = Schedule::constant;
  std::size_t warmup = 0;
  /// The weights that a run ends with: those of its last epoch, or of that with the highest validation accuracy (of
  /// equals the one with the lowest validation loss).
  enum class Select { last, best_validation } select = Select::last;
  std::size_t patience = 0;  ///< epochs without a better one after which a run ends early; 0: never
  bool shuffle = true;       ///< a new order in each epoch; false keeps the order of the training set (Keras's
                             ///< fit(shuffle=False), for comparisons)
};

/// What the learning rate is multiplied by in one of the epochs (from 0) of a run.
double rate_factor(const TrainingConfig& training, std::size_t epoch, std::size_t epochs);

/// Keras's initial weights of an LSTM in ParameterLayout: Glorot uniform kernels, orthogonal recurrent kernels, zero
/// biases with a forget bias of 1. Source: keras/initializers (VarianceScaling, Orthogonal), LSTM unit_forget_bias. Of
/// a CNN, as its Initialisation says, in CnnLayout. A mean of the inputs is 0 and a scale 1. `key` names the run; its
/// use, epoch and batch are set here.
std::vector<float> initial_parameters(const ClassifierConfig& config, const RandomKey& key);

}  // namespace genretree
