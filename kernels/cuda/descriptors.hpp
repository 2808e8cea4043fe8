// Centroid, chroma and contrast on the GPU: tables, memory, and the order of the steps.
#pragma once

#include "kernels/cuda/clip_spectra.hpp"
#include "kernels/cuda/descriptor_kernels.hpp"

namespace genretree::cuda {

class Descriptors {
 public:
  /// Some of the three are wanted. The tables must live as long as this does; they are on the device once `queue` is
  /// synchronized.
  Descriptors(const SpectralTables& tables, Device& device, Queue& queue);

  /// Those of one clip.
  ///   clip  [n] on the device
  ///   out   [frames(n), W]: only the columns of the three are written
  void run(std::span<const float> clip, View<float, 2> out, Queue& queue);

 private:
  void make_room(std::size_t frames);
  void find_chroma(std::size_t frames, FeatureRows rows, Stream stream);
  void find_contrast(std::size_t frames, FeatureRows rows, Stream stream);

  const SpectralTables& tables_;
  Device& device_;
  std::size_t bins_;
  ClipSpectra<double> spectra_;
  Buffer<float> power_;  ///< [T][bins]

  PeakSearch search_{};
  Buffer<float> banks_;                ///< [tunings][bins][pitch classes]
  Buffer<std::uint64_t> peak_powers_;  ///< these three: PeakTable
  Buffer<std::uint8_t> peak_tunings_;
  Buffer<int> peak_counts_;
  Buffer<int> tuning_;  ///< [1]

  Buffer<ContrastRange> ranges_;  ///< [Q]
  Buffer<float> extremes_;        ///< [2][T][Q] decibels
  Buffer<float> maxima_;          ///< [2] of them
};

}  // namespace genretree::cuda
