#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/ranges.h>
#include <functional>
#include <numeric>

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

/// Calls visit(name, offset in the parameters, shape) for every tensor of an LSTM network.
template <class Visit>
void for_each_tensor(const ParameterLayout& layout, Visit visit) {
  const auto layer = [&](const std::string& name, const ParameterLayout::Tensor& tensor) {
    // kernels are matrices, biases are not, whatever their size
    visit(name, tensor.offset,
          name.ends_with("bias") ? std::vector{tensor.columns} : std::vector{tensor.rows, tensor.columns});
  };
  for (std::size_t l = 0; l < layout.layers.size(); ++l) {
    layer(layer_path(l) + "/kernel", layout.layers[l].kernel);
    layer(layer_path(l) + "/recurrent_kernel", layout.layers[l].recurrent);
    layer(layer_path(l) + "/bias", layout.layers[l].bias);
  }
  layer("/model/dense/kernel", layout.dense_kernel);
  layer("/model/dense/bias", layout.dense_bias);
}

/// The same for a CNN.
template <class Visit>
void for_each_tensor(const CnnConfig& cnn, const CnnLayout& layout, Visit visit) {
  const auto layer = [&](const std::string& path, const CnnLayout::Layer& tensors, std::vector<std::size_t> shape) {
    visit(path + "/kernel", tensors.kernel.offset, shape);
    visit(path + "/bias", tensors.bias.offset, std::vector{tensors.bias.columns});
  };
  if (cnn.standardise) {
    visit("/model/normalization/mean", layout.mean.offset, std::vector{cnn.bands});
    visit("/model/normalization/scale", layout.scale.offset, std::vector{cnn.bands});
  }
  constexpr std::size_t size = CnnConfig::kernel;
  for (std::size_t s = 0; s < cnn.stages.size(); ++s)
    layer(s == 0 ? "/model/conv2d" : fmt::format("/model/conv2d_{}", s), layout.stages[s],
          {size, size, cnn.image(s).channels, cnn.stages[s].filters});
  layer("/model/dense", layout.hidden, {layout.hidden.kernel.rows, layout.hidden.kernel.columns});
  layer("/model/dense_1", layout.output, {layout.output.kernel.rows, layout.output.kernel.columns});
}

template <class Visit>
void for_each_tensor(const ClassifierConfig& classifier, Visit visit) {
  if (classifier.cnn)
    for_each_tensor(*classifier.cnn, CnnLayout(*classifier.cnn, classifier.classes), visit);
  else
    for_each_tensor(ParameterLayout(classifier.stack, classifier.classes), visit);
}

