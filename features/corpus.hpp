// The built-in corpus: synthetic music in ten genres, for trying the programs without any download. Its figures are
// never shown as GTZAN's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "features/clips.hpp"

namespace genretree {

struct CorpusConfig {
  std::size_t clips_per_genre = 100;
  double seconds = 30;
  std::uint64_t seed = 2018;
};

/// InputError unless clips last 0.1 to 3600 s and there are 1 to 100000 of each genre, which is what their names have
/// room for.
void validate(const CorpusConfig& config);

/// One line that says what decides the samples: "synthetic corpus 1, seed 2018, 30 s". The number after "corpus" goes
/// up whenever the music changes.
std::string corpus_recipe(const CorpusConfig& config);

/// Names of the ten genres, as in GTZAN.
const std::vector<std::string>& corpus_genres();

/// Synthesises clip `index` of a genre: 16-bit samples at 22050 Hz, the same on every machine (integer and basic double
/// arithmetic only, no library sines). InputError if `config` is not valid or there is no such genre.
std::vector<std::int16_t> synthesise_clip(const CorpusConfig& config, const std::string& genre, std::size_t index);

/// The corpus as clips that are synthesised when they are loaded; track names as in GTZAN ("blues.00042").
std::vector<Clip> corpus_clips(const CorpusConfig& config);

}  // namespace genretree
