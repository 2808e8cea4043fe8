// From a feature configuration to the constant tables of the spectral features.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/yaml.hpp"
#include "kernels/ops.hpp"

namespace genretree {

/// Whose numbers the features match. librosa 0.10 and later pad the ends of a clip with zeros; 0.5 and 0.6, of the
/// paper's time, mirror it. Audio at another sample rate is always resampled with soxr, as librosa 0.10 and later do,
/// where 0.5 and 0.6 took resampy: only clips that need no resampling match theirs.
enum class Compat { librosa_1_0, librosa_0_6 };

/// How a clip with fewer frames than wanted is filled: with zeros (in MFCC space: loud) or with copies of its last one.
enum class FramePadding { zero, edge };

/// Whether the mean of each number over the clip stays in it or is taken off.
enum class ClipMean { keep, remove };

/// What a frame holds:
///   mfcc        the chosen coefficients
///   log_mel     the mel bands in decibels, from 80 dB below the clip's maximum up
///   mel         the mel bands' power
///   spectral33  13 MFCC, spectral centroid in Hz, 12 chroma, 7 bands of spectral contrast in dB: what the code that
///               the paper builds on (github.com/ruohoruotsi/LSTM-Music-Genre-Classification) learns from
enum class FeatureKind { mfcc, log_mel, mel, spectral33 };

/// Everything that the features depend on, and nothing else: the key of the feature store.
struct FeatureConfig {
  FeatureKind kind = FeatureKind::mfcc;
  std::size_t first_coefficient = 0;  ///< of kind mfcc alone, as the next; 1 leaves out C0, the clip's loudness
  std::size_t coefficients = 13;
  std::size_t frames = 1293;  ///< clips are cut or padded to this
  FramePadding pad = FramePadding::edge;
  Compat compat = Compat::librosa_1_0;
  unsigned sample_rate = 22050;  ///< Hz
  std::size_t n_fft = 2048, hop = 512, mels = 128;
  /// Removed: what a recording sounds like as a whole, its loudness and its filters, is
  /// gone, and how it moves is left ("cepstral mean normalisation": Atal, 1974).
  ClipMean clip_mean = ClipMean::keep;
  /// Beside each number its differences over time (deltas.hpp): none, the first, or the first and the second.
  std::size_t deltas = 0;

  /// Numbers of one frame without differences, and with them.
  std::size_t spectral_width() const;
  std::size_t width() const { return (1 + deltas) * spectral_width(); }
  bool operator==(const FeatureConfig&) const = default;
};

/// "mfcc", "log-mel", "mel", "spectral33"; "librosa-1.0", "librosa-0.6"; "zero", "edge"
std::string_view name_of(FeatureKind kind);
std::string_view name_of(Compat compat);
std::string_view name_of(FramePadding pad);
std::string_view name_of(ClipMean mean);

/// The keys of the group `features:` in an experiment file and of `extract_features --set`: kind, coefficients, frames,
/// pad, compat, sample_rate, n_fft, hop, mels, clip_mean, deltas.
const std::vector<std::string>& feature_keys();

/// Sets one of feature_keys(); `coefficients` is [first, count] and exists for kind mfcc alone. InputError that says
/// where, for an unknown key ("did you mean"), a wrong type or a value out of range. Values that must fit together are
/// checked by `validate`.
void set_feature(FeatureConfig& config, const std::string& key, const YamlValue& value);

/// InputError for a configuration that cannot work: coefficients beyond the mel bands, n_fft no power of two, ….
void validate(const FeatureConfig& config);

/// The configuration as JSON text with a fixed key order; equal texts mean equal features. Reading is strict and
/// validates: InputError.
std::string to_json(const FeatureConfig& config);
FeatureConfig feature_config_from_json(const std::string& json);

/// "hop is 441 there and 512 here, …" for the keys that differ, with your own words for there and here; or "".
std::string differing_features(const FeatureConfig& a, const FeatureConfig& b, std::string_view there = "there",
                               std::string_view here = "here");

/// What a frame holds, for people: "MFCC 1 to 13", "log-mel spectrogram in dB".
std::string describe_frame(const FeatureConfig& config);

/// The configuration on one line for people: "MFCC 1 to 13 (coefficients: [1, 13]), 1293 frames; window 2048, hop 512,
/// 128 mel bands at 22050 Hz; compat: librosa-0.6; pad: edge".
std::string describe(const FeatureConfig& config);

/// Periodic Hann window, Slaney mel filters, orthonormal DCT-II rows, chroma banks, contrast bands. Sources:
/// librosa.filters.get_window("hann"), librosa.filters.mel, scipy.fft.dct, librosa.filters.chroma,
/// librosa.feature.spectral_contrast.
SpectralTables make_spectral_tables(const FeatureConfig& config);

}  // namespace genretree
