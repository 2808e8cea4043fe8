// How far a clip is out of tune: plain code in double precision, for it ends in a discrete choice.
#pragma once

#include <cstddef>
#include <vector>

namespace genretree::cpu {

/// A peak of a power spectrum, at the top of the parabola through it and its neighbours.
struct Peak {
  double hz, power;
};

/// The peak at `bin`, whose power is more than that before it and at least that after it. Source: librosa.piptrack.
Peak peak_at(std::size_t bin, double before, double here, double after, double bin_hz);

/// Which of SpectralTables::tunings a clip with these peaks has; their order is changed. Sources:
/// librosa.estimate_tuning and librosa.pitch_tuning.
std::size_t tuning_of(std::vector<Peak>& peaks);

}  // namespace genretree::cpu
