#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "core/error.hpp"
#include "core/text.hpp"
#include "features/spectral.hpp"

namespace genretree {
namespace {

// --- configuration ---

/// A whole number of a `--set` or YAML scalar, within its range.
std::size_t whole_number(const std::string& key, const YamlValue& value, std::size_t low, std::size_t high) {
  std::size_t number = 0;
  const char *begin = value.text.data(), *end = begin + value.text.size();
  const auto [stop, error] = std::from_chars(begin, end, number);
  const bool is_number =
      value.kind == YamlValue::Kind::scalar && !value.quoted && begin != end && stop == end && error == std::errc();
  if (!is_number || number < low || number > high)
    reject("{}: features.{} is {}, but must be a whole number from {} to {}", value.where(), key, value.describe(), low,
           high);
  return number;
}

/// The enumerator whose name_of is the text.
template <class Enum>
Enum named(const std::string& key, const YamlValue& value, const std::vector<Enum>& choices) {
  std::vector<std::string> names;
  for (const Enum choice : choices) {
    names.emplace_back(name_of(choice));
    if (value.kind == YamlValue::Kind::scalar && value.text == names.back()) return choice;
  }
  reject("{}: features.{} is {}, but must be one of: {}{}", value.where(), key, value.describe(), join(names),
         did_you_mean(value.text, names));
}

const std::vector<FeatureKind> kinds = {FeatureKind::mfcc, FeatureKind::log_mel, FeatureKind::mel,
                                        FeatureKind::spectral33};
constexpr std::size_t most_frames = 1'000'000, most_fft = 1 << 16, most_mels = 1024;
constexpr std::size_t most_deltas = 2;
constexpr unsigned lowest_rate = 1000, highest_rate = 384'000;

void check_range(const char* key, std::size_t value, std::size_t low, std::size_t high) {
  if (value < low || value > high) reject("features: {} is {}, but must be from {} to {}", key, value, low, high);
}

// --- tables ---

std::vector<SpectralFeature> wanted_features(FeatureKind kind) {
  switch (kind) {
    case FeatureKind::mfcc:
      return {SpectralFeature::mfcc};
    case FeatureKind::log_mel:
      return {SpectralFeature::log_mel};
    case FeatureKind::mel:
      return {SpectralFeature::mel};
    case FeatureKind::spectral33:
      return {SpectralFeature::mfcc, SpectralFeature::centroid, SpectralFeature::chroma, SpectralFeature::contrast};
  }
  fail("a feature kind has no features");
}

// The Slaney mel scale: linear below 1 kHz, logarithmic above. Sources: librosa.hz_to_mel and librosa.mel_to_hz with
// htk=False.
constexpr double hz_per_mel = 200.0 / 3, break_hz = 1000, break_mel = break_hz / hz_per_mel;
const double log_step = std::log(6.4) / 27;

double mel_of(double hz) { return hz < break_hz ? hz / hz_per_mel : break_mel + std::log(hz / break_hz) / log_step; }
double hz_of(double mel) {
  return mel < break_mel ? mel * hz_per_mel : break_hz * std::exp(log_step * (mel - break_mel));
}

/// Source: librosa.filters.get_window("hann", n, fftbins=True).
std::vector<double> periodic_hann(std::size_t n) {
  std::vector<double> window(n);
  for (std::size_t i = 0; i < n; ++i)
    window[i] = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n));
  return window;
}

/// Triangles between neighbours of equally spaced mels from 0 to half the sample rate, each of area 1. Source:
/// librosa.filters.mel with norm="slaney".
std::vector<SpectralTables::Band> mel_bands(const FeatureConfig& config) {
  const double top = mel_of(config.sample_rate / 2.0),
               bin_hz = static_cast<double>(config.sample_rate) / static_cast<double>(config.n_fft);
  const auto edge = [&](std::size_t i) {
    return hz_of(top * static_cast<double>(i) / static_cast<double>(config.mels + 1));
  };
  std::vector<SpectralTables::Band> bands;
  for (std::size_t m = 0; m < config.mels; ++m) {
    const double left = edge(m), centre = edge(m + 1), right = edge(m + 2);
    SpectralTables::Band band{0, {}};
    for (std::size_t bin = 0; bin <= config.n_fft / 2; ++bin) {
      const double hz = static_cast<double>(bin) * bin_hz;
      const double height = std::min((hz - left) / (centre - left), (right - hz) / (right - centre));
      if (height <= 0) continue;
      if (band.weights.empty()) band.first_bin = bin;
      band.weights.push_back(height * 2 / (right - left));
    }
    bands.push_back(std::move(band));
  }
  return bands;
}

