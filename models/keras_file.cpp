#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <tuple>

#include "core/error.hpp"
#include "core/io/hdf5.hpp"
#include "models/keras_file.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::json;

// ---------------------------------------------------------------------------------------------- Keras 2, legacy Keras
// 3

/// A list of texts, which lies in parts name0, name1, … if it was too large for one attribute.
std::vector<std::string> text_list(const Hdf5File& file, const std::string& object, const std::string& name) {
  if (file.has_attribute(object, name)) return file.attribute_list<std::string>(object, name);
  if (!file.has_attribute(object, name + "0"))
    reject("'{}' in {} has no attribute '{}': the file is damaged, or was not written by Keras", object,
           file.path().string(), name);
  std::vector<std::string> all;
  for (int part = 0; file.has_attribute(object, fmt::format("{}{}", name, part)); ++part)
    std::ranges::move(file.attribute_list<std::string>(object, fmt::format("{}{}", name, part)),
                      std::back_inserter(all));
  return all;
}

/// "lstm_1/kernel:0" → "kernel"
std::string short_name(const std::string& weight) {
  const std::string last = weight.substr(weight.rfind('/') + 1);
  return last.substr(0, last.find(':'));
}

/// The configurations of the layers by their names; empty if the file has none.
std::map<std::string, Json> layer_configs(const Hdf5File& file) {
  std::map<std::string, Json> configs;
  if (!file.has_attribute("/", "model_config")) return configs;
  try {
    const Json model = Json::parse(file.attribute<std::string>("/", "model_config"));
    const Json& config = model.at("config");
    for (const Json& layer : config.is_array() ? config : config.at("layers"))
      configs[layer.at("config").at("name")] = {{"class_name", layer.at("class_name").get<std::string>()},
                                                {"config", layer.at("config")}};
  } catch (const Json::exception& error) {
    reject("the attribute 'model_config' of {} cannot be read ({}): the file is damaged", file.path().string(),
           error.what());
  }
  return configs;
}

/// The class of a layer that only its weights tell.
std::string kind_by_weights(const KerasLayer& layer, std::size_t weights) {
  if (weights == 0 && layer.name.find("dropout") != std::string::npos) return "Dropout";
  if (weights == 0) return layer.name.starts_with("input") ? "InputLayer" : layer.name;
  if (weights > layer.weights.size()) return "Bidirectional";  // two layers in one: names occur twice
  const auto recurrent = layer.weights.find("recurrent_kernel");
  if (recurrent == layer.weights.end())
    return layer.weights.contains("kernel") && layer.weights.at("kernel").shape.size() == 2 ? "Dense" : layer.name;
  const std::vector<std::size_t>& shape = recurrent->second.shape;
  if (shape.size() != 2) return layer.name;
  if (shape[1] == 3 * shape[0]) return "GRU";
  if (shape[1] == shape[0]) return "SimpleRNN";
  const auto bias = layer.weights.find("bias");
  const bool two_biases = bias != layer.weights.end() && bias->second.values.size() == 2 * shape[1];
  return two_biases ? "CuDNNLSTM" : "LSTM";
}

KerasFile read_legacy(const Hdf5File& file, const std::string& root) {
  KerasFile result{file.path().string(), "", "", {}, false};
  if (file.has_attribute(root, "keras_version")) result.version = file.attribute<std::string>(root, "keras_version");
  const std::map<std::string, Json> configs = layer_configs(file);
  result.has_config = !configs.empty();
  result.layout = fmt::format("{} of Keras {}", result.has_config ? "whole model" : "weights",
                              result.version.empty() ? "of an unknown version" : result.version);
  const std::string prefix = root == "/" ? root : root + "/";
  for (const std::string& name : text_list(file, root, "layer_names")) {
    KerasLayer layer{name, "", {}, {}};
    const std::vector<std::string> weights = text_list(file, prefix + name, "weight_names");
    for (const std::string& weight : weights)
      layer.weights[short_name(weight)] = file.read<float>(prefix + name + "/" + weight);
    layer.kind = kind_by_weights(layer, weights.size());
    if (const auto found = configs.find(name); found != configs.end()) {
      layer.config = found->second.at("config");
      layer.kind = found->second.at("class_name");
    }
    result.layers.push_back(std::move(layer));
  }
  return result;
}

// -------------------------------------------------------------------------------------------------------- Keras 3

