#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "core/text.hpp"
#include "experiments/report_content.hpp"

namespace genretree {
namespace {

/// Text that stands for itself in Markdown, also in a table.
std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '<')
      safe += "&lt;";
    else if (c == '&')
      safe += "&amp;";
    else
      safe.append(std::string_view("|*`[]\\").find(c) == std::string_view::npos ? "" : "\\").push_back(c);
  }
  return safe;
}

std::string table(const std::vector<std::string>& heading, const std::vector<std::vector<std::string>>& rows) {
  const auto line = [](const std::vector<std::string>& cells) { return fmt::format("| {} |\n", join(cells, " | ")); };
  std::string text = line(heading) + line(std::vector<std::string>(heading.size(), "---:"));
  for (const std::vector<std::string>& row : rows) text += line(row);
  return text + "\n";
}

std::vector<std::string> metric_headings(std::vector<std::string> first) {
  for (const Metric& metric : metrics)
    first.push_back(fmt::format("{}{}", metric.title, metric.is_accuracy ? " %" : ""));
  return first;
}

std::string means(const ReportContent& content) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t point = 0; point < content.points.size(); ++point) {
    const GridPoint& ours = content.points[point];
    std::vector<std::string> row = {ours.name(), std::to_string(ours.trials.size())};
    if (content.results.of_tree) row.push_back(ours.test_clips());
    for (std::size_t i = 0; i < metrics.size(); ++i) {
      const PaperCell paper = content.paper.empty() ? PaperCell{} : content.paper[point][i];
      row.push_back(shown(metrics[i], ours));
      // brackets that are no link
      if (const std::string interval = shown_interval(metrics[i], ours); !interval.empty())
        row.back() += ' ' + escaped(interval);
      if (!paper.text.empty())
        row.back() += fmt::format(" (paper: {}{}{})", paper.text, paper.aside.empty() ? "" : "; ", paper.aside);
    }
    if (content.results.of_tree) row.push_back(shown(metrics[2], ours.largest_class()));
    rows.push_back(std::move(row));
  }
  std::string text = fmt::format("## {}\n\n", content.results.means_title);
  std::vector<std::string> first = {content.results.rows, "trials"};
  if (content.results.of_tree) first.push_back("test clips");
  std::vector<std::string> headings = metric_headings(first);
  if (content.results.of_tree) headings.push_back("largest class alone %");
  text += table(headings, rows);
  for (const std::string& note : content.means_notes) text += fmt::format("{}\n\n", note);
  return text;
}

std::string trials(const ReportContent& content) {
  std::vector<std::vector<std::string>> rows;
  for (const GridPoint& point : content.points)
    for (const Result& result : point.trials) {
      std::vector<std::string> row = {point.name(), std::to_string(result.trial)};
      for (const Metric& metric : metrics) row.push_back(shown(metric, result));
      rows.push_back(std::move(row));
    }
  return fmt::format("## {}\n\n{}", content.results.trials_title,
                     table(metric_headings({content.results.rows, "trial"}), rows));
}

std::string text_table(const ReportTable& one) {
  std::vector<std::vector<std::string>> rows = one.rows;
  for (std::vector<std::string>& row : rows) std::ranges::transform(row, row.begin(), escaped);
  std::string text = fmt::format("## {}\n\n{}", one.title, table(one.heading, rows));
  for (const std::string& note : one.notes) text += fmt::format("{}\n\n", note);
  return text;
}

std::string figures(const std::vector<ReportFigure>& list) {
  std::string text;
  for (const ReportFigure& figure : list)
    text += fmt::format("## {0}\n\n![{0}]({1})\n\n{2}\n\n", figure.title, figure.file, figure.caption);
  return text;
}

std::string confusion_table(const ReportConfusion& confusion) {
  const std::vector<std::string>& genres = confusion.classes;
  std::vector<std::string> heading = {"true genre"};
  for (const std::string& genre : genres) heading.push_back(escaped(genre));
  heading.push_back("recall %");
  std::vector<std::vector<std::string>> rows;
  for (std::size_t truth = 0; truth < genres.size(); ++truth) {
    std::vector<std::string> row = {escaped(genres[truth])};
    for (std::size_t predicted = 0; predicted < genres.size(); ++predicted)
      row.push_back(std::to_string(confusion.counts[truth * genres.size() + predicted]));
    row.push_back(shown(metrics[0], recall(confusion, truth)));
    rows.push_back(std::move(row));
  }
  return fmt::format("### {}\n\n{}", confusion.title, table(heading, rows));
}

}  // namespace

std::string to_markdown(const ReportContent& content) {
  std::string text = fmt::format("# {}\n\n**{}**\n\n", content.title, escaped(content.first_line));
  for (const std::string& warning : content.warnings) text += fmt::format("**{}**\n\n", escaped(warning));
  std::vector<std::vector<std::string>> facts;
  for (const auto& [name, value] : content.facts) facts.push_back({name, escaped(value)});
  text += table({"", ""}, facts);
  for (const std::string& note : content.notes) text += fmt::format("- {}\n", escaped(note));
  if (!content.notes.empty()) text += "\n";
  if (content.first_table) text += text_table(*content.first_table);
  if (!content.points.empty()) text += means(content);
  for (const ReportTable& one : content.tables) text += text_table(one);
  text += figures(content.figures) + figures(content.curve_figures);
  if (!content.confusions.empty())
    text +=
        "## Which genres are taken for which\n\nClips of the test set unless they say otherwise, summed over trials: "
        "true genre by row, answer by column.\n\n";
  for (const ReportConfusion& confusion : content.confusions) text += confusion_table(confusion);
  if (!content.points.empty()) text += trials(content);
  return text;
}

}  // namespace genretree
