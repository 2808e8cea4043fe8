#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <string_view>

#include "core/error.hpp"
#include "core/random.hpp"
#include "core/text.hpp"
#include "features/corpus.hpp"
#include "features/gtzan.hpp"
#include "features/synthesis.hpp"

namespace genretree {
namespace {

// --- the genres ---

using Notes = std::vector<int>;  // semitones above a root

/// Tempo and the strokes of one bar: a character is a sixteenth, x loud, o soft, . none. Twelve characters make a bar
/// of three beats.
struct Rhythm {
  double slowest, fastest;  ///< beats a minute
  double swing;             ///< by how many sixteenths the second eighth of a beat comes late
  std::string_view kick, snare, hat, bass, chords;
};

/// A chord: its root above the key and its notes above the root.
struct Chord {
  int root;
  Notes notes;
};

const Notes major = {0, 4, 7}, minor = {0, 3, 7}, seventh = {0, 4, 7, 10}, minor7 = {0, 3, 7, 10},
            major7 = {0, 4, 7, 11}, fifth = {0, 7, 12};
const Notes major_scale = {0, 2, 4, 5, 7, 9, 11}, minor_scale = {0, 2, 3, 5, 7, 8, 10},
            dorian_scale = {0, 2, 3, 5, 7, 9, 10}, blues_scale = {0, 3, 5, 6, 7, 10};

/// Chord progressions, a chord a bar, of which a clip has one; and what its melody is made of.
struct Harmony {
  std::vector<std::vector<Chord>> progressions;
  Notes scale;
  double density;  ///< chance of a melody note on each eighth
};

/// Instruments, how loud each part is, and the colour of the whole.
struct Sound {
  Timbre bass, chords, melody;
  double kick, snare, hat, bass_level, chords_level, melody_level, noise;
  double drive;     ///< of the pitched instruments
  double openness;  ///< of the final low-pass
};

/// A genre, and those that its clips sometimes sound like.
struct Genre {
  const char* name;
  std::array<const char*, 2> neighbours;
  Rhythm rhythm;
  Harmony harmony;
  Sound sound;
};

// Read as: rhythm {slowest, fastest, swing, kick, snare, hat, bass, chords}; harmony {progressions}, scale, density;
// sound {bass, chords, melody, each {harmonics, tilt, even, attack, decay}; levels of kick, snare, hat, bass, chords,
// melody and noise; drive, openness}.
// clang-format off
const std::vector<Genre> genres = {
    {"blues", {"rock", "jazz"},
     {70, 115, 0.6, "x.......x.......", "....x.......x...", "x.x.x.x.x.x.x.x.", "x...x...x...x...", "x...x.o.....x.o."},
     {{{{0, seventh}, {5, seventh}, {0, seventh}, {0, seventh},
        {5, seventh}, {5, seventh}, {0, seventh}, {0, seventh},
        {7, seventh}, {5, seventh}, {0, seventh}, {7, seventh}}},
      blues_scale, 0.5},
     {{8, 2, 1, 0.01, 0.4}, {14, 1.2, 0.7, 0.005, 0.5}, {16, 0.8, 0.6, 0.02, 0.7},
      0.5, 0.35, 0.25, 0.6, 0.4, 0.7, 0.010, 1.6, 0.55}},
    {"classical", {"jazz", "country"},
     {60, 130, 0, "............", "............", "............", "x...........", "x...o...o..."},
     {{{{0, major}, {5, major}, {7, major}, {0, major}},
       {{0, minor}, {8, major}, {5, minor}, {7, major}},
       {{0, major}, {9, minor}, {2, minor}, {7, major}}},
      major_scale, 0.7},
     {{10, 2, 1, 0.08, 3}, {12, 1.6, 1, 0.10, 3}, {14, 1.4, 1, 0.06, 2},
      0, 0, 0, 0.5, 0.6, 0.7, 0.002, 0.3, 0.45}},
    {"country", {"blues", "pop"},
     {90, 140, 0.1, "x.......x.......", "....o.......o...", "..x...x...x...x.", "x.......x.......", "....x.......x.x."},
     {{{{0, major}, {5, major}, {0, major}, {7, major}}, {{0, major}, {0, major}, {5, major}, {7, seventh}}},
      major_scale, 0.55},
     {{7, 2, 1, 0.005, 0.3}, {20, 0.7, 0.9, 0.002, 0.25}, {20, 0.6, 1, 0.01, 0.5},
      0.4, 0.25, 0.2, 0.6, 0.6, 0.6, 0.006, 0.8, 0.75}},
    {"disco", {"pop", "hiphop"},
     {112, 128, 0, "x...x...x...x...", "....x.......x...", "..x...x...x...x.", "x.x.x.x.x.x.x.x.", "..x...x...x.x.x."},
     {{{{0, minor7}, {5, minor7}, {10, major}, {3, major7}}, {{0, minor}, {10, major}, {8, major}, {7, seventh}}},
      dorian_scale, 0.4},
     {{14, 1, 1, 0.003, 0.2}, {18, 0.9, 1, 0.05, 1}, {16, 0.9, 1, 0.02, 0.6},
      0.9, 0.5, 0.6, 0.6, 0.45, 0.4, 0.006, 1.0, 0.85}},
    {"hiphop", {"reggae", "pop"},
     {80, 105, 0.25, "x..x..x...x.....", "....x.......x..o", "x.xxx.x.x.xxx.x.",
      "x.....x...x.....", "x..............."},
     {{{{0, minor}, {0, minor}, {8, major}, {0, minor}}, {{0, minor7}, {5, minor7}}},
      minor_scale, 0.25},
     {{4, 3, 1, 0.005, 0.8}, {10, 1.5, 0.5, 0.01, 0.8}, {10, 1.2, 0.3, 0.01, 0.3},
      1.1, 0.9, 0.45, 1.0, 0.25, 0.35, 0.012, 1.2, 0.65}},
    {"jazz", {"classical", "blues"},
     {100, 180, 0.6, "x...............", "......o.......o.", "x...x.x.x...x.x.",
      "x...x...x...x...", "..o.......x....."},
     {{{{2, minor7}, {7, seventh}, {0, major7}, {9, seventh}}, {{0, minor7}, {5, minor7}, {7, seventh}, {0, minor7}}},
      dorian_scale, 0.65},
     {{6, 2.2, 1, 0.01, 0.5}, {10, 1.8, 0.8, 0.01, 0.7}, {14, 1.1, 0.5, 0.03, 1.2},
      0.25, 0.2, 0.35, 0.7, 0.4, 0.7, 0.006, 0.5, 0.50}},
    {"metal", {"rock", "pop"},
     {110, 190, 0, "x.x.x.x.x.x.x.x.", "....x.......x...", "x...x...x...x...", "x.xxx.xxx.xxx.xx", "x.xxx.xxx.xxx.xx"},
     {{{{0, fifth}, {1, fifth}, {0, fifth}, {10, fifth}}, {{0, fifth}, {3, fifth}, {8, fifth}, {10, fifth}}},
      minor_scale, 0.35},
     {{20, 0.6, 1, 0.003, 0.6}, {32, 0.3, 1, 0.003, 0.9}, {32, 0.4, 1, 0.01, 1.0},
      0.8, 0.6, 0.5, 0.6, 0.9, 0.5, 0.020, 9.0, 0.85}},
    {"pop", {"disco", "hiphop"},
     {95, 130, 0, "x.......x.x.....", "....x.......x...", "x.x.x.x.x.x.x.x.", "x..x..x.x..x..x.", "x.......x......."},
     {{{{0, major}, {7, major}, {9, minor}, {5, major}}, {{9, minor}, {5, major}, {0, major}, {7, major}}},
      major_scale, 0.5},
     {{10, 1.3, 1, 0.005, 0.4}, {20, 0.8, 1, 0.03, 1.5}, {22, 0.6, 1, 0.02, 0.8},
      0.8, 0.6, 0.4, 0.6, 0.55, 0.7, 0.006, 1.4, 0.90}},
    {"reggae", {"hiphop", "pop"},
     {65, 95, 0.15, "........x.......", "........x.......", "x.x.x.x.x.x.x.x.", "x..x....x.x.....", "....x.......x..."},
     {{{{0, minor}, {5, minor}}, {{0, major}, {5, major}, {7, major}, {5, major}}, {{0, minor}, {10, major}}},
      minor_scale, 0.3},
     {{5, 2.5, 1, 0.008, 0.5}, {16, 1, 0.4, 0.002, 0.10}, {12, 1.2, 0.8, 0.02, 0.8},
      0.8, 0.5, 0.3, 1.0, 0.5, 0.4, 0.008, 0.8, 0.60}},
    {"rock", {"metal", "blues"},
     {100, 150, 0, "x.......x.x.....", "....x.......x...", "x.x.x.x.x.x.x.x.", "x.x.x.x.x.x.x.x.", "x..x..x.x..x..x."},
     {{{{0, fifth}, {5, fifth}, {7, fifth}, {5, fifth}}, {{0, major}, {10, major}, {5, major}, {0, major}}},
      blues_scale, 0.4},
     {{14, 1, 1, 0.004, 0.5}, {26, 0.6, 1, 0.004, 0.8}, {24, 0.5, 1, 0.01, 0.9},
      0.7, 0.6, 0.4, 0.6, 0.7, 0.5, 0.010, 4.0, 0.75}},
};
// clang-format on

const Genre& genre_named(std::string_view name) {
  const auto found = std::find_if(genres.begin(), genres.end(), [&](const Genre& genre) { return name == genre.name; });
  if (found == genres.end())
    reject("the built-in corpus has no genre '{}'{}; it has {}", name, did_you_mean(name, corpus_genres()),
           join(corpus_genres()));
  return *found;
}

// --- one clip ---

/// How often a clip has its rhythm, its harmony or its sound from a neighbouring genre, each drawn apart: this makes
/// genres overlap.
constexpr double borrowing = 0.2;

const Genre& own_or_neighbour(const Genre& genre, Random& random) {
  const double drawn = random.uniform();
  return drawn < borrowing ? genre_named(genre.neighbours[drawn < borrowing / 2]) : genre;
}

/// `value` times a random factor between 1 / (1 + spread) and 1 + spread.
double varied(double value, double spread, Random& random) {
  const double factor = 1 + spread * random.uniform();
  return random.uniform() < 0.5 ? value * factor : value / factor;
}

Timbre varied(Timbre timbre, Random& random) {
  timbre.tilt = varied(timbre.tilt, 0.5, random);
  timbre.even = varied(timbre.even, 0.3, random);
  timbre.attack = varied(timbre.attack, 0.5, random);
  timbre.decay = varied(timbre.decay, 0.5, random);
  return timbre;
}

Sound varied(Sound sound, Random& random) {
  for (Timbre* timbre : {&sound.bass, &sound.chords, &sound.melody}) *timbre = varied(*timbre, random);
  for (double* level :
       {&sound.kick, &sound.snare, &sound.hat, &sound.bass_level, &sound.chords_level, &sound.melody_level})
    *level = varied(*level, 0.8, random);
  sound.noise = varied(sound.noise, 1.5, random);
  sound.drive = varied(sound.drive, 0.8, random);
  sound.openness = std::min(1.0, varied(sound.openness, 0.4, random));
  return sound;
}

/// Plays one clip: its choices are drawn at the start, its notes as it goes.
class Player {
 public:
  Player(const Genre& genre, std::size_t samples, Random random)
      : random_(random),
        rhythm_(own_or_neighbour(genre, random_).rhythm),
        harmony_(own_or_neighbour(genre, random_).harmony),
        sound_(varied(own_or_neighbour(genre, random_).sound, random_)),
        step_(15.0 * synthesis_rate / random_.uniform(rhythm_.slowest, rhythm_.fastest)),
        key_(static_cast<int>(random_.below(12))),
        progression_(harmony_.progressions[random_.below(static_cast<std::uint32_t>(harmony_.progressions.size()))]),
        tone_(random_.uniform(0.75, 1.35)),
        bass_(sound_.bass),
        chords_(sound_.chords),
        melody_(sound_.melody),
        pitched_(samples),
        drums_(samples) {}

