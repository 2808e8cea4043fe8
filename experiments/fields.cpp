#include <charconv>
#include <cmath>

#include "experiments/fields.hpp"

namespace genretree {
namespace {

std::string below(const std::string& path, const std::string& key) {
  return path.empty() ? key : fmt::format("{}.{}", path, key);
}

class Reader final : public Fields {
 public:
  /// Reads the keys of one map; whatever the description did not name is an error.
  void read_map(const YamlValue& map, const std::string& path, const std::function<void()>& body) {
    if (map.kind != YamlValue::Kind::map && map.kind != YamlValue::Kind::null)
      reject("{}: {} cannot be {}: allowed is a group of keys (key: value)", map.where(),
             path.empty() ? "the experiment" : path, map.describe());
    Scope outer = std::exchange(scope_, {&map, path, {}});
    body();
    for (const auto& [key, value] : map.entries)
      if (std::find(scope_.known.begin(), scope_.known.end(), key) == scope_.known.end())
        reject("{}: unknown key '{}'{}; known here: {}", value.where_key(), below(path, key),
               did_you_mean(key, scope_.known), join(scope_.known));
    scope_ = std::move(outer);
  }

  void key(const Field& field) override {
    const YamlValue* value = next(field.key);
    if (!value) return;
    const YamlValue* wrong = field.read(*value);
    if (wrong)
      reject("{}: {} cannot {} {}: allowed is {}{}", wrong->where(), below(scope_.path, field.key),
             wrong == value ? "be" : "hold", wrong->describe(), field.allowed,
             did_you_mean(wrong->text, field.choices));
  }

  void group(const std::string& key, const std::string&, const std::function<void()>& body) override {
    static const YamlValue absent;
    const YamlValue* value = next(key);
    read_map(value ? *value : absent, below(scope_.path, key), body);
  }

  bool reading() const override { return true; }

  bool holds(const std::string& key, YamlValue::Kind kind, bool) const override {
    const YamlValue* value = scope_.map->find(key);
    return value && value->kind == kind;
  }

  void only_if(bool condition, const std::string& when, const std::function<void()>& body) override {
    const std::string outer = std::exchange(missing_condition_, condition ? missing_condition_ : when);
    body();
    missing_condition_ = outer;
  }

  void require(bool good, const std::string& key, const std::string& message) override {
    if (good) return;
    const YamlValue* value = scope_.map->find(key);
    const std::string where = value ? value->where() : scope_.map->where();
    reject("{}{}{}", where.empty() ? "" : where + ": ", key.empty() ? "" : below(scope_.path, key) + ": ", message);
  }

 private:
  /// The value of the next key of the description, or nullptr if the file lacks it.
  const YamlValue* next(const std::string& key) {
    const YamlValue* value = scope_.map->find(key);
    if (missing_condition_.empty())
      scope_.known.push_back(key);
    else if (value)
      reject("{}: {} is only for {}; remove it", value->where_key(), below(scope_.path, key), missing_condition_);
    return missing_condition_.empty() ? value : nullptr;
  }

  struct Scope {
    const YamlValue* map = nullptr;
    std::string path;
    std::vector<std::string> known;
  };
  Scope scope_;
  std::string missing_condition_;
};

class Collector final : public Fields {
 public:
  void key(const Field& field) override {
    rows.push_back({below(path_, field.key), field.write(), field.documentation, field.allowed, depth_, false});
  }
  void group(const std::string& key, const std::string& documentation, const std::function<void()>& body) override {
    const std::string outer = path_;
    path_ = below(path_, key);
    rows.push_back({path_, "", documentation, "", depth_++, true});
    body();
    --depth_;
    path_ = outer;
  }
  bool reading() const override { return false; }
  bool holds(const std::string&, YamlValue::Kind, bool otherwise) const override { return otherwise; }
  void only_if(bool condition, const std::string&, const std::function<void()>& body) override {
    if (condition) body();
  }
  void require(bool, const std::string&, const std::string&) override {}

  std::vector<FieldRow> rows;