/// Rows first … first + count - 1. Source: scipy.fft.dct(type=2, norm="ortho").
std::vector<double> dct_rows(std::size_t first, std::size_t count, std::size_t bands) {
  std::vector<double> rows;
  const auto n = static_cast<double>(bands);
  for (std::size_t k = first; k < first + count; ++k)
    for (std::size_t m = 0; m < bands; ++m)
      rows.push_back(std::sqrt((k == 0 ? 1 : 2) / n) *
                     std::cos(std::numbers::pi * static_cast<double>(k) * (2 * static_cast<double>(m) + 1) / (2 * n)));
  return rows;
}

/// The lower edges of the bands of spectral contrast, Hz: from 0, then octaves. Source:
/// librosa.feature.spectral_contrast with fmin=200, n_bands=6.
constexpr std::array<double, 7> contrast_edges = {0, 200, 400, 800, 1600, 3200, 6400};

/// Bins from one edge to the next, both included; all but the first band begin a bin earlier, the last goes on to the
/// end. 2 % of them are the extremes, reckoned with the last bin, which all bands but the last then drop. Source:
/// librosa.feature.spectral_contrast with quantile=0.02.
std::vector<SpectralTables::ContrastBand> contrast_bands(const FeatureConfig& config) {
  const double bin_hz = static_cast<double>(config.sample_rate) / static_cast<double>(config.n_fft);
  const std::size_t end = config.n_fft / 2 + 1;
  std::vector<SpectralTables::ContrastBand> bands;
  for (std::size_t band = 0; band < contrast_edges.size(); ++band) {
    const bool is_first = band == 0, is_last = band + 1 == contrast_edges.size();
    const auto above = static_cast<std::size_t>(std::ceil(contrast_edges[band] / bin_hz));
    const std::size_t first = is_first ? above : above - 1;
    const std::size_t last =
        is_last ? end - 1 : static_cast<std::size_t>(std::floor(contrast_edges[band + 1] / bin_hz));
    const double extremes = std::nearbyint(0.02 * static_cast<double>(last + 1 - first));
    bands.push_back({first, is_last ? end : last, std::max<std::size_t>(1, static_cast<std::size_t>(extremes))});
  }
  return bands;
}

/// InputError unless the spectrum has all bands of spectral contrast, each with a bin.
void check_contrast(const FeatureConfig& config) {
  const double highest = contrast_edges.back();
  if (config.sample_rate <= 2 * highest)
    reject("features: sample_rate is {}, but kind {} needs more than {} Hz for its highest band of spectral contrast",
           config.sample_rate, name_of(config.kind), 2 * highest);
  if (static_cast<double>(config.sample_rate) / static_cast<double>(config.n_fft) > contrast_edges[1] / 2)
    reject("features: n_fft is {}, but kind {} at {} Hz needs at least {}, for narrow bands of spectral contrast",
           config.n_fft, name_of(config.kind), config.sample_rate,
           std::bit_ceil(static_cast<std::size_t>(std::ceil(2 * config.sample_rate / contrast_edges[1]))));
}

