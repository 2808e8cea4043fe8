// Audio files to samples: what librosa.load does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace genretree {

/// A decoded clip: one channel, -1 … 1.
struct Audio {
  std::vector<float> samples;
  unsigned sample_rate = 0;    ///< Hz
  std::uint64_t checksum = 0;  ///< XXH3-64 of the decoded samples before mixing and resampling: equal for bit-exact copies in any container
};

/// Decodes a file with libsndfile (.au with any data offset, .wav, .flac, .ogg; .mp3 where the library has it), takes the mean of the channels
/// and resamples with soxr (HQ) to `sample_rate` Hz, length ⌈n · ratio⌉. InputError that names the file and the reason: missing, empty, cut off, not audio,
/// NaN or infinite samples, no samples.
Audio load_audio(const std::filesystem::path& path, unsigned sample_rate);

}  // namespace genretree
