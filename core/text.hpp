// Small helpers for messages.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace genretree {

/// The candidate within two edits of `word` (Levenshtein distance, at most a third of its length), or "" if none is so
/// near.
std::string closest(std::string_view word, std::span<const std::string> candidates);

/// " (did you mean 'epochs'?)", or "" if no candidate is near.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

/// "a, b, c"
std::string join(std::span<const std::string> words, std::string_view separator = ", ");

/// The first n characters of a UTF-8 text, all of it if it is no longer.
std::string_view first_characters(std::string_view text, std::size_t n);

/// "1 clip", "3 clips"
std::string count_of(std::size_t n, std::string_view noun);

/// Seconds as people say them: "0.8 s", "42 s", "3 min 20 s", "1 h 05 min".
std::string duration(double seconds);

}  // namespace genretree
