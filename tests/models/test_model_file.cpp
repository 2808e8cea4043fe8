// The model file: what it says, and what it refuses.
#include <cmath>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "models/model_file.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

SavedModel tiny_model() {
  SavedModel saved;
  saved.model.classifier = {StackConfig{.inputs = 2, .units = {3, 2}, .gate = Gate::hard_sigmoid_keras3}, 2};
  saved.model.genres = {"blues", "rock"};
  saved.parameters = initial_parameters(saved.model.classifier, {.seed = 5});
  saved.origin = "made by a test";
  return saved;
}

TEST_CASE("a model is read back bit for bit, with its features or without") {
  const test::TemporaryFolder folder;
  SavedModel saved = tiny_model();
  SECTION("unknown features") {}
  SECTION("known features") {
    saved.model.features = FeatureConfig{};
    saved.model.features->hop = 441;
    saved.model.features->coefficients = 2;
  }
  write_model(folder / "model.h5", saved, {{"run", "e005-t1"}, {"seed", "7"}});
  const SavedModel read = read_model(folder / "model.h5");
  CHECK(read.parameters == saved.parameters);
  CHECK(read.origin == "made by a test");
  CHECK(read.model.genres == saved.model.genres);
  CHECK(read.model.features == saved.model.features);
  CHECK(read.model.classifier.classes == 2);
  CHECK(read.model.classifier.stack.inputs == 2);
  CHECK(read.model.classifier.stack.units == std::vector<std::size_t>{3, 2});
  CHECK(read.model.classifier.stack.gate == Gate::hard_sigmoid_keras3);
  CHECK(describe(read.model.classifier) == "LSTM 3, LSTM 2, dense 2");
  const Hdf5File file = Hdf5File::open(folder / "model.h5");
  CHECK(file.attribute<std::string>("/", "kind") == "classifier");
  CHECK(file.attribute<std::string>("/", "seed") == "7");
}

/// With every option of the network.
SavedModel strong_model() {
  SavedModel saved = tiny_model();
  NetworkConfig& stack = saved.model.classifier.stack;
  stack.bidirectional = stack.standardise = true;
  stack.readout = Readout::mean_max;
  stack.dropout = 0.1, stack.recurrent_dropout = 0.2, stack.layer_dropout = 0.375;
  saved.model.classifier.window = 256;
  saved.parameters = initial_parameters(saved.model.classifier, {.seed = 5});
  saved.parameters[0] = 3.5f, saved.parameters[3] = 0.25f;  // of the mean and the scale
  return saved;
}

TEST_CASE("a model with every option is read back bit for bit") {
  const test::TemporaryFolder folder;
  const SavedModel saved = strong_model();
  write_model(folder / "model.h5", saved);
  const SavedModel read = read_model(folder / "model.h5");
  CHECK(read.parameters == saved.parameters);
  const NetworkConfig& stack = read.model.classifier.stack;
  CHECK(stack.units == std::vector<std::size_t>{3, 2});
  CHECK(stack.bidirectional);
  CHECK(stack.readout == Readout::mean_max);
  CHECK(stack.dropout == 0.1);
  CHECK(stack.recurrent_dropout == 0.2);
  CHECK(stack.layer_dropout == 0.375);
  CHECK(stack.standardise);
  CHECK(read.model.classifier.window == 256);
  CHECK(describe(read.model.classifier) ==
        "bidirectional LSTM 3, bidirectional LSTM 2, mean and maximum over time, dense 2");
  const Hdf5File file = Hdf5File::open(folder / "model.h5");
  CHECK(file.read<float>("/model/normalization/mean").values == std::vector<float>{3.5f, 0});
  CHECK(file.read<float>("/model/normalization/scale").values == std::vector<float>{1, 0.25f});
  CHECK(file.read<float>("/model/lstm_1/backward/kernel").shape == std::vector<std::size_t>{6, 8});
  CHECK(file.read<float>("/model/dense/kernel").shape == std::vector<std::size_t>{8, 2});
}

