// Exchange with Keras: every kind of file that it makes, both ways, against what Keras itself computes.
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/io/hdf5.hpp"
#include "kernels/backends.hpp"
#include "models/keras_weights.hpp"
#include "models/predict.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {
namespace fs = std::filesystem;

constexpr double parity = 1e-5;

fs::path keras_file(const std::string& name) { return test::golden("keras_weights/" + name); }

/// What Keras computes with a golden file.
struct Expected {
  Hdf5Array<float> x = Hdf5File::open(keras_file("expected.h5")).read<float>("/x");
  std::vector<float> weights, probabilities;

  explicit Expected(const std::string& file)
      : weights(Hdf5File::open(keras_file("expected.h5")).read<float>("/" + file + "/weights").values),
        probabilities(Hdf5File::open(keras_file("expected.h5")).read<float>("/" + file + "/probabilities").values) {}

  std::vector<float> ours(const KerasClassifier& keras) const {
    const std::unique_ptr<Backend> backend = make_backend({.device = "cpu"});
    const std::unique_ptr<Queue> queue = backend->device().make_queue();
    return predict(keras.classifier, keras.parameters, view_of(x.values.data(), x.shape[0], x.shape[1], x.shape[2]),
                   *backend, *queue);
  }
};

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  return test::max_difference(std::span<const float>(a), std::span<const float>(b));
}

/// A Keras 3 file of weights, made by hand: a network 2 → LSTM 3 → dense 2 of zeros, and whatever `change` makes of it.
fs::path handmade(const test::TemporaryFolder& folder, const std::function<void(Hdf5File&)>& lstm,
                  const std::function<void(Hdf5File&)>& dense) {
  const fs::path path = folder / "handmade.weights.h5";
  Hdf5File file = Hdf5File::create(path);
  lstm(file);
  dense(file);
  file.close();
  return path;
}

std::function<void(Hdf5File&)> zeros(const std::string& folder, const std::vector<std::vector<std::size_t>>& shapes) {
  return [=](Hdf5File& file) {
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      std::size_t size = 1;
      for (std::size_t extent : shapes[i]) size *= extent;
      file.write<float>(fmt::format("/layers/{}/vars/{}", folder, i), std::vector<float>(size), shapes[i]);
    }
  };
}

const auto good_lstm = zeros("lstm/cell", {{2, 12}, {3, 12}, {12}});
const auto good_dense = zeros("dense", {{3, 2}, {2}});

/// A whole model of Keras 2 with one LSTM layer and these settings, which take the place of the usual ones.
fs::path whole_model(const test::TemporaryFolder& folder, const std::string& lstm_settings,
                     const std::string& dense_settings = R"("activation": "softmax")",
                     const std::string& version = "2.1.3") {
  const fs::path path = folder / "whole.h5";
  Hdf5File file = Hdf5File::create(path);
  const auto layer = [&](const std::string& name,
                         const std::vector<std::pair<std::string, std::vector<std::size_t>>>& weights) {
    std::size_t part = 0;
    for (const auto& [weight, shape] : weights) {
      std::size_t size = 1;
      for (std::size_t extent : shape) size *= extent;
      file.write<float>(fmt::format("/model_weights/{}/{}/{}:0", name, name, weight), std::vector<float>(size), shape);
      file.set_attribute(fmt::format("/model_weights/{}", name), fmt::format("weight_names{}", part++),
                         fmt::format("{}/{}:0", name, weight));
    }
  };
  layer("l", {{"kernel", {2, 12}}, {"recurrent_kernel", {3, 12}}, {"bias", {12}}});
  layer("d", {{"kernel", {3, 2}}, {"bias", {2}}});
  file.set_attribute<std::string>("/model_weights", "layer_names0", "l");
  file.set_attribute<std::string>("/model_weights", "layer_names1", "d");
  if (!version.empty()) file.set_attribute("/model_weights", "keras_version", version);
  file.set_attribute("/", "model_config",
                     fmt::format(R"({{"class_name": "Sequential", "config": [)"
                                 R"({{"class_name": "LSTM", "config": {{"name": "l", {}}}}}, )"
                                 R"({{"class_name": "Dense", "config": {{"name": "d", {}}}}}]}})",
                                 lstm_settings, dense_settings));
  file.close();
  return path;
}

