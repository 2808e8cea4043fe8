#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.hpp"
#include "core/text.hpp"
#include "experiments/figures.hpp"
#include "experiments/paper.hpp"
#include "experiments/plan.hpp"
#include "experiments/report_content.hpp"
#include "experiments/tree_report.hpp"
#include "features/gtzan.hpp"
#include "models/model_file.hpp"

namespace genretree {
namespace {

// -------------------------------------------------------------------------------------------------------------- facts

/// The different texts among the results, as they appear.
template <class Text>
std::string distinct(const std::vector<GridPoint>& points, Text text) {
  std::vector<std::string> seen;
  for (const GridPoint& point : points)
    for (const Result& result : point.trials)
      if (const std::string value = text(result); std::ranges::find(seen, value) == seen.end()) seen.push_back(value);
  return join(seen, "; ");
}

/// The layers from the input up, with the classes and parameters unless these differ between the nodes of a tree.
std::string network_text(const Spec& spec, std::size_t classes) {
  std::string layers;
  if (spec.cnn) {
    layers = fmt::format("image of {} frames × {} bands × {} neighbours", spec.cnn->frames, spec.cnn->bands,
                         spec.cnn->channels);
    for (const auto& [filters, pool] : spec.cnn->stages) layers += fmt::format(" → conv {}, pool {}", filters, pool);
    layers += fmt::format(" → dense {}", spec.cnn->units);
  } else {
    layers = fmt::format("{} inputs", spec.stack.inputs);
    for (const std::size_t units : spec.stack.units)
      layers += fmt::format(" → {} {}", spec.stack.bidirectional ? "bidirectional LSTM" : "LSTM", units);
    if (spec.stack.readout != Readout::last) layers += fmt::format(" → {} over time", describe(spec.stack.readout));
  }
  if (!spec.tree.empty()) return layers + " → dense softmax over the children, one such network at each node";
  return fmt::format("{} → dense softmax {}; {} parameters", layers, classes,
                     thousands(classifier_of(spec, classes).parameter_count()));
}

std::string model_text(const Spec& spec, std::size_t classes) {
  if (spec.cnn)
    return fmt::format("CNN: {}; dropout {}; initial weights: {}; inputs {}", network_text(spec, classes),
                       spec.cnn->dropout, name_of(spec.initialisation),
                       spec.cnn->standardise ? "standardised by the training clips" : "as they are");
  const char* gates[] = {"sigmoid", "hard sigmoid (Keras 2)", "hard sigmoid (Keras 3)"};
  std::string text =
      fmt::format("{}; preset {}: {} gates, dropout {}, recurrent dropout {}", network_text(spec, classes), spec.preset,
                  gates[static_cast<int>(spec.stack.gate)], spec.stack.dropout, spec.stack.recurrent_dropout);
  if (spec.stack.layer_dropout > 0) text += fmt::format(", layer dropout {}", spec.stack.layer_dropout);
  if (spec.stack.standardise) text += "; inputs standardised by the training clips";
  if (spec.dataset.window > 0)
    text += fmt::format("; hears {} frames at once, judges a clip by the mean over its windows", spec.dataset.window);
  return text;
}

std::string optimiser_text(const Optimiser& o) {
  switch (o.kind) {
    case Optimiser::Kind::adam:
      return fmt::format("adam, learning rate {}, β1 {}, β2 {}, ε {}", o.learning_rate, o.beta1, o.beta2, o.epsilon);
    case Optimiser::Kind::rmsprop:
      return fmt::format("rmsprop, learning rate {}, ρ {}, ε {}", o.learning_rate, o.beta2, o.epsilon);
    case Optimiser::Kind::sgd:
      return fmt::format("sgd, learning rate {}, momentum {}", o.learning_rate, o.beta1);
  }
  return "";
}

std::string training_text(const TrainingConfig& training) {
  std::string text = fmt::format("{}; batch {}; {} cross-entropy; {}", optimiser_text(training.optimiser),
                                 training.batch, training.loss == Loss::clipped ? "clipped" : "exact",
                                 training.shuffle ? "shuffled in each epoch" : "not shuffled");
  const auto add = [&](bool wanted, const std::string& option) {
    if (wanted) text += "; " + option;
  };
  using Schedule = TrainingConfig::Schedule;
  const Optimiser& optimiser = training.optimiser;
  const Augmentation& augmentation = training.augmentation;
  add(optimiser.weight_decay > 0, fmt::format("weight decay {}", optimiser.weight_decay));
  add(optimiser.clip_norm > 0, fmt::format("gradients clipped to norm {}", optimiser.clip_norm));
  add(training.schedule != Schedule::constant,
      fmt::format("{} schedule", training.schedule == Schedule::linear ? "linear" : "cosine"));
  add(training.warmup > 0, fmt::format("warm-up of {}", count_of(training.warmup, "epoch")));
  add(training.label_smoothing > 0, fmt::format("label smoothing {}", training.label_smoothing));
  add(augmentation.mixup > 0, fmt::format("mixup {}", augmentation.mixup));
  add(augmentation.time_masks > 0,
      fmt::format("{} of at most {}", count_of(augmentation.time_masks, "time mask"), augmentation.longest_time_mask));
  add(augmentation.feature_masks > 0,
      fmt::format("{} of at most {}", count_of(augmentation.feature_masks, "feature mask"),
                  augmentation.widest_feature_mask));
  add(training.select == TrainingConfig::Select::best_validation,
      training.patience > 0 ? fmt::format("best epoch by validation, patience {}", training.patience)
                            : "best epoch by validation");
  return text;
}

std::string grid_text(const Spec& spec) {
  const GridSpec& grid = spec.grid;
  if (!spec.tree.empty())
    return fmt::format("{} × {}; all nodes of a trial share its split", count_of(spec.tree.nodes().size(), "node"),
                       count_of(grid.trials, "trial"));
  return fmt::format("{} × {}; {}", count_of(grid.epochs.size(), "grid point"), count_of(grid.trials, "trial"),
                     grid.mode == GridSpec::Mode::independent
                         ? "independent: each cell is a training of its own, as in the paper"
                         : "snapshots: each trial is trained once and evaluated at each grid point");
}

std::string backend_text(const BackendInfo& b, bool cnn) {
  return fmt::format("{} ({}), target {}, {} {}, {}; {}", b.backend, b.device, b.target, cnn ? "CNN by" : "LSTM",
                     b.algorithm, b.precision, b.libraries);
}

/// Sum over the runs; of a run's several results (snapshots) the last includes the others' time.
double total_seconds(const std::vector<GridPoint>& points) {
  std::map<std::string, double> longest;
  for (const GridPoint& point : points)
    for (const Result& result : point.trials) longest[result.run] = std::max(longest[result.run], result.seconds);
  double sum = 0;
  for (const auto& [run, seconds] : longest) sum += seconds;
  return sum;
}

/// A folder's or store's name without the places above it, which are one machine's; recipes as they are.
std::string shown_source(const std::string& source) {
  const std::filesystem::path path = source;
  return path.is_absolute() ? path.filename().string() : source;
}

std::vector<std::pair<std::string, std::string>> facts_of(const Spec& spec, const DatasetSummary& dataset,
                                                          const std::vector<GridPoint>& points) {
  return {
      {"data", dataset.name},
      {"source", shown_source(dataset.source)},
      {"genres", join(dataset.genres)},
      {"split", fmt::format("{}: {} training, {} validation, {} test clips of {} (in the first trial)",
                            spec.dataset.split.name, dataset.train, dataset.validation, dataset.test, dataset.clips)},
      {"seed", std::to_string(spec.seed)},
      {"features", fmt::format("{}; {}", describe(spec.features), origin_of_features(dataset))},
      {"model", model_text(spec, dataset.genres.size())},
      {"training", training_text(spec.training)},
      {spec.tree.empty() ? "grid" : "tree", grid_text(spec)},
      {"backend",
       fmt::format("{} (asked for: device {}, lstm {}, precision {}, target {})",
                   distinct(points, [&](const Result& r) { return backend_text(r.backend, spec.cnn.has_value()); }),
                   spec.backend.device, spec.backend.lstm, spec.backend.precision, spec.backend.target)},
      {"machine", distinct(points, [](const Result& r) { return r.machine; })},
      {"program", distinct(points, [](const Result& r) { return fmt::format("genretree, commit {}", r.commit); })},
      {"computing time",
       fmt::format("{}, summed over all runs, some of which may have shared a GPU", duration(total_seconds(points)))},
      {"experiment hash", distinct(points, [](const Result& r) { return r.spec_hash; })},
      {"data checksum", dataset.checksum},
  };
}

// ------------------------------------------------------------------------------------------------------------ figures

const Metric& metric_of(Curve::Style style, bool accuracy) {
  const std::size_t row = style == Curve::Style::validation ? 0 : style == Curve::Style::test ? 2 : 4;
  return metrics[row + (accuracy ? 0 : 1)];
}

constexpr Curve::Style styles[] = {Curve::Style::training, Curve::Style::validation, Curve::Style::test};

Plot empty_plot(const std::string& id, const std::string& title, bool accuracy) {
  return {id, title, "epochs", accuracy ? "accuracy (%)" : "loss", {}, accuracy ? 100.0 : 0.0, {}};
}

Plot grid_plot(const std::string& id, const std::string& title, bool accuracy, const std::vector<GridPoint>& points) {
  const double scale = accuracy ? 100 : 1;
  Plot plot = empty_plot(id, title, accuracy);
  for (const GridPoint& point : points) plot.x_ticks.push_back(point.epochs);
  for (const Curve::Style style : styles) {
    Curve curve{style, plot.x_ticks, {}, {}};
    for (const GridPoint& point : points) {
      const auto [mean, sd] = point.spread(metric_of(style, accuracy));
      curve.mean.push_back(scale * mean);
      curve.sd.push_back(scale * sd);
    }
    plot.curves.push_back(std::move(curve));
  }
  return plot;
}

Plot curve_plot(const std::string& id, const std::string& title, bool accuracy, const GridPoint& point) {
  const double scale = accuracy ? 100 : 1;
  Plot plot = empty_plot(id, title, accuracy);
  for (const Curve::Style style : styles) {
    auto [epochs, mean, sd] = training_curve(point, metric_of(style, accuracy));
    for (double& value : mean) value *= scale;
    for (double& value : sd) value *= scale;
    plot.curves.push_back({style, std::move(epochs), std::move(mean), std::move(sd)});
  }
  return plot;
}

void add_figures(ReportContent& content) {
  content.figures_title = "Figures 11 and 12";
  const std::string spread = "Lines: means over trials; bands: one standard deviation to either side.";
  const auto add = [](std::vector<ReportFigure>& figures, const std::string& caption, const Plot& plot) {
    const auto is_empty = [](const Curve& curve) {
      return std::ranges::none_of(curve.mean, [](double value) { return std::isfinite(value); });
    };
    if (std::ranges::all_of(plot.curves, is_empty)) return;  // everything diverged, as a warning says
    figures.push_back({fmt::format("{}.svg", plot.id), plot.title, caption, draw(plot)});
  };
  add(content.figures, spread, grid_plot("figure11", "Figure 11: accuracy against epochs", true, content.points));
  add(content.figures, spread, grid_plot("figure12", "Figure 12: loss against epochs", false, content.points));

  const GridPoint& longest = content.points.back();
  if (std::ranges::none_of(longest.trials, [](const Result& r) { return r.history.size() > 1; })) return;
  const std::string caption =
      fmt::format("The trainings of {}. {} Training is the running mean before each update, as Keras reports it.",
                  count_of(longest.epochs, "epoch"), spread);
  add(content.curve_figures, caption, curve_plot("curves_accuracy", "Accuracy after each epoch", true, longest));
  add(content.curve_figures, caption, curve_plot("curves_loss", "Loss after each epoch", false, longest));
}

void add_confusions(ReportContent& content) {
  const auto add = [&](const GridPoint& point, const char* why) {
    content.confusions.push_back(
        {fmt::format("{}{}, {}", count_of(point.epochs, "epoch"), why, count_of(point.trials.size(), "trial")),
         content.genres, point.confusion(content.genres.size())});
  };
  const GridPoint *longest = &content.points.back(), *best = best_by_validation(content.points);
  if (content.points.size() == 1) return add(*longest, "");
  if (best && best != longest) add(*best, " (the best by validation accuracy)");
  add(*longest,
      best == longest ? " (the longest training, and the best by validation accuracy)" : " (the longest training)");
}

// -------------------------------------------------------------------------------------------------------------- paper

PaperRow paper_row(std::uint32_t epochs) {
  PaperRow row;
  const PaperPoint* paper = paper_figure10(epochs);
  for (std::size_t i = 0; paper && i < paper->values().size(); ++i) {
    const double value = paper->values()[i];
    if (std::isnan(value)) continue;
    row[i].value = value;
    row[i].text = metrics[i].is_accuracy ? shown(metrics[i], value) : fmt::format("{:.4f}", value);
  }
  if (epochs == paper_test_loss_disagreement.epochs) {
    row[3].text += "¹";
    row[3].aside = fmt::format("Fig. 9: {:.4f}", paper_test_loss_disagreement.figure9_mean);
  }
  return row;
}

/// Of the CNN that the paper compares itself with: only what it calls the accuracy, beside our longest training.
PaperRow paper_cnn_row(const Spec& spec, std::uint32_t epochs) {
  PaperRow row;
  if (epochs == *std::ranges::max_element(spec.grid.epochs))
    row[2] = {paper_cnn_accuracy, fmt::format("{:.2f}¹", 100 * paper_cnn_accuracy), ""};
  return row;
}

/// Its place in Table 3: only the test accuracy is known.
PaperRow paper_row(const GenreTree& tree, const std::string& node) {
  PaperRow row;
  const auto place = std::ranges::find(tree.nodes(), node, &TreeNode::name) - tree.nodes().begin();
  const PaperNode* paper = paper_node(tree, static_cast<std::size_t>(place));
  if (paper) row[2] = {paper->accuracy, shown(metrics[2], paper->accuracy), ""};
  return row;
}

/// "Its test set has 1 to 10 clips a genre. ", or "" where genres have the same number or the results do not say.
std::string uneven_genres(const DatasetSummary& dataset, const std::vector<GridPoint>& points) {
  std::vector<std::size_t> clips(dataset.genres.size(), 0);
  for (const std::uint32_t genre : points.front().trials.front().answers.genres)
    if (genre < clips.size()) ++clips[genre];
  const auto [fewest, most] = std::ranges::minmax(clips);
  return fewest == most ? "" : fmt::format("The test set has {} to {} clips a genre. ", fewest, most);
}

/// A warning that the paper's values stand beside those of a part of GTZAN, or "" if it is whole.
std::string incomplete_gtzan(const DatasetSummary& dataset, const std::vector<GridPoint>& points) {
  const std::size_t tracks = dataset.genres.size() * gtzan_tracks_per_genre;
  if (dataset.clips >= tracks) return "";
  return fmt::format(
      "{} of GTZAN's {} tracks: not the paper's data, though its values stand beside. {}Accuracies weigh genres by "
      "their "
      "clips.",
      thousands(dataset.clips), thousands(tracks), uneven_genres(dataset, points));
}

/// What stands below Figure 10 or Table 3.
std::vector<std::string> means_notes(const Spec& spec, const DatasetSummary& dataset, const ReportContent& content) {
  std::vector<std::string> notes = {"Mean ± standard deviation over trials (n − 1); accuracies in percent. " +
                                    interval_note()};
  if (const TrainingConfig& t = spec.training; t.label_smoothing > 0 || t.augmentation.mixup > 0 ||
                                               t.augmentation.time_masks + t.augmentation.feature_masks > 0 ||
                                               spec.dataset.window > 0)
    notes.push_back(
        "Training figures are of what was trained on: windows, altered clips, softened targets. They do not "
        "compare with the others.");
  if (spec.training.select == TrainingConfig::Select::best_validation)
    notes.push_back(
        "Each trial counts at its best epoch by validation accuracy, which is therefore the highest of many: "
        "the test accuracy is the measure.");
  if (content.results.of_tree)
    notes.push_back("Largest class alone: the accuracy of always answering the class with the most test clips.");
  else
    notes.push_back(fmt::format("Always answering the genre with the most test clips would be right for {} %.",
                                shown(metrics[2], content.points.front().largest_class())));
  if (!is_gtzan(dataset)) {
    notes.push_back("The paper's values are for GTZAN, which is other data than these, and are not shown.");
    return notes;
  }
  if (!spec.tree.empty()) return notes;
  if (spec.cnn) {
    if (!content.paper.empty()) notes.push_back(fmt::format("¹ {}", paper_cnn_note()));
    return notes;
  }
  for (const PaperRow& row : content.paper)
    if (!row[3].aside.empty()) notes.push_back(fmt::format("¹ {}", paper_footnote()));
  notes.push_back(paper_gaps_note());
  return notes;
}

}  // namespace

void set_data(ReportContent& content, const Spec& spec, const DatasetSummary& dataset) {
  content.synthetic = spec.dataset.name == "built-in" || dataset.source.starts_with("synthetic corpus");
  content.data = content.synthetic
                     ? fmt::format("{}: these figures say nothing about GTZAN, real music or the paper", dataset.name)
                     : fmt::format("Data: {}, {} of {}", dataset.name, count_of(dataset.clips, "clip"),
                                   count_of(dataset.genres.size(), "genre"));
  content.split = split_text(spec.dataset.split);
  content.first_line = fmt::format("{}{} {}.", content.data, content.synthetic ? ". Split" : "; split", content.split);
}

ReportContent make_content(const Spec& spec, const DatasetSummary& dataset, const std::vector<Result>& results) {
  ReportContent content;
  content.points = summarise(spec, results);
  if (content.points.empty())
    fail("there is nothing to report: no result of the grid of '{}' is finished", spec.experiment);
  content.title = spec.experiment;
  set_data(content, spec, dataset);
  std::size_t done = 0;
  for (const GridPoint& point : content.points) done += point.trials.size();
  const std::size_t cells = cells_of(spec).size();
  if (done < cells)
    content.warnings.push_back(fmt::format("{} of {} {} are finished; the tables show these.", done, cells,
                                           spec.tree.empty() ? "cells of the grid" : "nodes' trainings"));
  if (const std::vector<std::string> diverged = diverged_runs(content.points); !diverged.empty())
    content.warnings.push_back(fmt::format(
        "{} diverged: {}. A loss that is no number has no mean: these cells say so, and the curves have gaps there.",
        count_of(diverged.size(), "training"), join(diverged)));
  std::ranges::copy(dataset.warnings, std::back_inserter(content.warnings));
  content.facts = facts_of(spec, dataset, content.points);
  content.notes = dataset.notes;
  content.genres = dataset.genres;
  content.paper = paper_rows(spec, dataset, content.points);
  if (const std::string warning = incomplete_gtzan(dataset, content.points); !warning.empty() && !content.paper.empty())
    content.warnings.push_back(warning);
  content.results = result_tables(spec, !content.paper.empty());
  content.means_notes = means_notes(spec, dataset, content);
  if (spec.tree.empty()) {
    add_figures(content);
    add_confusions(content);
  } else {
    add_tree(content, spec, dataset, results);
  }
  return content;
}

std::string split_text(const SplitConfig& split) {
  switch (split.kind) {
    case SplitConfig::Kind::by_index:
      return split.name + " (by index)";
    case SplitConfig::Kind::random:
      return split.name + " (drawn for each trial)";
    case SplitConfig::Kind::lists:
      break;
  }
  return split.name;
}

bool is_gtzan(const DatasetSummary& dataset) { return dataset.name == "GTZAN"; }

std::vector<PaperRow> paper_rows(const Spec& spec, const DatasetSummary& dataset,
                                 const std::vector<GridPoint>& points) {
  std::vector<PaperRow> rows;
  // the paper's CNN told ten genres apart, and its Figure 10 is about an LSTM
  const bool paper_cnn = spec.cnn && dataset.genres.size() == 10;
  for (const GridPoint& point : points)
    rows.push_back(!spec.tree.empty() ? paper_row(spec.tree, point.node)
                   : paper_cnn        ? paper_cnn_row(spec, point.epochs)
                   : spec.cnn         ? PaperRow{}
                                      : paper_row(point.epochs));
  const auto is_known = [](const PaperCell& cell) { return !std::isnan(cell.value); };
  const bool any = std::ranges::any_of(rows, [&](const PaperRow& row) { return std::ranges::any_of(row, is_known); });
  return any && is_gtzan(dataset) ? rows : std::vector<PaperRow>{};
}

ResultTables result_tables(const Spec& spec, bool with_paper) {
  const char* paper = with_paper ? ", the paper's beside ours" : "";
  if (spec.tree.empty())
    return {"epochs",
            "epochs",
            fmt::format("Figure 10: means over trials{}", paper),
            "figure10.csv",
            "Figure 9: each trial",
            "figure9.csv"};
  return {"node",
          "node,epochs",
          fmt::format("Table 3: each node on its own genres, means over trials{}", paper),
          "table3.csv",
          "Each node in each trial",
          "nodes.csv",
          true};
}

double recall(const ReportConfusion& confusion, std::size_t row) {
  const std::size_t classes = confusion.classes.size();
  double sum = 0;
  for (std::size_t predicted = 0; predicted < classes; ++predicted) sum += confusion.counts[row * classes + predicted];
  return sum > 0 ? confusion.counts[row * classes + row] / sum : std::nan("");
}

}  // namespace genretree
