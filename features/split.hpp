// Training, validation and test sets. A track is never in two of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "features/store.hpp"

namespace genretree {

/// How a data set is divided.
struct SplitConfig {
  enum class Kind {
    by_index,  ///< per genre by track order: test first, then validation, then training (the code that the paper builds on: 00000-00009 test,
               ///< 00010-00029 validation, 00030-00099 training)
    random,    ///< per genre, drawn anew for each trial
    lists,     ///< files that list the tracks of each set
  } kind = Kind::by_index;
  std::string name = "paper-420-120-60";  ///< as shown in the report
  /// Tracks of each genre: a count (≥ 1) or, with `fractions`, a share of the genre's tracks. Training takes what is left when `train` is 0.
  double train = 70, validation = 20, test = 10;
  bool fractions = false;
  std::filesystem::path train_list, validation_list, test_list;  ///< lines like "blues/blues.00012.wav" or "./blues_00012.wav<TAB>blues"
};

/// Indices of clips. Each set is sorted.
struct Split {
  std::vector<std::uint32_t> train, validation, test;
  std::vector<std::string> missing;  ///< listed or expected tracks that the data set lacks ("jazz.00054")
};

/// Divides the clips. `random` draws with the key (seed, trial). A genre with fewer tracks than by_index expects (99 of 100) goes on without the missing ones, which are
/// named in Split::missing; with `strict` that is an InputError. InputError if a genre has no training or no test clip, if fewer than two genres are left, or if a
/// track stands in two lists.
Split make_split(const FeatureStore& dataset, const SplitConfig& config, std::uint64_t seed, std::uint32_t trial, bool strict);

}  // namespace genretree