/// "lstm_12" → {"lstm", 12}; "lstm" → {"lstm", 0}
std::pair<std::string, int> numbered(const std::string& group) {
  const std::size_t bar = group.rfind('_');
  int number = 0;
  const char *begin = group.data() + std::min(bar, group.size() - 1) + 1, *end = group.data() + group.size();
  const auto [stop, error] = std::from_chars(begin, end, number);
  if (bar == std::string::npos || begin == end || stop != end || error != std::errc()) return {group, 0};
  return {group.substr(0, bar), number};
}

/// The layers of one class in their order, the dense layer last: the order between classes is not in the file.
std::vector<std::string> layer_groups(const Hdf5File& file, const std::string& root) {
  std::vector<std::string> groups = file.members(root);
  std::ranges::stable_sort(groups, {}, [](const std::string& group) {
    const auto [kind, number] = numbered(group);
    return std::tuple(kind == "dense", kind, number);
  });
  return groups;
}

/// Keras's name of a class for the name that its groups have.
std::string kind_of_group(const std::string& group) {
  static const std::map<std::string, std::string> kinds = {{"lstm", "LSTM"},
                                                           {"dense", "Dense"},
                                                           {"dropout", "Dropout"},
                                                           {"input_layer", "InputLayer"},
                                                           {"gru", "GRU"},
                                                           {"masking", "Masking"},
                                                           {"bidirectional", "Bidirectional"}};
  const std::string kind = numbered(group).first;
  const auto found = kinds.find(kind);
  return found == kinds.end() ? kind : found->second;
}

KerasFile read_keras3(const Hdf5File& file, const std::string& root) {
  KerasFile result{file.path().string(), "weights of Keras 3", "3", {}, false};
  for (const std::string& group : layer_groups(file, root)) {
    KerasLayer layer{group, kind_of_group(group), {}, {}};
    if (const std::string variables = fmt::format("{}/{}/vars", root, group); file.has_attribute(variables, "name"))
      layer.name = file.attribute<std::string>(variables, "name");
    const bool is_lstm = layer.kind == "LSTM";
    const std::string folder = fmt::format("{}/{}{}/vars/", root, group, is_lstm ? "/cell" : "");
    const std::vector<std::string> names = is_lstm ? std::vector<std::string>{"kernel", "recurrent_kernel", "bias"}
                                                   : std::vector<std::string>{"kernel", "bias"};
    for (std::size_t i = 0; i < names.size() && (is_lstm || layer.kind == "Dense"); ++i)
      if (const std::string variable = fmt::format("{}{}", folder, i); file.contains(variable))
        layer.weights[names[i]] = file.read<float>(variable);
    result.layers.push_back(std::move(layer));
  }
  return result;
}

// ---------------------------------------------------------------------------------------------------------- any file

/// A .keras archive is no HDF5 file, but holds one.
void refuse_archive(const fs::path& path) {
  char start[2] = {};
  if (std::ifstream(path, std::ios::binary).read(start, 2) && start[0] == 'P' && start[1] == 'K')
    reject(
        "{} is a .keras archive. Take the weights out of it (unzip {} model.weights.h5) and convert these; its "
        "config.json says which --gate it has (recurrent_activation)",
        path.string(), path.filename().string());
}

}  // namespace

KerasFile read_keras_file(const fs::path& path) {
  if (fs::is_directory(path)) reject("{} is a folder, but weights of Keras are a file (.h5)", path.string());
  refuse_archive(path);
  const Hdf5File file = Hdf5File::open(path);
  for (const char* root : {"/model_weights", "/"})
    if (file.has_attribute(root, "layer_names") || file.has_attribute(root, "layer_names0"))
      return read_legacy(file, root);
  // Keras 2.13 to 2.15 wrote the second name in place of the first
  for (const char* root : {"/layers", "/_layer_checkpoint_dependencies"})
    if (file.is_group(root)) return read_keras3(file, root);
  if (file.is_group("/vars"))
    reject(
        "{} holds the weights of a subclassed Keras model, whose order only its program knows. Save the weights of a "
        "Sequential or functional model",
        path.string());
  if (file.has_attribute("/", "format") && file.is_group("/model"))
    reject("{} is a model file of genretree already. To give it to Keras, add --to-keras OUT.weights.h5",
           path.string());
  reject("{} is an HDF5 file, but not one of Keras: it has neither the attribute 'layer_names' nor a group 'layers'",
         path.string());
}

}  // namespace genretree