TEST_CASE("each option by itself is read back, and without any a file says nothing of them") {
  const test::TemporaryFolder folder;
  const auto read_back = [&](SavedModel saved) {
    saved.parameters = initial_parameters(saved.model.classifier, {.seed = 5});
    write_model(folder / "model.h5", saved);
    const SavedModel read = read_model(folder / "model.h5");
    CHECK(read.parameters == saved.parameters);
    const NetworkConfig &a = read.model.classifier.stack, &b = saved.model.classifier.stack;
    CHECK(a.bidirectional == b.bidirectional);
    CHECK(a.readout == b.readout);
    CHECK(a.layer_dropout == b.layer_dropout);
    CHECK(a.standardise == b.standardise);
    CHECK(read.model.classifier.window == saved.model.classifier.window);
  };
  const auto of_stack = [&](auto change) {
    SavedModel saved = tiny_model();
    change(saved.model.classifier.stack);
    read_back(saved);
  };
  of_stack([](NetworkConfig& stack) { stack.bidirectional = true; });
  for (const Readout readout : readouts) of_stack([&](NetworkConfig& stack) { stack.readout = readout; });
  of_stack([](NetworkConfig& stack) { stack.layer_dropout = 0.5; });
  of_stack([](NetworkConfig& stack) { stack.standardise = true; });
  SavedModel window = tiny_model();
  window.model.classifier.window = 7;
  read_back(window);

  read_back(tiny_model());  // a file as earlier versions wrote and read it
  const Hdf5File plain = Hdf5File::open(folder / "model.h5");
  for (const char* name : {"bidirectional", "readout", "layer_dropout", "window"})
    CHECK_FALSE(plain.has_attribute("/model", name));
  CHECK_FALSE(plain.contains("/model/normalization"));
}

TEST_CASE("a node's model knows the genres below its children") {
  const test::TemporaryFolder folder;
  SavedModel saved = tiny_model();
  saved.model.genres = {"loud", "blues"};
  saved.model.node = "music";
  saved.model.below = {{"metal", "rock"}, {"blues"}};
  write_model(folder / "node.h5", saved);
  const SavedModel read = read_model(folder / "node.h5");
  CHECK(read.model.node == "music");
  CHECK(read.model.below == saved.model.below);
  const Hdf5File file = Hdf5File::open(folder / "node.h5");
  CHECK(file.read<std::string>("/below/genres").values == std::vector<std::string>{"metal", "rock", "blues"});
  CHECK(file.read<std::int32_t>("/below/children").values == std::vector<std::int32_t>{0, 0, 1});
}

TEST_CASE("a flipped bit in weights or features is noticed") {
  const test::TemporaryFolder folder;
  SavedModel saved = tiny_model();
  saved.model.features = FeatureConfig{};
  saved.model.features->coefficients = 2;
  write_model(folder / "model.h5", saved);
  const std::string whole = read_text(folder / "model.h5");
  const auto flipped_at = [&](std::string_view part) {
    std::string bytes = whole;
    const std::size_t at = bytes.find(part);
    REQUIRE(at != std::string::npos);
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    write_whole_text(folder / "bad.h5", bytes);
    return test::error_of([&] { read_model(folder / "bad.h5"); });
  };
  const std::string_view weights(reinterpret_cast<const char*>(saved.parameters.data()), 16);
  CHECK_THAT(flipped_at(weights), Catch::Contains("its network does not have the checksum that it was written with"));
  CHECK_THAT(flipped_at("22050"), Catch::Contains("its features do not have the checksum"));
  CHECK_THAT(flipped_at("rock"), Catch::Contains("checksum"));
}

TEST_CASE("a damaged option is noticed") {
  const test::TemporaryFolder folder;
  SavedModel saved = strong_model();
  saved.model.classifier.window = 0x5a5b5c5d;
  write_model(folder / "model.h5", saved);
  const std::string whole = read_text(folder / "model.h5");
  const auto changed = [&](const std::string& part, const std::string& to) {
    std::string bytes = whole;
    const std::size_t at = bytes.find(part);
    REQUIRE(at != std::string::npos);
    write_whole_text(folder / "bad.h5", bytes.replace(at, part.size(), to));
    return test::error_of([&] { read_model(folder / "bad.h5"); });
  };
  CHECK_THAT(changed("mean_max", "mean_mix"),
             Catch::Contains("has the readout 'mean_mix', which this version does not know. It knows last, mean, max, "
                             "mean_max"));
  CHECK_THAT(changed("\x5d\x5c\x5b\x5a", "\x5d\x5c\x5b\x59"), Catch::Contains("checksum"));
}

