// The keys of an experiment file, described once: from one description follow reading, writing, documentation and error
// messages. A description is a plain function that walks over its keys:
//
//   void describe(Fields& fields, TrainingConfig& training) {
//     fields.key(whole("batch", training.batch, 1, 100'000, "clips of one update"));
//     …
//   }
//
// It is run with a reader (stores what the file says), or with a collector (notes what the values are).
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fmt/format.h>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/io/yaml.hpp"
#include "core/text.hpp"

namespace genretree {

/// One key: what it is for, what it may hold, and how its value is read and written.
struct Field {
  std::string key, documentation, allowed;
  std::vector<std::string> choices;  ///< for "did you mean"; empty where any text or number may stand
  /// Stores the value; returns the part of it that is not allowed (nothing is stored then), or nullptr.
  std::function<const YamlValue*(const YamlValue&)> read;
  /// The present value as YAML on one line.
  std::function<std::string()> write;
};

/// What a description is run with.
class Fields {
 public:
  virtual ~Fields() = default;
  virtual void key(const Field& field) = 0;
  virtual void group(const std::string& key, const std::string& documentation, const std::function<void()>& body) = 0;
  /// True while a file is read: the time to set defaults that depend on an earlier key.
  virtual bool reading() const = 0;
  /// Reading: whether the value of `key` is of this kind in the file. Collecting: `otherwise`.
  virtual bool holds(const std::string& key, YamlValue::Kind kind, bool otherwise) const = 0;
  /// The keys in `body` exist only under a condition; reading one without it is an error that says `when`.
  virtual void only_if(bool condition, const std::string& when, const std::function<void()>& body) = 0;
  /// Reading: InputError at `key` (or at its group, where the file lacks the key or `key` is "") unless `good`.
  virtual void require(bool good, const std::string& key, const std::string& message) = 0;
};

/// Reads a document strictly. InputError with file:line:column, the key's path, the value, and what is allowed.
void read_fields(const YamlValue& document, const std::function<void(Fields&)>& describe);

/// A key with its present value, or a group (empty value), as a collector met it.
struct FieldRow {
  std::string path, value, documentation, allowed;
  std::size_t depth = 0;
  bool is_group = false;
};
std::vector<FieldRow> collect_fields(const std::function<void(Fields&)>& describe);

/// The rows as YAML.
std::string plain_yaml(const std::vector<FieldRow>& rows);
/// The same, each key below its line of documentation and what is allowed, and below its default where that is among
/// `defaults` and the value is another.
std::string documented_yaml(const std::vector<FieldRow>& rows, const std::vector<FieldRow>& defaults);

// ------------------------------------------------------------------------------------------------- kinds of values

/// A number in YAML's plain decimal form that is all of the scalar; false if it is none or out of range.
bool read_whole(const YamlValue& value, std::uint64_t lowest, std::uint64_t highest, std::uint64_t& number);
bool read_real(const YamlValue& value, double& number);

/// The text as a YAML scalar that reads back to it, in quotes where needed.
std::string yaml_text(const std::string& text);

template <class Integer>
Field whole(const std::string& key, Integer& value, std::uint64_t lowest, std::uint64_t highest,
            const std::string& documentation) {
  return {key,
          documentation,
          fmt::format("a whole number from {} to {}", lowest, highest),
          {},
          [&value, lowest, highest](const YamlValue& yaml) -> const YamlValue* {
            std::uint64_t number = 0;
            if (!read_whole(yaml, lowest, highest, number)) return &yaml;
            value = static_cast<Integer>(number);
            return nullptr;
          },
          [&value] { return fmt::format("{}", value); }};
}

/// One of a few words, each of which stands for a value.
template <class T>
Field choice(const std::string& key, T& value, const std::vector<std::pair<std::string, T>>& words,
             const std::string& documentation) {
  std::vector<std::string> names;
  for (const auto& [word, meaning] : words) names.push_back(word);
  return {key,
          documentation,
          join(names, " | "),
          names,
          [&value, words](const YamlValue& yaml) -> const YamlValue* {
            for (const auto& [word, meaning] : words)
              if (yaml.kind == YamlValue::Kind::scalar && yaml.text == word) {
                value = meaning;
                return nullptr;
              }
            return &yaml;
          },
          [&value, words] {
            for (const auto& [word, meaning] : words)
              if (meaning == value) return word;
            fail("a value of '{}' has no word", words.front().first);
          }};
}

/// The numbers from `lowest` to `highest`, with or without the ends themselves.
struct Range {
  double lowest = 0, highest = 0;
  bool with_lowest = true, with_highest = true;
};
Field real(const std::string& key, double& value, const Range& range, const std::string& documentation);

/// Any text that `good` accepts.
Field text(
    const std::string& key, std::string& value, const std::string& allowed, const std::string& documentation,
    const std::function<bool(const std::string&)>& good = [](const std::string&) { return true; });

/// A file or folder. A relative path in a file starts at the file's folder, one given by --set at the current folder;
/// it is stored as an absolute path.
Field path(const std::string& key, std::filesystem::path& value, const std::string& documentation);

/// A list of distinct items; `read_item` returns whether an item is allowed.
template <class T>
Field list(const std::string& key, std::vector<T>& value, const std::string& allowed, const std::string& documentation,
           const std::function<bool(const YamlValue&, T&)>& read_item,
           const std::function<std::string(const T&)>& write_item) {
  return {key,
          documentation,
          allowed,
          {},
          [&value, read_item](const YamlValue& yaml) -> const YamlValue* {
            if (yaml.kind != YamlValue::Kind::sequence) return &yaml;
            std::vector<T> items;
            for (const YamlValue& entry : yaml.items) {
              T item{};
              if (!read_item(entry, item) || std::find(items.begin(), items.end(), item) != items.end()) return &entry;
              items.push_back(item);
            }
            value = std::move(items);
            return nullptr;
          },
          [&value, write_item] {
            std::vector<std::string> items;
            for (const T& item : value) items.push_back(write_item(item));
            return fmt::format("[{}]", join(items));
          }};
}

}  // namespace genretree
