// The paper's Figures 7 and 8: clips as they sound and as the network hears them, one of each genre, as SVG.
#pragma once

#include <string>
#include <vector>

#include "features/spectral.hpp"
#include "features/statistics.hpp"

namespace genretree {

struct Waveform {
  std::string genre, track;
  std::vector<float> samples;  ///< -1 … 1
};

/// One above the other on a common axis of time; each row goes from -1 to 1. `heading` stands above. Transparent, in
/// the page's own colour.
std::string draw_waveforms(const std::vector<Waveform>& waveforms, unsigned sample_rate, const std::string& heading);

/// A clip's features as images.
struct ClipImages {
  std::string genre, track;
  Matrix mfcc;     ///< [frames, coefficients]; no rows where there are none
  Matrix log_mel;  ///< [frames, mels] dB; no rows where there is none
};

/// A row for each clip: its log-mel spectrogram and its MFCCs (what every clip has of these, at least one), the colours
/// of a column on one scale. Columns of pixels are means of frames. C0 is not shown: it lies far below the others.
/// `config` is that of the MFCCs. Transparent, in the page's own colour; colours that also grey tells apart.
std::string draw_spectra(const std::vector<ClipImages>& clips, const FeatureConfig& config, const std::string& heading);

}  // namespace genretree
