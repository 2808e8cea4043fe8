#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/ranges.h>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/text.hpp"
#include "models/model_file.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

constexpr std::int32_t format = 1;
constexpr const char* unknown = "unknown";
constexpr std::array gates{Gate::sigmoid, Gate::hard_sigmoid, Gate::hard_sigmoid_keras3};

std::string layer_path(std::size_t layer) { return "/model/" + lstm_layer_name(layer); }

/// Calls visit(name, tensor) for every tensor of a network.
template <class Visit>
void for_each_tensor(const ParameterLayout& layout, Visit visit) {
  for (std::size_t layer = 0; layer < layout.layers.size(); ++layer) {
    visit(layer_path(layer) + "/kernel", layout.layers[layer].kernel);
    visit(layer_path(layer) + "/recurrent_kernel", layout.layers[layer].recurrent);
    visit(layer_path(layer) + "/bias", layout.layers[layer].bias);
  }
  visit("/model/dense/kernel", layout.dense_kernel);
  visit("/model/dense/bias", layout.dense_bias);
}

/// Kernels are matrices, biases are not, whatever their size.
std::vector<std::size_t> shape_of(const std::string& name, const ParameterLayout::Tensor& tensor) {
  if (name.ends_with("bias")) return {tensor.columns};
  return {tensor.rows, tensor.columns};
}

Gate read_gate(const Hdf5File& file) {
  const auto text = file.attribute<std::string>("/model", "gate");
  const std::optional<Gate> gate = gate_named(text);
  if (!gate)
    reject("{} has the gate '{}', which this version does not know. It knows {}", file.path().string(), text,
           join(gate_names()));
  return *gate;
}

/// The units of each layer, as the recurrent kernels tell them.
std::vector<std::size_t> read_units(const Hdf5File& file) {
  std::vector<std::size_t> units;
  while (file.contains(layer_path(units.size()))) {
    const std::string name = layer_path(units.size()) + "/recurrent_kernel";
    const std::vector<std::size_t> shape = file.read<float>(name).shape;
    if (shape.size() != 2 || shape[0] == 0)
      reject("'{}' in {} has the shape [{}], but must be a matrix [H, 4H]. The file is damaged", name,
             file.path().string(), fmt::join(shape, ", "));
    units.push_back(shape[0]);
  }
  if (units.empty()) reject("{} has no LSTM layer: it lacks '{}'", file.path().string(), layer_path(0));
  return units;
}

}  // namespace

std::string_view name_of(Gate gate) {
  switch (gate) {
    case Gate::sigmoid:
      return "sigmoid";
    case Gate::hard_sigmoid:
      return "hard_sigmoid";
    case Gate::hard_sigmoid_keras3:
      return "hard_sigmoid_keras3";
  }
  fail("a gate has no name");
}

std::optional<Gate> gate_named(std::string_view name) {
  const auto* found = std::ranges::find(gates, name, [](Gate gate) { return name_of(gate); });
  return found == gates.end() ? std::nullopt : std::optional(*found);
}

const std::vector<std::string>& gate_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Gate gate : gates) list.emplace_back(name_of(gate));
    return list;
  }();
  return names;
}

std::string lstm_layer_name(std::size_t layer) { return layer == 0 ? "lstm" : fmt::format("lstm_{}", layer); }

std::string describe(const ClassifierConfig& classifier) {
  std::string text;
  for (const std::size_t units : classifier.stack.units) text += fmt::format("LSTM {}, ", units);
  return text + fmt::format("dense {}", classifier.classes);
}

