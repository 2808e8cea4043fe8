#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <set>
#include <unistd.h>
#include <vector>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/limits.hpp"
#include "core/worker_pool.hpp"
#include "experiments/plan.hpp"
#include "experiments/resources.hpp"
#include "experiments/task.hpp"
#include "models/trainer.hpp"

namespace genretree {
namespace {

std::size_t megabytes(std::size_t bytes) { return (bytes + 999'999) / 1'000'000; }

/// Numbers of a state for each parameter: itself and two moments.
constexpr std::size_t state_numbers = 3;

/// For what CUDA and its libraries take for each queue, of the GPU's memory and of the host's: handles, workspaces,
/// blocks for copies. An allowance that is not measured: CUDA has no call that says it.
constexpr std::size_t queue_allowance = 64 << 20;

/// The state on the host that a checkpoint is written from.
std::size_t bytes_of_copy(std::size_t parameters) { return state_numbers * parameters * sizeof(float); }

/// How many times `each` goes into what `shared` leaves of the memory; at most `limit`.
std::size_t fitting(std::size_t memory, std::size_t shared, std::size_t each, std::size_t limit) {
  if (each == 0) return limit;
  return std::min(limit, (memory - std::min(memory, shared)) / each);
}

/// What a trainer on this split holds when rows of its batches have so many frames, which need not be those of the data
/// set, and clips as many windows as they have there.
std::size_t bytes_of_trainer(const Spec& spec, const Split& split, std::size_t genres, std::size_t row_frames,
                             Backend& backend) {
  const std::size_t frames = row_frames * window_count(spec.features.frames, spec.dataset.window);
  FeatureStore one_clip;  // one will do: but for labels, a trainer holds as much for any number
  one_clip.config = spec.features;
  one_clip.config.frames = frames;
  one_clip.tracks.resize(1), one_clip.labels.resize(1);
  one_clip.features.resize(frames * spec.features.width());
  const DeviceDataset dataset(one_clip, backend);
  Split same_sizes;  // a CNN reads the clips that it will train on: all are the one
  same_sizes.train.resize(split.train.size());
  same_sizes.validation.resize(split.validation.size());
  same_sizes.test.resize(split.test.size());
  const std::unique_ptr<Queue> queue = backend.device().make_queue();
  ClassifierConfig classifier = classifier_of(spec, genres);
  if (classifier.window > 0) classifier.window = row_frames;
  const Trainer trainer(backend, *queue, dataset, same_sizes, classifier, spec.training, {}, 1);
  return trainer.bytes();
}

std::vector<std::uint32_t> first_of(const std::vector<std::uint32_t>& clips, std::size_t count) {
  return {clips.begin(), clips.begin() + static_cast<std::ptrdiff_t>(std::min(count, clips.size()))};
}

/// The least seconds of an epoch on this split over repetitions, of as many runs as the group takes: other processes
/// only ever add time.
double measure(TrainingGroup& group, const DeviceDataset& dataset, const Split& split, std::size_t classes) {
  constexpr double measuring_time = 1;
  std::vector<std::unique_ptr<Trainer>> runs;
  for (std::size_t run = 0; run < group.slots(); ++run)
    runs.push_back(std::make_unique<Trainer>(group, dataset, split, classes, RandomKey{}, most_epochs));
  group.train_epoch();  // warms up memory and tables
  double best = std::numeric_limits<double>::infinity();
  const Clock::time_point begin = Clock::now();
  do {
    const Clock::time_point start = Clock::now();
    group.train_epoch();
    best = std::min(best, seconds_since(start));
  } while (seconds_since(begin) < measuring_time);
  return best;
}

}  // namespace

std::size_t runs_together(const Spec& spec, const Data& data, const Backend& backend) {
  return spec.cnn ? 1 : backend.runs_together(spec.stack, stack_work(spec, data, 1).training.front());
}

MemoryNeed memory_need(const Spec& spec, const Data& data, Backend& backend, std::size_t limit, bool one_queue) {
  const std::size_t genres = data.store.genres.size();
  const std::size_t heard = classifier_of(spec, genres).row_frames(spec.features.frames);
  const std::size_t parameters = classifier_of(spec, genres).parameter_count(), copy = bytes_of_copy(parameters);
  const std::size_t labels = std::span(data.store.labels).size_bytes();
  const bool gpu = !is_host(backend.device());
  const std::size_t queue = gpu ? queue_allowance : 0, shared_queue = one_queue ? queue : 0;
  const std::size_t own_queue = queue - shared_queue, beside_trainer = labels + own_queue + (gpu ? 0 : copy);
  MemoryNeed need;
  need.shared = std::span(data.store.features).size_bytes() + labels + shared_queue;
  need.host_shared = shared_queue;
  need.host_per_run = own_queue + (gpu ? copy : 0);
  // the least that any run holds: its state and that after the last epoch, gradients, and what is beside them
  need.per_run = (2 * state_numbers + 1) * parameters * sizeof(float) + beside_trainer;
  const Split split = make_split(data.store, spec.dataset.split, spec.seed, 0, false);
  const auto bytes = [&](std::size_t few) {
    return bytes_of_trainer(spec, split, genres, few, backend) + beside_trainer;
  };
  if (need.of(1) > limit) return need;
  constexpr std::size_t few = 16;
  if (!spec.cnn && heard > 2 * few) {  // what grows with the frames is in proportion to them
    try {
      const std::size_t first = bytes(few), slope = (bytes(2 * few) - first) / few;
      need.per_run = first + slope * (heard - few);
    } catch (const InputError&) {  // a library that refuses few frames may take all of them
    }
    if (need.of(1) > limit) return need;
  }
  need.per_run = bytes(heard);
  return need;
}

Limits limits_of(Backend& backend, std::size_t together) {
  const Device& device = backend.device();
  const bool gpu = !is_host(device);
  const auto usable = [](const Device& place) { return place.free_memory() / 5 * 4; };
  const std::size_t side_by_side = gpu ? most_gpu_queues : available_cores();
  return {together > 1 ? together : side_by_side, usable(device), gpu, gpu ? usable(host_device()) : 0};
}

std::size_t automatic_jobs(std::size_t runs, const MemoryNeed& need, const Limits& limits) {
  if (runs == 0) return 1;  // a finished grid needs no memory to be reported
  if (need.of(1) > limits.memory)
    fail(
        "there is no room for a single run: it needs {} MB or more and {} MB for the data set, but this process may "
        "take {} MB{}. Close other programs{}; or choose a smaller training.batch, fewer features.frames or smaller "
        "model.layers. --jobs 1 tries it all the same",
        megabytes(need.per_run), megabytes(need.shared), limits.memory / 1'000'000,
        limits.gpu ? " of the GPU's memory" : "",
        limits.gpu ? " that use the GPU, or compute on the cpu (--backend cpu)"
                   : " or raise the limit of the container or job");
  if (need.on_host(1) > limits.host_memory)
    fail(
        "there is no room for a single run: beside the GPU's memory it needs {} MB of this machine's, for copies "
        "of its weights, but this process may take {} MB. Close other programs or raise the limit of the container or "
        "job; or choose smaller model.layers. --jobs 1 tries it all the same",
        megabytes(need.on_host(1)), limits.host_memory / 1'000'000);
  const std::size_t most = std::min(limits.jobs, runs);
  return std::max<std::size_t>(1, std::min(fitting(limits.memory, need.shared, need.per_run, most),
                                           fitting(limits.host_memory, need.host_shared, need.host_per_run, most)));
}

StackWork stack_work(const Spec& spec, const Data& data, std::size_t side_by_side) {
  const Split split = make_split(data.store, spec.dataset.split, spec.seed, 0, false);  // each trial's has these sizes
  std::set<std::size_t, std::greater<>> training, evaluation;
  const std::size_t frames = data.store.config.frames, windows = window_count(frames, spec.dataset.window);
  const std::size_t row_frames = classifier_of(spec, 2).row_frames(frames);
  for (const ClassifierTask& task : tasks_of(spec, data.store.genres)) {
    const Split own = clips_of(task, data.store, split);
    training.insert(training_rows(own, spec.training));
    evaluation.insert(evaluation_rows(own, windows));
  }
  const auto classes = static_cast<std::uint32_t>(data.store.genres.size());
  const auto groups_of = [&](const auto& sizes) {
    std::vector<Group> groups;
    for (const std::size_t rows : sizes)
      groups.push_back({1, rows, row_frames, classes, {static_cast<std::uint32_t>(rows)}, {classes}});
    return groups;
  };
  return {groups_of(training), groups_of(evaluation), side_by_side};
}

double seconds_per_epoch(const Spec& spec, const Data& data, Backend& backend, std::size_t workers, std::size_t slots) {
  const Split split = make_split(data.store, spec.dataset.split, spec.seed, 0, false);
  Split batch, evaluated;  // a batch alone; with one of clips that are evaluated
  batch.train = evaluated.train = first_of(split.train, spec.training.batch);
  evaluated.test =
      first_of(split.validation.size() > split.test.size() ? split.validation : split.test, evaluation_batch);
  const double batches = static_cast<double>(split.train.size()) / static_cast<double>(batch.train.size());
  const double evaluations =
      static_cast<double>(split.validation.size() + split.test.size()) / static_cast<double>(evaluated.test.size());

  const std::size_t classes = data.store.genres.size();
  const std::size_t windows = window_count(data.store.config.frames, spec.dataset.window);
  const GroupSize size{slots, training_rows(batch, spec.training), evaluation_rows(evaluated, windows), classes};
  const DeviceDataset dataset(data.store, backend);
  TrainingConfig training_config = spec.training;  // there is nothing to select by on these few clips
  training_config.select = TrainingConfig::Select::last, training_config.patience = 0;
  std::vector<double> seconds(workers);
  run_on_workers(backend.device(), workers, workers, [&](std::size_t item, Worker& worker) {
    TrainingGroup group(backend, worker.queue, dataset, classifier_of(spec, classes), training_config, size);
    const double training = measure(group, dataset, batch, classes);
    const double evaluation = std::max(0.0, measure(group, dataset, evaluated, classes) - training);
    seconds[item] = batches * training + evaluations * evaluation;
  });
  return std::accumulate(seconds.begin(), seconds.end(), 0.0) / static_cast<double>(workers);
}

std::string machine_name() {
  char host[256] = "unknown host";
  ::gethostname(host, sizeof host - 1);
  return fmt::format("{}, {} cores", host, available_cores());
}

std::string program_commit() {
  return
#include "commit.inc"
      ;
}

}  // namespace genretree
