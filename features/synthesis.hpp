// Instruments of the built-in corpus: notes and strokes that are added to a buffer of samples. Only + - * / on doubles,
// which IEEE 754 fixes to the last bit; no function of the C library, whose last bits differ from one to the next. So a
// clip is the same on every machine.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "core/random.hpp"

namespace genretree {

inline constexpr unsigned synthesis_rate = 22050;  ///< Hz

/// Frequency of a MIDI note in Hz, equal temperament; 69 is A4, 440 Hz.
double note_frequency(int note);

/// How a pitched instrument sounds.
struct Timbre {
  int harmonics;  ///< at most; a note has fewer where they would pass half the sample rate
  double tilt;    ///< harmonic k has the level 1 / (1 + tilt (k - 1)): 0 buzzes, 1 is a sawtooth, 4 is round
  double even;    ///< level of the even harmonics beside the odd ones: 0 is hollow as a clarinet
  double attack;  ///< s, until the note has its full level
  double decay;   ///< s, in which it falls to 37 %; longer than the notes: an organ
};

/// A pitched instrument. Keeps one period of its wave for each number of harmonics in use.
class Instrument {
 public:
  explicit Instrument(const Timbre& timbre) : timbre_(timbre) {}

  /// Adds a note at samples start … start + length - 1 (those beyond the end of `samples` are dropped).
  void add_note(std::span<double> samples, std::size_t start, std::size_t length, double frequency, double level);

 private:
  const std::vector<double>& wave_for(double frequency);

  Timbre timbre_;
  std::map<int, std::vector<double>> waves_;
};

/// Drum strokes, added from sample `start` on. `tone` around 1 moves pitch and length.
void add_kick(std::span<double> samples, std::size_t start, double level, double tone);
void add_snare(std::span<double> samples, std::size_t start, double level, double tone, Random& random);
void add_hat(std::span<double> samples, std::size_t start, double level, double tone, Random& random);

/// Adds steady noise.
void add_noise(std::span<double> samples, double level, Random& random);

/// x → d x / (1 + |d x|): an overdriven amplifier.
void distort(std::span<double> samples, double drive);

/// y += openness (x - y): a one-pole low-pass with its corner near openness · 3500 Hz; 1 lets all through.
void soften(std::span<double> samples, double openness);

/// Scales to the largest absolute value `peak` (of 1) and rounds to 16 bits.
std::vector<std::int16_t> to_int16(std::span<const double> samples, double peak);

}  // namespace genretree
