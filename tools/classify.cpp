// classify MODEL AUDIO…: the genre of any audio file, or of the clips of a feature store.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "core/progress.hpp"
#include "core/text.hpp"
#include "core/worker_pool.hpp"
#include "features/extract.hpp"
#include "kernels/backends.hpp"
#include "models/model_file.hpp"
#include "models/predict.hpp"
#include "tools/program.hpp"

namespace fs = std::filesystem;
using namespace genretree;

namespace {

struct Options {
  fs::path model;
  std::vector<fs::path> inputs;
  std::string backend = "auto";
  std::size_t jobs = available_cores();
  bool json = false;
};

/// What the model says of one clip, or why it says nothing.
struct Answer {
  fs::path input;
  std::string track, label;  ///< of a clip in a store: its name, and the genre that the store gives it
  std::vector<double> probabilities;
  std::size_t windows = 1;
  std::string error;  ///< empty: none

  std::size_t best() const {
    return static_cast<std::size_t>(std::ranges::max_element(probabilities) - probabilities.begin());
  }
};

// ------------------------------------------------------------------------------------------------------------
// answering

bool is_hdf5(const fs::path& path) {
  constexpr std::string_view signature("\x89HDF\r\n\x1a\n", 8);
  std::string start(signature.size(), ' ');
  std::ifstream(path, std::ios::binary).read(start.data(), static_cast<std::streamsize>(start.size()));
  return start == signature || path.extension() == ".h5" || path.extension() == ".hdf5";
}

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

std::vector<Answer> classify_store(const fs::path& path, const SavedModel& saved, Backend& backend, Queue& queue) {
  const FeatureStore store = read_store(path);
  check_store(path, store, saved.model);
  const std::size_t classes = saved.model.classifier.classes;
  const std::vector<float> rows = predict(saved.model.classifier, saved.parameters, store.view(), backend, queue);
  std::vector<Answer> answers;
  for (std::size_t clip = 0; clip < store.clips(); ++clip) {
    Answer answer{path, store.tracks[clip], store.genres[static_cast<std::size_t>(store.labels[clip])]};
    answer.probabilities = mean_probabilities(std::span(rows).subspan(clip * classes, classes), classes);
    answers.push_back(std::move(answer));
  }
  return answers;
}

/// The windows [N, T, F] of a clip of any length.
std::vector<float> windows_of(std::vector<float> features, const FeatureConfig& config) {
  const std::size_t width = config.coefficients, frames = features.size() / width;
  if (frames < config.frames) return fit_to_frames(std::move(features), config);
  std::vector<float> windows;
  for (const std::size_t start : window_starts(frames, config.frames))
    std::copy_n(features.begin() + static_cast<std::ptrdiff_t>(start * width), config.frames * width,
                std::back_inserter(windows));
  return windows;
}

Answer classify_audio(const fs::path& path, const SavedModel& saved, Backend& backend, Queue& queue) {
  if (fs::is_directory(path))
    reject("{} is a folder. Name its files, or make a feature store of it with extract_features", path.string());
  const FeatureConfig& config = *saved.model.features;
  const Audio audio = load_audio(path, config.sample_rate);
  const std::vector<float> windows = windows_of(clip_features(audio, path.string(), config, backend, queue), config);
  Answer answer{path};
  answer.windows = windows.size() / (config.frames * config.coefficients);
  answer.probabilities = mean_probabilities(
      predict(saved.model.classifier, saved.parameters,
              view_of(windows.data(), answer.windows, config.frames, config.coefficients), backend, queue),
      saved.model.classifier.classes);
  return answer;
}

/// Without features, audio is nothing that the model could take.
void refuse_audio_without_features(const Options& options, const SavedModel& saved) {
  if (saved.model.features) return;
  for (const fs::path& input : options.inputs)
    if (!is_hdf5(input))
      reject(
          "{} does not know its features, so it cannot take {}. Convert it again with --features STORE (a store with "
          "the "
          "features that it was trained on), or give it feature stores with {} numbers for each frame",
          options.model.string(), input.string(), saved.model.classifier.inputs());
}

/// In the order of the inputs. A bad input has an answer that says so.
std::vector<Answer> classify_all(const Options& options, const SavedModel& saved, Backend& backend) {
  std::vector<std::vector<Answer>> answers(options.inputs.size());
  const auto classify_one = [&](std::size_t item, Worker& worker) {
    const fs::path& input = options.inputs[item];
    try {
      if (is_hdf5(input))
        answers[item] = classify_store(input, saved, backend, worker.queue);
      else
        answers[item] = {classify_audio(input, saved, backend, worker.queue)};
    } catch (const InputError& error) {
      Answer bad{input};
      bad.error = error.what();
      answers[item] = {bad};
    }
  };
  run_on_workers(backend.device(), std::min(options.jobs, options.inputs.size()), options.inputs.size(), classify_one);
  std::vector<Answer> all;
  for (std::vector<Answer>& part : answers) std::ranges::move(part, std::back_inserter(all));
  return all;
}

// -------------------------------------------------------------------------------------------------------------- output

void print_json(const Options& options, const SavedModel& saved, const std::vector<Answer>& answers) {
  using Json = nlohmann::ordered_json;
  const Model& model = saved.model;
  Json inputs = Json::array();
  for (const Answer& answer : answers) {
    Json entry = {{"input", answer.input.string()}};
    if (!answer.error.empty()) {
      entry["error"] = answer.error;
      inputs.push_back(entry);
      continue;
    }
    if (!answer.track.empty()) entry["track"] = answer.track, entry["label"] = answer.label;
    entry["genre"] = model.genres[answer.best()];
    for (std::size_t i = 0; i < model.genres.size(); ++i)
      entry["probabilities"][model.genres[i]] = answer.probabilities[i];
    entry["windows"] = answer.windows;
    inputs.push_back(entry);
  }
  const Json document = {{"model",
                          {{"file", options.model.string()},
                           {"kind", classifier_kind},
                           {"network", describe(model.classifier)},
                           {"origin", saved.origin},
                           {"features", model.features ? Json::parse(to_json(*model.features)) : Json("unknown")},
                           {"genres", model.genres}}},
                         {"inputs", inputs}};
  fmt::print("{}\n", document.dump(2, ' ', false, Json::error_handler_t::replace));
}

/// "jazz 63.2 %, blues 20.1 %, …", the most probable first.
std::string ranking(const std::vector<double>& probabilities, const std::vector<std::string>& genres) {
  std::vector<std::size_t> order(genres.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t i) { return probabilities[i]; });
  std::vector<std::string> parts;
  for (const std::size_t i : order) parts.push_back(fmt::format("{} {:.1f} %", genres[i], 100 * probabilities[i]));
  return join(parts);
}