  std::vector<std::int16_t> play() {
    const std::size_t steps = rhythm_.bass.size();
    for (std::size_t bar = 0; static_cast<double>(bar * steps) * step_ < static_cast<double>(pitched_.size()); ++bar)
      for (std::size_t step = 0; step < steps; ++step) play_step(bar, step);
    distort(pitched_, sound_.drive);
    for (std::size_t i = 0; i < pitched_.size(); ++i) pitched_[i] += drums_[i];
    add_noise(pitched_, sound_.noise, random_);
    soften(pitched_, sound_.openness);
    return to_int16(pitched_, random_.uniform(0.4, 0.95));
  }

 private:
  static constexpr int bass_octave = 36, chord_octave = 52, melody_octave = 64;  // MIDI notes of the key C

  /// 1 for a loud stroke, 0.5 for a soft one, 0 for none. Now and then a stroke is left out.
  double stroke(std::string_view pattern, std::size_t step) {
    const char mark = pattern[step % pattern.size()];
    if (mark == '.' || random_.uniform() < 0.08) return 0;
    return (mark == 'x' ? 1 : 0.5) * random_.uniform(0.7, 1);
  }

  /// First sample of a step; the second eighth of each beat swings.
  std::size_t start_of(std::size_t bar, std::size_t step) const {
    const double late = step % 4 == 2 ? rhythm_.swing : 0;
    return static_cast<std::size_t>((static_cast<double>(bar * rhythm_.bass.size() + step) + late) * step_);
  }

