#include <algorithm>
#include <array>
#include <cmath>

#include "features/synthesis.hpp"

namespace genretree {
namespace {

// A phase is 32 bits that overflow once a period; its upper bits index a wave.
constexpr int wave_bits = 11;
constexpr std::size_t wave_size = std::size_t{1} << wave_bits;
constexpr int fraction_bits = 32 - wave_bits;

/// One period of a sine and its first sample again, by rotating a vector: sin and cos of 2π / 2048 are written out.
const std::array<double, wave_size + 1>& sine_wave() {
  static const auto wave = [] {
    constexpr double sine_step = 0.0030679567629659763, cosine_step = 0.9999952938095762;
    std::array<double, wave_size + 1> table{};
    double sine = 0, cosine = 1;
    for (std::size_t i = 0; i < wave_size; ++i) {
      table[i] = sine;
      const double next = sine * cosine_step + cosine * sine_step;
      cosine = cosine * cosine_step - sine * sine_step;
      sine = next;
    }
    table[wave_size] = table[0];
    return table;
  }();
  return wave;
}

/// A wave at a phase, linear between its samples.
double wave_at(const double* wave, std::uint32_t phase) {
  const std::uint32_t index = phase >> fraction_bits;
  const double fraction = (phase & ((1u << fraction_bits) - 1)) * (1.0 / (1u << fraction_bits));
  return wave[index] + (wave[index + 1] - wave[index]) * fraction;
}

std::uint32_t phase_step(double frequency) { return static_cast<std::uint32_t>(frequency * (0x1p32 / synthesis_rate)); }

/// Per-sample factor of a decay to 37 % in `seconds`: exp(-1/n) to first order.
double decay_factor(double seconds) { return 1 - 1 / (seconds * synthesis_rate + 1); }

/// Uniform noise in [-1, 1), made once; a stroke reads from a place of its own.
const std::vector<double>& noise_table() {
  static const std::vector<double> table = [] {
    std::vector<double> values(1 << 16);
    const Random random({.use = RandomUse::corpus});
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = random.word(i) * 0x1p-31 - 1;
    return values;
  }();
  return table;
}

/// The noise table from a random place on, around its end.
class NoiseReader {
 public:
  explicit NoiseReader(Random& random) : table_(noise_table()), position_(random.next()) {}
  double next() { return table_[position_++ % table_.size()]; }

 private:
  const std::vector<double>& table_;
  std::uint32_t position_;
};

constexpr double inaudible = 1e-4;

}  // namespace

double note_frequency(int note) {
  constexpr double semitone = 1.0594630943592953;  // the twelfth root of two
  double frequency = 440;
  for (; note > 69; --note) frequency *= semitone;
  for (; note < 69; ++note) frequency /= semitone;
  return frequency;
}

const std::vector<double>& Instrument::wave_for(double frequency) {
  const int fitting = static_cast<int>(synthesis_rate / (2 * frequency));
  const int harmonics = std::clamp(fitting, 1, timbre_.harmonics);
  std::vector<double>& wave = waves_[harmonics];
  if (!wave.empty()) return wave;
  wave.assign(wave_size + 1, 0);
  double total = 0;
  for (int k = 1; k <= harmonics; ++k) {
    const double level = (k % 2 == 0 ? timbre_.even : 1) / (1 + timbre_.tilt * (k - 1));
    total += level;
    for (std::size_t i = 0; i <= wave_size; ++i)
      wave[i] += level * sine_wave()[static_cast<std::size_t>(k) * i % wave_size];
  }
  for (double& value : wave) value /= total;
  return wave;
}

void Instrument::add_note(std::span<double> samples, std::size_t start, std::size_t length, double frequency,
                          double level) {
  const double* wave = wave_for(frequency).data();
  const std::uint32_t step = phase_step(frequency);
  const std::size_t end = std::min(start + length, samples.size());
  const double rise = 1 / (timbre_.attack * synthesis_rate + 1), fall = decay_factor(timbre_.decay);
  const std::size_t release = std::min<std::size_t>(length, synthesis_rate / 100);  // 10 ms against clicks
  double opened = 0, decayed = level;
  std::uint32_t phase = 0;
  for (std::size_t i = start; i < end; ++i) {
    const std::size_t left = start + length - i;
    const double ending = left < release ? static_cast<double>(left) / static_cast<double>(release) : 1;
    samples[i] += wave_at(wave, phase) * decayed * opened * ending;
    opened = std::min(1.0, opened + rise);
    decayed *= fall;
    phase += step;
  }
}

void add_kick(std::span<double> samples, std::size_t start, double level, double tone) {
  const double fall = decay_factor(0.11 * tone), pitch_fall = decay_factor(0.03);
  double frequency = 160 / tone;
  const double lowest = 48 / tone;
  std::uint32_t phase = 0;
  for (std::size_t i = start; i < samples.size() && level > inaudible; ++i) {
    samples[i] += level * wave_at(sine_wave().data(), phase);
    phase += phase_step(frequency);
    frequency = lowest + (frequency - lowest) * pitch_fall;
    level *= fall;
  }
}

void add_snare(std::span<double> samples, std::size_t start, double level, double tone, Random& random) {
  const double fall = decay_factor(0.07 * tone);
  const std::uint32_t step = phase_step(190 / tone);
  NoiseReader noise(random);
  std::uint32_t phase = 0;
  for (std::size_t i = start; i < samples.size() && level > inaudible; ++i) {
    samples[i] += level * (0.7 * noise.next() + 0.5 * wave_at(sine_wave().data(), phase));
    phase += step;
    level *= fall;
  }
}

void add_hat(std::span<double> samples, std::size_t start, double level, double tone, Random& random) {
  const double fall = decay_factor(0.025 * tone);
  NoiseReader noise(random);
  double before = noise.next();
  for (std::size_t i = start; i < samples.size() && level > inaudible; ++i) {
    const double now = noise.next();
    samples[i] += level * 0.5 * (now - before);  // the difference leaves the treble
    before = now;
    level *= fall;
  }
}

void add_noise(std::span<double> samples, double level, Random& random) {
  NoiseReader noise(random);
  for (double& sample : samples) sample += level * noise.next();
}

void distort(std::span<double> samples, double drive) {
  for (double& sample : samples) sample = drive * sample / (1 + drive * std::abs(sample));
}

void soften(std::span<double> samples, double openness) {
  double smooth = 0;
  for (double& sample : samples) sample = smooth += openness * (sample - smooth);
}

std::vector<std::int16_t> to_int16(std::span<const double> samples, double peak) {
  double largest = 0;
  for (const double sample : samples) largest = std::max(largest, std::abs(sample));
  const double scale = largest > 0 ? peak * 32767 / largest : 0;
  std::vector<std::int16_t> rounded(samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i)
    rounded[i] = static_cast<std::int16_t>(std::floor(samples[i] * scale + 0.5));
  return rounded;
}

}  // namespace genretree
