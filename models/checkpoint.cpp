#include <algorithm>
#include <array>
#include <utility>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/io/hdf5.hpp"
#include "models/checkpoint.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

constexpr std::int32_t format = 1;
constexpr std::size_t history_columns = 6;
constexpr std::array<std::pair<Gate, const char*>, 3> gate_names{{{Gate::sigmoid, "sigmoid"},
                                                                  {Gate::hard_sigmoid, "hard_sigmoid"},
                                                                  {Gate::hard_sigmoid_keras3, "hard_sigmoid_keras3"}}};

std::string to_text(Gate gate) {
  return std::ranges::find(gate_names, gate, [](const auto& entry) { return entry.first; })->second;
}

Gate gate_from_text(const std::string& text, const fs::path& path) {
  const auto* entry = std::ranges::find(gate_names, text, [](const auto& candidate) { return candidate.second; });
  if (entry == gate_names.end()) reject("{} has the gate '{}', which this version does not know", path.string(), text);
  return entry->first;
}

/// Keras's names: lstm, lstm_1, lstm_2, …
std::string layer_name(std::size_t layer) { return layer == 0 ? "/model/lstm" : fmt::format("/model/lstm_{}", layer); }

/// Calls visit(name, tensor) for every tensor of a network.
template <class Visit>
void for_each_tensor(const ParameterLayout& layout, Visit visit) {
  for (std::size_t layer = 0; layer < layout.layers.size(); ++layer) {
    visit(layer_name(layer) + "/kernel", layout.layers[layer].kernel);
    visit(layer_name(layer) + "/recurrent_kernel", layout.layers[layer].recurrent);
    visit(layer_name(layer) + "/bias", layout.layers[layer].bias);
  }
  visit("/model/dense/kernel", layout.dense_kernel);
  visit("/model/dense/bias", layout.dense_bias);
}

/// Kernels are matrices, biases are not, whatever their size.
std::vector<std::size_t> shape_of(const std::string& name, const ParameterLayout::Tensor& tensor) {
  if (name.ends_with("bias")) return {tensor.columns};
  return {tensor.rows, tensor.columns};
}

std::vector<double> flat_history(const std::vector<EpochScores>& history) {
  std::vector<double> values;
  for (const EpochScores& epoch : history)
    for (const Score& score : {epoch.train, epoch.validation, epoch.test})
      values.insert(values.end(), {score.loss, score.accuracy});
  return values;
}

std::vector<EpochScores> history_from(const std::vector<double>& values) {
  std::vector<EpochScores> history;
  for (std::size_t i = 0; i + history_columns <= values.size(); i += history_columns)
    history.push_back({{values[i], values[i + 1]}, {values[i + 2], values[i + 3]}, {values[i + 4], values[i + 5]}});
  return history;
}

void write_model(Hdf5File& file, const Model& model, std::span<const float> parameters) {
  file.set_attribute("/", "format", format);
  file.set_attribute("/", "features", to_json(model.features));
  file.write("/genres", model.genres);
  for_each_tensor(ParameterLayout(model.classifier.stack, model.classifier.classes),
                  [&](const std::string& name, const ParameterLayout::Tensor& tensor) {
                    file.write<float>(name, parameters.subspan(tensor.offset, tensor.size()), shape_of(name, tensor));
                  });
  const StackConfig& stack = model.classifier.stack;
  file.set_attribute("/model", "inputs", static_cast<std::int64_t>(stack.inputs));
  file.set_attribute("/model", "gate", to_text(stack.gate));
  file.set_attribute("/model", "dropout", stack.dropout);
  file.set_attribute("/model", "recurrent_dropout", stack.recurrent_dropout);
}

Hdf5File open_model(const fs::path& path) {
  Hdf5File file = Hdf5File::open(path);
  if (!file.has_attribute("/", "format") || !file.is_group("/model"))
    reject("{} is not a model file of genretree", path.string());
  const auto found = file.attribute<std::int32_t>("/", "format");
  if (found != format) reject("{} has format {}, but this version reads format {}", path.string(), found, format);
  return file;
}

