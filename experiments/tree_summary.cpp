#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <span>

#include "core/error.hpp"
#include "experiments/summary.hpp"
#include "experiments/tree_summary.hpp"

namespace genretree {
namespace {

/// The nodes' results in one trial, [nodes].
using NodeResults = std::vector<const Result*>;

/// True for answers of a training that diverged.
bool diverged(std::span<const float> probabilities) {
  return std::ranges::any_of(probabilities, [](float p) { return !std::isfinite(p); });
}

/// What all nodes say of one clip.
NodeProbabilities probabilities_of(const GenreTree& tree, const NodeResults& results, std::size_t clip) {
  NodeProbabilities probabilities;
  for (std::size_t node = 0; node < tree.nodes().size(); ++node) {
    const std::size_t children = tree.nodes()[node].children.size();
    probabilities.push_back(std::span(results[node]->answers.probabilities).subspan(clip * children, children));
  }
  return probabilities;
}

void check_same_clips(const GenreTree& tree, const NodeResults& results) {
  const TestAnswers& first = results.front()->answers;
  for (std::size_t node = 0; node < results.size(); ++node) {
    const TestAnswers& answers = results[node]->answers;
    if (answers.tracks != first.tracks || answers.genres != first.genres)
      fail(
          "the nodes {} and {} did not see the same test clips, so the tree cannot be decoded. Were their ledgers "
          "made from the same data?",
          results.front()->run, results[node]->run);
    if (std::ranges::any_of(answers.genres, [&](std::uint32_t genre) { return genre >= tree.genres().size(); }))
      fail("the run {} has a test clip of a genre that the tree does not have", results[node]->run);
    if (answers.probabilities.size() != answers.tracks.size() * tree.nodes()[node].children.size())
      fail("the run {} has {} probabilities for {} clips and {} children", results[node]->run,
           answers.probabilities.size(), answers.tracks.size(), tree.nodes()[node].children.size());
  }
}

/// Counts of the clips that the nodes above a node send to it, and of those that it sends on rightly.
struct Reached {
  std::size_t clips = 0, right = 0;
};

/// Follows a clip along the path to its true genre for as long as the nodes are right.
void follow(const GenreTree& tree, const NodeProbabilities& probabilities, std::size_t genre,
            std::vector<Reached>& reached) {
  for (const auto& [node, child] : tree.path(genre)) {
    ++reached[node].clips;
    if (diverged(probabilities[node])) return;
    const auto answer = std::ranges::max_element(probabilities[node]) - probabilities[node].begin();
    if (static_cast<std::size_t>(answer) != child) return;
    ++reached[node].right;
  }
}

std::uint32_t end_of_hard(const GenreTree& tree, const NodeProbabilities& probabilities) {
  const std::size_t genre = route_hard(tree, probabilities);
  for (const TreeStep& step : tree.path(genre))
    if (diverged(probabilities[step.node])) return no_genre;
  return static_cast<std::uint32_t>(genre);
}

/// All nodes have a say in the most probable genre.
std::uint32_t end_of_soft(const GenreTree& tree, const NodeProbabilities& probabilities) {
  if (std::ranges::any_of(probabilities, diverged)) return no_genre;
  return static_cast<std::uint32_t>(most_probable(route_soft(tree, probabilities)));
}

TreeTrial decode(const GenreTree& tree, std::uint32_t trial, const NodeResults& results) {
  check_same_clips(tree, results);
  TreeTrial decoded{.trial = trial, .genres = tree.genres().size()};
  std::vector<Reached> reached(results.size());
  const TestAnswers& answers = results.front()->answers;
  for (std::size_t clip = 0; clip < answers.tracks.size(); ++clip) {
    const NodeProbabilities probabilities = probabilities_of(tree, results, clip);
    decoded.clips.push_back({answers.tracks[clip], answers.genres[clip], end_of_hard(tree, probabilities),
                             end_of_soft(tree, probabilities)});
    follow(tree, probabilities, answers.genres[clip], reached);
  }
  for (const Result* result : results) {
    decoded.node_accuracies.push_back(result->test.accuracy);
    if (diverged(result->answers.probabilities)) decoded.diverged.push_back(result->node);
  }
  for (const auto& [clips, right] : reached)
    decoded.reached.push_back(clips ? static_cast<double>(right) / static_cast<double>(clips)
                                    : std::numeric_limits<double>::quiet_NaN());
  return decoded;
}

}  // namespace

double TreeTrial::accuracy(std::uint32_t DecodedClip::*answer) const {
  const auto right = std::ranges::count_if(clips, [&](const DecodedClip& clip) { return clip.*answer == clip.genre; });
  return static_cast<double>(right) / static_cast<double>(clips.size());
}

double TreeTrial::mean_recall(std::uint32_t DecodedClip::*answer) const {
  std::vector<Reached> of_genre(genres);
  for (const DecodedClip& clip : clips)
    ++of_genre[clip.genre].clips, of_genre[clip.genre].right += clip.*answer == clip.genre;
  std::vector<double> recalls;
  for (const auto& [all, right] : of_genre)
    if (all) recalls.push_back(static_cast<double>(right) / static_cast<double>(all));
  return spread_of(recalls).mean;
}

std::vector<std::uint32_t> TreeTrial::confusion(std::uint32_t DecodedClip::*answer) const {
  std::vector<std::uint32_t> counts(genres * genres, 0);
  for (const DecodedClip& clip : clips)
    if (clip.*answer != no_genre) ++counts[clip.genre * genres + clip.*answer];
  return counts;
}

std::vector<TreeTrial> decode_trials(const GenreTree& tree, const std::vector<Result>& results) {
  std::map<std::uint32_t, NodeResults> by_trial;
  for (const Result& result : results) {
    const auto node = std::ranges::find(tree.nodes(), result.node, &TreeNode::name);
    if (node == tree.nodes().end()) continue;
    NodeResults& nodes = by_trial[result.trial];
    nodes.resize(tree.nodes().size(), nullptr);
    nodes[static_cast<std::size_t>(node - tree.nodes().begin())] = &result;
  }
  std::vector<TreeTrial> trials;
  for (const auto& [trial, nodes] : by_trial)
    if (std::ranges::none_of(nodes, [](const Result* result) { return result == nullptr; }))
      trials.push_back(decode(tree, trial, nodes));
  return trials;
}

Interval tree_interval(const std::vector<TreeTrial>& trials, std::uint32_t DecodedClip::*answer, std::uint64_t seed) {
  std::vector<TrackCount> counts;
  for (const TreeTrial& trial : trials)
    for (const DecodedClip& clip : trial.clips) counts.push_back({clip.track, clip.*answer == clip.genre, 1});
  return accuracy_interval(counts, seed);
}

std::vector<double> values_of(const TreeMetric& metric, const GenreTree& tree, const std::vector<TreeTrial>& trials) {
  std::vector<double> values;
  for (const TreeTrial& trial : trials) values.push_back(metric.of(tree, trial));
  return values;
}

}  // namespace genretree
