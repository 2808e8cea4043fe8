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

/// Puts `to` wherever the text has `from`, which is not empty.
void replace_all(std::string& text, std::string_view from, std::string_view to);

/// The first n characters of a UTF-8 text, all of it if it is no longer.
std::string_view first_characters(std::string_view text, std::size_t n);

/// Characters of a UTF-8 text.
std::size_t characters(std::string_view text);

/// Text that may stand in a file of UTF-8 such as a page: each byte that begins no character of UTF-8, and each control
/// character (line breaks too), becomes U+FFFD. For names of files, which may hold any bytes.
std::string printable(std::string_view text);

/// A field of a CSV file, in quotes where needed.
std::string csv_field(std::string_view text);

/// "93,510"
std::string thousands(std::size_t number);

/// "1 clip", "3 clips"
std::string count_of(std::size_t n, std::string_view noun);

/// Seconds as people say them: "0.8 s", "42 s", "3 min 20 s", "1 h 05 min".
std::string duration(double seconds);

}  // namespace genretree