TEST_CASE("gates have names") {
  for (const std::string& name : gate_names()) CHECK(name_of(*gate_named(name)) == name);
  CHECK(gate_names().size() == 3);
  CHECK_FALSE(gate_named("tanh"));
}

TEST_CASE("a file that is no sound model is refused with the reason") {
  const test::TemporaryFolder folder;
  const auto refused = [&](const SavedModel& saved, const std::function<void(Hdf5File&)>& change,
                           const std::string& message) {
    Hdf5File file = Hdf5File::create(folder / "bad.h5");
    write_model(file, saved.model, saved.parameters, saved.origin);
    change(file);
    file.close();
    CHECK_THROWS_WITH(read_model(folder / "bad.h5"), Catch::Contains(message));
  };
  const auto nothing = [](Hdf5File&) {};
  SavedModel diverged = tiny_model();
  diverged.parameters[3] = NAN;
  refused(diverged, nothing, "its training diverged");
  SavedModel fewer = tiny_model();
  fewer.model.genres.pop_back();
  refused(fewer, nothing, "has 1 genre, but a classifier needs at least two");
  SavedModel more = tiny_model();
  more.model.genres.push_back("jazz");
  refused(more, nothing, "'/model/dense/kernel' in");
  refused(more, nothing, "has the shape [2, 2], but [2, 3] is expected");
  refused(
      tiny_model(), [](Hdf5File& file) { file.write("/model/lstm_2/bias", std::vector<float>(4)); },
      "has no data set '/model/lstm_2/recurrent_kernel'");
  refused(
      tiny_model(), [](Hdf5File& file) { file.write("/model/lstm_2/recurrent_kernel", std::vector<float>(4)); },
      "has the shape [4], but must be a matrix");

  SavedModel wide = tiny_model();
  wide.model.features = FeatureConfig{};
  refused(wide, nothing, "takes 2 numbers for each frame, but its features have 13");
  SavedModel rate = tiny_model();
  rate.model.classifier.stack.dropout = 1;
  refused(rate, nothing, "has the dropout 1, but allowed is");
  SavedModel node = tiny_model();
  node.model.node = "music";
  node.model.below = {{"blues"}, {"rock"}, {"jazz"}};
  refused(node, nothing, "'/below' in");
  SavedModel strong = strong_model();
  strong.model.classifier.window = static_cast<std::size_t>(-3);
  refused(strong, nothing, "has a window of -3 frames. The file is damaged");
  strong.model.classifier.stack.layer_dropout = 1;
  refused(strong, nothing, "has the layer_dropout 1, but allowed is");

  const auto header = [&](std::int32_t format, const std::string& kind) {
    Hdf5File file = Hdf5File::create(folder / "bad.h5");
    file.set_attribute("/", "format", format);
    file.set_attribute("/", "kind", kind);
    file.set_attribute<std::string>("/", "features", "unknown");
    file.close();
  };
  header(1, "forest");
  CHECK_THROWS_WITH(read_model(folder / "bad.h5"), Catch::Contains("of the kind 'forest', but a 'classifier'"));
  header(2, "classifier");
  CHECK_THROWS_WITH(read_model(folder / "bad.h5"), Catch::Contains("has format 2, but this version reads format 1"));

  write_model(folder / "cut.h5", tiny_model());
  std::filesystem::resize_file(folder / "cut.h5", std::filesystem::file_size(folder / "cut.h5") / 2);
  CHECK_THROWS_AS(read_model(folder / "cut.h5"), InputError);
  CHECK_THROWS_WITH(read_model(folder.path()), Catch::Contains("is a folder"));
  CHECK_THROWS_WITH(read_model(test::golden("keras_weights/keras3.weights.h5")),
                    Catch::Contains("is not a model file of genretree") && Catch::Contains("convert_weights"));
}

}  // namespace
}  // namespace genretree
