#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/ranges.h>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/io/hdf5.hpp"
#include "core/text.hpp"
#include "models/keras_file.hpp"
#include "models/keras_weights.hpp"
#include "models/model_file.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::json;

constexpr const char* allowed = "A stack of LSTM layers and one dense softmax layer can be converted";

std::string at(const KerasFile& file, const KerasLayer& layer) {
  return fmt::format("the layer '{}' in {}", layer.name, file.path);
}

// -------------------------------------------------------------------------------------------- what a layer must be
// like

/// InputError unless a key of the layer's configuration has one of the values (as JSON), or there is none.
void require(const KerasFile& file, const KerasLayer& layer, const char* key, const std::vector<Json>& good) {
  if (layer.config.is_null() || !layer.config.contains(key)) return;
  const Json& value = layer.config.at(key);
  if (std::ranges::find(good, value) != good.end()) return;
  std::vector<std::string> texts;
  for (const Json& text : good) texts.push_back(text.dump());
  reject("{} ({}) has {} = {}, but only {} can be converted", at(file, layer), layer.kind, key, value.dump(),
         join(texts, " or "));
}

/// The values of a weight, after a check of its shape.
const std::vector<float>& weight(const KerasFile& file, const KerasLayer& layer, const char* name,
                                 const std::vector<std::size_t>& shape) {
  const auto found = layer.weights.find(name);
  if (found == layer.weights.end())
    reject("{} ({}) has no {}{}. {}, with biases", at(file, layer), layer.kind, name,
           std::string_view(name) == "bias" ? " (use_bias=False?)" : "", allowed);
  const Hdf5Array<float>& array = found->second;
  if (array.shape != shape)
    reject("{} of {} ({}) has the shape [{}], but [{}] is expected here", name, at(file, layer), layer.kind,
           fmt::join(array.shape, ", "), fmt::join(shape, ", "));
  if (!std::ranges::all_of(array.values, [](float value) { return std::isfinite(value); }))
    reject("{} of {} ({}) holds values that are no numbers: its training diverged", name, at(file, layer), layer.kind);
  return array.values;
}

bool is_lstm(const KerasLayer& layer) { return layer.kind == "LSTM" || layer.kind == "CuDNNLSTM"; }

/// Rows and columns of a kernel whose shape decides the network's.
std::pair<std::size_t, std::size_t> matrix(const KerasFile& file, const KerasLayer& layer, const char* name) {
  const auto found = layer.weights.find(name);
  if (found == layer.weights.end()) reject("{} ({}) has no {}. {}", at(file, layer), layer.kind, name, allowed);
  const std::vector<std::size_t>& shape = found->second.shape;
  if (shape.size() != 2 || shape[0] == 0 || shape[1] == 0)
    reject("{} of {} ({}) has the shape [{}], but must be a matrix", name, at(file, layer), layer.kind,
           fmt::join(shape, ", "));
  return {shape[0], shape[1]};
}

/// Layers that compute something, after a check that nothing else is there.
struct Stack {
  std::vector<KerasLayer> lstm;
  KerasLayer dense;
};

/// True for a layer that gives what it gets once the training is over.
bool is_transparent(const KerasLayer& layer) {
  return layer.kind == "InputLayer" || layer.kind.ends_with("Dropout") || layer.kind == "SpatialDropout1D";
}

/// True for a last layer that makes probabilities of a linear dense layer's output.
bool is_softmax_layer(KerasLayer& layer) {
  return layer.kind == "Softmax" || (layer.kind == "Activation" && layer.config["activation"] == "softmax");
}