/// The share of each bin in each pitch class, at a tuning in semitones, [n_fft / 2 + 1][12]: Gaussians around every
/// octave of the class, wider where bins are wider than semitones; each bin of length 1, then weighted by a Gaussian of
/// two octaves around the fifth octave. Source: librosa.filters.chroma.
std::vector<float> chroma_bank(const FeatureConfig& config, double tuning) {
  constexpr std::size_t classes = SpectralTables::pitch_classes;
  const double bin_hz = static_cast<double>(config.sample_rate) / static_cast<double>(config.n_fft);
  const auto semitones_above_a0 = [&](std::size_t bin) -> double {
    if (bin == 0) return 12 * std::log2(bin_hz / 27.5) - tuning - 18;  // an octave and a half below bin 1
    return 12 * std::log2(static_cast<double>(bin) * bin_hz / 27.5) - tuning;
  };
  std::vector<float> bank;
  for (std::size_t bin = 0; bin <= config.n_fft / 2; ++bin) {
    const double semitone = semitones_above_a0(bin), width = std::max(1.0, semitones_above_a0(bin + 1) - semitone);
    std::array<double, classes> weights;
    double squares = 0;
    for (std::size_t c = 0; c < classes; ++c) {
      // class 0 is C, nine semitones above A; the nearest one of any octave
      const double distance = std::remainder(semitone - static_cast<double>(c) + 9, 12.0) * 2 / width;
      weights[c] = std::exp(-distance * distance / 2);
      squares += weights[c] * weights[c];
    }
    const double octaves_off = (semitone / 12 - 5) / 2, height = std::exp(-octaves_off * octaves_off / 2);
    for (const double weight : weights) bank.push_back(static_cast<float>(weight / std::sqrt(squares) * height));
  }
  return bank;
}

/// The bank of each tuning, one after the other.
std::vector<float> chroma_banks(const FeatureConfig& config) {
  std::vector<float> banks;
  for (std::size_t t = 0; t < SpectralTables::tunings; ++t) {
    const std::vector<float> bank =
        chroma_bank(config, static_cast<double>(t) / static_cast<double>(SpectralTables::tunings) - 0.5);
    banks.insert(banks.end(), bank.begin(), bank.end());
  }
  return banks;
}

/// Peaks from the lower to below the higher tell the tuning, Hz. Source: librosa.piptrack.
constexpr double lowest_pitch = 150, highest_pitch = 4000;

std::size_t first_bin_from(double hz, double bin_hz) { return static_cast<std::size_t>(std::ceil(hz / bin_hz)); }

}  // namespace

std::size_t FeatureConfig::spectral_width() const {
  switch (kind) {
    case FeatureKind::mfcc:
      return coefficients;
    case FeatureKind::log_mel:
    case FeatureKind::mel:
      return mels;
    case FeatureKind::spectral33:
      return 33;
  }
  fail("a feature kind has no width");
}

std::string_view name_of(FeatureKind kind) {
  switch (kind) {
    case FeatureKind::mfcc:
      return "mfcc";
    case FeatureKind::log_mel:
      return "log-mel";
    case FeatureKind::mel:
      return "mel";
    case FeatureKind::spectral33:
      return "spectral33";
  }
  fail("a feature kind has no name");
}
std::string_view name_of(Compat compat) { return compat == Compat::librosa_1_0 ? "librosa-1.0" : "librosa-0.6"; }
std::string_view name_of(ClipMean mean) { return mean == ClipMean::keep ? "keep" : "remove"; }
std::string_view name_of(FramePadding pad) { return pad == FramePadding::zero ? "zero" : "edge"; }

const std::vector<std::string>& feature_keys() {
  static const std::vector<std::string> keys = {"kind",  "coefficients", "frames", "pad",       "compat", "sample_rate",
                                                "n_fft", "hop",          "mels",   "clip_mean", "deltas"};
  return keys;
}

