#include <cmath>
#include <limits>
#include <memory>
#include <set>
#include <utility>

#include "core/error.hpp"
#include "features/corpus.hpp"
#include "features/gtzan.hpp"
#include "features/spectral.hpp"
#include "features/synthesis.hpp"
#include "kernels/backends.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

namespace {

/// FNV-1a over 16-bit values.
std::uint64_t checksum(const std::vector<std::int16_t>& samples) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::int16_t sample : samples) hash = (hash ^ static_cast<std::uint16_t>(sample)) * 0x100000001b3;
  return hash;
}

/// Signal power at `frequency`, by its definition.
double power_at(const std::vector<double>& samples, double frequency) {
  double real = 0, imaginary = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const double angle = 2 * M_PI * frequency * static_cast<double>(i) / synthesis_rate;
    real += samples[i] * std::cos(angle), imaginary += samples[i] * std::sin(angle);
  }
  return (real * real + imaginary * imaginary) /
         (static_cast<double>(samples.size()) * static_cast<double>(samples.size()));
}

/// Mean and deviation of each MFCC over a clip's frames.
using Statistics = std::vector<double>;

Statistics statistics(const CorpusConfig& config, const std::string& genre, std::size_t index) {
  static const SpectralTables tables = make_spectral_tables(FeatureConfig());
  static const std::unique_ptr<Backend> backend = make_backend({.device = "cpu"});
  static const std::unique_ptr<SpectralState> state = backend->make_spectral_state(tables);
  const std::unique_ptr<Queue> queue = backend->device().make_queue();
  std::vector<float> samples;
  for (const std::int16_t sample : synthesise_clip(config, genre, index))
    samples.push_back(static_cast<float>(sample) * 0x1p-15f);
  const std::size_t frames = tables.frames(samples.size());
  std::vector<float> mfcc(frames * tables.coefficients);
  const std::size_t length = samples.size();
  backend->spectral_features(*state, view_of(std::as_const(samples).data(), length), std::span(&length, 1),
                             view_of(mfcc.data(), frames, tables.coefficients), *queue);
  Statistics result;
  for (std::size_t k = 0; k < tables.coefficients; ++k) {
    double sum = 0, squares = 0;
    for (std::size_t t = 0; t < frames; ++t) {
      const double value = mfcc[t * tables.coefficients + k];
      sum += value, squares += value * value;
    }
    const double mean = sum / static_cast<double>(frames);
    result.push_back(mean);
    result.push_back(std::sqrt(std::max(0.0, squares / static_cast<double>(frames) - mean * mean)));
  }
  return result;
}

void scale_to_equal_spread(std::vector<Statistics>& clips) {
  for (std::size_t k = 0; k < clips[0].size(); ++k) {
    double sum = 0, squares = 0;
    for (const Statistics& clip : clips) sum += clip[k], squares += clip[k] * clip[k];
    const double n = static_cast<double>(clips.size());
    const double spread = std::sqrt(squares / n - sum / n * sum / n);
    for (Statistics& clip : clips) clip[k] /= spread;
  }
}

/// The genre whose other clips' mean is nearest to this clip; clips lie genre after genre.
std::size_t nearest_genre(const std::vector<Statistics>& clips, std::size_t clip, std::size_t clips_of_genre) {
  std::size_t nearest = 0;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t genre = 0; genre < clips.size() / clips_of_genre; ++genre) {
    double distance = 0;
    for (std::size_t k = 0; k < clips[clip].size(); ++k) {
      double sum = 0, n = 0;
      for (std::size_t other = genre * clips_of_genre; other < (genre + 1) * clips_of_genre; ++other)
        if (other != clip) sum += clips[other][k], ++n;
      distance += (clips[clip][k] - sum / n) * (clips[clip][k] - sum / n);
    }
    if (distance < least) least = distance, nearest = genre;
  }
  return nearest;
}

