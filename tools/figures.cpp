// figures FILE.yaml --out DIR: draws what the paper shows of its data set and its network, for an experiment's.
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "core/io/files.hpp"
#include "core/progress.hpp"
#include "core/text.hpp"
#include "core/worker_pool.hpp"
#include "experiments/dataset_figures.hpp"
#include "experiments/figures.hpp"
#include "experiments/variants.hpp"
#include "tools/program.hpp"

using namespace genretree;

namespace {

struct Options {
  std::string file, dataset, variant;
  std::vector<std::string> assignments;
  std::filesystem::path out, cache;
  std::size_t jobs = available_cores();
  bool strict = false;
};

/// The file's experiment, or that of its variants which was asked for.
Spec read_experiment(const Options& options) {
  const ExperimentFile file = load_experiment(options.file, options.assignments, options.dataset);
  std::vector<std::string> names;
  for (const Variant& variant : file.variants) names.push_back(variant.name);
  const auto found = std::ranges::find(names, options.variant);
  if (found != names.end()) return file.variants[static_cast<std::size_t>(found - names.begin())].spec;
  if (!names.empty() && options.variant.empty())
    reject("{} has several experiments. Choose one of them with --variant: {}", options.file, join(names));
  if (!names.empty())
    reject("{} has no variant '{}'{}. It has: {}", options.file, options.variant, did_you_mean(options.variant, names),
           join(names));
  if (!options.variant.empty())
    reject("--variant is '{}', but {} has no variants. Leave it out", options.variant, options.file);
  return file.spec;
}

ExitCode run(const Options& options) {
  const Spec spec = read_experiment(options);
  check_gnuplot();
  make_writable_folder(options.out);
  const BackendChoice choice = choose_backend(spec.backend, {});
  Backend& backend = *choice.backend;
  Progress progress;
  DataOptions data_options;
  data_options.cache = options.cache.empty() ? default_cache() : options.cache;
  data_options.jobs = options.jobs;
  data_options.strict = options.strict;
  data_options.progress = &progress;

  const Data data = load_features(spec, backend, data_options);
  fmt::print("data     {}: {} in {} ({}), from {}\n", data.summary.name, count_of(data.summary.clips, "clip"),
             count_of(data.summary.genres.size(), "genre"), join(data.summary.genres), data.summary.source);
  for (const std::string& note : data.summary.notes) fmt::print("         {}\n", note);
  fmt::print("features {}; {}\n", describe(data.store.config), origin_of_features(data.summary));
  fmt::print("backend  {}, {}, on {}\n", backend.info().backend, backend.info().target, backend.info().device);
  if (!choice.why_no_gpu.empty()) fmt::print("         the GPU was not taken: {}\n", choice.why_no_gpu);
  const DatasetFigures figures = draw_dataset_figures(spec, data, backend);
  write_dataset_figures(options.out, spec, data, figures);
  for (const std::string& reason : figures.left_out) fmt::print("{}\n", reason);
  for (const ReportFigure& figure : figures.figures) fmt::print("{:<16} {}\n", figure.file, figure.title);
  fmt::print("page: {}\n", (options.out / "index.html").string());
  return data.summary.left_out ? ExitCode::left_out : ExitCode::ok;
}

ExitCode figures_program(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Draws an experiment's network and data set as the paper does: Figures 6, 7, 8 and 13, and how similar the "
      "genres "
      "are, as SVG and on one page.\n"
      "  figures experiments/epoch_sweep.yaml --dataset DIR --out figures        your music\n"
      "  figures experiments/quick_sweep.yaml --out figures                      synthetic music, no download",
      "figures");
  app.add_option("FILE", options.file, "experiment file (YAML)")->required();
  app.add_option("--dataset", options.dataset,
                 "folder of audio or feature store (.h5), or built-in, or gtzan; in place of the file's data set");
  app.add_option("--set", options.assignments, "key=value, in place of a key of the file; any number of times")
      ->allow_extra_args(false);
  app.add_option("--variant", options.variant, "which experiment of a file with variants");
  app.add_option("--out", options.out, "folder of the figures")->required();
  app.add_option("--cache", options.cache,
                 "folder of extracted features (default: $GENRETREE_CACHE, else ~/.cache/genretree)");
  app.add_option("--jobs", options.jobs, "workers")->capture_default_str()->check(CLI::Range(1, 4096));
  app.add_flag("--strict", options.strict, "bad clips are errors");
  if (asked_for_help(app, argc, argv)) return ExitCode::ok;
  return run(options);
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] { return figures_program(argc, argv); });
}