Stack stack_of(KerasFile& file) {
  std::vector<KerasLayer> layers = std::move(file.layers);
  std::erase_if(layers, is_transparent);
  const bool separate_softmax = !layers.empty() && file.has_config && is_softmax_layer(layers.back());
  if (separate_softmax) layers.pop_back();
  Stack stack;
  bool has_dense = false;
  for (KerasLayer& layer : layers) {
    if (is_lstm(layer) && !has_dense) {
      stack.lstm.push_back(std::move(layer));
    } else if (layer.kind == "Dense" && !has_dense) {
      stack.dense = std::move(layer);
      has_dense = true;
    } else if (is_lstm(layer) || layer.kind == "Dense") {
      reject("{} ({}) follows a dense layer. {}, which must be the last", at(file, layer), layer.kind, allowed);
    } else {
      reject("{} is of the kind {}. {}, with Dropout between them", at(file, layer), layer.kind, allowed);
    }
  }
  if (stack.lstm.empty()) reject("{} has no LSTM layer. {}", file.path, allowed);
  if (!has_dense) reject("{} has no dense layer. {}", file.path, allowed);
  require(file, stack.dense, "activation", {separate_softmax ? "linear" : "softmax"});
  require(file, stack.dense, "use_bias", {true});
  for (std::size_t i = 0; i < stack.lstm.size(); ++i) {
    const KerasLayer& layer = stack.lstm[i];
    require(file, layer, "activation", {"tanh"});
    require(file, layer, "go_backwards", {false});
    require(file, layer, "use_bias", {true});
    require(file, layer, "return_sequences", {i + 1 < stack.lstm.size()});
  }
  return stack;
}

// -------------------------------------------------------------------------------------------------------------- gates

/// "2.1.3" → {2, 1}; zeros where there is no number.
std::pair<int, int> version_numbers(const std::string& version) {
  int major = 0, minor = 0;
  const char* end = version.data() + version.size();
  const char* dot = std::from_chars(version.data(), end, major).ptr;
  if (dot != end) std::from_chars(dot + 1, end, minor);
  return {major, minor};
}

/// The gate that a layer's configuration tells, if it does.
std::optional<Gate> told_gate(const KerasFile& file, const KerasLayer& layer, std::optional<Gate> asked_for) {
  if (layer.kind == "CuDNNLSTM") return Gate::sigmoid;  // cuDNN has no other
  if (layer.config.is_null() || !layer.config.contains("recurrent_activation")) return std::nullopt;
  const Json& activation = layer.config.at("recurrent_activation");
  if (activation == "sigmoid") return Gate::sigmoid;
  if (activation == "hard_sigmoid" && !file.version.empty())  // the same name for two functions
    return version_numbers(file.version).first >= 3 ? Gate::hard_sigmoid_keras3 : Gate::hard_sigmoid;
  if (!asked_for)
    reject(
        "{} ({}) has recurrent_activation = {}{}. If it computes one of {}, say which with --gate; nothing else can be "
        "converted",
        at(file, layer), layer.kind, activation.dump(),
        activation == "hard_sigmoid" ? " of an unknown version of Keras" : "", join(gate_names()));
  return std::nullopt;
}

/// What an LSTM layer has if its program does not ask for anything. Keras 2.3 went from hard_sigmoid to sigmoid;
/// TensorFlow's copy calls itself 2.2.4-tf with both.
std::optional<Gate> default_gate(const std::string& version) {
  const auto numbers = version_numbers(version);
  if (numbers.first == 0 || version.starts_with("2.2.4-tf")) return std::nullopt;
  return numbers < std::pair(2, 3) ? Gate::hard_sigmoid : Gate::sigmoid;
}

Gate gate_of(const KerasFile& file, const Stack& stack, std::optional<Gate> asked_for,
             std::vector<std::string>& notes) {
  std::optional<Gate> told;
  for (const KerasLayer& layer : stack.lstm) {
    const std::optional<Gate> gate = told_gate(file, layer, asked_for);
    if (gate && told && gate != told)
      reject("{} has the gate {}, but a layer before it has {}. All layers must have the same", at(file, layer),
             name_of(*gate), name_of(*told));
    if (gate) told = gate;
  }
  if (told && asked_for && told != asked_for)
    reject("{} says that its gates are {}, but --gate says {}. Leave --gate out", file.path, name_of(*told),
           name_of(*asked_for));
  if (told) return *told;
  if (asked_for) return *asked_for;
  const std::optional<Gate> usual = default_gate(file.version);
  if (!usual)
    reject("{} ({}) does not tell the activation of its gates. Say it with --gate, which is one of {}", file.path,
           file.layout, join(gate_names()));
  notes.push_back(fmt::format(
      "The file does not tell the activation of its gates: {} is taken, the default of LSTM layers in Keras {}. If the "
      "model was built with another recurrent_activation, say so with --gate.",
      name_of(*usual), file.version));
  return *usual;
}

