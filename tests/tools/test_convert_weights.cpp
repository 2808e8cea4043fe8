// convert_weights from the command line, and classify with what it makes.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/io/files.hpp"
#include "core/io/hdf5.hpp"
#include "features/store.hpp"
#include "models/keras_weights.hpp"
#include "models/model_file.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace fs = std::filesystem;
using Catch::Contains;
namespace {

test::CommandResult run(const test::TemporaryFolder& folder, const std::string& program, const std::string& arguments) {
  return test::run_command(
      fmt::format("( cd {} && {} {} )", folder.path().string(), test::program(program).string(), arguments));
}

test::CommandResult convert(const test::TemporaryFolder& folder, const std::string& arguments) {
  return run(folder, "convert_weights", arguments);
}

std::string keras_file(const std::string& name) { return test::golden("keras_weights/" + name).string(); }

/// The golden input as a store of features.
FeatureStore golden_store() {
  Hdf5Array<float> x = Hdf5File::open(keras_file("expected.h5")).read<float>("/x");
  FeatureStore store;
  store.config.coefficients = x.shape[2];
  store.config.frames = x.shape[1];
  store.genres = {"a", "b", "c"};
  for (std::size_t clip = 0; clip < x.shape[0]; ++clip) {
    store.tracks.push_back(fmt::format("clip{}", clip));
    store.labels.push_back(static_cast<std::int32_t>(clip % 3));
    store.lengths.push_back(static_cast<std::int32_t>(x.shape[1]));
    store.checksums.push_back(clip);
  }
  store.features = std::move(x.values);
  return store;
}

TEST_CASE("from Keras to classify: Keras's probabilities, with features known or not") {
  const test::TemporaryFolder folder;
  write_store(folder / "store.h5", golden_store());
  const bool known = GENERATE(false, true);
  const std::string name = GENERATE("keras3.weights.h5", "keras2_full.h5");
  INFO(name);
  const test::CommandResult converted = convert(
      folder,
      fmt::format("{} -o model.h5 --genres jazz,rock,pop{}", keras_file(name), known ? " --features store.h5" : ""));
  INFO(converted.output);
  REQUIRE(converted.exit_code == 0);
  CHECK_THAT(converted.output, Contains("5 inputs, LSTM 7, LSTM 4, LSTM 3, dense 3; gates: "));
  CHECK((converted.output.find("Its features are unknown") == std::string::npos) == known);

  const auto document = nlohmann::json::parse(run(folder, "classify", "model.h5 store.h5 --json 2>/dev/null").output);
  CHECK_THAT(document["model"]["origin"].get<std::string>(), Contains("converted from " + name));
  CHECK(document["model"]["features"].is_object() == known);
  std::vector<double> ours;
  for (const auto& answer : document["inputs"])
    for (const char* genre : {"jazz", "rock", "pop"}) ours.push_back(answer["probabilities"][genre]);
  const std::vector<float> theirs =
      Hdf5File::open(keras_file("expected.h5")).read<float>("/" + name + "/probabilities").values;
  CHECK(test::max_difference(std::span<const double>(ours), std::span<const float>(theirs)) < 1e-5);

  const test::CommandResult audio = run(folder, "classify", "model.h5 " + test::golden("librosa_plain.au").string());
  CHECK(audio.exit_code == (known ? 0 : 65));
  if (!known) CHECK_THAT(audio.output, Contains("does not know its features, so it cannot take"));
  FeatureStore other = golden_store();
  other.config.hop = 441;
  write_store(folder / "other.h5", other);
  const test::CommandResult other_features = run(folder, "classify", "model.h5 other.h5");
  CHECK(other_features.exit_code == (known ? 65 : 0));
  CHECK_THAT(other_features.output, Contains(known ? "hop is 441 in the store and 512 in the model"
                                                   : "any store with 5 numbers for each frame is taken"));
}

TEST_CASE("to Keras and back: the same weights, and the Python that loads them") {
  const test::TemporaryFolder folder;
  REQUIRE(convert(folder, keras_file("keras2_full.h5") + " -o model.h5 --genres jazz,rock,pop").exit_code == 0);
  const test::CommandResult result = convert(folder, "model.h5 --to-keras out.weights.h5");
  INFO(result.output);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.output, Contains("the genres are jazz, rock, pop, in this order") &&
                                Contains("keras.layers.LSTM(7, recurrent_activation=lambda x: keras.ops.clip(0.2 * x + "
                                         "0.5, 0, 1), return_sequences=True)") &&
                                Contains("model.load_weights(\"out.weights.h5\")"));
  CHECK(read_keras(folder / "out.weights.h5", Gate::hard_sigmoid).parameters ==
        read_model(folder / "model.h5").parameters);
}

