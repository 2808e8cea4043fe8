// What a classifier hears of a clip at once: the whole clip, or windows of it.
#pragma once

#include <vector>

#include "core/random.hpp"
#include "kernels/ops.hpp"

namespace genretree {

/// A clip, and how much of it is sound.
struct ClipFrames {
  std::uint32_t clip = 0;
  std::size_t frames = 0;  ///< that come from its audio; the rest is padding
};

/// Windows by which a clip of `frames` frames is judged: as many as it takes to hear all of it. 1 if `window` is 0: the
/// whole clip.
std::size_t window_count(std::size_t frames, std::size_t window);

/// Those windows of one clip, window_count of `frames` whatever its own length: the first begins with the clip, the last
/// ends with its sound, the others are evenly spaced between.
std::vector<BatchRow> evaluation_rows_of(const ClipFrames& clip, std::size_t frames, std::size_t window);

/// How a clip is changed each time that it is trained on, so that it is never heard twice in the same way.
struct Augmentation {
  /// Mixup: each row is mixed with another clip of the training set, with shares drawn from Beta(α, α); 0: none. At
  /// most 1.
  double mixup = 0;
  /// SpecAugment: so many stretches of frames, and of numbers of a frame, each of a length drawn from 0 to the most, are
  /// set to 0: the mean, where features are normalised.
  std::size_t time_masks = 0, longest_time_mask = 0;
  std::size_t feature_masks = 0, widest_feature_mask = 0;
};

/// A row to train on: a window that begins at a random frame of the clip (the clip itself if `window` is 0), with its
/// augmentation. The partner is drawn from `clips`. The random numbers are those of `key` from the beginning.
///   frames, inputs  of a row
BatchRow training_row(const ClipFrames& clip, const std::vector<ClipFrames>& clips, std::size_t window,
                      std::size_t frames, std::size_t inputs, const Augmentation& augmentation, const RandomKey& key);

}  // namespace genretree
