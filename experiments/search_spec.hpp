// The group `search` of an experiment file: which keys a search sweeps, and how it goes through them.
//
//   search:
//     method: halving
//     candidates: 24
//     keys:
//       training.optimizer: [adam, rmsprop]                              # a list of values
//       training.learning_rate: {from: 0.0003, to: 0.01, scale: log}     # a range
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/io/yaml.hpp"

namespace genretree {

/// One key of the file, with its list of values or its range {from, to, scale}.
struct SweptKey {
  std::string key;
  YamlValue values;

  bool is_range() const { return values.kind == YamlValue::Kind::map; }
  bool is_log() const;
  /// The list, or both ends of the range.
  std::vector<YamlValue> extremes() const;
};

struct SearchSpec {
  enum class Method {
    grid,     ///< all combinations
    random,   ///< so many drawn at random
    halving,  ///< the same, for few trials first; only the better go on
  } method = Method::random;
  std::uint32_t candidates = 24;  ///< of random and halving
  std::uint32_t eta = 2;          ///< of halving: one of so many goes on, to so many times the trials
  enum class By { validation_accuracy, validation_loss } by = By::validation_accuracy;
  std::vector<SweptKey> keys;
};

/// Candidates of a search at most: they are called c001 to c999.
inline constexpr std::uint32_t most_candidates = 999;

/// Reads the group strictly, as parse_spec does the rest. InputError with file:line:column.
SearchSpec read_search(const YamlValue& group);

/// The group as YAML with each key's documentation and what is allowed, as to_yaml(spec, true) writes the other keys.
std::string documented_yaml(const SearchSpec& search);

/// What each candidate has at each of the search's keys, [candidates, keys]: of `grid` all combinations, the last key
/// the fastest; else drawn from `seed`, all different, the first ones the same however many are asked for. A range
/// between two whole numbers holds whole numbers, any other numbers of four significant digits. InputError if there are
/// too many combinations, or fewer than candidates.
std::vector<std::vector<YamlValue>> candidates_of(const SearchSpec& search, std::uint64_t seed);

/// So many candidates are trained for so many trials, counted from the first trial.
struct Rung {
  std::size_t candidates = 0;
  std::uint32_t trials = 0;

  bool operator==(const Rung&) const = default;
};

/// One rung for grid and random; of halving 1, eta, eta² … trials, the last of which are all. Of n candidates ⌈n / eta⌉
/// go on from each rung to the next.
std::vector<Rung> rungs_of(const SearchSpec& search, std::size_t candidates, std::uint32_t trials);

/// "24 candidates drawn at random; successive halving: 24 for 1 trial, 12 for 2 trials, 6 for 4 trials"
std::string describe(const SearchSpec& search, const std::vector<Rung>& rungs);

}  // namespace genretree