  /// Samples from this stroke of a pattern to the next one.
  std::size_t length_of(std::string_view pattern, std::size_t step) const {
    std::size_t steps = 1;
    while (step + steps < pattern.size() && pattern[step + steps] == '.') ++steps;
    return static_cast<std::size_t>(static_cast<double>(steps) * step_);
  }

  void play_step(std::size_t bar, std::size_t step) {
    const std::size_t start = start_of(bar, step);
    const Chord& chord = progression_[bar % progression_.size()];
    if (const double level = stroke(rhythm_.kick, step)) add_kick(drums_, start, level * sound_.kick, tone_);
    if (const double level = stroke(rhythm_.snare, step))
      add_snare(drums_, start, level * sound_.snare, tone_, random_);
    if (const double level = stroke(rhythm_.hat, step)) add_hat(drums_, start, level * sound_.hat, tone_, random_);
    if (const double level = stroke(rhythm_.bass, step))
      bass_.add_note(pitched_, start, length_of(rhythm_.bass, step), note_frequency(bass_octave + key_ + chord.root),
                     level * sound_.bass_level);
    if (const double level = stroke(rhythm_.chords, step))
      for (const int note : chord.notes)
        chords_.add_note(pitched_, start, length_of(rhythm_.chords, step),
                         note_frequency(chord_octave + key_ + (chord.root + note) % 12),
                         level * sound_.chords_level / static_cast<double>(chord.notes.size()));
    if (step % 2 == 0 && random_.uniform() < harmony_.density) play_melody(start);
  }

