// convert_weights: a network from Keras's files into our model file, and back.
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/io/files.hpp"
#include "core/text.hpp"
#include "features/store.hpp"
#include "models/keras_weights.hpp"
#include "models/model_file.hpp"
#include "tools/program.hpp"

namespace fs = std::filesystem;
using namespace genretree;

namespace {

struct Options {
  fs::path input, model, keras, features;
  std::vector<std::string> genres;
  std::string gate;
  bool force = false;
};

std::optional<Gate> gate_asked_for(const Options& options) {
  if (options.gate.empty()) return std::nullopt;
  const std::optional<Gate> gate = gate_named(options.gate);
  if (!gate)
    reject("--gate is '{}', but must be one of {}{}", options.gate, join(gate_names()),
           did_you_mean(options.gate, gate_names()));
  return gate;
}

/// Before the work: InputError if the file that would be written is there, Error if it cannot be written.
void check_output(const fs::path& path, bool force) {
  if (fs::exists(path) && !force)
    reject("{} is there already. Choose another name, or overwrite it with --force", path.string());
  check_writable(path);
}

/// "class 0", "class 1", …, and how to do better.
std::vector<std::string> numbered_genres(std::size_t classes, const std::optional<FeatureStore>& store,
                                         std::vector<std::string>& notes) {
  std::vector<std::string> genres;
  for (std::size_t i = 0; i < classes; ++i) genres.push_back(fmt::format("class {}", i));
  const bool may_be_the_stores = store && store->genres.size() == classes;
  notes.push_back(fmt::format(
      "The file does not name its classes: they are called {} to {}. Name them with --genres {}, in the order in which "
      "they were trained.",
      genres.front(), genres.back(), may_be_the_stores ? join(store->genres, ",") : "a,b,…"));
  return genres;
}

/// The names of the classes in their order, as the user gives them.
std::vector<std::string> checked_genres(const std::vector<std::string>& genres, std::size_t classes) {
  if (genres.size() != classes)
    reject("--genres names {} ({}), but the network has {}", count_of(genres.size(), "genre"), join(genres),
           count_of(classes, "output"));
  const std::set<std::string> distinct(genres.begin(), genres.end());
  if (distinct.size() != classes || distinct.contains(""))
    reject("--genres is '{}', but must name each genre once", join(genres, ","));
  return genres;
}

/// InputError if the store cannot be what the network was trained on.
void check_store(const FeatureStore& store, const Options& options, const KerasClassifier& keras) {
  const auto [clips, frames, width] = store.view().shape;
  if (const std::size_t inputs = keras.classifier.stack.inputs; width != inputs)
    reject("{} holds {} numbers for each frame, but the network of {} takes {}. Extract features of its width",
           options.features.string(), width, options.input.string(), inputs);
  if (keras.frames && *keras.frames != frames)
    reject("{} holds clips of {} frames, but the network of {} was built for {}. Extract features with --set frames={}",
           options.features.string(), frames, options.input.string(), *keras.frames, *keras.frames);
}

ExitCode from_keras(const Options& options) {
  KerasClassifier keras = read_keras(options.input, gate_asked_for(options));
  const std::size_t classes = keras.classifier.classes;
  std::optional<FeatureStore> store;
  if (!options.features.empty()) {
    store = read_store(options.features);
    check_store(*store, options, keras);
  } else {
    keras.notes.push_back(
        fmt::format("Its features are unknown: classify will take any feature store of its width, {}, and no audio. "
                    "With --features STORE, a store of the features that it was trained on, it will take audio too.",
                    keras.classifier.stack.inputs));
  }
  SavedModel saved;
  saved.model.classifier = keras.classifier;
  saved.model.genres =
      options.genres.empty() ? numbered_genres(classes, store, keras.notes) : checked_genres(options.genres, classes);
  if (store) saved.model.features = store->config;
  saved.parameters = std::move(keras.parameters);
  saved.origin = fmt::format("converted from {}, {}", options.input.filename().string(), keras.layout);
  write_model(options.model, saved);
  fmt::print("{}: {}; {} inputs, {}; gates: {}\n", options.input.string(), keras.layout, keras.classifier.stack.inputs,
             describe(keras.classifier), name_of(keras.classifier.stack.gate));
  for (const std::string& note : keras.notes) fmt::print("{}\n", note);
  fmt::print("{} is written. Try: classify {} {}\n", options.model.string(), options.model.string(),
             saved.model.features ? "AUDIO…" : "features.h5");
  return ExitCode::ok;
}

ExitCode to_keras(const Options& options) {
  if (!options.genres.empty() || !options.features.empty() || !options.gate.empty())
    reject("--genres, --features and --gate belong to the way from Keras; --to-keras takes none of them");
  const SavedModel saved = read_model(options.input);
  const ClassifierConfig& classifier = saved.model.classifier;
  write_keras(options.keras, classifier, saved.parameters);
  fmt::print(
      "{}: {}\n{} is written. Keras holds no names of classes: the genres are {}, in this order. In Python:\n\n{}",
      options.input.string(), saved.origin, options.keras.string(), join(saved.model.genres),
      keras_recipe(classifier, options.keras.filename().string()));
  if (classifier.stack.gate == Gate::hard_sigmoid)
    fmt::print("\nThe gates are Keras 2's hard sigmoid; \"hard_sigmoid\" of Keras 3 is another function.\n");
  return ExitCode::ok;
}

ExitCode convert(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Brings weights of Keras into a model file of genretree (-o), or a model file to Keras (--to-keras).\n"
      "Reads Keras 2 and 3: whole models (.h5) and weights (.h5, .weights.h5) of LSTM layers and one dense softmax\n"
      "layer, of any size. Writes Keras 3 weights (.weights.h5).",
      "convert_weights");
  app.add_option("FILE", options.input, "a file of Keras; with --to-keras a model file")->required();
  auto* model = app.add_option("-o,--out", options.model, "the model file to write, e.g. model.h5");
  app.add_option("--to-keras", options.keras, "the weights to write for Keras 3: OUT.weights.h5")->excludes(model);
  app.add_option("--genres", options.genres, "names of the classes in their order, with commas between")
      ->delimiter(',');
  app.add_option("--features", options.features,
                 "a feature store: the network was trained on features with these parameters");
  app.add_option("--gate", options.gate,
                 fmt::format("activation of the gates (recurrent_activation) where the file does not tell: {}. If not "
                             "given, the default of its version of Keras: hard_sigmoid before 2.3, sigmoid since",
                             join(gate_names())));
  app.add_flag("--force", options.force, "overwrite what is there");
  if (asked_for_help(app, argc, argv)) return ExitCode::ok;

  if (options.model.empty() && options.keras.empty()) reject("say where to: -o model.h5, or --to-keras OUT.weights.h5");
  const bool is_from_keras = options.keras.empty();
  check_output(is_from_keras ? options.model : options.keras, options.force);
  return is_from_keras ? from_keras(options) : to_keras(options);
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] { return convert(argc, argv); });
}
