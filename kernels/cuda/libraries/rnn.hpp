// One LSTM layer over whole sequences, by cuDNN. Its twin: tests/support/cuda_libraries/rnn.cpp.
//
// A layer's weights lie in a weight space whose layout is cuDNN's own affair: Rnn::gates says where each matrix is.
// What the forward pass of a training keeps for the backward pass lies in a reserve space, which backward_data changes
// and backward_weights reads. Every row of the batch is computed, over all frames, from a zero state.
#pragma once

#include <array>
#include <cstddef>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "kernels/ops.hpp"

namespace genretree::cuda {

/// cuDNN's ways to run the recurrence (cudnnRNNAlgo_t): a product for each frame; or one kernel for all frames that
/// keeps the recurrent weights on the chip, in three variants.
enum class RnnAlgorithm { standard, persist_static_small_h, persist_static, persist_dynamic };

/// What files call them; in the order in which they are tried.
inline constexpr std::pair<const char*, RnnAlgorithm> rnn_algorithms[] = {
    {"standard", RnnAlgorithm::standard},
    {"persist_static_small_h", RnnAlgorithm::persist_static_small_h},
    {"persist_static", RnnAlgorithm::persist_static},
    {"persist_dynamic", RnnAlgorithm::persist_dynamic}};
inline std::string name_of(RnnAlgorithm algorithm) {
  for (const auto& [name, one] : rnn_algorithms)
    if (one == algorithm) return name;
  fail("unknown algorithm of cuDNN");
}

/// Longer sequences cuDNN refuses.
inline constexpr std::size_t most_rnn_frames = 65535;

/// An LSTM layer and the one shape of batch that it computes.
struct RnnConfig {
  std::size_t inputs, units;  ///< F, H of the layer
  std::size_t frames, batch;  ///< T, B
  Mode mode = Mode::training;
  RnnAlgorithm algorithm = RnnAlgorithm::standard;
  bool tf32 = false;  ///< tensor cores may cut operands of products to 10 bits of mantissa; else fp32 throughout
};

/// For messages.
inline std::string description(const RnnConfig& config) {
  return fmt::format("an LSTM of {} inputs and {} units over {} rows of {} frames by cuDNN's algorithm {}",
                     config.inputs, config.units, config.batch, config.frames, name_of(config.algorithm));
}

/// cuDNN has not got this algorithm for this layer on this GPU.
struct RnnRefused : InputError {
  RnnRefused(const RnnConfig& config, const std::string& said)
      : InputError(fmt::format("cuDNN cannot compute {}: {}. Use {}", description(config), said,
                               config.algorithm == RnnAlgorithm::standard
                                   ? "device: cpu"
                                   : "lstm: cudnn, which tries what it has got, or lstm: cudnn:standard")) {}
};

class Rnn {
 public:
  virtual ~Rnn() = default;

  /// Where the weights of one gate lie in the weight space, in floats from its start.
  struct Gate {
    std::size_t kernel;     ///< [H, F], row-major
    std::size_t recurrent;  ///< [H, H], row-major
    std::size_t bias;       ///< [H]
  };
  /// In Keras's order, which is cuDNN's: i, f, c (the candidate), o.
  const std::array<Gate, 4>& gates() const { return gates_; }

  std::size_t weight_bytes() const { return weight_bytes_; }
  std::size_t workspace_bytes() const { return workspace_bytes_; }  ///< of any of the three calls; nothing stays there
  std::size_t reserve_bytes() const { return reserve_bytes_; }      ///< 0 for inference

  /// Device memory that the calls share, each at least as large as asked for and 256-byte aligned. The workspace is
  /// never null, even if none is needed. All that is no gate's must hold zeros in the weight space: there lie the
  /// gates' recurrent biases, too, which cuDNN adds to the others and which Keras has not got.
  struct Spaces {
    const void* weights;
    void* workspace;
    void* reserve;
  };

  // Launchers. RnnRefused where only the call itself finds out.

  ///   x [T, B, F];  y [T, B, H] the layer's output.  mode: inference leaves the reserve alone
  virtual void forward(Mode mode, const float* x, float* y, const Spaces& spaces, Queue& queue) = 0;
  ///   y, dy [T, B, H];  dx [T, B, F] is overwritten
  virtual void backward_data(const float* y, const float* dy, float* dx, const Spaces& spaces, Queue& queue) = 0;
  ///   x, y as in forward;  weight_gradients: like the weight space, and what is found is ADDED to it
  virtual void backward_weights(const float* x, const float* y, void* weight_gradients, const Spaces& spaces,
                                Queue& queue) = 0;

 protected:
  std::array<Gate, 4> gates_{};
  std::size_t weight_bytes_ = 0, workspace_bytes_ = 0, reserve_bytes_ = 0;
};

/// The layer with all that cuDNN needs to make: descriptors, and the kernel of persist_dynamic. RnnRefused if it has
/// not got the algorithm. `queue` lends its handle for the time of the call.
std::unique_ptr<Rnn> make_rnn(const RnnConfig& config, Queue& queue);

}  // namespace genretree::cuda