std::size_t product(const std::vector<std::size_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
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

void write_cnn(Hdf5File& file, const CnnConfig& cnn) {
  const auto set = [&](const char* name, std::size_t value) {
    file.set_attribute("/model", name, static_cast<std::int64_t>(value));
  };
  file.set_attribute<std::string>("/model", "network", "cnn");
  set("inputs", cnn.bands), set("frames", cnn.frames), set("channels", cnn.channels), set("units", cnn.units);
  set("standardise", cnn.standardise);
  file.set_attribute("/model", "dropout", cnn.dropout);
  std::vector<std::int64_t> stages;
  for (const auto& [filters, pool] : cnn.stages)
    stages.insert(stages.end(), {static_cast<std::int64_t>(filters), static_cast<std::int64_t>(pool)});
  file.write<std::int64_t>("/model/stages", stages, {cnn.stages.size(), 2});
}

CnnConfig read_cnn(const Hdf5File& file) {
  const auto positive = [&](const char* name, std::int64_t value) {
    if (value <= 0)
      reject("{} says {} of its CNN's {}, but must be above 0. The file is damaged", file.path().string(), value, name);
    return static_cast<std::size_t>(value);
  };
  const auto number = [&](const char* name) { return positive(name, file.attribute<std::int64_t>("/model", name)); };
  CnnConfig cnn{.frames = number("frames"), .bands = number("inputs"), .channels = number("channels")};
  cnn.units = number("units");
  cnn.standardise = file.attribute<std::int64_t>("/model", "standardise") != 0;
  cnn.dropout = file.attribute<double>("/model", "dropout");
  const Hdf5Array<std::int64_t> stages = file.read<std::int64_t>("/model/stages");
  if (stages.shape.size() != 2 || stages.shape[0] == 0 || stages.shape[1] != 2)
    reject("'/model/stages' in {} has the shape [{}], but must be [stages, 2]. The file is damaged",
           file.path().string(), fmt::join(stages.shape, ", "));
  for (std::size_t s = 0; s < stages.shape[0]; ++s)
    cnn.stages.push_back({positive("filters", stages.values[2 * s]), positive("pools", stages.values[2 * s + 1])});
  return cnn;
}

/// All that a network is besides its weights.
void write_settings(Hdf5File& file, const ClassifierConfig& classifier) {
  if (classifier.cnn) {
    write_cnn(file, *classifier.cnn);
    file.set_attribute("/model", "initialisation", std::string(name_of(classifier.initialisation)));
    return;
  }
  const StackConfig& stack = classifier.stack;
  file.set_attribute("/model", "inputs", static_cast<std::int64_t>(stack.inputs));
  file.set_attribute("/model", "gate", std::string(name_of(stack.gate)));
  file.set_attribute("/model", "dropout", stack.dropout);
  file.set_attribute("/model", "recurrent_dropout", stack.recurrent_dropout);
}

void read_settings(const Hdf5File& file, ClassifierConfig& classifier) {
  if (file.has_attribute("/model", "network")) {
    if (const auto network = file.attribute<std::string>("/model", "network"); network != "cnn")
      reject("{} holds a network of the kind '{}', which this version does not know. It knows cnn, and LSTM stacks",
             file.path().string(), network);
    classifier.cnn = read_cnn(file);
    if (file.attribute<std::string>("/model", "initialisation") == name_of(Initialisation::original))
      classifier.initialisation = Initialisation::original;
    return;
  }
  StackConfig& stack = classifier.stack;
  stack.inputs = static_cast<std::size_t>(file.attribute<std::int64_t>("/model", "inputs"));
  stack.gate = read_gate(file);
  stack.dropout = file.attribute<double>("/model", "dropout");
  stack.recurrent_dropout = file.attribute<double>("/model", "recurrent_dropout");
  stack.units = read_units(file);
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
  if (classifier.cnn) {
    for (const auto& [filters, pool] : classifier.cnn->stages) text += fmt::format("conv {} pool {}, ", filters, pool);
    return text + fmt::format("dense {}, dense {}", classifier.cnn->units, classifier.classes);
  }
  for (const std::size_t units : classifier.stack.units) text += fmt::format("LSTM {}, ", units);
  return text + fmt::format("dense {}", classifier.classes);
}

void write_model(Hdf5File& file, const Model& model, std::span<const float> parameters, const std::string& origin) {
  file.set_attribute("/", "format", format);
  file.set_attribute<std::string>("/", "kind", classifier_kind);
  file.set_attribute("/", "origin", origin);
  file.set_attribute<std::string>("/", "features", model.features ? to_json(*model.features) : unknown);
  file.write("/genres", model.genres);
  for_each_tensor(model.classifier,
                  [&](const std::string& name, std::size_t offset, const std::vector<std::size_t>& shape) {
                    file.write<float>(name, parameters.subspan(offset, product(shape)), shape);
                  });
  write_settings(file, model.classifier);
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

std::vector<float> read_parameters(const Hdf5File& file, const ClassifierConfig& classifier) {
  std::vector<float> parameters(classifier.parameter_count());
  for_each_tensor(classifier, [&](const std::string& name, std::size_t offset, const std::vector<std::size_t>& shape) {
    const Hdf5Array<float> array = file.read<float>(name);
    if (array.shape != shape)
      reject("'{}' in {} has the shape [{}], but [{}] is expected: it belongs to another network", name,
             file.path().string(), fmt::join(array.shape, ", "), fmt::join(shape, ", "));
    std::ranges::copy(array.values, parameters.begin() + static_cast<std::ptrdiff_t>(offset));
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
  read_settings(file, model.classifier);
  saved.parameters = read_parameters(file, model.classifier);
  if (!std::ranges::all_of(saved.parameters, [](float weight) { return std::isfinite(weight); }))
    reject("{} holds weights that are no numbers: its training diverged. Use a model of another trial", path.string());
  return saved;
}

}  // namespace genretree
