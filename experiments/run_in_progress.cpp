#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/text.hpp"
#include "experiments/model_files.hpp"
#include "experiments/resources.hpp"
#include "experiments/run_in_progress.hpp"

namespace genretree {
namespace fs = std::filesystem;

std::vector<SharedTask> shared_tasks(const Spec& spec, const FeatureStore& store, Backend& backend) {
  const DeviceDataset clips(store, backend);
  const Split split = make_split(store, spec.dataset.split, spec.seed, 0, false);
  std::vector<SharedTask> shared;
  for (const ClassifierTask& task : tasks_of(spec, store.genres)) {
    Model model{classifier_of(spec, task.classes.size()), store.config, task.classes, task.node};
    if (!task.node.empty()) model.below = spec.tree.genres_below_children(shared.size());
    const Split own = clips_of(task, store, split);
    const std::size_t windows = window_count(store.config.frames, spec.dataset.window);
    const GroupSize alone{1, training_rows(own, spec.training), evaluation_rows(own, windows), task.classes.size()};
    shared.push_back({task, DeviceDataset(clips, labels_of(task, store), backend), std::move(model), alone});
  }
  return shared;
}

RunInProgress::RunInProgress(Grid& grid, ClaimedRun claimed, TrainingGroup& group, Queue& queue, std::size_t line)
    : grid_(grid),
      claimed_(std::move(claimed)),
      run_(*claimed_.run),
      queue_(queue),
      line_(line),
      shared_(grid.tasks[run_.task]),
      trial_split_(
          make_split(grid.data.store, grid.spec.dataset.split, grid.spec.seed, run_.trial, grid.options.strict)),
      split_(clips_of(shared_.task, grid.data.store, trial_split_)),
      trainer_(group, shared_.dataset, split_, shared_.model.classifier.classes, run_.key, run_.epochs()),
      path_(grid.folder.checkpoint(run_.id)),
      clock_(group.slots()) {
  for (const Cell& cell : run_.cells())
    if (!claimed_.done.contains(cell)) wanted_.insert(cell.epochs);
  if (fs::exists(path_)) restore();
  saved_epochs_ = epochs_at_start_ = trainer_.epochs_done();
}

std::optional<Checkpoint> RunInProgress::readable_checkpoint() const {
  try {
    return read_checkpoint(path_, shared_.model);
  } catch (const InputError& error) {
    grid_.say(fmt::format("warning: the checkpoint {} cannot be used, so {} is trained anew: {}", path_.string(),
                          run_.id, error.what()));
    return std::nullopt;
  }
}

void RunInProgress::restore() {
  const std::optional<Checkpoint> readable = readable_checkpoint();
  if (!readable) return;
  const Checkpoint& checkpoint = *readable;
  if (checkpoint.run != run_.id || checkpoint.spec_hash != grid_.hash)
    reject("{} belongs to another run ({}, spec hash {}; here {}, {}). Delete it, or choose another folder",
           path_.string(), checkpoint.run, checkpoint.spec_hash, run_.id, grid_.hash);
  const std::string difference = differences(checkpoint.backend, checkpoint.commit, grid_.info, grid_.commit);
  if (!grid_.options.allow_mixed && !difference.empty())
    reject(
        "{} was computed differently ({}): the result would differ in its last bits from one made in one go. Resume "
        "where it was begun, or add --allow-mixed",
        path_.string(), difference);
  // a line that the ledger has lost lies behind the checkpoint: only a new training gives its confusion matrix
  if (!wanted_.empty() && *wanted_.begin() < checkpoint.state.history.size()) return;
  trainer_.restore(checkpoint.state);
  seconds_before_ = checkpoint.seconds;
}

void RunInProgress::epoch_done() {
  const EpochScores& scores = trainer_.history().back();
  if (!std::isfinite(scores.train.loss) && !diverged_) {
    diverged_ = true;
    grid_.say(
        fmt::format("warning: {} diverged in epoch {}: its loss is no number. It goes on to its end and is recorded "
                    "so; a lower learning rate may help",
                    run_.id, epochs()));
  }
  show(scores);
  if (clock_.due()) save(trainer_.state());
}

void RunInProgress::record_if_wanted() {
  for (const std::uint32_t point : wanted_)  // a run that ends early has the same result for all that are left
    if (point == epochs() || (at_end() && point > epochs())) record_result(point);
}

void RunInProgress::save_if_changed() {
  if (epochs() != saved_epochs_) save(trainer_.state());
}

void RunInProgress::save(const TrainerState& state) {
  const Phase phase(queue_, "checkpoint");
  const Clock::time_point begin = Clock::now();
  write_checkpoint(path_, shared_.model, {run_.id, grid_.hash, grid_.commit, grid_.info, seconds(), state});
  saved_epochs_ = epochs();
  clock_.written(seconds_since(begin));
}

/// Saves, then appends the line of the present grid point.
void RunInProgress::record_result(std::uint32_t point) {
  const Phase phase(queue_, "result");
  const TrainerState state = trainer_.state();
  if (epochs() != saved_epochs_) save(state);
  Result result;
  result.run = run_.id;
  result.node = run_.node;
  result.epochs = point;
  result.trial = run_.trial;
  result.seed = grid_.spec.seed;
  result.spec_hash = grid_.hash;
  result.commit = grid_.commit;
  result.backend = grid_.info;
  result.machine = grid_.machine;
  result.seconds = seconds();
  result.history = trainer_.history();
  result.selected_epoch = static_cast<std::uint32_t>(trainer_.selected_epoch());
  const EpochScores& selected = result.history[result.selected_epoch - 1];
  result.train = selected.train;
  result.validation = selected.validation;
  result.test = selected.test;
  result.answers = answers();
  result.confusion = confusion_of(shared_.task, result.answers.genres, result.answers.probabilities);
  if (!split_.validation.empty()) result.validation_confusion = trainer_.evaluate(split_.validation).confusion;
  write_result_model(grid_.folder.model(run_, result.epochs), grid_.spec, grid_.data, split_, result,
                     {shared_.model, state.selected(), ""});
  const std::lock_guard lock(grid_.ledger_mutex);
  append_line(grid_.folder.ledger(), to_json_line(result));
}

/// Of the classifier about all test clips of the trial.
TestAnswers RunInProgress::answers() {
  const FeatureStore& store = grid_.data.store;
  TestAnswers answers;
  for (const std::uint32_t clip : trial_split_.test) {
    answers.tracks.push_back(store.tracks[clip]);
    answers.genres.push_back(static_cast<std::uint32_t>(store.labels[clip]));
  }
  answers.probabilities = trainer_.probabilities(trial_split_.test);
  return answers;
}

void RunInProgress::show(const EpochScores& scores) const {
  if (!grid_.options.progress) return;
  const std::size_t now = trainer_.epochs_done();
  const double per_epoch = seconds_since(start_) / static_cast<double>(now - epochs_at_start_);
  const std::string validation =
      split_.validation.empty() ? "" : fmt::format("  validation {:.1f} %", 100 * scores.validation.accuracy);
  grid_.options.progress->show(
      line_, fmt::format("{}  epoch {}/{}  loss {:.4f}{}  {} left", run_.id, now, run_.epochs(), scores.train.loss,
                         validation, duration(per_epoch * static_cast<double>(run_.epochs() - now))));
}

void RunInProgress::announce_end() {
  const std::size_t finished = ++grid_.finished;
  if (grid_.options.progress) grid_.options.progress->clear(line_);
  const EpochScores& last = trainer_.history()[trainer_.selected_epoch() - 1];
  grid_.say(fmt::format("{}  finished  test accuracy {:.1f} %  loss {:.4f}  {}  ({} of {})", run_.id,
                        100 * last.test.accuracy, last.test.loss, duration(seconds()), finished, grid_.runs.load()));
}

}  // namespace genretree