constexpr CorpusConfig brief{.clips_per_genre = 3, .seconds = 3, .seed = 2018};

}  // namespace

TEST_CASE("the corpus is the same on every machine", "[corpus]") {
  // If these change, a compiler flag or library function has crept into the samples, or the music was changed: then
  // corpus_recipe needs a new number.
  CHECK(checksum(synthesise_clip(brief, "blues", 0)) == 0x96216235494632ac);
  CHECK(checksum(synthesise_clip(brief, "classical", 1)) == 0xbe1e0b31de06b2c7);
  CHECK(checksum(synthesise_clip(brief, "metal", 2)) == 0xbed90eabc1a10b4a);
  CHECK(checksum(synthesise_clip({.seconds = 30, .seed = 7}, "reggae", 99)) == 0x0ee238b7c5ef040a);
}

TEST_CASE("a clip depends on its seed, genre and index, and on nothing else", "[corpus]") {
  const auto clip = synthesise_clip(brief, "jazz", 1);
  CHECK(clip.size() == 3 * 22050);
  CorpusConfig other = brief;
  other.clips_per_genre = 1000;
  CHECK(clip == synthesise_clip(other, "jazz", 1));
  CHECK(clip != synthesise_clip(brief, "jazz", 2));
  CHECK(clip != synthesise_clip(brief, "blues", 1));
  other.seed = 1;
  CHECK(clip != synthesise_clip(other, "jazz", 1));
}

TEST_CASE("every genre sounds: loud enough, not clipped, without a constant offset", "[corpus]") {
  for (const std::string& genre : corpus_genres()) {
    const auto samples = synthesise_clip(brief, genre, 0);
    double sum = 0, squares = 0;
    int largest = 0;
    for (const std::int16_t sample : samples) {
      sum += sample, squares += static_cast<double>(sample) * sample;
      largest = std::max(largest, std::abs(static_cast<int>(sample)));
    }
    const double level = std::sqrt(squares / static_cast<double>(samples.size()));
    INFO(genre << ": rms " << level << ", peak " << largest);
    CHECK(level > 300);
    CHECK(largest > 0.39 * 32767);
    CHECK(largest < 0.96 * 32767);
    CHECK(std::abs(sum / static_cast<double>(samples.size())) < 0.05 * level);
  }
}

TEST_CASE("the corpus has GTZAN's genres and track names, and no two clips alike", "[corpus]") {
  const std::vector<Clip> clips = corpus_clips(brief);
  CHECK(corpus_genres() == gtzan_genres());
  REQUIRE(clips.size() == 30);
  CHECK(clips[0].track == "blues.00000");
  CHECK(clips[29].track == "rock.00002");
  std::set<std::uint64_t> checksums;
  std::set<std::string> identities;
  for (const Clip& clip : clips) checksums.insert(clip.load(22050).checksum), identities.insert(clip.identity);
  CHECK(checksums.size() == 30);
  CHECK(identities.size() == 30);
}

TEST_CASE("the paper's genres can be told apart by their MFCCs, but not always", "[corpus]") {
  // Nearest centroid of each coefficient's mean and deviation over a clip, scaled to equal spread; every clip is held
  // against centroids of the others.
  constexpr std::size_t clips_of_genre = 20;
  std::vector<Statistics> clips;
  for (const std::string& genre : paper_genres())
    for (std::size_t index = 0; index < clips_of_genre; ++index)
      clips.push_back(statistics({.seconds = 3}, genre, index));
  scale_to_equal_spread(clips);
  std::size_t right = 0;
  for (std::size_t clip = 0; clip < clips.size(); ++clip)
    right += nearest_genre(clips, clip, clips_of_genre) == clip / clips_of_genre;
  const double accuracy = static_cast<double>(right) / static_cast<double>(clips.size());
  INFO("accuracy " << accuracy << "; by chance " << 1.0 / 6);
  CHECK(accuracy > 0.35);
  CHECK(accuracy < 0.95);
}

