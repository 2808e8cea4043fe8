#include <algorithm>
#include <yaml-cpp/yaml.h>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/io/yaml.hpp"
#include "core/text.hpp"

namespace genretree {
namespace {

YamlValue convert(const YAML::Node& node, const std::string& source) {
  YamlValue value;
  value.source = source;
  value.line = node.Mark().line + 1;
  value.column = node.Mark().column + 1;
  switch (node.Type()) {
    case YAML::NodeType::Undefined:
    case YAML::NodeType::Null:
      break;
    case YAML::NodeType::Scalar:
      value.kind = YamlValue::Kind::scalar;
      value.text = node.Scalar();
      value.quoted = node.Tag() == "!";
      break;
    case YAML::NodeType::Sequence:
      value.kind = YamlValue::Kind::sequence;
      for (const YAML::Node& item : node) value.items.push_back(convert(item, source));
      break;
    case YAML::NodeType::Map:
      value.kind = YamlValue::Kind::map;
      for (const auto& entry : node) {
        if (!entry.first.IsScalar()) reject("{}: a key must be a word", convert(entry.first, source).where());
        const std::string key = entry.first.Scalar();
        if (value.find(key))
          reject("{}: the key '{}' stands twice; remove one", convert(entry.first, source).where(), key);
        value.entries.emplace_back(key, convert(entry.second, source));
        value.entries.back().second.key_line = entry.first.Mark().line + 1;
        value.entries.back().second.key_column = entry.first.Mark().column + 1;
        if (!entry.second.IsDefined() || entry.second.IsNull()) {  // an empty value has no position of its own
          value.entries.back().second.line = entry.first.Mark().line + 1;
          value.entries.back().second.column = entry.first.Mark().column + 1;
        }
      }
      break;
  }
  return value;
}

/// A text as a YAML list may hold it: in quotes where without them it would be read as something else.
std::string flow_text(const std::string& text) {
  try {
    const YAML::Node list = YAML::Load("[" + text + "]");
    if (list.IsSequence() && list.size() == 1 && list[0].IsScalar() && list[0].Scalar() == text) return text;
  } catch (const YAML::Exception&) {  // it means something else to YAML
  }
  YAML::Emitter quoted;
  quoted << YAML::DoubleQuoted << text;
  return quoted.c_str();
}

}  // namespace

std::string YamlValue::where() const { return line > 0 ? fmt::format("{}:{}:{}", source, line, column) : source; }

std::string YamlValue::where_key() const {
  return key_line > 0 ? fmt::format("{}:{}:{}", source, key_line, key_column) : where();
}

const YamlValue* YamlValue::find(std::string_view key) const {
  const auto entry = std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return e.first == key; });
  return entry == entries.end() ? nullptr : &entry->second;
}

std::string YamlValue::describe() const {
  switch (kind) {
    case Kind::null:
      return "nothing";
    case Kind::scalar:
      return quoted ? fmt::format("the text '{}'", text) : fmt::format("'{}'", text);
    case Kind::sequence:
      return "a list";
    case Kind::map:
      return "a group of keys";
  }
  return "";
}

std::string YamlValue::one_line() const {
  std::vector<std::string> parts;
  for (const YamlValue& item : items) parts.push_back(item.kind == Kind::null ? "null" : item.one_line());
  for (const auto& [key, entry] : entries) parts.push_back(flow_text(key) + ": " + entry.one_line());
  if (kind == Kind::sequence) return fmt::format("[{}]", join(parts));
  if (kind == Kind::map) return fmt::format("{{{}}}", join(parts));
  return kind == Kind::null ? "" : flow_text(text);
}

YamlValue parse_yaml(std::string_view text, const std::string& source) {
  try {
    return convert(YAML::Load(std::string(text)), source);
  } catch (const YAML::Exception& error) {
    reject("{}:{}:{}: not valid YAML: {}", source, error.mark.line + 1, error.mark.column + 1, error.msg);
  }
}

YamlValue parse_yaml_file(const std::filesystem::path& path) { return parse_yaml(read_text(path), path.string()); }

bool set_yaml_value(YamlValue& document, std::string_view path, YamlValue value) {
  if (path.empty() || path.front() == '.' || path.back() == '.' || path.find("..") != std::string_view::npos)
    return false;
  YamlValue group = value;  // a group that the path begins, in the value's place
  group.kind = YamlValue::Kind::map;
  group.text.clear(), group.items.clear(), group.entries.clear();
  YamlValue* node = &document;
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    const std::string key(path.substr(begin, end - begin));
    if (node->kind != YamlValue::Kind::map) *node = group;
    auto entry =
        std::find_if(node->entries.begin(), node->entries.end(), [&](const auto& e) { return e.first == key; });
    if (entry == node->entries.end()) entry = node->entries.insert(node->entries.end(), {key, YamlValue{}});
    node = &entry->second;
    begin = end + 1;
  }
  *node = std::move(value);
  return true;
}

bool erase_yaml_value(YamlValue& document, std::string_view path) {
  const std::size_t dot = path.find('.');
  const auto entry =
      std::ranges::find(document.entries, path.substr(0, dot), &std::pair<std::string, YamlValue>::first);
  if (entry == document.entries.end()) return false;
  if (dot != std::string_view::npos) return erase_yaml_value(entry->second, path.substr(dot + 1));
  document.entries.erase(entry);
  return true;
}

void set_yaml_path(YamlValue& document, std::string_view assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0) reject("--set {}: write it as key=value", assignment);
  const std::string path(assignment.substr(0, equals)), source = fmt::format("--set {}", path);

  YamlValue value = parse_yaml(assignment.substr(equals + 1), source);
  const auto forget_lines = [&](auto& self, YamlValue& v) -> void {
    v.line = v.column = v.key_line = v.key_column = 0;
    for (YamlValue& item : v.items) self(self, item);
    for (auto& [key, entry] : v.entries) self(self, entry);
  };
  forget_lines(forget_lines, value);
  if (!set_yaml_value(document, path, std::move(value))) reject("--set {}: the key has an empty part", assignment);
}

}  // namespace genretree
