#include <algorithm>
#include <cctype>

#include "experiments/fields.hpp"
#include "experiments/spec.hpp"
#include "experiments/tree_spec.hpp"

namespace genretree {
namespace {

/// A run is called by its node and trial, and so is its checkpoint.
bool is_node_name(const std::string& name) {
  const auto allowed = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-' || c == '.'; };
  return !name.empty() && std::isalnum(static_cast<unsigned char>(name[0])) && std::ranges::all_of(name, allowed);
}

const YamlValue& required(const YamlValue& node, const std::string& name, const char* key) {
  const YamlValue* value = node.find(key);
  if (!value)
    reject("{}: tree.{}: '{}' is missing; a node is {{epochs: 20, children: [jazz, rock]}}", node.where_key(), name,
           key);
  return *value;
}

std::uint32_t read_epochs(const YamlValue& given, const std::string& key) {
  std::uint64_t epochs = 0;
  if (!read_whole(given, 1, most_epochs, epochs))
    reject("{}: {} cannot be {}: allowed is a whole number from 1 to {}", given.where(), key, given.describe(),
           most_epochs);
  return static_cast<std::uint32_t>(epochs);
}

TreeNode read_node(const YamlValue& value, const std::string& name) {
  if (!is_node_name(name))
    reject("{}: tree: '{}' cannot name a node: allowed are letters, digits, '_', '-' and '.', first a letter or digit",
           value.where_key(), name);
  if (name == "tree")
    reject("{}: tree: 'tree' cannot name a node, for models/tree-t0.h5 holds the whole tree; choose another",
           value.where_key());
  if (value.kind != YamlValue::Kind::map)
    reject("{}: tree.{} cannot be {}: allowed is {{epochs: …, children: […]}}", value.where(), name, value.describe());
  const std::vector<std::string> known = {"epochs", "children"};
  for (const auto& [key, entry] : value.entries)
    if (std::ranges::find(known, key) == known.end())
      reject("{}: unknown key 'tree.{}.{}'{}; known here: {}", entry.where_key(), name, key, did_you_mean(key, known),
             join(known));
  TreeNode node{name, 0, {}};
  node.epochs = read_epochs(required(value, name, "epochs"), fmt::format("tree.{}.epochs", name));
  const YamlValue& children = required(value, name, "children");
  const auto is_word = [](const YamlValue& item) { return item.kind == YamlValue::Kind::scalar && !item.text.empty(); };
  if (children.kind != YamlValue::Kind::sequence)
    reject("{}: tree.{}.children cannot be {}: allowed is a list of nodes and genres", children.where(), name,
           children.describe());
  for (const YamlValue& child : children.items) {
    if (!is_word(child))
      reject("{}: tree.{}.children cannot hold {}: allowed is a list of nodes and genres", child.where(), name,
             child.describe());
    node.children.push_back(child.text);
  }
  return node;
}

/// Where a problem lies in the file.
std::string where(const YamlValue& map, const TreeProblem& problem) {
  if (!problem.node) return map.where_key();
  const YamlValue& node = map.entries[*problem.node].second;
  return problem.child ? node.find("children")->items[*problem.child].where() : node.where_key();
}

}  // namespace

GenreTree read_tree(const YamlValue& map, const std::vector<std::string>& genres) {
  std::vector<TreeNode> nodes;
  for (const auto& [name, value] : map.entries) nodes.push_back(read_node(value, name));
  if (const auto problem = find_problem(nodes, genres)) reject("{}: tree: {}", where(map, *problem), problem->message);
  return {std::move(nodes), genres};
}

bool asks_for_learned_tree(const YamlValue& value) {
  if (value.kind == YamlValue::Kind::scalar) return value.text == "learn";
  return value.entries.size() == 1 && value.find("learn") && !value.find("learn")->find("children");
}

std::uint32_t read_learned_tree_epochs(const YamlValue& value) {
  const YamlValue* settings = value.find("learn");
  if (!settings) return 30;
  if (settings->kind != YamlValue::Kind::map)
    reject("{}: tree.learn cannot be {}: allowed is {{epochs: 30}}", settings->where(), settings->describe());
  for (const auto& [key, entry] : settings->entries)
    if (key != "epochs")
      reject("{}: unknown key 'tree.learn.{}'; known here: epochs (with children, it would be a node)",
             entry.where_key(), key);
  const YamlValue* epochs = settings->find("epochs");
  return epochs ? read_epochs(*epochs, "tree.learn.epochs") : 30;
}

std::string write_tree(const GenreTree& tree) {
  if (tree.empty()) return "{}";
  std::string text;
  for (const TreeNode& node : tree.nodes()) {
    std::vector<std::string> children;
    for (const std::string& child : node.children) children.push_back(yaml_text(child));
    text += fmt::format("\n  {}: {{epochs: {}, children: [{}]}}", yaml_text(node.name), node.epochs, join(children));
  }
  return text;
}

}  // namespace genretree