void set_feature(FeatureConfig& config, const std::string& key, const YamlValue& value) {
  if (key == "kind") {
    config.kind = named<FeatureKind>(key, value, kinds);
  } else if (key == "coefficients") {
    if (config.kind != FeatureKind::mfcc)
      reject("{}: features.coefficients belongs to kind {}, but the kind is {}", value.where(),
             name_of(FeatureKind::mfcc), name_of(config.kind));
    if (value.kind != YamlValue::Kind::sequence || value.items.size() != 2)
      reject("{}: features.coefficients is {}, but must be [first, count], for example [1, 13]", value.where(),
             value.describe());
    config.first_coefficient = whole_number("coefficients[0]", value.items[0], 0, most_mels);
    config.coefficients = whole_number("coefficients[1]", value.items[1], 1, most_mels);
  } else if (key == "frames") {
    config.frames = whole_number(key, value, 1, most_frames);
  } else if (key == "pad") {
    config.pad = named<FramePadding>(key, value, {FramePadding::zero, FramePadding::edge});
  } else if (key == "compat") {
    config.compat = named<Compat>(key, value, {Compat::librosa_1_0, Compat::librosa_0_6});
  } else if (key == "sample_rate") {
    config.sample_rate = static_cast<unsigned>(whole_number(key, value, lowest_rate, highest_rate));
  } else if (key == "n_fft") {
    config.n_fft = whole_number(key, value, 1, most_fft);
  } else if (key == "hop") {
    config.hop = whole_number(key, value, 1, most_fft);
  } else if (key == "mels") {
    config.mels = whole_number(key, value, 1, most_mels);
  } else if (key == "clip_mean") {
    config.clip_mean = named<ClipMean>(key, value, {ClipMean::keep, ClipMean::remove});
  } else if (key == "deltas") {
    config.deltas = whole_number(key, value, 0, most_deltas);
  } else {
    reject("{}: features has no key '{}'{}. Keys: {}", value.where_key(), key, did_you_mean(key, feature_keys()),
           join(feature_keys()));
  }
}

void validate(const FeatureConfig& config) {
  check_range("frames", config.frames, 1, most_frames);
  check_range("sample_rate", config.sample_rate, lowest_rate, highest_rate);
  check_range("n_fft", config.n_fft, 4, most_fft);
  check_range("hop", config.hop, 1, most_fft);
  check_range("mels", config.mels, 1, most_mels);
  check_range("deltas", config.deltas, 0, most_deltas);
  if ((config.n_fft & (config.n_fft - 1)) != 0)
    reject("features: n_fft is {}, but must be a power of two, such as 2048", config.n_fft);
  const FeatureConfig usual;
  const bool has_coefficients =
      config.first_coefficient != usual.first_coefficient || config.coefficients != usual.coefficients;
  if (config.kind != FeatureKind::mfcc && has_coefficients)
    reject("features: coefficients is [{}, {}], but it belongs to kind {}, and the kind is {}",
           config.first_coefficient, config.coefficients, name_of(FeatureKind::mfcc), name_of(config.kind));
  if (config.kind == FeatureKind::spectral33) check_contrast(config);
  const bool has_dct = config.kind == FeatureKind::mfcc || config.kind == FeatureKind::spectral33;
  if (!has_dct) return;
  if (config.coefficients < 1 || config.first_coefficient + config.coefficients > config.mels)
    reject("features: coefficients is [{}, {}], which must end within the {} mel bands: first + count at most {}",
           config.first_coefficient, config.coefficients, config.mels, config.mels);
}

std::string to_json(const FeatureConfig& config) {
  nlohmann::ordered_json json = {{"kind", name_of(config.kind)}};
  if (config.kind == FeatureKind::mfcc) json["coefficients"] = {config.first_coefficient, config.coefficients};
  json["frames"] = config.frames;
  json["pad"] = name_of(config.pad);
  json["compat"] = name_of(config.compat);
  json["sample_rate"] = config.sample_rate;
  json["n_fft"] = config.n_fft;
  json["hop"] = config.hop;
  json["mels"] = config.mels;
  // stores of earlier versions lack the next two
  if (config.clip_mean != ClipMean::keep) json["clip_mean"] = name_of(config.clip_mean);
  if (config.deltas > 0) json["deltas"] = config.deltas;
  return json.dump();
}

FeatureConfig feature_config_from_json(const std::string& json) {
  const YamlValue document = parse_yaml(json, "feature parameters");  // JSON is YAML
  if (document.kind != YamlValue::Kind::map)
    reject("feature parameters: expected a JSON object, but got {}", document.describe());
  FeatureConfig config;
  for (const auto& [key, value] : document.entries) set_feature(config, key, value);
  for (const std::string& key : feature_keys())
    if (!document.find(key) && key != "clip_mean" && key != "deltas" &&
        (key != "coefficients" || config.kind == FeatureKind::mfcc))
      reject("feature parameters: the key '{}' is missing", key);
  validate(config);
  return config;
}

