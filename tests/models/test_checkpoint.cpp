#include <cmath>
#include <fstream>
#include <limits>

#include "core/error.hpp"
#include "core/io/hdf5.hpp"
#include "models/checkpoint.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

Model tiny_model() {
  Model model;
  model.classifier = {
      .stack =
          StackConfig{
              .inputs = 1, .units = {3, 1}, .gate = Gate::hard_sigmoid, .dropout = 0.05, .recurrent_dropout = 0.35},
      .classes = 2};
  model.features = FeatureConfig{};
  model.features->coefficients = 1;
  model.genres = {"blues", "rock"};
  return model;
}

Checkpoint tiny_checkpoint(const Model& model) {
  Checkpoint checkpoint{"e005-t1", "0123456789abcdef",
                        "abc123",  {"cpu", "a processor", "AVX2", "interleaved", "fp32", "highway 1.0.3"},
                        1.5,       {}};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  checkpoint.state.step = 8;
  checkpoint.state.history = {{{1.1, 0.5}, {nan, nan}, {1.3, 0.25}}, {{0.1, 1}, {nan, nan}, {1 / 3.0, 0.75}}};
  checkpoint.state.parameters = initial_parameters(model.classifier, {.seed = 5});
  for (float value : checkpoint.state.parameters)
    checkpoint.state.moments.insert(checkpoint.state.moments.end(), {value / 3, value * value});
  return checkpoint;
}

TEST_CASE("a checkpoint is read back bit for bit") {
  const test::TemporaryFolder folder;
  const Model model = tiny_model();
  const Checkpoint written = tiny_checkpoint(model);
  write_checkpoint(folder / "run.h5", model, written);
  const Checkpoint read = read_checkpoint(folder / "run.h5", model);
  CHECK(read.run == written.run);
  CHECK(read.spec_hash == written.spec_hash);
  CHECK(read.commit == "abc123");
  CHECK(read.seconds == written.seconds);
  CHECK(read.backend.target == "AVX2");
  CHECK(read.backend.libraries == "highway 1.0.3");
  CHECK(read.state.step == 8);
  CHECK(read.state.parameters == written.state.parameters);
  CHECK(read.state.moments == written.state.moments);
  REQUIRE(read.state.history.size() == 2);
  CHECK(read.state.history[1].train.loss == 0.1);
  CHECK(std::isnan(read.state.history[1].validation.loss));
  CHECK(read.state.history[1].test.loss == 1 / 3.0);
  CHECK(read.state.history[0].test.accuracy == 0.25);
}

TEST_CASE("the best epoch's weights are in a checkpoint that selects them, beside those that training goes on with") {
  const test::TemporaryFolder folder;
  Model model = tiny_model();
  model.classifier.stack.bidirectional = model.classifier.stack.standardise = true;
  model.classifier.stack.readout = Readout::max;
  model.classifier.window = 4;
  Checkpoint written = tiny_checkpoint(model);
  write_checkpoint(folder / "run.h5", model, written);
  Checkpoint read = read_checkpoint(folder / "run.h5", model);
  CHECK(read.state.best_epoch == 0);
  CHECK(read.state.best.empty());
  CHECK(read.state.selected() == written.state.parameters);

  written.state.best_epoch = 1;
  for (const float value : written.state.parameters) written.state.best.push_back(value / 7);
  write_checkpoint(folder / "run.h5", model, written);
  read = read_checkpoint(folder / "run.h5", model);
  CHECK(read.state.best_epoch == 1);
  CHECK(read.state.best == written.state.best);
  CHECK(read.state.parameters == written.state.parameters);
  CHECK(read.state.selected() == written.state.best);
  model.classifier.stack.bidirectional = false;
  CHECK_THROWS_WITH(read_checkpoint(folder / "run.h5", model), Catch::Contains("belongs to another network"));
}

TEST_CASE("a checkpoint is a model that says everything about itself") {
  const test::TemporaryFolder folder;
  const Model model = tiny_model();
  const Checkpoint checkpoint = tiny_checkpoint(model);
  write_checkpoint(folder / "run.h5", model, checkpoint);
  const SavedModel saved = read_model(folder / "run.h5");
  CHECK(saved.parameters == checkpoint.state.parameters);
  CHECK(saved.model.genres == model.genres);
  CHECK(saved.model.features == model.features);
  CHECK(saved.model.classifier.classes == 2);
  CHECK(saved.model.classifier.stack.inputs == 1);
  CHECK(saved.model.classifier.stack.units == std::vector<std::size_t>{3, 1});
  CHECK(saved.model.classifier.stack.gate == Gate::hard_sigmoid);
  CHECK(saved.model.classifier.stack.dropout == 0.05);
  CHECK(saved.model.classifier.stack.recurrent_dropout == 0.35);

  const Hdf5File file = Hdf5File::open(folder / "run.h5");  // the tensors have Keras's names and shapes
  CHECK(file.read<float>("/model/lstm/kernel").shape == std::vector<std::size_t>{1, 12});
  CHECK(file.read<float>("/model/lstm/bias").shape == std::vector<std::size_t>{12});
  CHECK(file.read<float>("/model/lstm_1/recurrent_kernel").shape == std::vector<std::size_t>{1, 4});
  CHECK(file.read<float>("/model/dense/kernel").shape == std::vector<std::size_t>{1, 2});
}

TEST_CASE("a checkpoint that does not fit is refused with the reason") {
  const test::TemporaryFolder folder;
  const Model model = tiny_model();
  write_checkpoint(folder / "run.h5", model, tiny_checkpoint(model));

  Model larger = model;
  larger.classifier.stack.units = {4, 1};
  CHECK_THROWS_WITH(read_checkpoint(folder / "run.h5", larger), Catch::Contains("belongs to another network"));
  CHECK_THROWS_WITH(read_checkpoint(folder / "none.h5", model), Catch::Contains("does not exist"));

  std::filesystem::resize_file(folder / "run.h5", std::filesystem::file_size(folder / "run.h5") / 2);
  CHECK_THROWS_AS(read_checkpoint(folder / "run.h5", model), InputError);

  Hdf5File other = Hdf5File::create(folder / "other.h5");
  other.write("/numbers", std::vector<float>{1, 2});
  other.close();
  CHECK_THROWS_WITH(read_model(folder / "other.h5"), Catch::Contains("is not a model file"));
}

}  // namespace
}  // namespace genretree
