#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <map>

#include "core/error.hpp"
#include "core/text.hpp"
#include "experiments/variants.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

std::string yaml_without_name(Spec spec) {
  spec.experiment.clear();
  return to_yaml(spec, false);
}

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
  reject("{}: {} sets all of '{}', and the file's other keys of it would be lost; write {}.{}: {}", value.where_key(),
         variant, key, key, first, own.one_line());
}

/// `variant`: "the variant 'adam'", or "the candidate 'c001'"
void change(YamlValue& document, const YamlValue& keys, const std::string& variant) {
  for (const auto& [key, value] : keys.entries) {
    if (key == "experiment" || key == "variants") reject("{}: {} cannot set '{}'", value.where_key(), variant, key);
    refuse_whole_group(document, key, value, variant);
    if (change_key(document, key, value)) continue;
    if (value.kind == YamlValue::Kind::null)
      reject("{}: {} removes '{}', which the file does not have", value.where_key(), variant, key);
    reject("{}: the key '{}' of {} has an empty part", value.where_key(), key, variant);
  }
}

/// Two variants that differ in nothing are a mistake, perhaps of a --set that took the place of what they differ in.
void refuse_equals(const std::vector<Variant>& variants, const char* kind, const std::string& where) {
  std::map<std::string, std::string> seen;
  for (const Variant& variant : variants)
    if (const auto [other, is_new] = seen.try_emplace(yaml_without_name(variant.spec), variant.name); !is_new)
      reject("{}: the {}s '{}' and '{}' are the same experiment; let them differ in some key, or remove one", where,
             kind, other->second, variant.name);
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
Variant read_variant(YamlValue document, const char* kind, const std::string& name, const YamlValue& keys,
                     const std::vector<Assignment>& assignments, const std::string& dataset) {
  const std::string variant = fmt::format("the {} '{}'", kind, name);
  change(document, keys, variant);
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
    reject("{} (in {})", error.what(), variant);
  }
}

ExperimentFile load_variants(YamlValue document, const std::vector<Assignment>& assignments, const std::string& dataset,
                             const fs::path& path) {
  const YamlValue variants = *document.find("variants");
  if (variants.kind != YamlValue::Kind::map || variants.entries.empty())
    reject("{}: variants cannot be {}: allowed are names with keys, such as adam: {{training.optimizer: adam}}",
           variants.where(), variants.entries.empty() ? "empty" : variants.describe());
  erase_yaml_value(document, "variants");
  std::vector<std::string> names;
  for (const auto& [name, keys] : variants.entries) names.push_back(name);
  check_names(variants);
  check_addressees(assignments, names, path.string());
  ExperimentFile file;
  for (const auto& [name, keys] : variants.entries) {
    check_variant(keys, name);
    file.variants.push_back(read_variant(document, "variant", name, keys, assignments, dataset));
    Spec& spec = file.variants.back().spec;
    file.name = spec.experiment;
    spec.experiment += '-' + name;
  }
  refuse_equals(file.variants, "variant", variants.where_key());
  return file;
}

// -------------------------------------------------------------------------------------------------------------- search

void refuse_set_of_swept(const std::vector<Assignment>& assignments, const SearchSpec& search) {
  for (const Assignment& assignment : assignments)
    for (const auto& [key, values] : search.keys)
      if (const std::string set = assignment.key();
          set == key || set.starts_with(key + ".") || key.starts_with(set + "."))
        reject("--set {}: the search sweeps {} ({}); set search.keys in the file instead", assignment.text, key,
               values.where_key());
}

/// What makes validation results a measure, and halving more than one rung.
void check_searched(const Spec& spec, const SearchSpec& search, const std::string& where) {
  if (spec.learned_tree_epochs)
    reject("{}: a search cannot learn trees; write the tree down, or search for one classifier", where);
  if (!spec.tree.empty() && search.by == SearchSpec::By::validation_loss)
    reject("{}: search.by: a tree has no validation loss as a whole; take validation_accuracy", where);
  const SplitConfig& split = spec.dataset.split;
  if (!split.has_validation())
    reject("{}: the search needs validation clips to rank its candidates, but dataset.split ({}) has none", where,
           split.name);
  if (search.method == SearchSpec::Method::halving && spec.grid.trials < 2)
    reject("{}: search.method: halving gives the better candidates more trials, but grid.trials is {}; give 4, say",
           where, spec.grid.trials);
}

