#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>

#include "core/error.hpp"
#include "core/io/hdf5.hpp"
#include "core/worker_pool.hpp"
#include "features/extract.hpp"
#include "features/statistics.hpp"
#include "models/predict.hpp"
#include "tools/classify/answers.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

bool has_hdf5_signature(const fs::path& path) {
  constexpr std::string_view signature("\x89HDF\r\n\x1a\n", 8);
  std::string start(signature.size(), ' ');
  std::ifstream(path, std::ios::binary).read(start.data(), static_cast<std::streamsize>(start.size()));
  return start == signature;
}

bool is_hdf5(const fs::path& path) {
  return has_hdf5_signature(path) || path.extension() == ".h5" || path.extension() == ".hdf5";
}

/// Any of the networks: all have the same features and inputs.
const Model& first_of(const SavedNetworks& model) { return model.networks.front().model; }

/// InputError unless the store holds what the model was trained on, as far as that is known.
void check_store(const fs::path& path, const FeatureStore& store, const Model& model) {
  if (model.features && *model.features != store.config)
    reject(
        "{} holds other features than the model was trained on: {}. Extract them again with the model's parameters, or "
        "give classify the audio",
        path.string(), differing_features(store.config, *model.features, "in the store", "in the model"));
  const std::size_t width = store.view().shape[2], inputs = model.classifier.inputs();
  if (width != inputs)
    reject("{} holds {} numbers for each frame, but the model takes {}", path.string(), width, inputs);
}

std::vector<Answer> classify_store(const fs::path& path, const SavedNetworks& model, Backend& backend, Queue& queue) {
  const FeatureStore store = read_store(path);
  check_store(path, store, first_of(model));
  std::vector<Answer> answers;
  for (std::size_t clip = 0; clip < store.clips(); ++clip)
    answers.push_back({path, store.tracks[clip], store.genres[static_cast<std::size_t>(store.labels[clip])], {}});
  std::vector<std::size_t> lengths;
  if (!store.lengths.empty())
    for (std::size_t clip = 0; clip < store.clips(); ++clip) lengths.push_back(real_frames(store, clip));
  for (const SavedModel& network : model.networks) {
    const std::size_t classes = network.model.classifier.classes;
    const std::vector<float> rows =
        predict(network.model.classifier, network.parameters, store.view(), lengths, backend, queue);
    for (std::size_t clip = 0; clip < store.clips(); ++clip) {
      const std::span<const float> row = std::span(rows).subspan(clip * classes, classes);
      answers[clip].networks.emplace_back(row.begin(), row.end());
    }
  }
  return answers;
}

/// The windows [N, T, F] of a clip of any length.
std::vector<float> windows_of(std::vector<float> features, const FeatureConfig& config) {
  const std::size_t width = config.width(), frames = features.size() / width;
  if (frames < config.frames) return fit_to_frames(std::move(features), config);
  std::vector<float> windows;
  for (const std::size_t start : window_starts(frames, config.frames))
    std::copy_n(features.begin() + static_cast<std::ptrdiff_t>(start * width), config.frames * width,
                std::back_inserter(windows));
  return windows;
}

/// `tables`: of the model's features.
Answer classify_audio(const fs::path& path, const SavedNetworks& model, const SpectralTables& tables, Backend& backend,
                      Queue& queue) {
  if (fs::is_directory(path))
    reject("{} is a folder. Name its files, or make a feature store of it with extract_features", path.string());
  const FeatureConfig& config = *first_of(model).features;
  const Audio audio = load_audio(path, config.sample_rate);
  std::vector<float> features = clip_features(audio, path.string(), config, tables, backend, queue);
  const std::size_t length = std::min(features.size() / config.width(), config.frames);
  const std::vector<float> windows = windows_of(std::move(features), config);
  Answer answer{path, "", "", {}};
  answer.windows = windows.size() / (config.frames * config.width());
  const View<const float, 3> view = view_of(windows.data(), answer.windows, config.frames, config.width());
  const std::vector<std::size_t> lengths(answer.windows, length);
  for (const SavedModel& network : model.networks) {
    const std::vector<double> mean =
        mean_probabilities(predict(network.model.classifier, network.parameters, view, lengths, backend, queue),
                           network.model.classifier.classes);
    answer.networks.emplace_back(mean.begin(), mean.end());
  }
  return answer;
}

