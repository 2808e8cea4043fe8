// Features of a clip against its other frames.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace genretree {

/// Subtracts from each number of features [frames, width] its mean over the frames.
void remove_mean(std::span<float> features, std::size_t width);

/// Frames that a difference is taken over.
inline constexpr std::size_t delta_frames = 9;

/// [frames, (1 + orders) · width]: each frame of features [frames, width], then the slope of the line, and, of two
/// orders, the second derivative of the parabola, that fits best through the nine frames around it, per frame. The
/// first and the last four frames have those of the nearest nine. At least nine frames. Source: librosa.feature.delta
/// with width=9, mode="interp" (scipy.signal.savgol_filter with polyorder = deriv = order).
std::vector<float> with_deltas(std::span<const float> features, std::size_t width, std::size_t orders);

}  // namespace genretree
