#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/text.hpp"
#include "experiments/comparison.hpp"
#include "experiments/comparison_table.hpp"
#include "experiments/report_content.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

constexpr const char* names_file = "comparison.json";

void add_once(std::vector<std::string>& texts, const std::string& text) {
  if (std::ranges::find(texts, text) == texts.end()) texts.push_back(text);
}

/// Which data the variants ran on, said once where it is the same.
std::string common_first_line(const Comparison& comparison, const std::vector<ReportContent>& contents) {
  const ReportContent& first = contents.front();
  const auto all_have = [&](std::string ReportContent::*text) {
    return std::ranges::all_of(contents, [&](const ReportContent& content) { return content.*text == first.*text; });
  };
  if (all_have(&ReportContent::first_line)) return first.first_line;
  const bool same_data = all_have(&ReportContent::data);
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < contents.size(); ++i)
    parts.push_back(
        fmt::format("{}: {}", comparison.variants[i].name, same_data ? contents[i].split : contents[i].first_line));
  return same_data ? fmt::format("{}. Splits: {}.", first.data, join(parts, "; ")) : join(parts, " ");
}

/// Facts that hold for all variants.
std::vector<std::pair<std::string, std::string>> common_facts(const std::vector<ReportContent>& contents) {
  std::vector<std::pair<std::string, std::string>> facts = contents.front().facts;
  std::erase_if(facts, [&](const auto& fact) {
    return std::ranges::any_of(contents, [&](const ReportContent& content) {
      return std::ranges::find(content.facts, fact) == content.facts.end();
    });
  });
  return facts;
}

/// Variants whose last bits may differ from those of the first with such a network for another reason than the keys
/// that they set.
std::vector<std::string> computed_differently(const Comparison& comparison) {
  std::vector<std::string> warnings;
  for (const auto& [name, difference, runs] : comparison.variants) {
    const auto same_network = [cnn = runs.spec.cnn.has_value()](const auto& other) {
      return other.runs.spec.cnn.has_value() == cnn;  // a CNN has libraries of its own
    };
    const auto& of = *std::ranges::find_if(comparison.variants, same_network);
    const Result &first = of.runs.results.front(), &result = runs.results.front();
    const std::string how = differences(first.backend, first.commit, result.backend, result.commit);
    if (!how.empty()) warnings.push_back(fmt::format("{} was not computed as {} was ({}).", name, of.name, how));
  }
  return warnings;
}

ReportContent make_comparison(const Comparison& comparison) {
  std::vector<ReportContent> contents;
  for (const auto& [name, difference, runs] : comparison.variants)
    contents.push_back(make_content(runs.spec, runs.dataset, runs.results));
  ReportContent content;
  content.title = comparison.experiment;
  content.facts = common_facts(contents);
  content.tables = comparison_tables(comparison);
  content.figures_title = "The trees";
  content.warnings = computed_differently(comparison);
  if (!comparison.without_results.empty()) content.warnings.push_back(without_results_text(comparison));
  for (std::size_t i = 0; i < contents.size(); ++i) {
    const std::string& name = comparison.variants[i].name;
    content.synthetic = content.synthetic || contents[i].synthetic;
    for (const std::string& note : contents[i].notes) add_once(content.notes, note);
    for (const std::string& text : contents[i].warnings) content.warnings.push_back(fmt::format("{}: {}", name, text));
    if (!comparison.variants[i].runs.spec.tree.empty())
      for (ReportFigure figure : contents[i].figures) {
        figure.file = fmt::format("{}/{}", name, figure.file);
        figure.title = fmt::format("{}: the tree", name);
        figure.wide = true;
        content.figures.push_back(std::move(figure));
      }
    content.confusions.push_back(contents[i].confusions.front());  // of the point that the table shows
    content.confusions.back().title = fmt::format("{}: {}", name, content.confusions.back().title);
  }
  content.first_line = common_first_line(comparison, contents);
  return content;
}

}  // namespace

std::string without_results_text(const Comparison& comparison) {
  return fmt::format("not compared, for they have no results yet: {}", join(comparison.without_results));
}

Comparison read_comparison(const std::vector<fs::path>& folders, bool allow_mixed) {
  const auto [experiment, variants] = read_variant_names(folders.front());
  Comparison comparison{experiment, {}, {}};
  for (const auto& [name, difference] : variants)
    if (const std::vector<fs::path> own = folders_of_variant(folders, name); has_results(own))
      comparison.variants.push_back({name, difference, merge_runs(own, allow_mixed)});
    else
      comparison.without_results.push_back(name);
  if (comparison.variants.empty()) reject("no variant in {} has results yet", folders.front().string());
  return comparison;
}

void write_comparison(const fs::path& folder, const Comparison& comparison) {
  const ReportContent content = make_comparison(comparison);
  make_writable_folder(folder);
  write_whole_text(folder / "comparison.csv", comparison_csv(comparison));
  write_whole_text(folder / "report.md", to_markdown(content));
  write_whole_text(folder / "report.html", to_html(content));
}

std::string comparison_as_text(const Comparison& comparison) {
  return fmt::format("{}\nIn brackets, {}\n", tables_text(comparison_tables(comparison)), short_interval_note());
}

std::vector<fs::path> folders_of_variant(const std::vector<fs::path>& folders, const std::string& name) {
  std::vector<fs::path> found;
  for (const fs::path& folder : folders)
    if (fs::exists(folder / name / "spec.yaml")) found.push_back(folder / name);
  return found;
}

bool has_results(const std::vector<fs::path>& folders) {
  return std::ranges::any_of(folders, [](const fs::path& folder) {
    const LedgerIndex there(folder);
    return !there.cells().empty() || !there.damaged_lines().empty();
  });
}

bool holds_variants(const fs::path& folder) { return fs::exists(folder / names_file); }

void write_variant_names(const fs::path& folder, const VariantNames& names) {
  make_writable_folder(folder);
  write_whole_text(
      folder / names_file,
      nlohmann::ordered_json{{"experiment", names.experiment}, {"variants", names.variants}}.dump(2) + "\n");
}

VariantNames read_variant_names(const fs::path& folder) {
  const fs::path file = folder / names_file;
  try {
    const nlohmann::json json = nlohmann::json::parse(read_text(file));
    return {json.at("experiment"), json.at("variants")};
  } catch (const nlohmann::json::exception& error) {
    reject("{}, which names the variants, is damaged: {}. Run the experiment again with --resume", file.string(),
           error.what());
  }
}

}  // namespace genretree
