#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/text.hpp"
#include "models/checkpoint.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t history_columns = 6;

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

BackendInfo backend_of(const Hdf5File& file) {
  BackendInfo info;
  for (const auto& [name, field] : backend_info_fields) info.*field = file.attribute<std::string>("/", name);
  return info;
}

}  // namespace

void write_checkpoint(const fs::path& path, const Model& model, const Checkpoint& checkpoint) {
  write_whole(path, [&](const fs::path& temporary) {
    Hdf5File file = Hdf5File::create(temporary);
    const TrainerState& state = checkpoint.state;
    write_model(
        file, model, state.parameters,
        fmt::format("checkpoint of the run {} after {}", checkpoint.run, count_of(state.history.size(), "epoch")));
    file.set_attribute("/", "run", checkpoint.run);
    file.set_attribute("/", "spec_hash", checkpoint.spec_hash);
    file.set_attribute("/", "commit", checkpoint.commit);
    file.set_attribute("/", "seconds", checkpoint.seconds);
    for (const auto& [name, field] : backend_info_fields) file.set_attribute("/", name, checkpoint.backend.*field);
    file.write<std::int64_t>("/training/step", {&state.step, 1}, {});
    file.write<float>("/training/moments", state.moments, {2, state.moments.size() / 2});
    const std::vector<double> history = flat_history(state.history);
    file.write<double>("/training/history", history, {state.history.size(), history_columns});
    if (state.best_epoch > 0) {
      const auto best_epoch = static_cast<std::int64_t>(state.best_epoch);
      file.write<std::int64_t>("/training/best_epoch", {&best_epoch, 1}, {});
      file.write<float>("/training/best", state.best, {state.best.size()});
    }
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
  checkpoint.backend = backend_of(file);
  TrainerState& state = checkpoint.state;
  state.parameters = read_parameters(file, model.classifier);
  state.moments = file.read<float>("/training/moments").values;
  const Hdf5Array<std::int64_t> step = file.read<std::int64_t>("/training/step");
  const Hdf5Array<double> history = file.read<double>("/training/history");
  if (file.contains("/training/best")) {
    state.best_epoch = static_cast<std::size_t>(file.read<std::int64_t>("/training/best_epoch").values.at(0));
    state.best = file.read<float>("/training/best").values;
  }
  const bool best_is_whole = state.best.size() == (state.best_epoch > 0 ? state.parameters.size() : 0) &&
                             state.best_epoch <= history.values.size() / history_columns;
  if (step.values.size() != 1 || state.moments.size() != 2 * state.parameters.size() ||
      history.values.size() % history_columns != 0 || !best_is_whole)
    reject("the training state in {} is damaged. Delete the file to train this run anew", path.string());
  state.step = step.values.front();
  state.history = history_from(history.values);
  return checkpoint;
}

BackendInfo read_checkpoint_backend(const fs::path& path) { return backend_of(open_model(path)); }

}  // namespace genretree