/// The keys of one candidate as a variant has them.
YamlValue keys_of(const SearchSpec& search, const std::vector<YamlValue>& values) {
  YamlValue keys;
  keys.kind = YamlValue::Kind::map;
  for (std::size_t k = 0; k < values.size(); ++k) keys.entries.emplace_back(search.keys[k].key, values[k]);
  return keys;
}

/// Every listed value and both ends of every range beside the first candidate's other values, so that a wrong one is
/// found whatever was drawn.
void check_extremes(const YamlValue& document, const Search& search) {
  for (std::size_t k = 0; k < search.spec.keys.size(); ++k)
    for (const YamlValue& value : search.spec.keys[k].extremes()) {
      const auto has_it = [&](const std::vector<YamlValue>& values) {
        return values[k].one_line() == value.one_line();
      };
      if (std::ranges::any_of(search.values, has_it)) continue;  // a candidate that was not refused
      std::vector<YamlValue> values = search.values.front();
      values[k] = value;
      read_variant(document, "candidate", "c001 with another value", keys_of(search.spec, values), {}, "");
    }
}

ExperimentFile load_search(YamlValue document, const std::vector<Assignment>& assignments) {
  const YamlValue group = *document.find("search");
  erase_yaml_value(document, "search");
  ExperimentFile file;
  file.spec = parse_spec(document);
  file.name = file.spec.experiment;
  file.search = Search{read_search(group), {}};
  Search& search = *file.search;
  refuse_set_of_swept(assignments, search.spec);
  check_searched(file.spec, search.spec, group.where_key());
  search.values = candidates_of(search.spec, file.spec.seed);
  std::string first_error;
  std::vector<std::string> refused;
  for (const std::vector<YamlValue>& values : search.values) {
    const std::string name = fmt::format("c{:03}", file.variants.size() + 1);
    try {
      const Variant candidate = read_variant(document, "candidate", name, keys_of(search.spec, values), {}, "");
      check_searched(candidate.spec, search.spec, group.where_key());
      file.variants.push_back(candidate);
    } catch (const InputError& error) {
      if (refused.empty()) first_error = error.what();
      refused.push_back(name);
      file.variants.push_back({name, "", {}});
    }
    file.variants.back().spec.experiment = fmt::format("{}-{}", file.name, name);
  }
  if (refused.size() == 1) reject("{}", first_error);
  if (!refused.empty())
    reject("{}; {} of {} candidates are refused: {}", first_error, refused.size(), file.variants.size(), join(refused));
  check_extremes(document, search);
  refuse_equals(file.variants, "candidate", group.where_key());
  return file;
}

}  // namespace

ExperimentFile load_experiment(const fs::path& path, const std::vector<std::string>& assignments,
                               const std::string& dataset) {
  const YamlValue document = parse_yaml_file(path);
  const std::vector<Assignment> parts = taken_apart(assignments);
  const YamlValue *variants = document.find("variants"), *search = document.find("search");
  if (variants && search) reject("{}: a file has variants or a search, not both; remove one", search->where_key());
  if (variants) return load_variants(document, parts, dataset, path);
  const std::vector<std::string> meant = {"variants", "search"};
  for (const auto& [key, value] : document.entries)
    if (const std::string hint = did_you_mean(key, meant); !search && !hint.empty())
      reject("{}: unknown key '{}'{}", value.where_key(), key, hint);
  check_addressees(parts, {}, path.string());
  const YamlValue changed = changed_document(document, assignments, dataset);
  if (search) return load_search(changed, parts);
  const Spec spec = parse_spec(changed);
  return {spec.experiment, spec, {}};
}

bool same_experiment(const Spec& a, const Spec& b) { return yaml_without_name(a) == yaml_without_name(b); }

}  // namespace genretree
