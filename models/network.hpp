// A network at work on batches: the one seam between what trains or asks a classifier and what kind of network it is.
#pragma once

#include <memory>

#include "models/classifier.hpp"

namespace genretree {

/// A batch of each run of a group on the device, and where its results go.
struct Batch {
  const Group& group;
  View<const float, 2> parameters;     ///< [R, P]
  View<const float, 4> x;              ///< [R, T, B, F]
  View<const std::int32_t, 2> labels;  ///< [R, B]
  View<const float, 3> targets;        ///< [R, B, C], or empty: 1 for the label
  View<float, 3> probabilities;        ///< [R, B, C]
  View<double, 1> loss;                ///< [R] sum over the rows
  View<std::int32_t, 1> correct;       ///< [R]
};

/// The memory of a network for batches of one shape, and its operations of the contract in their order.
class Network {
 public:
  virtual ~Network() = default;
  /// Forward with dropout, loss, and the gradients [R, P] of each run's mean loss. `keys`: [R] use = dropout.
  virtual void step(const Batch& batch, Loss kind, std::span<const RandomKey> keys, View<float, 2> gradients,
                    Queue& queue) = 0;
  /// Forward and loss.
  virtual void evaluate(const Batch& batch, Loss kind, Queue& queue) = 0;
  /// Bytes held on the device.
  virtual std::size_t bytes() const = 0;
};

/// For batches of at most this shape. Mode::inference makes a smaller one that can only evaluate. InputError if a CNN
/// is to take clips of other than its own frames.
std::unique_ptr<Network> make_network(const ClassifierConfig& classifier, const Group& largest, Mode mode,
                                      Backend& backend);

}  // namespace genretree
