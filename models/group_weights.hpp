// Weights and moments of the runs of a group on the device, and the one place where they change their layout.
#pragma once

#include <cstdint>
#include <vector>

#include "core/device.hpp"
#include "core/tensor.hpp"
#include "models/classifier.hpp"

namespace genretree {

/// What updates change in one run, in the layout of its own class count.
struct RunWeights {
  std::int64_t step = 0;          ///< updates done
  std::vector<float> parameters;  ///< [P]
  std::vector<float> moments;     ///< [2, P]
};

/// Those of all runs of a group, in the layout of its largest class count. A run with fewer classes has columns of the
/// dense layer, and biases, that nothing reads: they are 0, and so are their gradients. On the host, and in files, a
/// run's weights have its own layout.
class GroupWeights {
 public:
  GroupWeights(std::size_t runs, const ClassifierConfig& largest, Device& device);

  View<float, 2> parameters() { return parameters_.view(runs(), parameter_count_); }
  View<float, 3> moments() { return moments_.view(runs(), 2, parameter_count_); }
  View<std::int64_t, 1> steps() { return steps_.view(runs()); }
  std::size_t bytes() const { return parameters_.bytes() + moments_.bytes() + steps_.bytes(); }

  void zero(Queue& queue);
  /// Sets those of one run; `classes`: its own.
  void put(std::size_t run, std::size_t classes, const RunWeights& weights, Queue& queue);
  /// Those of one run. Waits for the queue.
  RunWeights get(std::size_t run, std::size_t classes, Queue& queue) const;
  /// The parameters of one run, [P] on the device in the group's layout, in the layout of its own classes. Waits for the
  /// queue.
  std::vector<float> parameters_of(View<const float, 1> place, std::size_t classes, Queue& queue) const;
  /// The reverse.
  void put_parameters(View<float, 1> place, std::size_t classes, std::span<const float> parameters, Queue& queue) const;
  /// Takes over those of all runs of a group of the same shape.
  void copy_from(const GroupWeights& other, Queue& queue);

 private:
  std::size_t runs() const { return steps_.size(); }

  ClassifierConfig largest_;
  std::size_t parameter_count_;         ///< P of the group
  Buffer<float> parameters_, moments_;  ///< [R, P], [R, 2, P]
  Buffer<std::int64_t> steps_;          ///< [R]
};

}  // namespace genretree
