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

std::string figure10(const ReportContent& content) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t point = 0; point < content.points.size(); ++point) {
    const GridPoint& ours = content.points[point];
    std::vector<std::string> row = {std::to_string(ours.epochs), std::to_string(ours.trials.size())};
    for (std::size_t i = 0; i < metrics.size(); ++i) {
      const PaperCell paper = content.paper.empty() ? PaperCell{} : content.paper[point][i];
      row.push_back(shown(metrics[i], ours));
      if (!paper.text.empty())
        row.back() += fmt::format(" (paper: {}{}{})", paper.text, paper.aside.empty() ? "" : "; ", paper.aside);
    }
    rows.push_back(std::move(row));
  }
  std::string text = fmt::format("## {}\n\n", figure10_title(content));
  text += table(metric_headings({"epochs", "trials"}), rows);
  for (const std::string& note : content.figure10_notes) text += fmt::format("{}\n\n", note);
  return text;
}

std::string figure9(const ReportContent& content) {
  std::vector<std::vector<std::string>> rows;
  for (const GridPoint& point : content.points)
    for (const Result& result : point.trials) {
      std::vector<std::string> row = {std::to_string(point.epochs), std::to_string(result.trial)};
      for (const Metric& metric : metrics) row.push_back(shown(metric, result));
      rows.push_back(std::move(row));
    }
  return "## Figure 9: each trial\n\n" + table(metric_headings({"epochs", "trial"}), rows);
}

std::string figures(const std::vector<ReportFigure>& list) {
  std::string text;
  for (const ReportFigure& figure : list)
    text += fmt::format("## {0}\n\n![{0}]({1})\n\n{2}\n\n", figure.title, figure.file, figure.caption);
  return text;
}

std::string confusion_table(const ReportConfusion& confusion, const std::vector<std::string>& genres) {
  std::vector<std::string> heading = {"true genre"};
  for (const std::string& genre : genres) heading.push_back(escaped(genre));
  heading.push_back("recall %");
  std::vector<std::vector<std::string>> rows;
  for (std::size_t truth = 0; truth < genres.size(); ++truth) {
    std::vector<std::string> row = {escaped(genres[truth])};
    for (std::size_t predicted = 0; predicted < genres.size(); ++predicted)
      row.push_back(std::to_string(confusion.counts[truth * genres.size() + predicted]));
    row.push_back(shown(metrics[0], recall(confusion.counts, genres.size(), truth)));
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
  text += figure10(content) + figures(content.grid_figures) + figures(content.curve_figures) +
          "## Which genres are taken for which\n\nClips of the test set, summed over trials: true genre by row, answer "
          "by column.\n\n";
  for (const ReportConfusion& confusion : content.confusions) text += confusion_table(confusion, content.genres);
  return text + figure9(content);
}

}  // namespace genretree
