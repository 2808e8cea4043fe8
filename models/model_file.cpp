#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/ranges.h>
#include <functional>
#include <numeric>
#include <xxhash.h>

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
void for_each_tensor(const NetworkConfig& network, const ParameterLayout& layout, Visit visit) {
  const auto layer = [&](const std::string& name, const ParameterLayout::Tensor& tensor) {
    // kernels are matrices, biases are not, whatever their size
    visit(name, tensor.offset,
          name.ends_with("kernel") ? std::vector{tensor.rows, tensor.columns} : std::vector{tensor.columns});
  };
  if (network.standardise) layer("/model/normalization/mean", layout.mean);
  if (network.standardise) layer("/model/normalization/scale", layout.scale);
  for (std::size_t l = 0; l < layout.layers.size(); ++l) {
    const bool backward = l % network.directions() == 1;
    const std::string path = layer_path(l / network.directions()) + (backward ? "/backward" : "");
    layer(path + "/kernel", layout.layers[l].kernel);
    layer(path + "/recurrent_kernel", layout.layers[l].recurrent);
    layer(path + "/bias", layout.layers[l].bias);
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
    for_each_tensor(classifier.stack, ParameterLayout(classifier.stack, classifier.classes), visit);
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

/// InputError if the features have another width than the network.
void check_width(const Hdf5File& file, const std::optional<FeatureConfig>& features, std::size_t inputs) {
  if (features && features->width() != inputs)
    reject("{} is damaged: its network takes {} numbers for each frame, but its features have {}", file.path().string(),
           inputs, features->width());
}

/// InputError if the features have another number of frames than a CNN takes.
void check_frames(const Hdf5File& file, const std::optional<FeatureConfig>& features, const CnnConfig& cnn) {
  if (features && features->frames != cnn.feature_frames())
    reject("{} is damaged: its network takes {} frames, but its features have {}", file.path().string(),
           cnn.feature_frames(), features->frames);
}

Initialisation read_initialisation(const Hdf5File& file) {
  const auto text = file.attribute<std::string>("/model", "initialisation");
  for (const Initialisation known : {Initialisation::he, Initialisation::original})
    if (text == name_of(known)) return known;
  reject("{} has the initialisation '{}', which this version does not know. It knows he, original",
         file.path().string(), text);
}

/// Numbers for each frame, as the first kernel of an LSTM tells them too.
std::size_t read_inputs(const Hdf5File& file) {
  const auto inputs = file.attribute<std::int64_t>("/model", "inputs");
  const std::vector<std::size_t> shape = file.read<float>(layer_path(0) + "/kernel").shape;
  if (inputs < 1 || shape.empty() || shape[0] != static_cast<std::size_t>(inputs))
    reject("{} is damaged: its network takes {} numbers for each frame, but the kernel of the first layer has {}",
           file.path().string(), inputs, shape.empty() ? 0 : shape[0]);
  return static_cast<std::size_t>(inputs);
}

double read_rate(const Hdf5File& file, const char* name) {
  const auto rate = file.attribute<double>("/model", name);
  if (!(rate >= 0 && rate < 1))
    reject("{} has the {} {}, but allowed is a number from 0 on and below 1", file.path().string(), name, rate);
  return rate;
}

void write_below(Hdf5File& file, const Model& model) {
  std::vector<std::string> genres;
  std::vector<std::int32_t> children;
  for (std::size_t child = 0; child < model.below.size(); ++child)
    for (const std::string& genre : model.below[child]) {
      genres.push_back(genre);
      children.push_back(static_cast<std::int32_t>(child));
    }
  file.write("/below/genres", genres);
  file.write("/below/children", children);
  file.set_attribute("/", "node", model.node);
}

void read_below(const Hdf5File& file, Model& model) {
  if (!file.has_attribute("/", "node")) return;
  model.node = file.attribute<std::string>("/", "node");
  model.below.resize(model.genres.size());
  const std::vector<std::string> genres = file.read<std::string>("/below/genres").values;
  const std::vector<std::int32_t> children = file.read<std::int32_t>("/below/children").values;
  const auto is_child = [&](std::int32_t child) {
    return child >= 0 && static_cast<std::size_t>(child) < model.genres.size();
  };
  if (genres.size() != children.size() || !std::ranges::all_of(children, is_child))
    reject("'/below' in {} is damaged: it must name a child of the node for each of {}", file.path().string(),
           count_of(genres.size(), "genre"));
  for (std::size_t i = 0; i < genres.size(); ++i)
    model.below[static_cast<std::size_t>(children[i])].push_back(genres[i]);
}

std::string checksum_of(const std::string& text) {
  return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

/// An LSTM that hears a whole clip once, and answers after its last frame.
bool is_plain(const ClassifierConfig& classifier) {
  const NetworkConfig& stack = classifier.stack;
  return !stack.bidirectional && stack.readout == Readout::last && stack.layer_dropout == 0 && !stack.standardise &&
         classifier.window == 0;
}

/// Every setting of a network, for its checksum.
std::string settings_of(const ClassifierConfig& classifier) {
  if (const auto& cnn = classifier.cnn)
    return fmt::format("{} {} {} {} {} {} {}", describe(classifier), cnn->bands, cnn->frames, cnn->channels,
                       cnn->dropout, cnn->standardise, name_of(classifier.initialisation));
  const NetworkConfig& stack = classifier.stack;
  std::string text = fmt::format("{} {} {} {} {}", stack.inputs, fmt::join(stack.units, "-"), name_of(stack.gate),
                                 stack.dropout, stack.recurrent_dropout);
  if (!is_plain(classifier))
    text += fmt::format(" {} {} {} {} {}", stack.bidirectional, name_of(stack.readout), stack.layer_dropout,
                        stack.standardise, classifier.window);
  return text;
}

/// Over everything but the features that an answer depends on.
std::string checksum_of(const Model& model, std::span<const float> parameters) {
  std::string text = fmt::format("{}\n{}\n{}", join(model.genres, "\n"), model.node, settings_of(model.classifier));
  for (const std::vector<std::string>& genres : model.below) text += "\n\n" + join(genres, "\n");
  return fmt::format("{:016x}", XXH3_64bits_withSeed(parameters.data(), parameters.size_bytes(),
                                                     XXH3_64bits(text.data(), text.size())));
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
  constexpr std::int64_t largest = 32767;  // four such numbers multiply without overflow
  const auto positive = [&](const char* name, std::int64_t value) {
    if (value <= 0 || value > largest)
      reject("{} says {} of its CNN's {}, but must say 1 to {}. The file is damaged", file.path().string(), value, name,
             largest);
    return static_cast<std::size_t>(value);
  };
  const auto number = [&](const char* name) { return positive(name, file.attribute<std::int64_t>("/model", name)); };
  CnnConfig cnn{.frames = number("frames"), .bands = number("inputs"), .channels = number("channels")};
  cnn.units = number("units");
  cnn.standardise = file.attribute<std::int64_t>("/model", "standardise") != 0;
  cnn.dropout = read_rate(file, "dropout");
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
  const NetworkConfig& stack = classifier.stack;
  file.set_attribute("/model", "inputs", static_cast<std::int64_t>(stack.inputs));
  file.set_attribute("/model", "gate", std::string(name_of(stack.gate)));
  file.set_attribute("/model", "dropout", stack.dropout);
  file.set_attribute("/model", "recurrent_dropout", stack.recurrent_dropout);
  if (is_plain(classifier)) return;
  file.set_attribute("/model", "bidirectional", std::int64_t{stack.bidirectional});
  file.set_attribute("/model", "readout", std::string(name_of(stack.readout)));
  file.set_attribute("/model", "layer_dropout", stack.layer_dropout);
  file.set_attribute("/model", "window", static_cast<std::int64_t>(classifier.window));
}

void read_options(const Hdf5File& file, ClassifierConfig& classifier) {
  NetworkConfig& stack = classifier.stack;
  stack.standardise = file.contains("/model/normalization");
  if (!file.has_attribute("/model", "readout")) return;
  stack.bidirectional = file.attribute<std::int64_t>("/model", "bidirectional") != 0;
  const auto readout = file.attribute<std::string>("/model", "readout");
  const auto* known = std::ranges::find(readouts, readout, [](Readout kind) { return name_of(kind); });
  if (known == std::end(readouts))
    reject("{} has the readout '{}', which this version does not know. It knows last, mean, max, mean_max",
           file.path().string(), readout);
  stack.readout = *known;
  stack.layer_dropout = read_rate(file, "layer_dropout");
  const auto window = file.attribute<std::int64_t>("/model", "window");
  if (window < 0) reject("{} has a window of {} frames. The file is damaged", file.path().string(), window);
  classifier.window = static_cast<std::size_t>(window);
}

void read_settings(const Hdf5File& file, const std::optional<FeatureConfig>& features, ClassifierConfig& classifier) {
  if (file.has_attribute("/model", "network")) {
    if (const auto network = file.attribute<std::string>("/model", "network"); network != "cnn")
      reject("{} holds a network of the kind '{}', which this version does not know. It knows cnn, and LSTM stacks",
             file.path().string(), network);
    classifier.cnn = read_cnn(file);
    check_width(file, features, classifier.cnn->bands);
    check_frames(file, features, *classifier.cnn);
    classifier.initialisation = read_initialisation(file);
    return;
  }
  NetworkConfig& stack = classifier.stack;
  stack.inputs = read_inputs(file);
  check_width(file, features, stack.inputs);
  stack.gate = read_gate(file);
  stack.dropout = read_rate(file, "dropout");
  stack.recurrent_dropout = read_rate(file, "recurrent_dropout");
  stack.units = read_units(file);
  read_options(file, classifier);
}

}  // namespace

std::string_view name_of(Readout readout) {
  switch (readout) {
    case Readout::last:
      return "last";
    case Readout::mean:
      return "mean";
    case Readout::max:
      return "max";
    case Readout::mean_max:
      return "mean_max";
  }
  fail("a readout has no name");
}

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

std::string_view describe(Readout readout) {
  switch (readout) {
    case Readout::last:
      return "last frame";
    case Readout::mean:
      return "mean";
    case Readout::max:
      return "maximum";
    case Readout::mean_max:
      return "mean and maximum";
  }
  fail("a readout has no description");
}

std::string describe(const ClassifierConfig& classifier) {
  std::string text;
  if (classifier.cnn) {
    for (const auto& [filters, pool] : classifier.cnn->stages) text += fmt::format("conv {} pool {}, ", filters, pool);
    return text + fmt::format("dense {}, dense {}", classifier.cnn->units, classifier.classes);
  }
  const NetworkConfig& stack = classifier.stack;
  for (const std::size_t units : stack.units)
    text += fmt::format("{} {}, ", stack.bidirectional ? "bidirectional LSTM" : "LSTM", units);
  if (stack.readout != Readout::last) text += fmt::format("{} over time, ", describe(stack.readout));
  return text + fmt::format("dense {}", classifier.classes);
}

void write_network(Hdf5File& file, const Model& model, std::span<const float> parameters, const std::string& origin) {
  file.write("/genres", model.genres);
  for_each_tensor(model.classifier,
                  [&](const std::string& name, std::size_t offset, const std::vector<std::size_t>& shape) {
                    file.write<float>(name, parameters.subspan(offset, product(shape)), shape);
                  });
  write_settings(file, model.classifier);
  file.set_attribute("/model", "checksum", checksum_of(model, parameters));
  file.set_attribute("/", "origin", origin);
  if (!model.node.empty()) write_below(file, model);
}

void write_model(Hdf5File& file, const Model& model, std::span<const float> parameters, const std::string& origin) {
  write_header(file, classifier_kind, model.features);
  write_network(file, model, parameters, origin);
}

void write_model(const fs::path& path, const SavedModel& saved, const Details& details) {
  write_whole(path, [&](const fs::path& temporary) {
    Hdf5File file = Hdf5File::create(temporary);
    write_model(file, saved.model, saved.parameters, saved.origin);
    for (const auto& [name, text] : details) file.set_attribute("/", name, text);
    file.close();
  });
}

namespace {

/// Opens any model file of this format.
Hdf5File open_any_model(const fs::path& path) {
  if (fs::is_directory(path)) reject("{} is a folder, but a model is a file (.h5)", path.string());
  Hdf5File file = Hdf5File::open(path);
  if (!file.has_attribute("/", "format") || !file.has_attribute("/", "features"))
    reject(
        "{} is not a model file of genretree. run_experiment leaves models in the folder models/ of its run; "
        "convert_weights makes them from Keras's files",
        path.string());
  if (const auto found = file.attribute<std::int32_t>("/", "format"); found != format)
    reject("{} has format {}, but this version reads format {}", path.string(), found, format);
  return file;
}

std::string kind_of(const Hdf5File& file) {
  return file.has_attribute("/", "kind") ? file.attribute<std::string>("/", "kind") : std::string(classifier_kind);
}

}  // namespace

std::string kind_of_model(const fs::path& path) { return kind_of(open_any_model(path)); }

Hdf5File open_model(const fs::path& path, const std::string& kind) {
  Hdf5File file = open_any_model(path);
  if (const std::string found = kind_of(file); found != kind)
    reject("{} is a model of the kind '{}', but a '{}' is needed here", path.string(), found, kind);
  return file;
}

std::vector<float> read_parameters(const Hdf5File& file, const ClassifierConfig& classifier) {
  constexpr std::size_t most_parameters = std::size_t{1} << 31;
  if (const std::size_t count = classifier.parameter_count(); count > most_parameters)
    reject("{} says that its network has {} parameters, but {} is the most. The file is damaged", file.path().string(),
           count, most_parameters);
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

void write_header(Hdf5File& file, const std::string& kind, const std::optional<FeatureConfig>& features) {
  const std::string text = features ? to_json(*features) : unknown;
  file.set_attribute("/", "format", format);
  file.set_attribute("/", "kind", kind);
  file.set_attribute("/", "features", text);
  file.set_attribute("/", "features_checksum", checksum_of(text));
}

std::optional<FeatureConfig> read_features(const Hdf5File& file) {
  const auto features = file.attribute<std::string>("/", "features");
  if (file.has_attribute("/", "features_checksum") &&
      file.attribute<std::string>("/", "features_checksum") != checksum_of(features))
    reject("{} is damaged: its features do not have the checksum that they were written with. Make it again",
           file.path().string());
  return features == unknown ? std::nullopt : std::optional(feature_config_from_json(features));
}

SavedModel read_network(const Hdf5File& file, const std::optional<FeatureConfig>& features) {
  const std::string path = file.path().string();
  SavedModel saved;
  Model& model = saved.model;
  model.features = features;
  if (file.has_attribute("/", "origin")) saved.origin = file.attribute<std::string>("/", "origin");
  model.genres = file.read<std::string>("/genres").values;
  model.classifier.classes = model.genres.size();
  if (model.genres.size() < 2)
    reject("{} has {}, but a classifier needs at least two", path, count_of(model.genres.size(), "genre"));
  read_below(file, model);
  read_settings(file, features, model.classifier);
  saved.parameters = read_parameters(file, model.classifier);
  if (!std::ranges::all_of(saved.parameters, [](float weight) { return std::isfinite(weight); }))
    reject("{} holds weights that are no numbers: its training diverged. Use a model of another trial", path);
  if (file.has_attribute("/model", "checksum") &&
      file.attribute<std::string>("/model", "checksum") != checksum_of(model, saved.parameters))
    reject("{} is damaged: its network does not have the checksum that it was written with. Make it again", path);
  return saved;
}

SavedModel read_model(const fs::path& path) {
  const Hdf5File file = open_model(path);
  return read_network(file, read_features(file));
}

}  // namespace genretree
