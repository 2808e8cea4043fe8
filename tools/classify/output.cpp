#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/text.hpp"
#include "tools/classify/output.hpp"

namespace genretree {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
namespace {

/// One node of a tree, alone: its classes are children.
bool is_single_node(const SavedNetworks& model) {
  return model.tree.empty() && !model.networks.front().model.node.empty();
}

// ---------------------------------------------------------------------------------------------------------------- text

/// "LSTM 128, LSTM 32, dense 6", or of a tree "LSTM 128, LSTM 32, dense at each node"
std::string network_of(const SavedNetworks& model) {
  const std::string network = describe(model.networks.front().model.classifier);
  return model.tree.empty() ? network : network.substr(0, network.rfind("dense ")) + "dense at each node";
}

/// "jazz 63.2 %, blues 20.1 %, …", the most probable first.
std::string ranking(const std::vector<double>& probabilities, const std::vector<std::string>& names) {
  std::vector<std::size_t> order(names.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t i) { return probabilities[i]; });
  std::vector<std::string> parts;
  for (const std::size_t i : order) parts.push_back(fmt::format("{} {:.1f} %", names[i], 100 * probabilities[i]));
  return join(parts);
}

/// "music → strong 0.91 → sub-strong-1 0.77 → metal 0.64": each node's probability of the child that it sends the clip
/// to.
std::string path_text(const SavedNetworks& model, const Answer& answer, const Decision& decision) {
  std::string text = model.tree.nodes()[decision.path.front().node].name;
  for (const auto& [node, child] : decision.path)
    text += fmt::format(" → {} {:.2f}", model.tree.nodes()[node].children[child], answer.networks[node][child]);
  return text;
}

std::string name_of(const Answer& answer) { return answer.track.empty() ? answer.input.string() : answer.track; }

void print_agreement(const SavedNetworks& model, const Agreement& agreement) {
  const auto& [clips, other_genres, right, right_soft] = agreement;
  const std::string others =
      other_genres ? fmt::format("; {} of other genres left out", count_of(other_genres, "clip")) : "";
  const auto share = [&](std::size_t n) {
    return fmt::format("{} ({:.1f} %)", n, 100 * static_cast<double>(n) / static_cast<double>(clips));
  };
  constexpr const char* note = "Clips that the model was trained on count too";
  if (clips == 0) {
    if (other_genres) fmt::print("\nno clip has a genre that the model knows\n");
  } else if (!model.tree.empty()) {
    fmt::print("\n{} of {} as their stores label them by hard routing, {} by soft routing{}. {}\n", share(right),
               count_of(clips, "clip"), share(right_soft), others, note);
  } else if (is_single_node(model)) {
    fmt::print("\n{} of {} below the node {} go to the child that their genre lies below{}. {}\n", share(right),
               count_of(clips, "clip"), model.networks.front().model.node, others, note);
  } else {
    fmt::print("\n{} of {} as their stores label them{}. {}\n", share(right), count_of(clips, "clip"), others, note);
  }
}

// ---------------------------------------------------------------------------------------------------------------- JSON

Json model_json(const fs::path& path, const SavedNetworks& model) {
  const Model& first = model.networks.front().model;
  Json json = {{"file", path.string()},
               {"kind", model.tree.empty() ? classifier_kind : tree_kind},
               {"network", network_of(model)},
               {"origin", model.origin},
               {"features", first.features ? Json::parse(to_json(*first.features)) : Json("unknown")}};
  if (is_single_node(model)) {
    json["node"] = first.node;
    json["children"] = first.genres;
    for (std::size_t child = 0; child < first.genres.size(); ++child)
      json["genres_below"][first.genres[child]] = first.below[child];
    return json;
  }
  json["genres"] = names_of_answers(model);
  for (const TreeNode& node : model.tree.nodes()) json["nodes"][node.name] = node.children;
  return json;
}

template <class T>
Json named(const std::vector<std::string>& names, const std::vector<T>& values) {
  Json json = Json::object();
  for (std::size_t i = 0; i < names.size(); ++i) json[names[i]] = values[i];
  return json;
}

Json answer_json(const SavedNetworks& model, const Answer& answer) {
  Json json = {{"input", answer.input.string()}};
  if (!answer.error.empty()) {
    json["error"] = answer.error;
    return json;
  }
  const Decision decision = decide(model, answer);
  const std::vector<std::string>& names = names_of_answers(model);
  if (!answer.track.empty()) json["track"] = answer.track, json["label"] = answer.label;
  json[is_single_node(model) ? "child" : "genre"] = names[decision.best];
  json["probabilities"] = named(names, decision.probabilities);
  if (!model.tree.empty()) {
    const std::vector<TreeNode>& nodes = model.tree.nodes();
    json["soft_genre"] = names[decision.soft];
    for (const auto& [node, child] : decision.path)
      json["path"].push_back({{"node", nodes[node].name},
                              {"child", nodes[node].children[child]},
                              {"probability", answer.networks[node][child]}});
    for (std::size_t node = 0; node < nodes.size(); ++node)
      json["nodes"][nodes[node].name] = named(nodes[node].children, answer.networks[node]);
  }
  json["windows"] = answer.windows;
  return json;
}

}  // namespace

void print_text(const fs::path& model_path, const SavedNetworks& model, const std::vector<Answer>& answers) {
  const std::vector<std::string>& names = names_of_answers(model);
  std::size_t input_width = 0, name_width = 0;
  for (const Answer& answer : answers) input_width = std::max(input_width, name_of(answer).size());
  for (const std::string& name : names) name_width = std::max(name_width, name.size());
  fmt::print("{}: {}; {}\n\n", model_path.string(), network_of(model), model.origin);
  for (const Answer& answer : answers) {
    if (!answer.error.empty()) continue;
    const Decision decision = decide(model, answer);
    const std::string ranked = ranking(decision.probabilities, names);
    fmt::print(
        "{:<{}}  {:<{}}  {}{}\n", name_of(answer), input_width, names[decision.best], name_width,
        model.tree.empty() ? ranked : fmt::format("{}; soft routing: {}", path_text(model, answer, decision), ranked),
        answer.windows > 1 ? fmt::format("; mean of {} windows", answer.windows) : "");
  }
  print_agreement(model, agreement_of(model, answers));
}

void print_json(const fs::path& model_path, const SavedNetworks& model, const std::vector<Answer>& answers) {
  Json document = {{"model", model_json(model_path, model)}, {"inputs", Json::array()}};
  for (const Answer& answer : answers) document["inputs"].push_back(answer_json(model, answer));
  if (const Agreement agreement = agreement_of(model, answers); agreement.clips + agreement.other_genres > 0) {
    document["agreement"] = {
        {"clips", agreement.clips}, {"other_genres", agreement.other_genres}, {"right", agreement.right}};
    if (!model.tree.empty()) document["agreement"]["right_soft"] = agreement.right_soft;
  }
  fmt::print("{}\n", document.dump(2, ' ', false, Json::error_handler_t::replace));
}

}  // namespace genretree