// ------------------------------------------------------------------------------------------------------------
// CuDNNLSTM

/// Turns the layer's weights into those of an LSTM. cuDNN keeps each gate's kernels transposed ([H, in] in memory that
/// Keras calls [in, H]) and two biases, which it adds. Source: _convert_rnn_weights in keras/engine/saving.py, Keras
/// 2.2.
void convert_from_cudnn(std::vector<float>& kernel, std::vector<float>& recurrent, std::vector<float>& bias,
                        std::size_t inputs, std::size_t units) {
  const std::vector<float> packed_kernel = kernel, packed_recurrent = recurrent;
  const std::size_t width = 4 * units;
  for (std::size_t gate = 0; gate < 4; ++gate)
    for (std::size_t unit = 0; unit < units; ++unit) {
      const std::size_t column = gate * units + unit;
      for (std::size_t i = 0; i < inputs; ++i) {
        const std::size_t flat = unit * inputs + i;  // in the gate's block, row by row
        kernel[i * width + column] = packed_kernel[flat / units * width + gate * units + flat % units];
      }
      for (std::size_t i = 0; i < units; ++i)
        recurrent[i * width + column] = packed_recurrent[unit * width + gate * units + i];
    }
  for (std::size_t i = 0; i < width; ++i) bias[i] += bias[width + i];
  bias.resize(width);
}

// ------------------------------------------------------------------------------------------------------------
// parameters

std::vector<float> parameters_of(const KerasFile& file, const Stack& stack, const ClassifierConfig& classifier) {
  std::vector<float> parameters;
  const auto append = [&](const std::vector<float>& values) {
    parameters.insert(parameters.end(), values.begin(), values.end());
  };
  for (std::size_t i = 0; i < stack.lstm.size(); ++i) {
    const KerasLayer& layer = stack.lstm[i];
    const std::size_t inputs = classifier.stack.layer_inputs(i), units = classifier.stack.units[i];
    const bool is_cudnn = layer.kind == "CuDNNLSTM";
    std::vector<float> kernel = weight(file, layer, "kernel", {inputs, 4 * units}),
                       recurrent = weight(file, layer, "recurrent_kernel", {units, 4 * units}),
                       bias = weight(file, layer, "bias", {is_cudnn ? 8 * units : 4 * units});
    if (is_cudnn) convert_from_cudnn(kernel, recurrent, bias, inputs, units);
    append(kernel), append(recurrent), append(bias);
  }
  append(weight(file, stack.dense, "kernel", {classifier.stack.outputs(), classifier.classes}));
  append(weight(file, stack.dense, "bias", {classifier.classes}));
  return parameters;
}

/// Frames of the shape [batch, frames, width] that the model was built for, if it fixes them.
std::optional<std::size_t> frames_of(const std::vector<KerasLayer>& layers) {
  for (const KerasLayer& layer : layers)
    for (const char* key : {"batch_shape", "batch_input_shape"})
      if (!layer.config.is_null() && layer.config.contains(key) && layer.config.at(key).is_array() &&
          layer.config.at(key).size() == 3 && layer.config.at(key).at(1).is_number_unsigned())
        return layer.config.at(key).at(1).get<std::size_t>();
  return std::nullopt;
}

/// Python's name of a gate, as an argument of keras.layers.LSTM.
std::string python_gate(Gate gate) {
  switch (gate) {
    case Gate::sigmoid:
      return "\"sigmoid\"";
    case Gate::hard_sigmoid:
      return "lambda x: keras.ops.clip(0.2 * x + 0.5, 0, 1)";  // Keras 3 has none by name
    case Gate::hard_sigmoid_keras3:
      return "\"hard_sigmoid\"";
  }
  fail("a gate has no name");
}

}  // namespace