void write_model(Hdf5File& file, const Model& model, std::span<const float> parameters, const std::string& origin) {
  file.set_attribute("/", "format", format);
  file.set_attribute<std::string>("/", "kind", classifier_kind);
  file.set_attribute("/", "origin", origin);
  file.set_attribute<std::string>("/", "features", model.features ? to_json(*model.features) : unknown);
  file.write("/genres", model.genres);
  for_each_tensor(ParameterLayout(model.classifier.stack, model.classifier.classes),
                  [&](const std::string& name, const ParameterLayout::Tensor& tensor) {
                    file.write<float>(name, parameters.subspan(tensor.offset, tensor.size()), shape_of(name, tensor));
                  });
  const StackConfig& stack = model.classifier.stack;
  file.set_attribute("/model", "inputs", static_cast<std::int64_t>(stack.inputs));
  file.set_attribute("/model", "gate", std::string(name_of(stack.gate)));
  file.set_attribute("/model", "dropout", stack.dropout);
  file.set_attribute("/model", "recurrent_dropout", stack.recurrent_dropout);
}

void write_model(const fs::path& path, const SavedModel& saved, const Details& details) {
  write_whole(path, [&](const fs::path& temporary) {
    Hdf5File file = Hdf5File::create(temporary);
    write_model(file, saved.model, saved.parameters, saved.origin);
    for (const auto& [name, text] : details) file.set_attribute("/", name, text);
    file.close();
  });
}

Hdf5File open_model(const fs::path& path) {
  if (fs::is_directory(path)) reject("{} is a folder, but a model is a file (.h5)", path.string());
  Hdf5File file = Hdf5File::open(path);
  if (!file.has_attribute("/", "format") || !file.has_attribute("/", "features"))
    reject(
        "{} is not a model file of genretree. run_experiment leaves models in the folder models/ of its run; "
        "convert_weights makes them from Keras's files",
        path.string());
  if (const auto found = file.attribute<std::int32_t>("/", "format"); found != format)
    reject("{} has format {}, but this version reads format {}", path.string(), found, format);
  const std::string kind =
      file.has_attribute("/", "kind") ? file.attribute<std::string>("/", "kind") : std::string(classifier_kind);
  if (kind != classifier_kind)
    reject("{} is a model of the kind '{}', but a '{}' is needed here", path.string(), kind, classifier_kind);
  return file;
}

std::vector<float> read_parameters(const Hdf5File& file, const ParameterLayout& layout) {
  std::vector<float> parameters(layout.size);
  for_each_tensor(layout, [&](const std::string& name, const ParameterLayout::Tensor& tensor) {
    const Hdf5Array<float> array = file.read<float>(name);
    if (const std::vector<std::size_t> expected = shape_of(name, tensor); array.shape != expected)
      reject("'{}' in {} has the shape [{}], but [{}] is expected: it belongs to another network", name,
             file.path().string(), fmt::join(array.shape, ", "), fmt::join(expected, ", "));
    std::ranges::copy(array.values, parameters.begin() + static_cast<std::ptrdiff_t>(tensor.offset));
  });
  return parameters;
}

SavedModel read_model(const fs::path& path) {
  const Hdf5File file = open_model(path);
  SavedModel saved;
  Model& model = saved.model;
  if (file.has_attribute("/", "origin")) saved.origin = file.attribute<std::string>("/", "origin");
  if (const auto features = file.attribute<std::string>("/", "features"); features != unknown)
    model.features = feature_config_from_json(features);
  model.genres = file.read<std::string>("/genres").values;
  model.classifier.classes = model.genres.size();
  if (model.genres.size() < 2)
    reject("{} has {}, but a classifier needs at least two", path.string(), count_of(model.genres.size(), "genre"));
  StackConfig& stack = model.classifier.stack;
  stack.inputs = static_cast<std::size_t>(file.attribute<std::int64_t>("/model", "inputs"));
  stack.gate = read_gate(file);
  stack.dropout = file.attribute<double>("/model", "dropout");
  stack.recurrent_dropout = file.attribute<double>("/model", "recurrent_dropout");
  stack.units = read_units(file);
  const ParameterLayout layout(stack, model.classifier.classes);
  saved.parameters = read_parameters(file, layout);
  if (!std::ranges::all_of(saved.parameters, [](float weight) { return std::isfinite(weight); }))
    reject("{} holds weights that are no numbers: its training diverged. Use a model of another trial", path.string());
  return saved;
}

}  // namespace genretree