std::string differing_features(const FeatureConfig& a, const FeatureConfig& b, std::string_view there,
                               std::string_view here) {
  const YamlValue theirs = parse_yaml(to_json(a), "there"), ours = parse_yaml(to_json(b), "here");
  const auto text_of = [](const YamlValue& value) {
    std::vector<std::string> items;
    for (const YamlValue& item : value.items) items.push_back(item.text);
    return items.empty() ? value.text : fmt::format("[{}]", join(items));
  };
  std::vector<std::string> parts;
  for (const auto& [key, value] : theirs.entries) {
    const YamlValue* other = ours.find(key);
    if (!other) continue;  // the coefficients of another kind, which is named
    const std::string old_text = text_of(value), new_text = text_of(*other);
    if (old_text != new_text)
      parts.push_back(fmt::format("{} is {} {} and {} {}", key, old_text, there, new_text, here));
  }
  // only one of the texts has these
  if (a.clip_mean != b.clip_mean)
    parts.push_back(
        fmt::format("clip_mean is {} {} and {} {}", name_of(a.clip_mean), there, name_of(b.clip_mean), here));
  if (a.deltas != b.deltas && a.deltas * b.deltas == 0)
    parts.push_back(fmt::format("deltas is {} {} and {} {}", a.deltas, there, b.deltas, here));
  return join(parts);
}

namespace {

std::string describe_spectrum(const FeatureConfig& config) {
  switch (config.kind) {
    case FeatureKind::mfcc:
      return fmt::format("MFCC {} to {}", config.first_coefficient, config.first_coefficient + config.coefficients - 1);
    case FeatureKind::log_mel:
      return "log-mel spectrogram in dB";
    case FeatureKind::mel:
      return "mel spectrogram of power";
    case FeatureKind::spectral33:
      return "13 MFCC, spectral centroid, 12 chroma, 7 spectral contrasts";
  }
  fail("a feature kind has no description");
}

}  // namespace

std::string describe_frame(const FeatureConfig& config) {
  constexpr std::array<const char*, 3> differences = {"", " with first differences",
                                                      " with first and second differences"};
  return fmt::format("{}{}{}", describe_spectrum(config),
                     config.clip_mean == ClipMean::remove ? " less the clip's mean" : "",
                     differences.at(config.deltas));
}

std::string describe(const FeatureConfig& config) {
  const std::string key = config.kind == FeatureKind::mfcc
                              ? fmt::format(" (coefficients: [{}, {}])", config.first_coefficient, config.coefficients)
                              : "";
  return fmt::format("{}{}, {} frames; window {}, hop {}, {} mel bands at {} Hz; compat: {}; pad: {}",
                     describe_frame(config), key, config.frames, config.n_fft, config.hop, config.mels,
                     config.sample_rate, name_of(config.compat), name_of(config.pad));
}

SpectralTables make_spectral_tables(const FeatureConfig& config) {
  validate(config);
  SpectralTables tables;
  tables.wanted = wanted_features(config.kind);
  tables.n_fft = config.n_fft;
  tables.hop = config.hop;
  tables.padding = config.compat == Compat::librosa_0_6 ? EdgePadding::reflect : EdgePadding::zero;
  tables.window = periodic_hann(config.n_fft);
  tables.mel = mel_bands(config);
  tables.dct = dct_rows(config.first_coefficient, config.coefficients, config.mels);
  tables.coefficients = config.coefficients;
  tables.bin_hz = static_cast<double>(config.sample_rate) / static_cast<double>(config.n_fft);
  if (config.kind == FeatureKind::spectral33) {
    tables.first_pitch_bin = first_bin_from(lowest_pitch, tables.bin_hz);
    tables.end_pitch_bin = std::min(first_bin_from(highest_pitch, tables.bin_hz), config.n_fft / 2);
    tables.chroma = chroma_banks(config);
    tables.contrast = contrast_bands(config);
  }
  return tables;
}

}  // namespace genretree