std::string name_of(const Answer& answer) { return answer.track.empty() ? answer.input.string() : answer.track; }

void print_answers(const SavedModel& saved, const std::vector<Answer>& answers) {
  const std::vector<std::string>& genres = saved.model.genres;
  std::size_t name_width = 0, genre_width = 0;
  for (const Answer& answer : answers) name_width = std::max(name_width, name_of(answer).size());
  for (const std::string& genre : genres) genre_width = std::max(genre_width, genre.size());
  for (const Answer& answer : answers)
    if (answer.error.empty())
      fmt::print("{:<{}}  {:<{}}  {}{}\n", name_of(answer), name_width, genres[answer.best()], genre_width,
                 ranking(answer.probabilities, genres),
                 answer.windows > 1 ? fmt::format("; mean of {} windows", answer.windows) : "");
}

/// How often the model agrees with the labels of stores, where it knows the genre.
void print_agreement(const SavedModel& saved, const std::vector<Answer>& answers) {
  const std::vector<std::string>& genres = saved.model.genres;
  std::size_t known = 0, agreed = 0;
  for (const Answer& answer : answers) {
    if (std::ranges::find(genres, answer.label) == genres.end()) continue;
    ++known;
    agreed += genres[answer.best()] == answer.label;
  }
  if (known)
    fmt::print("{} of {} as their stores label them. Clips that the model was trained on count too\n", agreed,
               count_of(known, "clip"));
}

/// Names the inputs that could not be used and returns how many; InputError if there is no other.
std::size_t report_bad(const std::vector<Answer>& answers) {
  std::vector<std::string> errors;
  for (const Answer& answer : answers)
    if (!answer.error.empty()) errors.push_back(answer.error);
  if (answers.empty()) reject("there is no clip in what was given");
  if (errors.size() == answers.size()) reject("{}", join(errors, "\nerror: "));
  for (const std::string& error : errors) fmt::print(stderr, "left out: {}\n", error);
  return errors.size();
}

ExitCode classify(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Says the genre of each audio file (any format that libsndfile reads), or of each clip in a feature store\n"
      "(.h5, made by extract_features).\n\n"
      "MODEL is what run_experiment leaves in models/ of its folder (one file for each run, e.g.\n"
      "runs/NAME/models/e050-t0.h5), a checkpoint of a run, or what convert_weights made.\n\n"
      "A long file is judged in windows of the model's frames, one after the other, and the probabilities are\n"
      "averaged. A rest of at least half a window gets a window that ends with the file; a shorter rest is left\n"
      "out. A file shorter than a window is filled as in training.\n\n"
      "Exit code 3: some inputs could not be used and are named; 65: none could.",
      "classify");
  app.add_option("MODEL", options.model, "a model file (.h5)")->required();
  app.add_option("AUDIO", options.inputs, "audio files, feature stores")->required();
  app.add_flag("--json", options.json, "JSON in place of text");
  app.add_option("--backend", options.backend, fmt::format("auto or one of: {}", join(built_backends())))
      ->capture_default_str();
  app.add_option("--jobs", options.jobs, "files that are worked on at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  if (asked_for_help(app, argc, argv)) return ExitCode::ok;

  const SavedModel saved = read_model(options.model);
  refuse_audio_without_features(options, saved);
  const std::unique_ptr<Backend> backend = make_backend({.device = options.backend});
  if (!saved.model.features)
    warn(
        fmt::format("{} does not know what features it was trained on: any store with {} numbers for each frame is "
                    "taken, right or wrong",
                    options.model.string(), saved.model.classifier.inputs()));
  const std::vector<Answer> answers = classify_all(options, saved, *backend);
  const std::size_t bad = report_bad(answers);
  if (options.json) {
    print_json(options, saved, answers);
  } else {
    fmt::print("{}: {}; {}\n\n", options.model.string(), describe(saved.model.classifier), saved.origin);
    print_answers(saved, answers);
    print_agreement(saved, answers);
  }
  return bad ? ExitCode::left_out : ExitCode::ok;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] { return classify(argc, argv); });
}
