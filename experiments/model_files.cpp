#include <algorithm>
#include <array>
#include <optional>

#include "core/error.hpp"
#include "core/text.hpp"
#include "experiments/model_files.hpp"
#include "experiments/tree_summary.hpp"
#include "models/tree_file.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

/// The summary of what one classifier was asked for: of a tree's node the clips of the genres below it.
DatasetSummary summary_for(const Model& model, const Data& data, const Split& split) {
  DatasetSummary summary = data.summary;
  summary.train = split.train.size();
  summary.validation = split.validation.size();
  summary.test = split.test.size();
  if (model.node.empty()) return summary;
  const auto is_below = [&](const std::string& genre) {
    return std::ranges::any_of(model.below, [&](const auto& genres) { return std::ranges::count(genres, genre) > 0; });
  };
  std::erase_if(summary.genres, [&](const std::string& genre) { return !is_below(genre); });
  summary.clips = static_cast<std::size_t>(std::ranges::count_if(data.store.labels, [&](std::int32_t label) {
    return is_below(data.store.genres[static_cast<std::size_t>(label)]);
  }));
  return summary;
}

std::string origin_of(const Result& result, const DatasetSummary& data, const Spec& spec) {
  return fmt::format(
      "{}trained for {}{} on {} of {}, run {} of the experiment {}: test accuracy {:.1f} % of {}",
      result.node.empty() ? "" : fmt::format("node {} of a tree, whose children are the classes; ", result.node),
      count_of(result.history.size(), "epoch"),
      result.selected_epoch == result.history.size() ? ""
                                                     : fmt::format(" (weights of epoch {})", result.selected_epoch),
      count_of(data.train, "clip"), data.name, result.run, spec.experiment, 100 * result.test.accuracy,
      count_of(data.test, "clip"));
}

/// Texts of a node's model file that go with it into the tree's, where they may differ from node to node.
std::vector<std::string> names_of_node_details() {
  std::vector<std::string> names = {"run", "commit", "data"};
  for (const auto& [name, field] : backend_info_fields) names.emplace_back(name);
  return names;
}

/// A node's network as its model file holds it.
struct NodeFile {
  SavedModel network;
  Details details;
};

/// Of the node's result. InputError if no folder has the file, or if it belongs to something else.
NodeFile read_node_file(const std::vector<fs::path>& folders, const Spec& spec, std::size_t node,
                        const Result& of_node) {
  const auto path_in = [&](const fs::path& folder) { return folder / "models" / (of_node.run + ".h5"); };
  const auto folder = std::ranges::find_if(folders, [&](const fs::path& f) { return fs::exists(path_in(f)); });
  if (folder == folders.end()) reject("{} is missing", path_in(folders.front()).string());
  const fs::path path = path_in(*folder);
  NodeFile result{read_model(path), {}};
  const Hdf5File file = open_model(path);
  const auto text = [&](const std::string& detail) { return file.attribute<std::string>("/", detail); };
  const Model& model = result.network.model;
  if (text("run") != of_node.run || text("spec_hash") != of_node.spec_hash || model.node != of_node.node ||
      model.genres != spec.tree.nodes()[node].children || model.below != spec.tree.genres_below_children(node))
    reject("{} belongs to another node, trial or experiment", path.string());
  for (const std::string& detail : names_of_node_details()) result.details.emplace_back(detail, text(detail));
  return result;
}

/// `results`: of the trial's nodes.
void make_tree_model(const std::vector<fs::path>& folders, const Spec& spec, const TreeTrial& trial,
                     const std::vector<const Result*>& results) {
  SavedNetworks tree{spec.tree, {}, ""};
  std::vector<Details> details;
  DatasetSummary data;  // of the root, which is asked for all clips
  for (std::size_t node = 0; node < spec.tree.nodes().size(); ++node) {
    NodeFile file = read_node_file(folders, spec, node, *results[node]);
    const auto text = std::ranges::find(file.details, "data", &Details::value_type::first);
    if (DatasetSummary own = dataset_summary_from_json(text->second); own.train > data.train) data = std::move(own);
    tree.networks.push_back(std::move(file.network));
    details.push_back(std::move(file.details));
  }
  tree.origin = fmt::format(
      "tree of {} trained on {} of {}, trial {} of the experiment {}: test accuracy {:.1f} % by hard and "
      "{:.1f} % by soft routing of {}",
      count_of(tree.networks.size(), "node"), count_of(data.train, "clip"), data.name, trial.trial, spec.experiment,
      100 * trial.accuracy(&DecodedClip::hard), 100 * trial.accuracy(&DecodedClip::soft),
      count_of(trial.clips.size(), "clip"));
  write_tree_model(tree_model_path(folders.front(), trial.trial), tree,
                   {{"trial", fmt::format("{}", trial.trial)},
                    {"seed", fmt::format("{}", results.front()->seed)},
                    {"spec", to_yaml(spec, false)},
                    {"spec_hash", results.front()->spec_hash},
                    {"data", to_json(data)}},
                   details);
}

}  // namespace

void write_result_model(const fs::path& path, const Spec& spec, const Data& data, const Split& split,
                        const Result& result, const SavedModel& network) {
  const DatasetSummary summary = summary_for(network.model, data, split);
  Details details{{"run", result.run},
                  {"epochs", fmt::format("{}", result.epochs)},
                  {"trial", fmt::format("{}", result.trial)},
                  {"seed", fmt::format("{}", result.seed)},
                  {"spec", to_yaml(spec, false)},
                  {"spec_hash", result.spec_hash},
                  {"commit", result.commit},
                  {"data", to_json(summary)}};
  for (const auto& [name, field] : backend_info_fields) details.emplace_back(name, result.backend.*field);
  write_model(path, {network.model, network.parameters, origin_of(result, summary, spec)}, details);
}

fs::path tree_model_path(const fs::path& folder, std::uint32_t trial) {
  return folder / "models" / fmt::format("tree-t{}.h5", trial);
}

std::vector<std::string> make_tree_models(const std::vector<fs::path>& folders, const Spec& spec,
                                          const std::vector<Result>& results) {
  std::vector<std::string> problems;
  if (spec.tree.empty()) return problems;
  for (const TreeTrial& trial : decode_trials(spec.tree, results)) {
    const fs::path path = tree_model_path(folders.front(), trial.trial);
    if (fs::exists(path)) continue;
    std::vector<const Result*> of_nodes;
    for (const TreeNode& node : spec.tree.nodes())
      of_nodes.push_back(&*std::ranges::find_if(
          results, [&](const Result& result) { return result.node == node.name && result.trial == trial.trial; }));
    try {
      make_tree_model(folders, spec, trial, of_nodes);
    } catch (const InputError& error) {
      problems.push_back(fmt::format("{} cannot be made: {}", path.string(), error.what()));
    }
  }
  return problems;
}

}  // namespace genretree
