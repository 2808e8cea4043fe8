#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <map>

#include "core/error.hpp"
#include "core/text.hpp"
#include "experiments/variants.hpp"

namespace genretree {
namespace {

/// A folder is called by it.
bool is_variant_name(const std::string& name) {
  const auto allowed = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-'; };
  return !name.empty() && std::isalnum(static_cast<unsigned char>(name[0])) && std::ranges::all_of(name, allowed);
}

void check_variant(const YamlValue& keys, const std::string& name) {
  if (!is_variant_name(name))
    reject("{}: '{}' cannot name a variant: allowed are letters, digits, '_' and '-', first a letter or digit",
           keys.where_key(), name);
  if (keys.kind == YamlValue::Kind::scalar || keys.kind == YamlValue::Kind::sequence)
    reject("{}: the variant '{}' cannot be {}: allowed are keys with their values, such as {{training.batch: 20}}",
           keys.where(), name, keys.describe());
}

/// Names that differ in upper and lower case only would share a folder on some disks.
void check_names(const YamlValue& variants) {
  std::map<std::string, std::string> seen;
  for (const auto& [name, keys] : variants.entries) {
    std::string lower = name;
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (const auto [other, is_new] = seen.try_emplace(lower, name); !is_new)
      reject("{}: the variants '{}' and '{}' differ in upper and lower case only, and so do their folders; rename one",
             keys.where_key(), other->second, name);
  }
}

/// What lies at "training.batch", or nullptr.
const YamlValue* find_path(const YamlValue& document, const std::string& path) {
  const std::size_t dot = path.find('.');
  const YamlValue* entry = document.find(path.substr(0, dot));
  return entry && dot != std::string::npos ? find_path(*entry, path.substr(dot + 1)) : entry;
}

/// "training.optimizer: sgd, training.learning_rate: 0.01": the values that the document has at these keys; long ones
/// are left to the file, except a split, which has a name.
std::string difference_of(const std::vector<std::string>& keys, const YamlValue& document, const Spec& spec) {
  constexpr std::size_t longest = 60;
  std::vector<std::string> parts;
  for (const std::string& key : keys) {
    const YamlValue* value = find_path(document, key);
    std::string text = value && value->kind != YamlValue::Kind::null ? value->one_line() : "none";
    if (text.size() > longest)
      text = key == "dataset.split" ? spec.dataset.split.name : value->kind == YamlValue::Kind::map ? "{…}" : "[…]";
    parts.push_back(fmt::format("{}: {}", key, text));
  }
  return parts.empty() ? "the file as it stands" : join(parts);
}

/// `training: {batch: 20}` in a variant would silently drop all other keys that the file has in `training`.
void refuse_whole_group(const YamlValue& document, const std::string& key, const YamlValue& value,
                        const std::string& variant) {
  const auto is_group = [](const YamlValue* v) { return v && v->kind == YamlValue::Kind::map && !v->entries.empty(); };
  if (key == "tree" || !is_group(&value) || !is_group(document.find(key))) return;
  const auto& [first, own] = value.entries.front();
  reject("{}: the variant '{}' sets all of '{}', and the file's other keys of it would be lost; write {}.{}: {}",
         value.where_key(), variant, key, key, first, own.one_line());
}

void change(YamlValue& document, const YamlValue& keys, const std::string& variant) {
  for (const auto& [key, value] : keys.entries) {
    if (key == "experiment" || key == "variants")
      reject("{}: the variant '{}' cannot set '{}'", value.where_key(), variant, key);
    refuse_whole_group(document, key, value, variant);
    if (change_key(document, key, value)) continue;
    if (value.kind == YamlValue::Kind::null)
      reject("{}: the variant '{}' removes '{}', which the file does not have", value.where_key(), variant, key);
    reject("{}: the key '{}' of the variant '{}' has an empty part", value.where_key(), key, variant);
  }
}

/// Two variants that differ in nothing are a mistake, perhaps of a --set that took the place of what they differ in.
void refuse_equals(const std::vector<Variant>& variants, const std::string& where) {
  for (std::size_t i = 0; i < variants.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (same_experiment(variants[i].spec, variants[j].spec))
        reject("{}: the variants '{}' and '{}' are the same experiment; let them differ in some key, or remove one",
               where, variants[j].name, variants[i].name);
}

/// One --set taken apart: "adam:training.batch=20" is for the variant adam, "training.batch=20" for all, "".
struct Assignment {
  std::string variant, text;

  std::string key() const { return text.substr(0, text.find('=')); }
};

std::vector<Assignment> taken_apart(const std::vector<std::string>& assignments) {
  std::vector<Assignment> parts;
  for (const std::string& text : assignments) {
    const std::size_t colon = text.find(':');
    const bool for_one = colon != std::string::npos && colon < text.find('=');
    parts.push_back(for_one ? Assignment{text.substr(0, colon), text.substr(colon + 1)} : Assignment{"", text});
  }
  return parts;
}

/// `names`: of the file's variants.
void check_addressees(const std::vector<Assignment>& assignments, const std::vector<std::string>& names,
                      const std::string& source) {
  for (const auto& [variant, text] : assignments) {
    if (variant.empty() || std::ranges::find(names, variant) != names.end()) continue;
    if (names.empty()) reject("--set {}:{}: {} has no variants; write --set {}", variant, text, source, text);
    reject("--set {}:{}: {} has no variant '{}'{}; its variants are {}", variant, text, source, variant,
           did_you_mean(variant, names), join(names));
  }
}

/// The file's document with a variant's keys and then all that --dataset and --set say of it.
Variant read_variant(YamlValue document, const std::string& name, const YamlValue& keys,
                     const std::vector<Assignment>& assignments, const std::string& dataset) {
  check_variant(keys, name);
  change(document, keys, name);
  std::vector<std::string> differing, own;
  for (const auto& [key, value] : keys.entries) differing.push_back(key);
  for (const Assignment& assignment : assignments) {
    if (!assignment.variant.empty() && assignment.variant != name) continue;
    own.push_back(assignment.text);
    const bool is_new = std::ranges::find(differing, assignment.key()) == differing.end();
    if (!assignment.variant.empty() && is_new) differing.push_back(assignment.key());
  }
  try {
    document = changed_document(std::move(document), own, dataset);
    const Spec spec = parse_spec(document);
    return {name, difference_of(differing, document, spec), spec};
  } catch (const InputError& error) {
    reject("{} (in the variant '{}')", error.what(), name);
  }
}

}  // namespace

ExperimentFile load_experiment(const std::filesystem::path& path, const std::vector<std::string>& assignments,
                               const std::string& dataset) {
  YamlValue document = parse_yaml_file(path);
  const std::vector<Assignment> parts = taken_apart(assignments);
  const YamlValue* given = document.find("variants");
  if (!given) {
    const std::vector<std::string> meant = {"variants"};
    for (const auto& [key, value] : document.entries)
      if (const std::string hint = did_you_mean(key, meant); !hint.empty())
        reject("{}: unknown key '{}'{}", value.where_key(), key, hint);
    check_addressees(parts, {}, path.string());
    const Spec spec = parse_spec(changed_document(document, assignments, dataset));
    return {spec.experiment, spec, {}};
  }
  const YamlValue variants = *given;
  if (variants.kind != YamlValue::Kind::map || variants.entries.empty())
    reject("{}: variants cannot be {}: allowed are names with keys, such as adam: {{training.optimizer: adam}}",
           variants.where(), variants.entries.empty() ? "empty" : variants.describe());
  erase_yaml_value(document, "variants");
  std::vector<std::string> names;
  for (const auto& [name, keys] : variants.entries) names.push_back(name);
  check_names(variants);
  check_addressees(parts, names, path.string());
  ExperimentFile file;
  for (const auto& [name, keys] : variants.entries) {
    file.variants.push_back(read_variant(document, name, keys, parts, dataset));
    Spec& spec = file.variants.back().spec;
    file.name = spec.experiment;
    spec.experiment += '-' + name;
  }
  refuse_equals(file.variants, variants.where_key());
  return file;
}

bool same_experiment(const Spec& a, const Spec& b) {
  Spec renamed = b;
  renamed.experiment = a.experiment;
  return to_yaml(a, false) == to_yaml(renamed, false);
}

}  // namespace genretree