TEST_CASE("every kind of Keras file gives Keras's weights and probabilities") {
  struct Case {
    const char* file;
    Gate gate;
    const char* layout;
    std::size_t notes;  // what is taken for granted: the gate, that the stack is plain
  };
  const Case kind = GENERATE(values<Case>({
      {"keras3.weights.h5", Gate::sigmoid, "weights of Keras 3", 2},
      {"keras3_full.h5", Gate::hard_sigmoid_keras3, "whole model of Keras 3.", 0},
      {"keras2_full.h5", Gate::hard_sigmoid, "whole model of Keras 2.1.3", 0},
      {"keras2_weights.h5", Gate::hard_sigmoid, "weights of Keras 2.1.3", 2},
      {"keras2_cudnn.h5", Gate::sigmoid, "whole model of Keras 2.2.4", 0},
  }));
  INFO(kind.file);
  const Expected expected(kind.file);
  const KerasClassifier keras = read_keras(keras_file(kind.file), std::nullopt);
  CHECK(keras.classifier.stack.inputs == 5);
  CHECK(keras.classifier.stack.units == std::vector<std::size_t>{7, 4, 3});
  CHECK(keras.classifier.stack.gate == kind.gate);
  CHECK(keras.classifier.classes == 3);
  CHECK_THAT(keras.layout, Catch::StartsWith(kind.layout));
  CHECK(keras.notes.size() == kind.notes);
  CHECK(keras.frames == (kind.notes ? std::nullopt : std::optional<std::size_t>(15)));
  CHECK(difference(keras.parameters, expected.weights) < 1e-6);  // the halves of cuDNN's biases are rounded
  CHECK(difference(expected.ours(keras), expected.probabilities) < parity);
}

TEST_CASE("another gate than the right one gives other probabilities") {  // so that the test above can fail
  const Expected expected("keras2_weights.h5");
  const KerasClassifier keras = read_keras(keras_file("keras2_weights.h5"), Gate::sigmoid);
  CHECK(keras.classifier.stack.gate == Gate::sigmoid);
  CHECK(keras.notes.size() == 1);
  CHECK(difference(expected.ours(keras), expected.probabilities) > 100 * parity);
}

TEST_CASE("a network that Keras's file has no place for is not written, whatever it has more") {
  const test::TemporaryFolder folder;
  const auto refused = [&](auto change, const std::string& what) {
    ClassifierConfig classifier{StackConfig{.inputs = 2, .units = {3}}, 2};
    change(classifier);
    CHECK_THROWS_WITH(write_keras(folder / "out.weights.h5", classifier, initial_parameters(classifier, {.seed = 3})),
                      Catch::Contains("the model has " + what + "; to Keras go plain LSTM networks only"));
    CHECK_FALSE(std::filesystem::exists(folder / "out.weights.h5"));
  };
  refused([](ClassifierConfig& classifier) { classifier.stack.bidirectional = true; }, "bidirectional layers");
  refused([](ClassifierConfig& classifier) { classifier.stack.readout = Readout::mean; }, "a readout over time");
  refused([](ClassifierConfig& classifier) { classifier.stack.standardise = true; }, "normalised inputs");
  refused([](ClassifierConfig& classifier) { classifier.window = 4; }, "a window");
}

TEST_CASE("what is written for Keras is read back bit for bit, in the order of many layers") {
  const test::TemporaryFolder folder;
  ClassifierConfig classifier{StackConfig{.inputs = 2, .units = std::vector<std::size_t>(12, 3)}, 4};
  classifier.stack.units[10] = 5;  // lstm_10 sorts before lstm_2 as a text
  const std::vector<float> parameters = initial_parameters(classifier, {.seed = 3});
  write_keras(folder / "out.weights.h5", classifier, parameters);
  const KerasClassifier read = read_keras(folder / "out.weights.h5", std::nullopt);
  CHECK(read.classifier.stack.units == classifier.stack.units);
  CHECK(read.parameters == parameters);

  const Hdf5File ours = Hdf5File::open(folder / "out.weights.h5"),
                 theirs = Hdf5File::open(keras_file("keras3.weights.h5"));
  for (const char* group : {"/layers/lstm/cell/vars", "/layers/lstm_2/cell/vars", "/layers/dense/vars"}) {
    CHECK(ours.members(group) == theirs.members(group));
    CHECK(ours.attribute<std::string>(group, "name") == theirs.attribute<std::string>(group, "name"));
  }
  CHECK_THROWS_WITH(write_keras(folder / "out.h5", classifier, parameters), Catch::Contains("must end in .weights.h5"));
}