 private:
  std::string path_;
  std::size_t depth_ = 0;
};

/// The number that is all of the scalar.
template <class Number>
bool read_number(const YamlValue& value, Number& number) {
  if (value.kind != YamlValue::Kind::scalar || value.quoted) return false;
  const char *begin = value.text.data(), *end = begin + value.text.size();
  const auto [stop, error] = std::from_chars(begin, end, number);
  return stop == end && error == std::errc();
}

bool contains(const Range& range, double number) {
  return std::isfinite(number) && (range.with_lowest ? number >= range.lowest : number > range.lowest) &&
         (range.with_highest ? number <= range.highest : number < range.highest);
}

std::string describe(const Range& range) {
  const std::string lower = fmt::format("{} {}", range.with_lowest ? "at least" : "above", range.lowest);
  return fmt::format("a number {} and {} {}", lower, range.with_highest ? "at most" : "below", range.highest);
}

std::string line_of(const FieldRow& row) {
  const std::string key = row.path.substr(row.path.rfind('.') + 1);
  return fmt::format("{}{}:{}{}\n", std::string(2 * row.depth, ' '), key,
                     row.is_group || row.value[0] == '\n' ? "" : " ", row.value);
}

/// "# " and the text, in lines of at most 100 characters.
std::string comment(const std::string& text, const std::string& indent) {
  std::string lines, line;
  const auto end_line = [&] { lines += fmt::format("{}# {}\n", indent, line), line.clear(); };
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    if (!line.empty() && indent.size() + 3 + line.size() + end - begin > 100) end_line();
    line.append(line.empty() ? "" : " ").append(text, begin, end - begin);
    begin = end + 1;
  }
  end_line();
  return lines;
}

}  // namespace

void read_fields(const YamlValue& document, const std::function<void(Fields&)>& describe_keys) {
  Reader reader;
  reader.read_map(document, "", [&] { describe_keys(reader); });
}

std::vector<FieldRow> collect_fields(const std::function<void(Fields&)>& describe_keys) {
  Collector collector;
  describe_keys(collector);
  return std::move(collector.rows);
}

std::string plain_yaml(const std::vector<FieldRow>& rows) {
  std::string yaml;
  for (const FieldRow& row : rows) yaml += line_of(row);
  return yaml;
}

std::string documented_yaml(const std::vector<FieldRow>& rows, const std::vector<FieldRow>& defaults) {
  std::string yaml;
  for (const FieldRow& row : rows) {
    const std::string indent(2 * row.depth, ' ');
    const auto same_key = [&](const FieldRow& other) { return other.path == row.path && !row.is_group; };
    const auto usual = std::find_if(defaults.begin(), defaults.end(), same_key);
    if (row.depth == 0) yaml += "\n";
    yaml += comment(row.documentation, indent);
    if (!row.is_group) yaml += comment(fmt::format("allowed: {}", row.allowed), indent);
    if (usual != defaults.end() && usual->value != row.value)
      yaml += comment(fmt::format("default: {}", usual->value), indent);
    yaml += line_of(row);
  }
  return yaml;
}

bool read_whole(const YamlValue& value, std::uint64_t lowest, std::uint64_t highest, std::uint64_t& number) {
  return read_number(value, number) && number >= lowest && number <= highest;
}

bool read_real(const YamlValue& value, double& number) { return read_number(value, number) && std::isfinite(number); }

std::string yaml_text(const std::string& text) {
  const auto plain = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '.' || c == '/' || c == '-'; };
  const bool null_word = text == "null" || text == "Null" || text == "NULL";
  if (!text.empty() && text[0] != '-' && !null_word && std::all_of(text.begin(), text.end(), plain)) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (static_cast<unsigned char>(c) < 0x20)
      quoted += fmt::format("\\x{:02x}", c);
    else
      quoted += c;
  }
  return quoted + '"';
}

Field real(const std::string& key, double& value, const Range& range, const std::string& documentation) {
  return {key,
          documentation,
          describe(range),
          {},
          [&value, range](const YamlValue& yaml) -> const YamlValue* {
            double number = 0;
            if (!read_real(yaml, number) || !contains(range, number)) return &yaml;
            value = number;
            return nullptr;
          },
          [&value] { return fmt::format("{}", value); }};
}

Field text(const std::string& key, std::string& value, const std::string& allowed, const std::string& documentation,
           const std::function<bool(const std::string&)>& good) {
  return {key,
          documentation,
          allowed,
          {},
          [&value, good](const YamlValue& yaml) -> const YamlValue* {
            if (yaml.kind != YamlValue::Kind::scalar || yaml.text.empty() || !good(yaml.text)) return &yaml;
            value = yaml.text;
            return nullptr;
          },
          [&value] { return yaml_text(value); }};
}

Field path(const std::string& key, std::filesystem::path& value, const std::string& documentation) {
  return {key,
          documentation,
          "the path of a file or folder",
          {},
          [&value](const YamlValue& yaml) -> const YamlValue* {
            if (yaml.kind != YamlValue::Kind::scalar) return &yaml;
            const bool in_a_file = yaml.line > 0;
            const std::filesystem::path folder = in_a_file ? std::filesystem::path(yaml.source).parent_path() : "";
            value = yaml.text.empty() ? "" : std::filesystem::absolute(folder / yaml.text).lexically_normal();
            return nullptr;
          },
          [&value] { return yaml_text(value.empty() ? "" : std::filesystem::absolute(value).lexically_normal()); }};
}

}  // namespace genretree
