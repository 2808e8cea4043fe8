// How the time of a training step grows: one thing is varied, all others stay the paper's (35 clips of 1293 frames,
// LSTM 128 → LSTM 32, one run).
#include <fmt/format.h>

#include "core/worker_pool.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/training.hpp"

namespace genretree::bench {
namespace {

/// `runs` networks, each with its own batch, take a step side by side on so many cores.
Record scaling(const Setup& setup, const Precision& precision, const Shape& shape, std::size_t runs,
               std::size_t cores) {
  check_training(precision, {shape.stack, 7, shape.frames});
  std::vector<std::unique_ptr<Training>> trainings;
  double megabytes = 0;
  for (std::size_t run = 0; run < runs; ++run) {
    trainings.push_back(std::make_unique<Training>(*precision.backend, shape));
    megabytes += trainings.back()->megabytes();
  }
  Record record =
      time_work(setup, cores, {3}, precision.beside_peak(static_cast<double>(runs) * Operations(shape).step()), [&] {
        run_on_workers(precision.backend->device(), cores, runs,
                       [&](std::size_t run, Worker&) { trainings[run]->step(); });
      });
  record.megabytes = megabytes;
  return record;
}

}  // namespace

std::vector<Benchmark> scaling_benchmarks(const Setup& setup) {
  std::vector<Benchmark> all;
  for (const Precision& precision : setup.precisions) {
    const auto add = [&](const std::string& what, std::size_t value, const Shape& shape, std::size_t runs,
                         std::size_t cores) {
      all.push_back(
          {fmt::format("scaling/{}/{}/{}/{}", what, value, precision.name, name_of_cores(cores)),
           [&setup, &precision, shape, runs, cores] { return scaling(setup, precision, shape, runs, cores); }});
    };
    for (const std::size_t units : {32, 64, 128, 256, 512}) {
      Shape shape = paper_shape;
      shape.stack.units = {units, units / 4};
      add("units", units, shape, 1, 1);
    }
    for (const std::size_t frames : {128, 323, 646, 1293, 2586})
      add("frames", frames, {paper_shape.stack, paper_shape.batch, frames}, 1, 1);
    for (const std::size_t batch : {8, 16, 35, 64, 128})
      add("batch", batch, {paper_shape.stack, batch, paper_shape.frames}, 1, 1);
    for (const std::size_t cores : core_counts(setup))
      for (const std::size_t runs : {1, 2, 4, 8}) add("runs", runs, paper_shape, runs, cores);
  }
  return all;
}

}  // namespace genretree::bench
