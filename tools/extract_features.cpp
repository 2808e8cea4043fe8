// extract_features AUDIO_DIR -o features.h5: the features of a whole data set, as one file.
#include <filesystem>

#include "core/io/files.hpp"
#include "core/io/trace_file.hpp"
#include "core/progress.hpp"
#include "core/text.hpp"
#include "features/extract.hpp"
#include "kernels/backends.hpp"
#include "tools/program.hpp"

namespace fs = std::filesystem;
using namespace genretree;

namespace {

struct Options {
  fs::path audio, store, trace;
  FeatureConfig config;
  std::string backend = "auto";
  std::size_t jobs = 0;
  bool strict = false, force = false;
};

/// Applies --set key=value, with or without `features.` before the key.
void apply_assignment(FeatureConfig& config, std::string assignment) {
  if (assignment.starts_with("features.")) assignment.erase(0, std::string("features.").size());
  YamlValue document;
  document.kind = YamlValue::Kind::map;
  set_yaml_path(document, assignment);
  for (const auto& [key, value] : document.entries) set_feature(config, key, value);
}

/// The store that is there already, to be kept or made again; InputError if it is not one of the same audio folder and
/// parameters.
FeatureStore read_existing(const Options& options, const std::string& source) {
  const std::string name = options.store.string();
  FeatureStore store = [&] {
    try {
      return read_store(options.store);
    } catch (const InputError& error) {
      reject("{}. --force overwrites it", error.what());
    }
  }();
  if (store.config != options.config)
    reject(
        "{} is there already, with other parameters: {}. Choose another name, give the same parameters, or overwrite "
        "it with --force",
        name, differing_features(store.config, options.config));
  if (store.source != source)
    reject("{} is there already, made from {}. Choose another name, or overwrite it with --force", name, store.source);
  return store;
}

void print_bad(const std::vector<BadClip>& bad) {
  for (const BadClip& clip : bad) fmt::print("left out: {}: {}\n", clip.track, clip.reason);
}

/// For a store that needs no work.
ExitCode keep(const Options& options, const FeatureStore& store) {
  if (options.strict && !store.left_out.empty())
    reject("{} lacks {}: {}", options.store.string(), count_of(store.left_out.size(), "bad file"),
           store.left_out[0].reason);
  print_bad(store.left_out);
  fmt::print(
      "{} is there already, with {}{}, the same audio and the same parameters (computed by {}, {}): nothing to do. "
      "--force makes it again\n",
      options.store.string(), count_of(store.clips(), "clip"),
      store.left_out.empty() ? "" : fmt::format(" and {} left out", count_of(store.left_out.size(), "bad file")),
      store.backend, store.target);
  return store.left_out.empty() ? ExitCode::ok : ExitCode::left_out;
}

void print_summary(const Options& options, const ExtractSummary& summary, const BackendInfo& backend) {
  print_bad(summary.bad);
  for (const auto& [first, second] : summary.duplicates) fmt::print("bit-exact duplicates: {} and {}\n", first, second);
  const std::size_t made = summary.clips - summary.resumed;
  fmt::print("{}: {}; computed by {}, {}, on {}\n", options.store.string(), describe(options.config), backend.backend,
             backend.target, backend.device);
  fmt::print("{}: {} in {} ({:.1f} clips/s){}{}\n", options.store.string(), count_of(summary.clips, "clip"),
             duration(summary.seconds), static_cast<double>(made) / summary.seconds,
             summary.resumed ? fmt::format(", {} of them taken over from a run that was cut off", summary.resumed) : "",
             summary.bad.empty() ? "" : fmt::format(", {} left out", count_of(summary.bad.size(), "bad file")));
}

ExitCode extract(int argc, char** argv) {
  Options options;
  std::vector<std::string> assignments;
  CLI::App app(
      "Extracts the features of all audio under AUDIO_DIR, where each subfolder is a genre, into one HDF5 file.\n"
      "A run that was cut off goes on where it was when the same command is given again.",
      "extract_features");
  app.add_option("AUDIO_DIR", options.audio, "folder of genres: .au, .wav, .flac, .ogg, .mp3, …")->required();
  app.add_option("-o,--out", options.store, "the feature store to write, e.g. features.h5")->required();
  app.add_option("--set", assignments,
                 fmt::format("key=value, keys: {}; e.g. --set coefficients=[1,13], or --set kind=log-mel",
                             join(feature_keys())))
      ->allow_extra_args(false);
  app.add_option("--backend", options.backend, fmt::format("auto or one of: {}", join(built_backends())))
      ->capture_default_str();
  app.add_option("--jobs", options.jobs,
                 "clips that are worked on at the same time (default: one for each core, on a GPU at least two)")
      ->check(CLI::Range(1, 1024));
  app.add_option("--trace", options.trace,
                 "a file for the timeline of all workers: what each did when, as chrome://tracing and ui.perfetto.dev "
                 "show it (JSON)");
  app.add_flag("--strict", options.strict, "stop at the first bad file instead of leaving it out");
  app.add_flag("--force", options.force, "make the store again, whatever is there");
  if (asked_for_help(app, argc, argv)) return ExitCode::ok;

  for (const std::string& assignment : assignments) apply_assignment(options.config, assignment);
  validate(options.config);
  check_writable(options.store);
  if (!options.trace.empty()) check_writable(options.trace);

  const std::vector<Clip> clips = scan_audio_folder(options.audio);
  const std::string source = source_of_folder(options.audio);
  const BackendChoice choice = choose_backend({.device = options.backend}, {});
  const std::unique_ptr<Backend>& backend = choice.backend;
  if (!choice.why_no_gpu.empty()) fmt::print(stderr, "the GPU was not taken: {}\n", choice.why_no_gpu);
  if (!options.force && fs::exists(options.store)) {
    const FeatureStore store = read_existing(options, source);
    if (is_current(store, clips, *backend)) return keep(options, store);
    fmt::print("{} is there already, but the audio has changed since: it is made again\n", options.store.string());
  }
  Progress progress;
  ExtractSummary summary;
  with_trace_file(options.trace, "extract_features", [&](Trace* trace) {
    const std::size_t jobs = options.jobs ? options.jobs : extraction_workers(backend->device());
    summary = extract_features(clips, options.config, source, *backend, options.store,
                               {jobs, options.strict, &progress, trace});
  });
  print_summary(options, summary, backend->info());
  return summary.bad.empty() ? ExitCode::ok : ExitCode::left_out;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] { return extract(argc, argv); });
}
