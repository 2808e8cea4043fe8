#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/progress.hpp"
#include "core/text.hpp"
#include "experiments/figures.hpp"
#include "experiments/report_content.hpp"
#include "experiments/search_figures.hpp"
#include "experiments/search_report.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

const SearchPlan::Candidate& candidate_of(const SearchResults& results, const Standing& standing) {
  return results.plan.candidates[standing.candidate];
}

std::string shown_loss(const Standing& standing) {
  return std::isfinite(standing.loss.mean) ? fmt::format("{:.3f}", standing.loss.mean) : "";
}

/// True if validation clips of one trial are test clips of another.
bool mixes_trials(const Spec& spec) {
  return spec.dataset.split.kind == SplitConfig::Kind::random && spec.grid.trials > 1;
}

ReportTable best_table(const SearchResults& results) {
  const Standing& best = results.standings.front();
  const SearchPlan::Candidate& candidate = candidate_of(results, best);
  ReportTable table{fmt::format("The best: {}", candidate.name), {"key", "value"}, {}, {}, 2};
  for (std::size_t key = 0; key < results.plan.keys.size(); ++key)
    table.rows.push_back({results.plan.keys[key], candidate.values[key]});
  table.notes = {fmt::format(
      "Validation accuracy {} % ({}). best.yaml is the whole experiment with these values: run_experiment best.yaml "
      "trains it and shows its test accuracy. The best of many is a little lucky: its validation accuracy is too high "
      "an estimate of what it is worth{}. {} validation clips tell candidates apart to some {:.0f} points (a standard "
      "error), whatever their spread over trials.",
      shown_percent(best.accuracy), count_of(best.trials, "trial"),
      mixes_trials(results.best) ? "" : ", its test accuracy is not", results.dataset.validation,
      100 *
          std::sqrt(best.accuracy.mean * (1 - best.accuracy.mean) / static_cast<double>(results.dataset.validation)))};
  return table;
}

/// Columns that are empty in every row are left out.
ReportTable candidates_table(const SearchResults& results) {
  const SearchPlan& plan = results.plan;
  std::vector<std::string> heading = {"rank", "candidate", "validation accuracy, %", "validation loss"};
  std::ranges::copy(plan.keys, std::back_inserter(heading));
  for (const char* name : {"trials", "epochs", "seconds"}) heading.push_back(name);
  std::vector<std::vector<std::string>> rows;
  for (const Standing& standing : results.standings) {
    const SearchPlan::Candidate& candidate = candidate_of(results, standing);
    std::vector<std::string> row = {std::to_string(rows.size() + 1), candidate.name, shown_percent(standing.accuracy),
                                    shown_loss(standing)};
    std::ranges::copy(candidate.values, std::back_inserter(row));
    row.push_back(std::to_string(standing.trials));
    row.push_back(standing.epochs ? std::to_string(standing.epochs) : "");
    row.push_back(fmt::format("{:.1f}", standing.seconds));
    rows.push_back(std::move(row));
  }
  ReportTable table{"All candidates", {}, std::vector<std::vector<std::string>>(rows.size()), {}, 1};
  table.sortable = true;
  for (std::size_t column = 0; column < heading.size(); ++column) {
    if (std::ranges::all_of(rows, [&](const auto& row) { return row[column].empty(); })) continue;
    table.heading.push_back(heading[column]);
    for (std::size_t i = 0; i < rows.size(); ++i) table.rows[i].push_back(rows[i][column]);
  }
  table.notes = {
      fmt::format("The best first: {}by validation {}. Accuracy: mean ± standard deviation over trials (n − 1). In a "
                  "browser a click on a heading sorts by it.",
                  plan.rungs.size() > 1 ? "those with more trials, then " : "",
                  plan.by == SearchSpec::By::validation_loss ? "loss" : "accuracy")};
  if (!results.best.tree.empty())
    table.notes.push_back(
        "The accuracy of a tree is estimated as in the paper: the product of its nodes' validation accuracies down to "
        "each genre, mean over genres.");
  else if (results.best.grid.epochs.size() > 1)
    table.notes.push_back("Epochs: the best of the grid for this candidate, by the same measure.");
  return table;
}

