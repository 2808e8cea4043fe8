// Audio files to samples: what librosa.load does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace genretree {

/// A decoded clip: one channel, -1 … 1.
struct Audio {
  std::vector<float> samples;
  unsigned sample_rate = 0;  ///< Hz
  /// XXH3-64 of the decoded samples before mixing and resampling: equal for bit-exact copies in any container.
  std::uint64_t checksum = 0;
};

/// Decodes a file with libsndfile (.au with any data offset, .wav, .flac, .ogg; .mp3 where the library has it), takes
/// the mean of the channels and resamples with soxr (HQ) to `sample_rate` Hz, length ⌈n · ratio⌉. InputError that
/// names the file and the reason: missing, empty, cut off, not audio, NaN or infinite samples, no samples.
Audio load_audio(const std::filesystem::path& path, unsigned sample_rate);

/// What load_audio makes of decoded samples (channels interleaved, at `from_rate` Hz): takes their checksum and the
/// mean of the channels, and resamples.
Audio make_audio(std::vector<float> samples, std::size_t channels, unsigned from_rate, unsigned sample_rate);

/// Writes one channel of 16-bit samples as an .au file, the whole file or nothing.
void write_au(const std::filesystem::path& path, std::span<const std::int16_t> samples, unsigned sample_rate);

}  // namespace genretree