KerasClassifier read_keras(const fs::path& path, std::optional<Gate> gate) {
  KerasFile file = read_keras_file(path);
  KerasClassifier result;
  result.layout = file.layout;
  result.frames = frames_of(file.layers);
  const Stack stack = stack_of(file);
  NetworkConfig& config = result.classifier.stack;
  config.inputs = matrix(file, stack.lstm.front(), "kernel").first;
  for (const KerasLayer& layer : stack.lstm) config.units.push_back(matrix(file, layer, "recurrent_kernel").first);
  result.classifier.classes = matrix(file, stack.dense, "kernel").second;
  if (result.classifier.classes < 2)
    reject("{} (Dense) has one output, but a classifier needs a softmax over at least two classes",
           at(file, stack.dense));
  result.parameters = parameters_of(file, stack, result.classifier);
  config.gate = gate_of(file, stack, gate, result.notes);
  if (!file.has_config)
    result.notes.push_back(
        "The file holds weights only: it is taken for a plain stack with tanh, and softmax at its end.");
  return result;
}

void write_keras(const fs::path& path, const ClassifierConfig& classifier, const std::vector<float>& parameters) {
  if (classifier.cnn) reject("the model is a CNN ({}); to Keras go LSTM networks only", describe(classifier));
  const NetworkConfig& stack = classifier.stack;
  const char* more = stack.bidirectional              ? "bidirectional layers"
                     : stack.readout != Readout::last ? "a readout over time"
                     : stack.standardise              ? "normalised inputs"
                     : classifier.window > 0          ? "a window"
                                                      : nullptr;
  if (more) reject("the model has {}; to Keras go plain LSTM networks only, which answer after the last frame", more);
  constexpr const char* ending = ".weights.h5";
  if (const std::string name = path.filename().string(); !name.ends_with(ending) || name == ending)
    reject("{} must end in {}: Keras loads weights from no other name", path.string(), ending);
  write_whole(path, [&](const fs::path& temporary) {
    Hdf5File file = Hdf5File::create(temporary);
    const auto write = [&](const std::string& group, int number, const ParameterLayout::Tensor& tensor,
                           const std::vector<std::size_t>& shape) {
      file.write<float>(fmt::format("{}/vars/{}", group, number),
                        std::span(parameters).subspan(tensor.offset, tensor.size()), shape);
    };
    const ParameterLayout layout(classifier.stack, classifier.classes);
    for (std::size_t i = 0; i < layout.layers.size(); ++i) {
      const ParameterLayout::Layer& layer = layout.layers[i];
      const std::string cell = fmt::format("/layers/{}/cell", lstm_layer_name(i));
      write(cell, 0, layer.kernel, {layer.kernel.rows, layer.kernel.columns});
      write(cell, 1, layer.recurrent, {layer.recurrent.rows, layer.recurrent.columns});
      write(cell, 2, layer.bias, {layer.bias.columns});
      file.set_attribute<std::string>(cell + "/vars", "name", "lstm_cell");
    }
    const ParameterLayout::Tensor &kernel = layout.dense_kernel, &bias = layout.dense_bias;
    write("/layers/dense", 0, kernel, {kernel.rows, kernel.columns});
    write("/layers/dense", 1, bias, {bias.columns});
    file.set_attribute<std::string>("/layers/dense/vars", "name", "dense");
    file.close();
  });
}

std::string keras_recipe(const ClassifierConfig& classifier, const std::string& file) {
  const StackConfig& stack = classifier.stack;
  std::string text = fmt::format(
      "import keras\nmodel = keras.Sequential([\n    keras.Input((None, {})),  # frames, numbers of a frame\n",
      stack.inputs);
  for (std::size_t i = 0; i < stack.layers(); ++i)
    text += fmt::format("    keras.layers.LSTM({}, recurrent_activation={}{}),\n", stack.units[i],
                        python_gate(stack.gate), i + 1 < stack.layers() ? ", return_sequences=True" : "");
  return text + fmt::format("    keras.layers.Dense({}, activation=\"softmax\"),\n])\nmodel.load_weights(\"{}\")\n",
                            classifier.classes, file);
}

}  // namespace genretree