ReportContent make_search(const SearchResults& results) {
  const auto& [plan, standings, best, dataset, computed, missing] = results;
  ReportContent content;
  set_data(content, best, dataset);
  content.title = plan.experiment;
  if (missing > 0)
    content.warnings.push_back(
        "The search is not done: the table shows how far it has come, and the best may still be another.");
  std::ranges::copy(dataset.warnings, std::back_inserter(content.warnings));
  if (mixes_trials(best))
    content.warnings.push_back(
        "The split is drawn anew for each trial, so validation clips of one trial are test clips of another: the "
        "search "
        "has seen them by their validation accuracy. A split by lists or by index keeps them apart.");
  double seconds = 0;
  std::size_t trials = 0;
  for (const Standing& standing : standings) seconds += standing.seconds, trials += standing.trials;
  content.facts = {
      {"search", plan.description},
      {"ranked by",
       fmt::format("validation {}. The test clips have no part in it: nothing on this page was measured on them",
                   plan.by == SearchSpec::By::validation_loss ? "loss" : "accuracy")},
      {"data", dataset.name},
      {"genres", join(dataset.genres)},
      {"split", fmt::format("{}: {} training and {} validation clips of {} (in the first trial)",
                            best.dataset.split.name, dataset.train, dataset.validation, dataset.clips)},
      {"seed", std::to_string(best.seed)},
      {"trained", fmt::format("{} of {}, in {} of computing time", count_of(trials, "trial"),
                              count_of(standings.size(), "candidate"), duration(seconds))},
      {"backend", fmt::format("{} ({}), {}, {}", computed.backend.backend, computed.backend.device,
                              computed.backend.algorithm, computed.backend.precision)},
      {"machine", computed.machine},
      {"program", fmt::format("genretree, commit {}", computed.commit)},
      {"data checksum", dataset.checksum},
  };
  content.notes = dataset.notes;
  content.first_table = best_table(results);
  content.tables = {candidates_table(results)};
  content.figures_title = "Keys against validation results";
  content.figures = search_figures(results);
  return content;
}

std::string search_csv(const SearchResults& results) {
  std::string text = "rank,candidate";
  for (const std::string& key : results.plan.keys) text.append(",").append(csv_field(key));
  text += ",trials,validation_accuracy_mean,validation_accuracy_sd,validation_loss,epochs,seconds\n";
  const auto number = [](double value) { return std::isfinite(value) ? fmt::format("{}", value) : ""; };
  std::size_t place = 0;
  for (const Standing& standing : results.standings) {
    const SearchPlan::Candidate& candidate = candidate_of(results, standing);
    text += fmt::format("{},{}", ++place, candidate.name);
    for (const std::string& value : candidate.values) text.append(",").append(csv_field(value));
    text += fmt::format(",{},{},{},{},{},{:.3f}\n", standing.trials, number(standing.accuracy.mean),
                        number(standing.accuracy.sd), number(standing.loss.mean),
                        standing.epochs ? std::to_string(standing.epochs) : "", standing.seconds);
  }
  return text;
}

std::string best_yaml(const SearchResults& results) {
  const Standing& best = results.standings.front();
  const SearchPlan::Candidate& candidate = candidate_of(results, best);
  std::string text = fmt::format("# The best of {} in the search {}: {}, validation accuracy {} % ({}).\n",
                                 count_of(results.standings.size(), "candidate"), results.plan.experiment,
                                 candidate.name, shown_percent(best.accuracy), count_of(best.trials, "trial"));
  for (std::size_t key = 0; key < results.plan.keys.size(); ++key)
    text += fmt::format("#   {}: {}\n", results.plan.keys[key], candidate.values[key]);
  return text + to_yaml(results.best, false);
}

}  // namespace

void write_search_report(const fs::path& folder, const SearchResults& results) {
  const ReportContent content = make_search(results);
  make_writable_folder(folder);
  write_whole_text(folder / "search.csv", search_csv(results));
  write_whole_text(folder / "best.yaml", best_yaml(results));
  for (const ReportFigure& figure : content.figures) write_whole_text(folder / figure.file, standalone(figure.svg));
  write_whole_text(folder / "report.md", to_markdown(content));
  write_whole_text(folder / "report.html", to_html(content));
}

Outcome report_search(const std::vector<fs::path>& folders, bool allow_mixed) {
  const SearchResults results = read_search_results(folders, allow_mixed);
  const fs::path& folder = folders.front();
  if (results.missing > 0) warn("the search is not done: some candidates have still to be trained");
  write_search_report(folder, results);
  ReportTable table = candidates_table(results);
  constexpr std::size_t most = 20;
  if (table.rows.size() > most) table.rows.resize(most), table.title = "The best candidates";
  fmt::print("\n{}\nbest: {}\nreport: {}\n", tables_text({table}), (folder / "best.yaml").string(),
             (folder / "report.html").string());
  return {results.missing == 0, results.dataset.left_out > 0};
}

}  // namespace genretree