TEST_CASE("a synthesised clip equals its .au file bit for bit, at any sample rate", "[corpus]") {
  const test::TemporaryFolder folder;
  write_au(folder / "pop.00001.au", synthesise_clip(brief, "pop", 1), synthesis_rate);
  const Clip clip = select_genres(corpus_clips(brief), {"pop"}).at(1);
  for (const unsigned rate : {22050u, 16000u}) {
    const Audio made = clip.load(rate), read = load_audio(folder / "pop.00001.au", rate);
    CHECK(made.samples == read.samples);
    CHECK(made.checksum == read.checksum);
    CHECK(made.sample_rate == read.sample_rate);
  }
}

TEST_CASE("identities name all that decides a clip", "[corpus]") {
  const auto identity = [](CorpusConfig config) { return corpus_clips(config).at(0).identity; };
  CHECK(identity(brief) == "synthetic corpus 1, seed 2018, 3 s, blues.00000");
  CHECK(identity({.seconds = 3, .seed = 1}) != identity(brief));
  CHECK(identity({.seconds = 4, .seed = 2018}) != identity(brief));
}

TEST_CASE("what cannot be synthesised is refused", "[corpus]") {
  CHECK_THROWS_WITH(synthesise_clip(brief, "blue", 0), Catch::Contains("did you mean 'blues'"));
  CHECK_THROWS_AS(synthesise_clip({.seconds = 0}, "blues", 0), InputError);
  CHECK_THROWS_WITH(validate({.seconds = std::nan("")}), Catch::Contains("lasts nan s") && Catch::Contains("0.1 to"));
  CHECK_THROWS_WITH(validate({.clips_per_genre = 0}), Catch::Contains("0 clips of each genre"));
  CHECK_THROWS_AS(validate({.clips_per_genre = 100001}), InputError);
}

TEST_CASE("notes have their pitch, and harmonics only below half the sample rate", "[corpus]") {
  CHECK(note_frequency(69) == 440);
  CHECK(note_frequency(81) == Approx(880).epsilon(1e-12));
  CHECK(note_frequency(36) == Approx(65.40639).epsilon(1e-6));

  // A sine of amplitude 1 has the power 1/4 at its own frequency.
  std::vector<double> samples(synthesis_rate);
  Instrument({.harmonics = 1, .tilt = 1, .even = 1, .attack = 0, .decay = 1e6})
      .add_note(samples, 0, samples.size(), 440, 1);
  CHECK(power_at(samples, 440) == Approx(0.25).epsilon(0.02));
  CHECK(power_at(samples, 880) < 1e-6);

  // At 4000 Hz only two of three harmonics fit; the third would fold to 10050 Hz.
  std::fill(samples.begin(), samples.end(), 0);
  Instrument({.harmonics = 3, .tilt = 0, .even = 1, .attack = 0, .decay = 1e6})
      .add_note(samples, 0, samples.size(), 4000, 1);
  CHECK(power_at(samples, 4000) == Approx(0.25 / 4).epsilon(0.02));
  CHECK(power_at(samples, 8000) == Approx(0.25 / 4).epsilon(0.02));
  CHECK(power_at(samples, 10050) < 1e-6);
}

TEST_CASE("a note that reaches beyond the end is cut, and one before it leaves the rest alone", "[corpus]") {
  std::vector<double> samples(1000);
  Instrument instrument({.harmonics = 4, .tilt = 1, .even = 1, .attack = 0.001, .decay = 1});
  instrument.add_note(samples, 900, 5000, 1000, 1);
  instrument.add_note(samples, 2000, 10, 1000, 1);
  CHECK(samples[899] == 0);
  CHECK(samples[950] != 0);
  Random random({});
  add_kick(samples, 1000, 1, 1), add_snare(samples, 5000, 1, 1, random), add_hat(samples, 999, 1, 1, random);
}
