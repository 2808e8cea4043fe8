// classify MODEL AUDIO…: the genre of any audio file, or of the clips of a feature store, as one classifier or a whole
// genre tree hears it.
#include <filesystem>
#include <string>
#include <vector>

#include "core/progress.hpp"
#include "core/text.hpp"
#include "core/worker_pool.hpp"
#include "kernels/backends.hpp"
#include "tools/classify/answers.hpp"
#include "tools/classify/output.hpp"
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

std::vector<NetworkConfig> lstms_of(const SavedNetworks& model) {
  std::vector<NetworkConfig> lstms;
  for (const SavedModel& network : model.networks)
    if (!network.model.classifier.cnn) lstms.push_back(network.model.classifier.stack);
  return lstms;
}

ExitCode classify(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Says the genre of each audio file (any format that libsndfile reads), or of each clip in a feature store\n"
      "(.h5, made by extract_features).\n\n"
      "MODEL is what run_experiment leaves in models/ of its folder (one file for each run, e.g.\n"
      "runs/NAME/models/e050-t0.h5; for each trial of a genre tree, e.g. runs/NAME/models/tree-t0.h5; for each\n"
      "of its nodes), a checkpoint of a run, or what convert_weights made.\n\n"
      "A tree answers by hard routing, as the paper's multi-step classifier: from the root on to the most probable\n"
      "child of each node. Its line shows this way with each node's probability of the child, and the probability of\n"
      "every genre by soft routing: the product down its path. The two may disagree.\n\n"
      "A long file is judged in windows of the model's frames, one after the other, and the probabilities are\n"
      "averaged, at each node of a tree before the way is chosen. A rest of at least half a window gets a window\n"
      "that ends with the file; a shorter rest is left out. A file shorter than a window is filled as in "
      "training.\n\n" +
          std::string(json_help) + "\n\nExit code 3: some inputs could not be used and are named; 65: none could.",
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

  const SavedNetworks model = read_given_model(options.model);
  refuse_audio_without_features(options.model, options.inputs, model);
  const BackendChoice choice = choose_backend({.device = options.backend}, lstms_of(model));
  if (!choice.why_no_gpu.empty()) fmt::print(stderr, "the GPU was not taken: {}\n", choice.why_no_gpu);
  if (const Model& first = model.networks.front().model; !first.features)
    warn(
        fmt::format("{} does not know what features it was trained on: any store with {} numbers for each frame is "
                    "taken, right or wrong",
                    options.model.string(), first.classifier.inputs()));
  const std::vector<Answer> answers = classify_inputs(options.inputs, model, options.jobs, *choice.backend);
  const std::size_t bad = report_bad(answers);
  options.json ? print_json(options.model, model, answers) : print_text(options.model, model, answers);
  return bad ? ExitCode::left_out : ExitCode::ok;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] { return classify(argc, argv); });
}
