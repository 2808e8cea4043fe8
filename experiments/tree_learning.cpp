#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/text.hpp"
#include "experiments/summary.hpp"
#include "experiments/tree_learning.hpp"
#include "models/learned_tree.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

constexpr const char* file_name = "learned_tree.json";

std::string how_it_was_learned(const TreeOrigin& origin) {
  return fmt::format(
      "The tree was learned: a single classifier of all genres was trained for {} ({}, the best grid point by "
      "validation accuracy, {} %; its own report is {}/report.html), and genres that it confuses on the validation "
      "clips go together. No test clip had a part in it.",
      count_of(origin.epochs, "epoch"), count_of(origin.trials, "trial"), shown(metrics[0], origin.validation_accuracy),
      origin.classifier);
}

constexpr const char* formula =
    "The similarity of two genres is the mean of the shares of either's clips that are taken for the other, S(a, b) = "
    "(P(a, b) + P(b, a)) / 2; that of two groups is the mean over all pairs with a genre in each (average linkage). "
    "From single genres on, the two most similar groups become a node, until one is left; of equals the pair is taken "
    "whose genres come first.";

/// Says which of the tree's nodes are no finding; "" if all are.
std::string chance_joins(const LearnedTree& learned) {
  const auto joins = std::ranges::count(learned.similarity, 0.0);
  if (joins == 0) return "";
  return fmt::format("{} of {} {} genres that were never confused; {} place follows the order of the genres only.",
                     joins, count_of(learned.similarity.size(), "node"), joins == 1 ? "joins" : "join",
                     joins == 1 ? "its" : "their");
}

}  // namespace

Spec flat_spec(const Spec& spec) {
  Spec flat = spec;
  flat.experiment += "-flat";
  flat.learned_tree_epochs = 0;
  return flat;
}

TreeOrigin tree_origin(const Spec& flat, const std::vector<Result>& results) {
  const std::vector<GridPoint> points = summarise(flat, results);
  const GridPoint* best = best_by_validation(points);
  if (!best) fail("no tree can be learned: no training of {} has a validation accuracy", flat.experiment);
  const std::size_t classes = flat.dataset.genres.size();
  TreeOrigin origin{flat.dataset.genres, std::vector<std::uint32_t>(classes * classes, 0), best->epochs,
                    best->trials.size(), best->spread(metrics[0]).mean};
  for (const Result& result : best->trials) {
    if (result.validation_confusion.size() != classes * classes)
      reject(
          "the ledger of {} does not say what run {} takes validation clips for; it is of an earlier version of the "
          "program. Choose another --out",
          flat.experiment, result.run);
    for (std::size_t i = 0; i < origin.confusion.size(); ++i) origin.confusion[i] += result.validation_confusion[i];
  }
  return origin;
}

Spec with_learned_tree(const Spec& spec, const TreeOrigin& origin) {
  Spec learned = spec;
  learned.learned_tree_epochs = 0;
  learned.tree = learn_tree(origin.confusion, origin.genres, spec.learned_tree_epochs).tree;
  return learned;
}

void write_tree_origin(const fs::path& folder, const TreeOrigin& origin) {
  make_writable_folder(folder);
  write_whole_text(folder / file_name, nlohmann::ordered_json{{"genres", origin.genres},
                                                              {"confusion", origin.confusion},
                                                              {"epochs", origin.epochs},
                                                              {"trials", origin.trials},
                                                              {"validation_accuracy", origin.validation_accuracy},
                                                              {"classifier", origin.classifier}}
                                               .dump(2) +
                                           "\n");
}

std::optional<TreeOrigin> read_tree_origin(const fs::path& folder) {
  const fs::path file = folder / file_name;
  if (!fs::exists(file)) return std::nullopt;
  try {
    const nlohmann::json json = nlohmann::json::parse(read_text(file));
    return TreeOrigin{json.at("genres"), json.at("confusion"),           json.at("epochs"),
                      json.at("trials"), json.at("validation_accuracy"), json.value("classifier", "flat")};
  } catch (const nlohmann::json::exception& error) {
    reject(
        "{}, which says how the tree was learned, is damaged: {}. Delete it; the program writes it anew with --resume",
        file.string(), error.what());
  }
}

void add_tree_origin(ReportContent& content, const TreeOrigin& origin) {
  const LearnedTree learned = learn_tree(origin.confusion, origin.genres, 1);
  ReportTable table{"How the tree was learned",
                    {"node", "tells apart", "their similarity, %"},
                    {},
                    {how_it_was_learned(origin), formula},
                    2};
  if (const std::string note = chance_joins(learned); !note.empty()) table.notes.push_back(note);
  for (std::size_t node = 0; node < learned.similarity.size(); ++node)
    table.rows.push_back({learned.tree.nodes()[node].name, join(learned.tree.nodes()[node].children, " | "),
                          shown(metrics[0], learned.similarity[node])});
  content.tables.insert(content.tables.begin(), std::move(table));
  content.confusions.push_back(
      {fmt::format("Validation clips, from which the tree was learned: the flat classifier, {}, {}",
                   count_of(origin.epochs, "epoch"), count_of(origin.trials, "trial")),
       origin.genres, origin.confusion});
}

}  // namespace genretree
