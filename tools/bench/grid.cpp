// How long the paper's whole grid takes: a short grid of the same shape is run by run_grid on all cores, one run each,
// and its seconds per epoch are laid over the runs of the whole one.
#include <fmt/format.h>

#include "core/error.hpp"
#include "experiments/data.hpp"
#include "experiments/runner.hpp"
#include "features/store.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/grid.hpp"
#include "tools/bench/temporary.hpp"
#include "tools/bench/training.hpp"

namespace genretree::bench {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t measured_epochs = 5;

/// 100 clips in each of the paper's genres.
FeatureStore made_up_store() {
  FeatureStore store;
  store.config = {.first_coefficient = 1, .frames = paper_shape.frames};
  store.source = "made up by bench";
  store.genres = {"classical", "hiphop", "jazz", "metal", "pop", "reggae"};
  for (std::size_t genre = 0; genre < store.genres.size(); ++genre)
    for (int track = 0; track < 100; ++track) {
      store.tracks.push_back(fmt::format("{}.{:05}", store.genres[genre], track));
      store.labels.push_back(static_cast<std::int32_t>(genre));
      store.checksums.push_back(store.checksums.size());
    }
  store.lengths.assign(store.clips(), static_cast<std::int32_t>(paper_shape.frames));
  store.features = made_up(store.clips() * paper_shape.frames * paper_shape.stack.inputs);
  return store;
}

/// Seconds of an epoch on each core while all of them train: three measurements.
std::vector<double> measure_epochs(const Setup& setup, const Precision& precision) {
  check_training(precision, paper_shape);
  const TemporaryFolder folder;
  write_store(folder.path() / "store.h5", made_up_store());
  Spec part = paper_spec((folder.path() / "store.h5").string(), "independent");
  part.grid.epochs = {measured_epochs};
  part.grid.trials = static_cast<std::uint32_t>(setup.cores);
  const Data data = load_data(part, *precision.backend, {.cache = folder.path()});
  std::vector<double> seconds;
  for (int repetition = 0; repetition < 3; ++repetition) {
    RunFolder runs(folder.path() / fmt::format("runs{}", repetition), part, {}, false);
    const RunSummary summary = run_grid(part, data, *precision.backend, runs, {.jobs = setup.cores});
    if (summary.finished != setup.cores) fail("{} of {} runs were finished", summary.finished, setup.cores);
    seconds.push_back(summary.seconds / measured_epochs);
  }
  return seconds;
}

}  // namespace

std::vector<Benchmark> grid_benchmarks(const Setup& setup) {
  std::vector<Benchmark> all;
  for (const Precision& precision : setup.precisions) {
    const auto epochs = std::make_shared<std::vector<double>>();  // measured by the first mode that is asked for
    for (const std::string mode : {"independent", "snapshots"})
      all.push_back({fmt::format("grid/paper/{}/{}/{}", mode, precision.name, name_of_cores(setup.cores)),
                     [&setup, &precision, mode, epochs] {
                       if (epochs->empty()) *epochs = measure_epochs(setup, precision);
                       Record record{.unit = "h"};
                       for (const double seconds : *epochs)
                         record.values.push_back(hours_of(paper_spec("made-up.h5", mode), seconds, setup.cores));
                       return record;
                     }});
  }
  return all;
}

}  // namespace genretree::bench
