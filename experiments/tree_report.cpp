#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <functional>

#include "core/text.hpp"
#include "experiments/paper.hpp"
#include "experiments/tree_figure.hpp"
#include "experiments/tree_report.hpp"
#include "experiments/tree_summary.hpp"

namespace genretree {
namespace {

using Row = std::vector<std::string>;

/// Both ways through the tree, with their names in tables and files.
struct Routing {
  const char *key, *title;
  std::uint32_t DecodedClip::*answer;
};
constexpr Routing routings[] = {{"hard", "Hard routing", &DecodedClip::hard},
                                {"soft", "Soft routing", &DecodedClip::soft}};

std::string percent(double share) { return shown(metrics[0], share); }

/// With all the digits that the paper gives: 0.52975 as "52.975".
std::string printed(double share) { return fmt::format("{:.6g}", 100 * share); }

/// The paper's values stand beside trees of its genres only, and beside its data only.
bool shows_paper(const GenreTree& tree, const DatasetSummary& dataset) {
  return is_gtzan(dataset) && is_paper_tree(tree);
}

std::string genres_of(const GenreTree& tree, const std::vector<std::size_t>& genres) {
  std::vector<std::string> names;
  for (const std::size_t genre : genres) names.push_back(tree.genres()[genre]);
  return join(names);
}

// ------------------------------------------------------------------------------------------------------------- tables

ReportTable table_of_nodes(const GenreTree& tree) {
  ReportTable table{"The tree", {"node", "tells apart", "genres below it", "epochs", "in the paper"}, {}, {}, 3};
  for (std::size_t node = 0; node < tree.nodes().size(); ++node) {
    const auto& [name, epochs, children] = tree.nodes()[node];
    const PaperNode* paper = paper_node(tree, node);
    table.rows.push_back({name, join(children, " | "), genres_of(tree, tree.genres_below(node)), std::to_string(epochs),
                          paper ? paper->name : "–"});
  }
  return table;
}

std::vector<std::string> table4_notes(bool with_paper) {
  std::vector<std::string> notes = {
      "Accuracies in percent over all genres, on every test clip: where genres have different numbers of clips, the "
      "large ones weigh more, here and in Table 3. Mean recall weighs all genres alike: it is the mean over genres of "
      "the share of a genre's clips that end at it. Hard routing is the paper's multi-step classifier: "
      "from the root on, always to the most probable child. Soft routing gives each genre the product of the "
      "probabilities along its path and takes the greatest, so that a node that hesitates can be overruled below.",
      "The product estimate is the paper's: it multiplies the test accuracies of the nodes along each path and takes "
      "the mean, over the paths as the paper does or over the genres. It measures nothing end to end.",
      interval_note(),
      "Both ways' confusion matrices are below, summed over trials; those of each trial are in confusion.csv, and "
      "where every clip ends is in decoded.csv."};
  if (with_paper) {
    notes.push_back(fmt::format(
        "The paper's {} % for ten genres is this estimate, the mean over its four paths; the mean over the ten genres "
        "of the same products is {} % (reckoned here from its Table 3). The paper reports no measurement end to end.",
        printed(paper_mean_of_products), printed(paper_mean_of_products_by_genre)));
    notes.push_back(fmt::format(
        "The paper sets it beside {} % of the CNN of its reference [2]: this is 30 of 64 clips of a single mini-batch, "
        "and cannot occur on that network's test set of 200 clips.",
        printed(paper_cnn_accuracy)));
  }
  return notes;
}

/// Of hard and of soft routing.
std::array<Interval, 2> intervals_of(const std::vector<TreeTrial>& trials, std::uint64_t seed) {
  return {tree_interval(trials, &DecodedClip::hard, seed), tree_interval(trials, &DecodedClip::soft, seed)};
}

ReportTable table4(const GenreTree& tree, const std::vector<TreeTrial>& trials, bool with_paper, std::uint64_t seed) {
  ReportTable table{"Table 4: the whole tree, end to end, beside the product of its nodes' accuracies, in percent",
                    {"trial"},
                    {},
                    table4_notes(with_paper)};
  for (const TreeMetric& metric : tree_metrics) table.heading.push_back(metric.title);
  for (const TreeTrial& trial : trials) {
    Row row = {std::to_string(trial.trial)};
    for (const TreeMetric& metric : tree_metrics) row.push_back(percent(metric.of(tree, trial)));
    table.rows.push_back(std::move(row));
  }
  Row means = {trials.size() > 1 ? "mean ± sd" : "mean"};
  for (const TreeMetric& metric : tree_metrics)
    means.push_back(shown_percent(spread_of(values_of(metric, tree, trials))));
  table.rows.push_back(std::move(means));
  const auto [hard, soft] = intervals_of(trials, seed);
  table.rows.push_back({"95 % interval", shown_percent(hard), shown_percent(soft), "", "", "", ""});
  if (with_paper)
    table.rows.push_back({"paper", "not measured", "not measured", "", "", printed(paper_mean_of_products),
                          printed(paper_mean_of_products_by_genre)});
  return table;
}

ReportTable table_of_paths(const GenreTree& tree, const std::vector<TreeTrial>& trials, bool with_paper) {
  ReportTable table{"The product estimate, path by path", {"path", "genres at its end", "product, %"}, {}, {}, 2};
  if (with_paper) table.heading.push_back("paper");
  for (const std::size_t last : tree.last_nodes()) {
    std::vector<std::size_t> genres;
    for (const std::size_t genre : tree.genres_below(last))
      if (tree.path(genre).back().node == last) genres.push_back(genre);
    Row nodes;
    for (const TreeStep& step : tree.path(genres.front())) nodes.push_back(tree.nodes()[step.node].name);
    std::vector<double> products;
    for (const TreeTrial& trial : trials) products.push_back(path_product(tree, last, trial.node_accuracies));
    table.rows.push_back({join(nodes, " × "), genres_of(tree, genres), shown_percent(spread_of(products))});
    if (with_paper) table.rows.back().push_back(printed(paper_path_product(*paper_node(tree, last))));
  }
  return table;
}

/// In how many points hard routing differs from the estimate in these trials.
std::string difference(const GenreTree& tree, const std::vector<TreeTrial>& trials) {
  const double hard = spread_of(values_of(tree_metrics[0], tree, trials)).mean,
               product = spread_of(values_of(tree_metrics[4], tree, trials)).mean;
  return fmt::format("Here hard routing reaches {} %, and the mean product over paths is {} %.", percent(hard),
                     percent(product));
}

ReportTable why_they_differ(const GenreTree& tree, const std::vector<TreeTrial>& trials) {
  ReportTable table{
      "Why the product is not the accuracy",
      {"node", "on all test clips below it, %", "on those that reach it, %"},
      {},
      {difference(tree, trials) +
           " They need not be the same, for three reasons. First, a product of accuracies takes the nodes' "
           "errors for independent. But a node's accuracy is that on all test clips of the genres below "
           "it, while in the tree it only meets those that the nodes above it sent the right way; clips "
           "that are clear to one node are often clear to the next: where the second column is above the "
           "first, the product is too low.",
       "Second, a node's accuracy is a mean over the clips below it: where genres differ, the product of "
       "the means is not the mean of the products. Third, a mean over paths counts a path with two genres "
       "as much as one with three, while clips are counted one by one."}};
  for (std::size_t node = 0; node < tree.nodes().size(); ++node) {
    std::vector<double> all, reached;
    for (const TreeTrial& trial : trials) {
      all.push_back(trial.node_accuracies[node]);
      if (!std::isnan(trial.reached[node])) reached.push_back(trial.reached[node]);
    }
    table.rows.push_back({tree.nodes()[node].name, shown_percent(spread_of(all)),
                          reached.empty() ? "none reached it" : shown_percent(spread_of(reached))});
  }
  return table;
}

// -------------------------------------------------------------------------------------------------------------- files

/// Ends of the 95 % intervals as rows "low" and "high".
std::string table4_csv(const GenreTree& tree, const std::vector<TreeTrial>& trials, bool with_paper,
                       std::uint64_t seed) {
  std::string text = "trial";
  for (const TreeMetric& metric : tree_metrics) text += fmt::format(",{}", metric.key);
  const auto add = [&](const std::string& name, auto value) {
    text += '\n' + name;
    for (const TreeMetric& metric : tree_metrics) text += fmt::format(",{}", value(metric));
  };
  for (const TreeTrial& trial : trials)
    add(std::to_string(trial.trial), [&](const TreeMetric& metric) { return metric.of(tree, trial); });
  const auto spread = [&](const TreeMetric& metric) { return spread_of(values_of(metric, tree, trials)); };
  if (trials.empty()) return text + '\n';
  add("mean", [&](const TreeMetric& metric) { return spread(metric).mean; });
  if (trials.size() > 1) add("sd", [&](const TreeMetric& metric) { return spread(metric).sd; });
  const auto [hard, soft] = intervals_of(trials, seed);
  text += fmt::format("\nlow,{},{},,,,\nhigh,{},{},,,,", hard.low, soft.low, hard.high, soft.high);
  if (with_paper) text += fmt::format("\npaper,,,,,{},{}", paper_mean_of_products, paper_mean_of_products_by_genre);
  return text + '\n';
}

std::string confusion_csv(const GenreTree& tree, const std::vector<TreeTrial>& trials) {
  std::string text = "trial,routing,true_genre";
  for (const std::string& genre : tree.genres()) text += ',' + csv_field(genre);
  text += '\n';
  const std::size_t genres = tree.genres().size();
  for (const TreeTrial& trial : trials)
    for (const Routing& routing : routings) {
      const std::vector<std::uint32_t> counts = trial.confusion(routing.answer);
      for (std::size_t row = 0; row < genres; ++row) {
        text += fmt::format("{},{},{}", trial.trial, routing.key, csv_field(tree.genres()[row]));
        for (std::size_t column = 0; column < genres; ++column)
          text += fmt::format(",{}", counts[row * genres + column]);
        text += '\n';
      }
    }
  return text;
}

std::string decoded_csv(const GenreTree& tree, const std::vector<TreeTrial>& trials) {
  std::string text = "trial,track,true_genre,hard,soft\n";
  const auto name = [&](std::uint32_t genre) {  // none where a node diverged
    return genre == no_genre ? "" : csv_field(tree.genres()[genre]);
  };
  for (const TreeTrial& trial : trials)
    for (const DecodedClip& clip : trial.clips)
      text += fmt::format("{},{},{},{},{}\n", trial.trial, csv_field(clip.track), name(clip.genre), name(clip.hard),
                          name(clip.soft));
  return text;
}

// --------------------------------------------------------------------------------------------------------- confusions

ReportConfusion confusion_of(const GenreTree& tree, const std::vector<TreeTrial>& trials, const Routing& routing) {
  ReportConfusion sum{fmt::format("{}, {}", routing.title, count_of(trials.size(), "trial")), tree.genres(),
                      std::vector<std::uint32_t>(tree.genres().size() * tree.genres().size(), 0)};
  for (const TreeTrial& trial : trials)
    std::ranges::transform(sum.counts, trial.confusion(routing.answer), sum.counts.begin(), std::plus());
  return sum;
}

// ------------------------------------------------------------------------------------------------------------- figure

/// Test accuracies below the nodes, and the paper's below ours; below the genres the share of their clips that hard
/// routing brings there.
TreeLabels accuracy_labels(const GenreTree& tree, const ReportContent& content, const std::vector<TreeTrial>& trials) {
  TreeLabels labels;
  labels.nodes.resize(tree.nodes().size());
  labels.genres.resize(tree.genres().size());
  for (std::size_t i = 0; i < content.points.size(); ++i) {
    const auto node = std::ranges::find(tree.nodes(), content.points[i].node, &TreeNode::name) - tree.nodes().begin();
    std::vector<std::string>& lines = labels.nodes[static_cast<std::size_t>(node)];
    lines.push_back(shown_percent(content.points[i].spread(metrics[2])) + " %");
    if (!content.paper.empty() && !content.paper[i][2].text.empty())
      lines.push_back(fmt::format("paper {} %", content.paper[i][2].text));
  }
  if (trials.empty()) return labels;
  const ReportConfusion hard = confusion_of(tree, trials, routings[0]);
  for (std::size_t genre = 0; genre < tree.genres().size(); ++genre)
    labels.genres[genre] = {percent(recall(hard, genre)) + " %"};
  return labels;
}

ReportFigure figure14(const GenreTree& tree, const ReportContent& content, const std::vector<TreeTrial>& trials) {
  const std::string title = "Figure 14: the tree";
  return {
      "figure14.svg", title,
      "In the boxes each node's accuracy on the test clips of its own genres, mean ± standard deviation over trials; "
      "below each genre the share of its test clips that hard routing brings there, over all trials.",
      draw_tree(tree, title, accuracy_labels(tree, content, trials))};
}

// ----------------------------------------------------------------------------------------------------------- warnings

void add_warnings(ReportContent& content, const std::vector<TreeTrial>& trials) {
  if (trials.empty())
    content.warnings.push_back(
        "No trial has all nodes of the tree yet, so the tree as a whole cannot be decoded: there is no Table 4, and "
        "table4.csv, confusion.csv and decoded.csv have no rows.");
  std::vector<std::string> diverged;
  for (const TreeTrial& trial : trials)
    for (const std::string& node : trial.diverged) diverged.push_back(fmt::format("{} (trial {})", node, trial.trial));
  if (!diverged.empty())
    content.warnings.push_back(fmt::format(
        "The answers of {} are no numbers: {}. In Table 4 hard routing counts every clip as wrong that such a node is "
        "on "
        "the way of, and soft routing every clip of the trial, for each node has a say in it; these clips are in no "
        "column of the confusion matrices, and decoded.csv leaves their genre empty. Such a node's own accuracy in "
        "Table "
        "3, and so the product estimate, counts its answers as the first class, as Keras does.",
        count_of(diverged.size(), "trained node"), join(diverged)));
}

}  // namespace

std::vector<ReportTable> tree_tables(const Spec& spec, const DatasetSummary& dataset,
                                     const std::vector<Result>& results) {
  if (spec.tree.empty()) return {};
  const bool with_paper = shows_paper(spec.tree, dataset);
  const std::vector<TreeTrial> trials = decode_trials(spec.tree, results);
  std::vector<ReportTable> tables = {table_of_nodes(spec.tree)};
  if (!trials.empty())
    for (ReportTable& table :
         std::vector{table4(spec.tree, trials, with_paper, spec.seed), table_of_paths(spec.tree, trials, with_paper),
                     why_they_differ(spec.tree, trials)})
      tables.push_back(std::move(table));
  return tables;
}

void add_tree(ReportContent& content, const Spec& spec, const DatasetSummary& dataset,
              const std::vector<Result>& results) {
  const GenreTree& tree = spec.tree;
  content.tables = tree_tables(spec, dataset, results);
  content.first_table = std::move(content.tables.front());
  content.tables.erase(content.tables.begin());
  const std::vector<TreeTrial> trials = decode_trials(tree, results);
  if (!trials.empty())
    for (const Routing& routing : routings) content.confusions.push_back(confusion_of(tree, trials, routing));
  for (const GridPoint& point : content.points) {
    const auto node = std::ranges::find(tree.nodes(), point.node, &TreeNode::name);
    content.confusions.push_back({fmt::format("{}, {}", point.node, count_of(point.trials.size(), "trial")),
                                  node->children, point.confusion(node->children.size())});
  }
  content.figures_title = "Figure 14";
  content.figures = {figure14(tree, content, trials)};
  add_warnings(content, trials);
  content.files = {{"table4.csv", table4_csv(tree, trials, shows_paper(tree, dataset), spec.seed)},
                   {"confusion.csv", confusion_csv(tree, trials)},
                   {"decoded.csv", decoded_csv(tree, trials)}};
}

}  // namespace genretree