  /// The melody walks up and down its scale by at most two places.
  void play_melody(std::size_t start) {
    const int places = static_cast<int>(harmony_.scale.size());
    place_ = std::clamp(place_ + static_cast<int>(random_.below(5)) - 2, 0, 2 * places - 1);
    const int note =
        melody_octave + key_ + 12 * (place_ / places) + harmony_.scale[static_cast<std::size_t>(place_ % places)];
    const auto length = static_cast<std::size_t>(step_ * (2 + 2 * random_.below(2)));
    melody_.add_note(pitched_, start, length, note_frequency(note), sound_.melody_level * random_.uniform(0.5, 1));
  }

  Random random_;
  const Rhythm& rhythm_;
  const Harmony& harmony_;
  const Sound sound_;
  const double step_;  ///< samples of a sixteenth
  const int key_;      ///< semitones above C
  const std::vector<Chord>& progression_;
  const double tone_;  ///< of the drums
  Instrument bass_, chords_, melody_;
  std::vector<double> pitched_, drums_;
  int place_ = 5;  ///< of the melody in its scale
};

}  // namespace

void validate(const CorpusConfig& config) {
  constexpr double shortest = 0.1, longest = 3600;
  constexpr std::size_t most_clips = 100000;
  if (!(config.seconds >= shortest && config.seconds <= longest))  // so that NaN is refused too
    reject("a clip of the built-in corpus lasts {} s, but must last {} to {} s", config.seconds, shortest, longest);
  if (config.clips_per_genre < 1 || config.clips_per_genre > most_clips)
    reject("the built-in corpus has {} clips of each genre, but must have 1 to {}", config.clips_per_genre, most_clips);
}

std::string corpus_recipe(const CorpusConfig& config) {
  return fmt::format("synthetic corpus 1, seed {}, {} s", config.seed, config.seconds);
}

const std::vector<std::string>& corpus_genres() { return gtzan_genres(); }

std::vector<std::int16_t> synthesise_clip(const CorpusConfig& config, const std::string& genre, std::size_t index) {
  validate(config);
  const Genre& described = genre_named(genre);
  const Random random({.seed = config.seed,
                       .point = static_cast<std::uint32_t>(index),
                       .node = static_cast<std::uint32_t>(&described - genres.data()),
                       .use = RandomUse::corpus});
  return Player(described, static_cast<std::size_t>(config.seconds * synthesis_rate + 0.5), random).play();
}

std::vector<Clip> corpus_clips(const CorpusConfig& config) {
  std::vector<Clip> clips;
  for (const std::string& genre : corpus_genres()) {
    for (std::size_t index = 0; index < config.clips_per_genre; ++index) {
      Clip clip;
      clip.genre = genre;
      clip.track = numbered_track_name(genre, static_cast<int>(index));
      clip.identity = fmt::format("{}, {}", corpus_recipe(config), clip.track);
      clip.load = [config, genre, index](unsigned sample_rate) {
        const std::vector<std::int16_t> rounded = synthesise_clip(config, genre, index);
        std::vector<float> samples(rounded.size());
        for (std::size_t i = 0; i < samples.size(); ++i)
          samples[i] = static_cast<float>(rounded[i]) * 0x1p-15f;  // as libsndfile does
        return make_audio(std::move(samples), 1, synthesis_rate, sample_rate);
      };
      clips.push_back(std::move(clip));
    }
  }
  return clips;
}

}  // namespace genretree