TEST_CASE("Keras loads what is written for it and computes the same probabilities") {
  const char* named = std::getenv("GENRETREE_KERAS_PYTHON");
  const std::string python = named ? named : "python3";
  if (test::run_command(python + " -c 'import keras, h5py; assert int(keras.__version__[0]) >= 3'").exit_code != 0)
    SKIP_TEST("no Keras 3: " + python +
              " cannot import keras and h5py. Name a Python that can in GENRETREE_KERAS_PYTHON");
  const test::TemporaryFolder folder;
  for (const std::string name : {"keras3.weights.h5", "keras2_full.h5", "keras3_full.h5"}) {
    INFO(name);
    const Expected expected(name);
    const KerasClassifier keras = read_keras(keras_file(name), std::nullopt);
    const fs::path weights = folder / "out.weights.h5", script = folder / "check.py";
    write_keras(weights, keras.classifier, keras.parameters);
    write_whole_text(script, keras_recipe(keras.classifier, weights.string()) +
                                 fmt::format("import h5py\nx = h5py.File('{}')['x'][:]\n"
                                             "print('RESULT', *model.predict(x, verbose=0).ravel().tolist())\n",
                                             keras_file("expected.h5").string()));
    const test::CommandResult result = test::run_command(python + " " + script.string());
    INFO(result.output);
    REQUIRE(result.exit_code == 0);
    std::istringstream numbers(result.output.substr(result.output.rfind("RESULT ") + 7));
    std::vector<float> probabilities;
    for (float value; numbers >> value;) probabilities.push_back(value);
    CHECK(difference(probabilities, expected.probabilities) < parity);
    CHECK(difference(probabilities, expected.ours(keras)) < parity);
  }
}

TEST_CASE("the files that other people's Keras made are read") {
  if (test::shared("fixtures/keras3_model.weights.h5").empty()) SKIP_TEST("the shared fixtures are not here");
  const KerasClassifier first = read_keras(test::shared("fixtures/keras3_model.weights.h5"), std::nullopt);
  CHECK(first.classifier.stack.units == std::vector<std::size_t>{8, 4});
  for (const std::string name : {"keras3_legacy_full.h5", "keras2_style_full.h5", "keras2_style_weights.h5"}) {
    INFO(name);
    CHECK(read_keras(test::shared("fixtures/" + name), std::nullopt).parameters == first.parameters);
  }
}