/// The weights, after a check of every shape.
std::vector<float> read_parameters(const Hdf5File& file, const ParameterLayout& layout) {
  std::vector<float> parameters(layout.size);
  for_each_tensor(layout, [&](const std::string& name, const ParameterLayout::Tensor& tensor) {
    const Hdf5Array<float> array = file.read<float>(name);
    if (array.shape != shape_of(name, tensor))
      reject("'{}' in {} does not have {} x {} values: it belongs to another network", name, file.path().string(),
             tensor.rows, tensor.columns);
    std::ranges::copy(array.values, parameters.begin() + static_cast<std::ptrdiff_t>(tensor.offset));
  });
  return parameters;
}

}  // namespace

void write_checkpoint(const fs::path& path, const Model& model, const Checkpoint& checkpoint) {
  write_whole(path, [&](const fs::path& temporary) {
    Hdf5File file = Hdf5File::create(temporary);
    const TrainerState& state = checkpoint.state;
    write_model(file, model, state.parameters);
    file.set_attribute("/", "run", checkpoint.run);
    file.set_attribute("/", "spec_hash", checkpoint.spec_hash);
    file.set_attribute("/", "commit", checkpoint.commit);
    file.set_attribute("/", "seconds", checkpoint.seconds);
    file.set_attribute("/", "backend", checkpoint.backend.backend);
    file.set_attribute("/", "device", checkpoint.backend.device);
    file.set_attribute("/", "target", checkpoint.backend.target);
    file.set_attribute("/", "algorithm", checkpoint.backend.algorithm);
    file.set_attribute("/", "precision", checkpoint.backend.precision);
    file.set_attribute("/", "libraries", checkpoint.backend.libraries);
    file.write<std::int64_t>("/training/step", {&state.step, 1}, {});
    file.write<float>("/training/moments", state.moments, {2, state.moments.size() / 2});
    const std::vector<double> history = flat_history(state.history);
    file.write<double>("/training/history", history, {state.history.size(), history_columns});
    file.close();
  });
}

Checkpoint read_checkpoint(const fs::path& path, const Model& model) {
  const Hdf5File file = open_model(path);
  const auto text = [&](const char* name) { return file.attribute<std::string>("/", name); };
  Checkpoint checkpoint;
  checkpoint.run = text("run");
  checkpoint.spec_hash = text("spec_hash");
  checkpoint.commit = text("commit");
  checkpoint.seconds = file.attribute<double>("/", "seconds");
  checkpoint.backend = {text("backend"),   text("device"),    text("target"),
                        text("algorithm"), text("precision"), text("libraries")};
  TrainerState& state = checkpoint.state;
  state.parameters = read_parameters(file, ParameterLayout(model.classifier.stack, model.classifier.classes));
  state.moments = file.read<float>("/training/moments").values;
  const Hdf5Array<std::int64_t> step = file.read<std::int64_t>("/training/step");
  const Hdf5Array<double> history = file.read<double>("/training/history");
  if (step.values.size() != 1 || state.moments.size() != 2 * state.parameters.size() ||
      history.values.size() % history_columns != 0)
    reject("the training state in {} is damaged. Delete the file to train this run anew", path.string());
  state.step = step.values.front();
  state.history = history_from(history.values);
  return checkpoint;
}

SavedModel read_model(const fs::path& path) {
  const Hdf5File file = open_model(path);
  SavedModel saved;
  Model& model = saved.model;
  model.features = feature_config_from_json(file.attribute<std::string>("/", "features"));
  model.genres = file.read<std::string>("/genres").values;
  model.classifier.classes = model.genres.size();
  StackConfig& stack = model.classifier.stack;
  stack.inputs = static_cast<std::size_t>(file.attribute<std::int64_t>("/model", "inputs"));
  stack.gate = gate_from_text(file.attribute<std::string>("/model", "gate"), path);
  stack.dropout = file.attribute<double>("/model", "dropout");
  stack.recurrent_dropout = file.attribute<double>("/model", "recurrent_dropout");
  for (std::size_t layer = 0; file.contains(layer_name(layer)); ++layer) {
    const Hdf5Array<float> recurrent = file.read<float>(layer_name(layer) + "/recurrent_kernel");
    if (recurrent.shape.size() != 2)
      reject("'{}/recurrent_kernel' in {} is no matrix", layer_name(layer), path.string());
    stack.units.push_back(recurrent.shape[0]);
  }
  if (stack.units.empty()) reject("{} has no LSTM layer", path.string());
  saved.parameters = read_parameters(file, ParameterLayout(stack, model.classifier.classes));
  return saved;
}

}  // namespace genretree
