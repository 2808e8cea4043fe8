// YAML with positions: every value knows its file, line and column, so that an error can point at it.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace genretree {

/// A node of a YAML document.
struct YamlValue {
  enum class Kind { null, scalar, sequence, map };
  Kind kind = Kind::null;
  std::string text;                                        ///< of a scalar
  bool quoted = false;                                     ///< "5" in quotes is text, 5 is a number
  std::vector<YamlValue> items;                            ///< of a sequence
  std::vector<std::pair<std::string, YamlValue>> entries;  ///< of a map, in file order; keys are unique
  std::string source;                                      ///< file name, or "--set training.batch"
  int line = 0, column = 0;                                ///< from 1; 0 where the source has no lines
  int key_line = 0, key_column = 0;                        ///< of its key, where it is an entry of a map

  /// "sweep.yaml:12:5", or the source alone.
  std::string where() const;
  /// The same for its key: what to point at if the key itself is wrong.
  std::string where_key() const;
  /// The entry of a map, or nullptr.
  const YamlValue* find(std::string_view key) const;
  /// What it is, for messages: "a list", "a group of keys", "'5'", "the text '5'" (in quotes) …
  std::string describe() const;
  /// All of it on one line, as YAML reads it back: "4", "[5, 10]", "{lstm: 128}", or "" for nothing.
  std::string one_line() const;
};

/// Reads one YAML document. InputError with file:line:column on a syntax error or a key that stands twice.
YamlValue parse_yaml(std::string_view text, const std::string& source);
YamlValue parse_yaml_file(const std::filesystem::path& path);

/// Puts `value` at "a.b.c" and keeps its position for messages; maps on the way are made as needed. False, and nothing
/// is done, if a part of the path is empty.
bool set_yaml_value(YamlValue& document, std::string_view path, YamlValue value);

/// Removes what lies at "a.b.c"; false if there is nothing.
bool erase_yaml_value(YamlValue& document, std::string_view path);

/// Applies one `--set a.b.c=value`, where value is YAML ("[5, 10]", "adam", "0.01"); maps on the way are made as
/// needed.
void set_yaml_path(YamlValue& document, std::string_view assignment);

}  // namespace genretree
