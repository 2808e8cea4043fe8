// A data set in a device's memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/device.hpp"
#include "features/store.hpp"
#include "kernels/ops.hpp"
#include "models/classifier.hpp"

namespace genretree {

/// What the host keeps of the clips: [N] each.
struct ClipFacts {
  std::vector<std::int32_t> labels;
  /// Frames of a clip that come from its audio, at least 1: the rest is padding. All if the store has no lengths.
  std::vector<std::size_t> real_frames;
};

/// A data set in a device's memory, shared read-only by all runs on it.
class DeviceDataset {
 public:
  DeviceDataset(const FeatureStore& store, Backend& backend);
  /// The same clips in the same memory with other labels, [N]: for a classifier that asks something else of them.
  DeviceDataset(const DeviceDataset& clips, std::span<const std::int32_t> labels, Backend& backend);
  View<const float, 3> features() const;       ///< [N, T, F]
  View<const std::int32_t, 1> labels() const;  ///< [N]
  /// May be kept longer than the data set.
  const std::shared_ptr<const ClipFacts>& facts() const { return facts_; }

 private:
  std::shared_ptr<const Buffer<float>> features_;
  Buffer<std::int32_t> labels_;
  std::shared_ptr<const ClipFacts> facts_;
  std::size_t clips_, frames_, coefficients_;
};

/// Sets the mean and the scale of a network's inputs, if it has them, to those of each number of a frame over these
/// clips: it then hears numbers with mean 0 and standard deviation 1. Padding does not count. A number that never
/// changes has the scale 1.
void standardise_inputs(const ClassifierConfig& classifier, const DeviceDataset& dataset,
                        std::span<const std::uint32_t> clips, std::vector<float>& parameters, Queue& queue);

}  // namespace genretree
