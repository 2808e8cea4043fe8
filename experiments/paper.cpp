#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <set>

#include "experiments/paper.hpp"

namespace genretree {
namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

// Figure 10 of the paper. Whoever has the paper at hand can fill in the unknown cells: accuracies as fractions of 1,
// each value with the four decimals of the paper. paper_gaps_note then needs other words.
constexpr PaperPoint figure10[] = {
    // epochs, validation accuracy, validation loss, test accuracy, test loss
    {5, unknown, unknown, unknown, unknown},   {10, unknown, unknown, unknown, unknown},
    {20, unknown, unknown, unknown, unknown},  {50, unknown, unknown, unknown, unknown},
    {100, unknown, unknown, unknown, unknown}, {200, unknown, unknown, unknown, 1.8864},
    {400, unknown, unknown, unknown, unknown},
};

const std::vector<PaperNode>& table3() {
  static const std::vector<PaperNode> nodes = {
      {"LSTM1",
       {{"hiphop", "metal", "pop", "rock", "reggae"}, {"jazz", "disco", "country", "classical", "blues"}},
       0.800},
      {"LSTM2a", {{"hiphop", "metal", "rock"}, {"pop", "reggae"}}, 0.816},
      {"LSTM2b", {{"disco", "country"}, {"jazz", "classical", "blues"}}, 0.816},
      {"LSTM3a", {{"hiphop"}, {"metal"}, {"rock"}}, 0.746},
      {"LSTM3b", {{"pop"}, {"reggae"}}, 0.880},
      {"LSTM3c", {{"disco"}, {"country"}}, 0.780},
      {"LSTM3d", {{"jazz"}, {"classical"}, {"blues"}}, 0.840},
  };
  return nodes;
}

using GenreSets = std::set<std::set<std::string>>;

GenreSets classes_of(const PaperNode& node) {
  GenreSets sets;
  for (const std::vector<std::string>& genres : node.classes) sets.insert({genres.begin(), genres.end()});
  return sets;
}

GenreSets classes_of(const GenreTree& tree, std::size_t node) {
  std::vector<std::set<std::string>> sets(tree.nodes()[node].children.size());
  for (const std::size_t genre : tree.genres_below(node))
    sets[*tree.child_of(node, genre)].insert(tree.genres()[genre]);
  return {sets.begin(), sets.end()};
}

}  // namespace

const PaperPoint* paper_figure10(std::uint32_t epochs) {
  const auto row = std::ranges::find(figure10, epochs, &PaperPoint::epochs);
  return row == std::end(figure10) ? nullptr : &*row;
}

const PaperNode* paper_node(const GenreTree& tree, std::size_t node) {
  const auto same = [&](const PaperNode& paper) { return classes_of(paper) == classes_of(tree, node); };
  const auto row = std::ranges::find_if(table3(), same);
  return row == table3().end() ? nullptr : &*row;
}

bool is_paper_tree(const GenreTree& tree) {
  if (tree.nodes().size() != table3().size()) return false;
  for (std::size_t node = 0; node < tree.nodes().size(); ++node)
    if (!paper_node(tree, node)) return false;
  return true;
}

double paper_path_product(const PaperNode& last_node) {
  constexpr std::pair<const char*, double> products[] = {
      {"LSTM3a", 0.487}, {"LSTM3b", 0.5745}, {"LSTM3c", 0.5092}, {"LSTM3d", 0.5484}};
  for (const auto& [name, product] : products)
    if (last_node.name == name) return product;
  return unknown;
}

PaperResult paper_result(std::vector<std::string> genres, const GenreTree& tree, std::uint32_t epochs) {
  if (is_paper_tree(tree)) return {paper_mean_of_products, "product estimate"};
  std::ranges::sort(genres);
  const PaperPoint* point = paper_figure10(epochs);
  const bool six_genres = genres == std::vector<std::string>{"classical", "hiphop", "jazz", "metal", "pop", "reggae"};
  if (tree.empty() && six_genres && point) return {point->test_accuracy, "Figure 10"};
  return {unknown, ""};
}

std::string paper_footnote() {
  const auto& [epochs, mean] = paper_test_loss_disagreement;
  return fmt::format(
      "The paper disagrees with itself here: its Figure 10 gives a mean test loss of {:.4f} at {} epochs, but the four "
      "trials of its Figure 9 have a mean of {:.4f}.",
      paper_figure10(epochs)->test_loss, epochs, mean);
}

std::string paper_cnn_note() {
  return fmt::format(
      "{:.2f} % is what the paper gives for the CNN that it compares itself with (its reference [2]): 30 of 64 clips "
      "of "
      "a single mini-batch after 1,562 steps, not an accuracy on a test set, which ours are.",
      100 * paper_cnn_accuracy);
}

std::string paper_gaps_note() {
  return fmt::format(
      "Of the paper's Figures 9 and 10 this version of the program knows only one cell: the mean test loss at 200 "
      "epochs, {:.4f} (experiments/paper.cpp holds the table).",
      paper_figure10(200)->test_loss);
}

}  // namespace genretree
