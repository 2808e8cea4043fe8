#include <limits>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/text.hpp"
#include "models/tree_file.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

std::string group_of(const std::string& node) { return "/node/" + node; }

void set_details(Hdf5File& file, const Details& details) {
  for (const auto& [name, text] : details) file.set_attribute("/", name, text);
}

void check_networks(const SavedNetworks& saved) {
  const std::vector<TreeNode>& nodes = saved.tree.nodes();
  if (nodes.empty() || saved.networks.size() != nodes.size())
    fail("a tree of {} has {}", count_of(nodes.size(), "node"), count_of(saved.networks.size(), "network"));
  for (std::size_t node = 0; node < nodes.size(); ++node) {
    const Model& model = saved.networks[node].model;
    if (model.node != nodes[node].name || model.genres != nodes[node].children ||
        model.below != saved.tree.genres_below_children(node))
      fail("the network of the node {} has other classes than the node has children", nodes[node].name);
    if (model.features != saved.networks.front().model.features)
      fail("the network of the node {} has other features than that of {}", nodes[node].name, nodes.front().name);
  }
}

/// A node as the tree needs it, without its network.
TreeNode read_node(const Hdf5File& file, const std::string& name) {
  const std::string path = file.path().string();
  if (name.empty() || name.find('/') != std::string::npos || !file.is_group(group_of(name)))
    reject("{} is damaged: it names the node '{}', but has no group '{}'", path, name, group_of(name));
  const Hdf5File group = file.group(group_of(name));
  const auto epochs = group.attribute<std::int64_t>("/", "epochs");
  if (epochs < 1 || epochs > std::numeric_limits<std::uint32_t>::max())
    reject("{} is damaged: the node '{}' has {} epochs", path, name, epochs);
  return {name, static_cast<std::uint32_t>(epochs), group.read<std::string>("/genres").values};
}

GenreTree read_tree(const Hdf5File& file) {
  std::vector<TreeNode> nodes;
  for (const std::string& name : file.read<std::string>("/nodes").values) nodes.push_back(read_node(file, name));
  std::vector<std::string> genres = file.read<std::string>("/genres").values;
  if (const auto problem = find_problem(nodes, genres))
    reject("{} is damaged, for its nodes are no tree: {}", file.path().string(), problem->message);
  return {std::move(nodes), std::move(genres)};
}

}  // namespace

void write_tree_model(const fs::path& path, const SavedNetworks& saved, const Details& common,
                      const std::vector<Details>& details) {
  check_networks(saved);
  if (details.size() != saved.networks.size())
    fail("there are details on {} for a tree of {}", count_of(details.size(), "node"),
         count_of(saved.networks.size(), "node"));
  write_whole(path, [&](const fs::path& temporary) {
    Hdf5File file = Hdf5File::create(temporary);
    write_header(file, tree_kind, saved.networks.front().model.features);
    file.set_attribute("/", "origin", saved.origin);
    set_details(file, common);
    file.write("/genres", saved.tree.genres());
    std::vector<std::string> names;
    for (const TreeNode& node : saved.tree.nodes()) names.push_back(node.name);
    file.write("/nodes", names);
    for (std::size_t node = 0; node < names.size(); ++node) {
      const SavedModel& network = saved.networks[node];
      Hdf5File group = file.group(group_of(names[node]));
      write_network(group, network.model, network.parameters, network.origin);
      group.set_attribute("/", "epochs", static_cast<std::int64_t>(saved.tree.nodes()[node].epochs));
      set_details(group, details[node]);
    }
    file.close();
  });
}

SavedNetworks read_tree_model(const fs::path& path) {
  const Hdf5File file = open_model(path, tree_kind);
  SavedNetworks saved{read_tree(file), {}, file.attribute<std::string>("/", "origin")};
  const std::optional<FeatureConfig> features = read_features(file);
  for (std::size_t node = 0; node < saved.tree.nodes().size(); ++node) {
    const std::string& name = saved.tree.nodes()[node].name;
    saved.networks.push_back(read_network(file.group(group_of(name)), features));
    const Model& model = saved.networks.back().model;
    if (model.node != name || model.below != saved.tree.genres_below_children(node))
      reject("{} is damaged: the network in '{}' belongs to another node, or has other genres below its children",
             path.string(), group_of(name));
    if (model.classifier.inputs() != saved.networks.front().model.classifier.inputs())
      reject("{} is damaged: the networks of '{}' and '{}' take different numbers for each frame", path.string(),
             saved.tree.nodes().front().name, name);
  }
  return saved;
}

SavedNetworks read_networks(const fs::path& path) {
  if (kind_of_model(path) == tree_kind) return read_tree_model(path);
  SavedModel model = read_model(path);
  std::string origin = model.origin;
  return {{}, {std::move(model)}, std::move(origin)};
}

}  // namespace genretree
