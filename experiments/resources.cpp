#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <fstream>
#include <limits>
#include <sstream>
#include <unistd.h>
#include <vector>

#include "core/worker_pool.hpp"
#include "experiments/plan.hpp"
#include "experiments/resources.hpp"
#include "models/trainer.hpp"

namespace genretree {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// The number after `name` in a file of "name value" lines, or `otherwise`.
std::size_t number_in(const char* file, const std::string& name, std::size_t otherwise) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    std::string word;
    std::size_t number = 0;
    if (words >> word >> number && word == name) return number;
  }
  return otherwise;
}

/// The number that is all of a file; `otherwise` if it is none ("max").
std::size_t number_of(const char* file, std::size_t otherwise) {
  std::ifstream stream(file);
  std::size_t number = 0;
  return stream >> number ? number : otherwise;
}

std::string processor_name() {
  std::ifstream stream("/proc/cpuinfo");
  for (std::string line; std::getline(stream, line);)
    if (const std::size_t colon = line.find(": "); line.starts_with("model name") && colon != std::string::npos)
      return line.substr(colon + 2);
  return "unknown processor";
}

std::vector<std::uint32_t> first_of(const std::vector<std::uint32_t>& clips, std::size_t count) {
  return {clips.begin(), clips.begin() + static_cast<std::ptrdiff_t>(std::min(count, clips.size()))};
}

/// Seconds of a training batch and of evaluating all clips of a split of one batch each.
struct BatchSeconds {
  double train = std::numeric_limits<double>::infinity(), evaluate = std::numeric_limits<double>::infinity();
};

/// The least over repetitions: other processes only ever add time.
BatchSeconds measure(Trainer& trainer, const Split& sample) {
  constexpr double measuring_time = 2;
  BatchSeconds best;
  trainer.train_epoch();  // warms up memory and tables
  const Clock::time_point begin = Clock::now();
  do {
    Clock::time_point start = Clock::now();
    trainer.evaluate(sample.test);
    const double evaluate = seconds_since(start);
    start = Clock::now();
    trainer.train_epoch();
    best.train = std::min(best.train, std::max(0.0, seconds_since(start) - evaluate));
    best.evaluate = std::min(best.evaluate, evaluate);
  } while (seconds_since(begin) < measuring_time);
  return best;
}

}  // namespace

std::size_t bytes_per_run(const Spec& spec, const Data& data, Backend& backend) {
  const DeviceDataset dataset(data.store, backend);
  const std::unique_ptr<Queue> queue = backend.device().make_queue();
  const Split split = make_split(data.store, spec.dataset.split, spec.seed, 0, false);
  return Trainer(backend, *queue, dataset, split, classifier_of(spec, data.store.genres.size()), spec.training, {})
      .bytes();
}

std::size_t available_memory() {
  const std::size_t machine =
      number_in("/proc/meminfo", "MemAvailable:", std::numeric_limits<std::size_t>::max() / 1024) * 1024;
  const std::size_t limit = number_of("/sys/fs/cgroup/memory.max", machine);  // cgroup v2; "max" is no number
  const std::size_t caches = number_in("/sys/fs/cgroup/memory.stat", "inactive_file", 0),
                    used = number_of("/sys/fs/cgroup/memory.current", caches);
  const std::size_t kept = used - std::min(used, caches);
  return std::min(machine, limit - std::min(limit, kept));
}

std::size_t automatic_jobs(std::size_t runs, std::size_t bytes_of_run) {
  const std::size_t fit = available_memory() / 5 * 4 / std::max<std::size_t>(1, bytes_of_run);
  return std::max<std::size_t>(1, std::min({available_cores(), runs, fit}));
}

double seconds_per_epoch(const Spec& spec, const Data& data, Backend& backend, std::size_t workers) {
  constexpr std::size_t evaluated_clips = 70;
  const Split split = make_split(data.store, spec.dataset.split, spec.seed, 0, false);
  Split sample;
  sample.train = first_of(split.train, spec.training.batch);
  sample.test = first_of(split.validation.size() > split.test.size() ? split.validation : split.test, evaluated_clips);
  const DeviceDataset dataset(data.store, backend);
  std::vector<BatchSeconds> measured(workers);
  run_on_workers(backend.device(), workers, workers, [&](std::size_t item, Worker& worker) {
    Trainer trainer(backend, worker.queue, dataset, sample, classifier_of(spec, data.store.genres.size()),
                    spec.training, {});
    measured[item] = measure(trainer, sample);
  });
  const double batches = static_cast<double>(split.train.size()) / static_cast<double>(sample.train.size());
  const double evaluations =
      static_cast<double>(split.validation.size() + split.test.size()) / static_cast<double>(sample.test.size());
  double sum = 0;
  for (const BatchSeconds& seconds : measured) sum += batches * seconds.train + evaluations * seconds.evaluate;
  return sum / static_cast<double>(workers);
}

std::string machine_name() {
  char host[256] = "unknown host";
  ::gethostname(host, sizeof host - 1);
  return fmt::format("{}, {}, {} cores", host, processor_name(), available_cores());
}

std::string program_commit() {
  return
#include "commit.inc"
      ;
}

}  // namespace genretree