TEST_CASE("a layer that cannot be converted is named, with what can be") {
  const test::TemporaryFolder folder;
  const auto refused = [&](const std::function<void(Hdf5File&)>& lstm, const std::function<void(Hdf5File&)>& dense) {
    try {
      read_keras(handmade(folder, lstm, dense), std::nullopt);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string("it was read");
  };
  CHECK(refused(good_lstm, good_dense) == "it was read");
  CHECK_THAT(refused(zeros("gru/cell", {{2, 9}, {3, 9}, {2, 9}}), good_dense),
             Catch::Contains("'gru' in") && Catch::Contains("of the kind GRU. A stack of LSTM layers"));
  CHECK_THAT(refused(zeros("bidirectional/forward_layer/cell", {{2, 12}, {3, 12}, {12}}), good_dense),
             Catch::Contains("of the kind Bidirectional"));
  CHECK_THAT(refused(zeros("conv1d", {{3, 2, 2}}), good_dense), Catch::Contains("of the kind conv1d"));
  CHECK_THAT(refused(zeros("lstm/cell", {{2, 12}, {3, 12}}), good_dense),
             Catch::Contains("'lstm' in") && Catch::Contains("has no bias (use_bias=False?)"));
  CHECK_THAT(refused(good_lstm, zeros("dense", {{3, 2}})), Catch::Contains("(Dense) has no bias"));
  CHECK_THAT(refused(good_lstm, [](Hdf5File&) {}), Catch::Contains("has no dense layer"));
  CHECK_THAT(refused([](Hdf5File&) {}, good_dense), Catch::Contains("has no LSTM layer"));
  CHECK_THAT(refused(zeros("lstm/cell", {{2, 12}, {3, 11}, {12}}), good_dense),
             Catch::Contains("recurrent_kernel of the layer 'lstm'") && Catch::Contains("[3, 11], but [3, 12]"));
  CHECK_THAT(refused(zeros("lstm/cell", {{24}, {3, 12}, {12}}), good_dense), Catch::Contains("must be a matrix"));
  CHECK_THAT(refused(good_lstm, zeros("dense", {{4, 2}, {2}})), Catch::Contains("[4, 2], but [3, 2] is expected"));
  CHECK_THAT(refused(good_lstm, zeros("dense", {{3, 1}, {1}})), Catch::Contains("at least two classes"));
  const auto two_dense = [](Hdf5File& file) {
    good_dense(file);
    zeros("dense_1", {{2, 2}, {2}})(file);
  };
  CHECK_THAT(refused(good_lstm, two_dense), Catch::Contains("'dense_1'") && Catch::Contains("follows a dense layer"));
  const auto no_number = [](Hdf5File& file) {
    file.write<float>("/layers/dense/vars/0", std::vector<float>(6, NAN), {3, 2});
    file.write<float>("/layers/dense/vars/1", std::vector<float>(2), {2});
  };
  CHECK_THAT(refused(good_lstm, no_number), Catch::Contains("values that are no numbers"));
}

TEST_CASE("a whole model's settings are checked, and its gates are believed") {
  const test::TemporaryFolder folder;
  const auto gate = [&](const std::string& settings, const std::string& version, std::optional<Gate> asked_for = {}) {
    return read_keras(whole_model(folder, settings, R"("activation": "softmax")", version), asked_for)
        .classifier.stack.gate;
  };
  const std::string hard = R"("recurrent_activation": "hard_sigmoid")";
  CHECK(gate(R"("recurrent_activation": "sigmoid")", "2.1.3") == Gate::sigmoid);
  CHECK(gate(hard, "2.1.3") == Gate::hard_sigmoid);
  CHECK(gate(hard, "2.15.0") == Gate::hard_sigmoid);
  CHECK(gate(hard, "3.4.1") == Gate::hard_sigmoid_keras3);
  CHECK(gate(hard, "", Gate::hard_sigmoid_keras3) == Gate::hard_sigmoid_keras3);
  CHECK_THROWS_WITH(gate(hard, ""), Catch::Contains("say which with --gate"));
  CHECK_THROWS_WITH(gate(hard, "2.1.3", Gate::sigmoid),
                    Catch::Contains("says that its gates are hard_sigmoid, but --gate says sigmoid"));
  CHECK_THROWS_WITH(gate(R"("recurrent_activation": {"config": "mine"})", "3.4.1"), Catch::Contains("\"mine\""));
  CHECK(gate(R"("units": 3)", "2.1.3") == Gate::hard_sigmoid);  // the defaults of their versions
  CHECK(gate(R"("units": 3)", "2.3.1") == Gate::sigmoid);
  CHECK_THROWS_WITH(gate(R"("units": 3)", "2.2.4-tf"), Catch::Contains("Say it with --gate, which is one of sigmoid"));

  const auto refused = [&](const std::string& lstm, const std::string& dense, const std::string& message) {
    INFO(lstm << dense);
    CHECK_THROWS_WITH(read_keras(whole_model(folder, lstm, dense), std::nullopt), Catch::Contains(message));
  };
  const std::string softmax = R"("activation": "softmax")";
  refused(R"("activation": "relu")", softmax, R"('l' in )");
  refused(R"("activation": "relu")", softmax, R"((LSTM) has activation = "relu", but only "tanh" can be converted)");
  refused(R"("go_backwards": true)", softmax, "go_backwards = true, but only false");
  refused(R"("return_sequences": true)", softmax, "return_sequences = true, but only false");
  refused(R"("use_bias": false)", softmax, "use_bias = false, but only true");
  refused(hard, R"("activation": "sigmoid")", R"((Dense) has activation = "sigmoid", but only "softmax")");
  refused(hard, R"("activation": "linear")", R"(only "softmax")");
}

TEST_CASE("a file that is none of Keras's is refused with a word on what it is") {
  const test::TemporaryFolder folder;
  const auto refused = [&](const fs::path& path, const std::string& message) {
    CHECK_THROWS_WITH(read_keras(path, std::nullopt), Catch::Contains(message));
  };
  refused(folder / "none.h5", "does not exist");
  refused(folder.path(), "is a folder");
  refused(keras_file("expected.h5"), "not one of Keras");
  write_whole_text(folder / "text.h5", "no weights");
  refused(folder / "text.h5", "cannot open");
  write_whole_text(folder / "model.keras", "PK\x03\x04 and so on");
  refused(folder / "model.keras", "unzip model.keras model.weights.h5");
  for (const char* name : {"keras3.weights.h5", "keras2_full.h5"}) {
    fs::copy_file(keras_file(name), folder / "cut.h5", fs::copy_options::overwrite_existing);
    fs::permissions(folder / "cut.h5", fs::perms::owner_write, fs::perm_options::add);
    fs::resize_file(folder / "cut.h5", fs::file_size(folder / "cut.h5") / 2);
    refused(folder / "cut.h5", "cut.h5");
  }
}

}  // namespace
}  // namespace genretree
