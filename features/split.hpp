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
    /// Per genre by track order: test first, then validation, then training (the code that the paper builds on:
    /// 00000-00009 test, 00010-00029 validation, 00030-00099 training).
    by_index,
    random,  ///< per genre, drawn anew for each trial
    lists,   ///< files that list the tracks of each set
  } kind = Kind::by_index;
  std::string name = "paper-420-120-60";  ///< as shown in the report
  /// Tracks of each genre: a count or, with `fractions`, a share of the genre's tracks. Training takes what is left
  /// when `train` is 0.
  double train = 70, validation = 20, test = 10;
  bool fractions = false;
  /// Lines like "blues/blues.00012.wav" or "./blues_00012.wav<TAB>blues"; blank lines and lines that begin with # count
  /// for nothing. An empty validation_list leaves the validation set empty.
  std::filesystem::path train_list, validation_list, test_list;
  bool has_validation() const { return kind == Kind::lists ? !validation_list.empty() : validation > 0; }
  /// For check_artists; changes nothing in the split. Empty: none.
  std::filesystem::path artists;
};

/// "paper-420-120-60" (by index) or "random-420-120-60" (drawn for each trial): 70, 20 and 10 tracks of each genre,
/// which makes 420, 120 and 60 of the paper's six. InputError that lists both for any other name.
SplitConfig named_split(const std::string& name);

/// Indices of clips. Each set is sorted.
struct Split {
  std::vector<std::uint32_t> train, validation, test;
  /// Listed or expected tracks that the data set lacks ("jazz.00054"), or "folk: 97 of 100 tracks" where tracks have no
  /// numbers.
  std::vector<std::string> missing;
  /// Tracks with the same samples of which one is in another set: "metal.00034 (train) = metal.00094 (test)".
  std::vector<std::string> duplicates_across;
};

/// Divides the clips.
/// - by_index: where all of a genre's tracks are named like "jazz.00054", a track's number is its place, so that a
///   missing one does not shift the others; else its place in alphabetical order is.
/// - random: each track draws a number from (seed, trial, its name), and the genre's tracks are taken in the order of
///   these numbers: whether other tracks or genres are there hardly changes where a track goes. Missing tracks are made
///   up for from training. Tracks of one genre with the same samples draw one number and go to the same set, the next
///   one if there is no room for all of them.
/// - lists: a listed track of a genre that the data set does not have is passed over.
/// Tracks that are expected (by_index, random: by the counts) or listed, but not there, are named in Split::missing;
/// with `strict` that is an InputError. InputError also if a genre has no training or no test clip, if there are fewer
/// than two genres, or if a track is listed twice.
Split make_split(const FeatureStore& dataset, const SplitConfig& config, std::uint64_t seed, std::uint32_t trial,
                 bool strict);

}  // namespace genretree
