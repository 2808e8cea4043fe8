#include <algorithm>
#include <cmath>

#include "models/windows.hpp"

namespace genretree {
namespace {

/// Beta(α, α), 0 < α ≤ 1. Source: Jöhnk, "Erzeugung von betaverteilten und gammaverteilten Zufallszahlen", 1964.
double beta(double alpha, Random& random) {
  while (true) {
    const double x = std::pow(random.uniform(), 1 / alpha), y = std::pow(random.uniform(), 1 / alpha);
    if (x + y <= 1 && x + y > 0) return x / (x + y);
  }
}

std::int32_t first_frame(const ClipFrames& clip, std::size_t window, Random& random) {
  if (window == 0 || clip.frames <= window) return 0;
  return static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(clip.frames - window + 1)));
}

/// Somewhere among `size` places, 0 to `longest` of them.
BatchRow::Range mask(std::size_t size, std::size_t longest, Random& random) {
  const std::uint32_t count = random.below(static_cast<std::uint32_t>(std::min(size, longest) + 1));
  const std::uint32_t first = random.below(static_cast<std::uint32_t>(size) - count + 1);
  return {static_cast<std::int32_t>(first), static_cast<std::int32_t>(count)};
}

}  // namespace

std::size_t window_count(std::size_t frames, std::size_t window) {
  return window == 0 ? 1 : (frames + window - 1) / window;
}

std::vector<BatchRow> evaluation_rows_of(const ClipFrames& clip, std::size_t frames, std::size_t window) {
  const std::size_t count = window_count(frames, window), last = clip.frames > window ? clip.frames - window : 0;
  std::vector<BatchRow> rows(count);
  for (std::size_t i = 0; i < count; ++i) {
    rows[i].clip = static_cast<std::int32_t>(clip.clip);
    if (count > 1) rows[i].first_frame = static_cast<std::int32_t>((2 * i * last + count - 1) / (2 * (count - 1)));
  }
  return rows;
}

BatchRow training_row(const ClipFrames& clip, const std::vector<ClipFrames>& clips, std::size_t window,
                      std::size_t frames, std::size_t inputs, const Augmentation& augmentation, const RandomKey& key) {
  Random random(key);
  BatchRow row;
  row.clip = static_cast<std::int32_t>(clip.clip);
  row.first_frame = first_frame(clip, window, random);
  if (augmentation.mixup > 0) {
    const ClipFrames& partner = clips[random.below(static_cast<std::uint32_t>(clips.size()))];
    row.partner = static_cast<std::int32_t>(partner.clip);
    row.partner_frame = first_frame(partner, window, random);
    const double share = beta(augmentation.mixup, random);
    row.share = static_cast<float>(std::max(share, 1 - share));  // the label stays that of the greater part
  }
  for (std::size_t m = 0; m < augmentation.time_masks; ++m)
    row.masked_frames[m] = mask(frames, augmentation.longest_time_mask, random);
  for (std::size_t m = 0; m < augmentation.feature_masks; ++m)
    row.masked_inputs[m] = mask(inputs, augmentation.widest_feature_mask, random);
  return row;
}

}  // namespace genretree