TEST_CASE("what was not said is told, and wrong options are named") {
  const test::TemporaryFolder folder;
  const std::string file = keras_file("keras2_weights.h5");
  const test::CommandResult plain = convert(folder, file + " -o plain.h5");
  CHECK(plain.exit_code == 0);
  CHECK_THAT(plain.output, Contains("hard_sigmoid is taken, the default of LSTM layers in Keras 2.1.3") &&
                               Contains("they are called class 0 to class 2. Name them with --genres a,b,…"));
  CHECK(read_model(folder / "plain.h5").model.genres == std::vector<std::string>{"class 0", "class 1", "class 2"});
  CHECK(convert(folder, file + " -o gate.h5 --gate sigmoid").exit_code == 0);
  CHECK(read_model(folder / "gate.h5").model.classifier.stack.gate == Gate::sigmoid);

  write_store(folder / "store.h5", golden_store());
  FeatureStore wide = golden_store();
  wide.config.coefficients = 15, wide.config.frames = 5;
  write_store(folder / "wide.h5", wide);
  FeatureStore short_clips = golden_store();
  short_clips.config.frames = 5;
  short_clips.features.resize(short_clips.clips() * 25);
  write_store(folder / "short.h5", short_clips);
  CHECK_THAT(convert(folder, file + " -o named.h5 --features store.h5").output,
             Contains("with --genres a,b,c, in the"));

  const auto refused = [&](const std::string& arguments, const std::string& message) {
    const test::CommandResult result = convert(folder, arguments);
    INFO(arguments << ": " << result.output);
    CHECK(result.exit_code == 65);
    CHECK_THAT(result.output, Contains(message));
  };
  refused(file, "say where to: -o model.h5, or --to-keras OUT.weights.h5");
  refused(file + " -o plain.h5", "plain.h5 is there already. Choose another name, or overwrite it with --force");
  refused(file + " -o x.h5 --genres a,b", "--genres names 2 genres (a, b), but the network has 3 outputs");
  refused(file + " -o x.h5 --genres a,b,a", "must name each genre once");
  refused(file + " -o x.h5 --gate hard_sigmoids", "(did you mean 'hard_sigmoid'?)");
  refused(file + " -o x.h5 --features wide.h5", "holds 15 numbers for each frame, but the network of");
  refused(keras_file("keras2_full.h5") + " -o x.h5 --features short.h5",
          "was built for 15. Extract features with --set");
  refused(file + " -o x.h5 --features none.h5", "there is no feature store none.h5");
  refused("plain.h5 -o x.h5", "is a model file of genretree already. To give it to Keras, add --to-keras");
  refused("plain.h5 --to-keras x.h5", "must end in .weights.h5");
  refused("plain.h5 --to-keras x.weights.h5 --gate sigmoid", "--to-keras takes none of them");
  refused(file + " --to-keras x.weights.h5", "is not a model file of genretree");
  refused(file + " -o x.h5 --to-keras x.weights.h5", "excludes");
  refused("none.h5 -o x.h5", "none.h5 does not exist");
  CHECK_FALSE(fs::exists(folder / "x.h5"));
  CHECK_FALSE(fs::exists(folder / "x.weights.h5"));
  CHECK(convert(folder, file + " -o plain.h5 --force").exit_code == 0);
}

}  // namespace
}  // namespace genretree