/// Where a label is right: the class of a single network, the child of a node, the genre of a tree.
std::optional<std::size_t> right_answer(const SavedNetworks& model, const std::string& label) {
  if (!first_of(model).below.empty() && model.tree.empty()) {
    const auto& below = first_of(model).below;
    const auto child = std::ranges::find_if(
        below, [&](const std::vector<std::string>& genres) { return std::ranges::count(genres, label) > 0; });
    return child == below.end() ? std::nullopt : std::optional<std::size_t>(child - below.begin());
  }
  const std::vector<std::string>& names = names_of_answers(model);
  const auto name = std::ranges::find(names, label);
  return name == names.end() ? std::nullopt : std::optional<std::size_t>(name - names.begin());
}

}  // namespace

SavedNetworks read_given_model(const fs::path& path) {
  if (fs::is_regular_file(path) && std::ifstream(path)) {  // of others read_networks says what is wrong
    if (!has_hdf5_signature(path))
      reject("{} is no model file. The model comes first, then the audio: classify MODEL AUDIO…", path.string());
    try {
      Hdf5File::open(path);
    } catch (const InputError&) {
      reject(
          "{} is cut off or damaged. Make it again: remove it, and run_experiment … --resume makes removed models "
          "again",
          path.string());
    }
  }
  return read_networks(path);
}

const std::vector<std::string>& names_of_answers(const SavedNetworks& model) {
  return model.tree.empty() ? first_of(model).genres : model.tree.genres();
}

Decision decide(const SavedNetworks& model, const Answer& answer) {
  Decision decision;
  if (model.tree.empty()) {
    decision.probabilities.assign(answer.networks.front().begin(), answer.networks.front().end());
    decision.best = decision.soft = most_probable(decision.probabilities);
    return decision;
  }
  const NodeProbabilities probabilities(answer.networks.begin(), answer.networks.end());
  decision.best = route_hard(model.tree, probabilities);
  decision.path = model.tree.path(decision.best);
  decision.probabilities = route_soft(model.tree, probabilities);
  decision.soft = most_probable(decision.probabilities);
  return decision;
}

std::vector<Answer> classify_inputs(const std::vector<fs::path>& inputs, const SavedNetworks& model, std::size_t jobs,
                                    Backend& backend) {
  std::vector<std::vector<Answer>> answers(inputs.size());
  const auto& features = first_of(model).features;
  const SpectralTables tables = features ? make_spectral_tables(*features) : SpectralTables();
  const auto classify_one = [&](std::size_t item, Worker& worker) {
    const fs::path& input = inputs[item];
    try {
      if (is_hdf5(input))
        answers[item] = classify_store(input, model, backend, worker.queue);
      else
        answers[item] = {classify_audio(input, model, tables, backend, worker.queue)};
    } catch (const InputError& error) {
      Answer bad{input, "", "", {}};
      bad.error = error.what();
      answers[item] = {bad};
    }
  };
  run_on_workers(backend.device(), std::min(jobs, inputs.size()), inputs.size(), classify_one);
  std::vector<Answer> all;
  for (std::vector<Answer>& part : answers) std::ranges::move(part, std::back_inserter(all));
  return all;
}

void refuse_audio_without_features(const fs::path& model_path, const std::vector<fs::path>& inputs,
                                   const SavedNetworks& model) {
  if (first_of(model).features) return;
  for (const fs::path& input : inputs)
    if (!is_hdf5(input))
      reject(
          "{} does not know its features, so it cannot take {}. Convert it again with --features STORE (a store with "
          "the features that it was trained on), or give it feature stores with {} numbers for each frame",
          model_path.string(), input.string(), first_of(model).classifier.inputs());
}

Agreement agreement_of(const SavedNetworks& model, const std::vector<Answer>& answers) {
  Agreement agreement;
  for (const Answer& answer : answers) {
    if (answer.label.empty() || !answer.error.empty()) continue;
    const std::optional<std::size_t> right = right_answer(model, answer.label);
    ++(right ? agreement.clips : agreement.other_genres);
    if (!right) continue;
    const Decision decision = decide(model, answer);
    agreement.right += decision.best == *right;
    agreement.right_soft += decision.soft == *right;
  }
  return agreement;
}

}  // namespace genretree
