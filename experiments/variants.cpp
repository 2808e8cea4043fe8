#include <algorithm>
#include <cctype>
#include <fmt/format.h>

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

/// "training.optimizer: sgd, training.learning_rate: 0.01"; long values are left to the file.
std::string difference_of(const YamlValue& keys) {
  constexpr std::size_t longest = 60;
  std::vector<std::string> parts;
  for (const auto& [key, value] : keys.entries) {
    std::string text = value.one_line();
    if (value.kind == YamlValue::Kind::null) text = "none";
    if (text.size() > longest) text = value.kind == YamlValue::Kind::map ? "{…}" : "[…]";
    parts.push_back(fmt::format("{}: {}", key, text));
  }
  return parts.empty() ? "the file as it stands" : join(parts);
}

void change(YamlValue& document, const YamlValue& keys, const std::string& variant) {
  for (const auto& [key, value] : keys.entries) {
    if (key == "experiment" || key == "variants")
      reject("{}: the variant '{}' cannot set '{}'", value.where_key(), variant, key);
    if (change_key(document, key, value)) continue;
    if (value.kind == YamlValue::Kind::null)
      reject("{}: the variant '{}' removes '{}', which the file does not have", value.where_key(), variant, key);
    reject("{}: the key '{}' of the variant '{}' has an empty part", value.where_key(), key, variant);
  }
}

/// Two variants that differ in nothing are a mistake, perhaps of a --set that took the place of what they differ in.
void refuse_equals(const std::vector<Variant>& variants, const std::string& where) {
  const auto text_of = [](const Variant& variant) {
    Spec spec = variant.spec;
    spec.experiment = "any";
    return to_yaml(spec, false);
  };
  for (std::size_t i = 0; i < variants.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (text_of(variants[i]) == text_of(variants[j]))
        reject("{}: the variants '{}' and '{}' are the same experiment; let them differ in some key, or remove one",
               where, variants[j].name, variants[i].name);
}

}  // namespace

ExperimentFile load_experiment(const std::filesystem::path& path, const std::vector<std::string>& assignments,
                               const std::string& dataset) {
  YamlValue document = parse_yaml_file(path);
  const YamlValue* given = document.find("variants");
  if (!given) {
    const Spec spec = parse_spec_with(document, assignments, dataset);
    return {spec.experiment, spec, {}};
  }
  const YamlValue variants = *given;
  if (variants.kind != YamlValue::Kind::map || variants.entries.empty())
    reject("{}: variants cannot be {}: allowed are names with keys, such as adam: {{training.optimizer: adam}}",
           variants.where(), variants.entries.empty() ? "empty" : variants.describe());
  erase_yaml_value(document, "variants");
  ExperimentFile file;
  for (const auto& [name, keys] : variants.entries) {
    check_variant(keys, name);
    YamlValue own = document;
    change(own, keys, name);
    try {
      file.variants.push_back({name, difference_of(keys), parse_spec_with(own, assignments, dataset)});
    } catch (const InputError& error) {
      reject("{} (in the variant '{}')", error.what(), name);
    }
    Spec& spec = file.variants.back().spec;
    file.name = spec.experiment;
    spec.experiment += '-' + name;
  }
  refuse_equals(file.variants, variants.where_key());
  return file;
}

}  // namespace genretree
