#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "core/text.hpp"
#include "experiments/report_content.hpp"

namespace genretree {
namespace {

constexpr const char* style = R"css(
:root { color-scheme: light dark; --page: #ffffff; --ink: #1d2126; --quiet: #5c6670; --line: #d9dee3; --panel: #f5f7f9;
  --heat: 31, 131, 198; --warning: #fff3d6; --warning-ink: #6b4700; }
@media (prefers-color-scheme: dark) {
  :root { --page: #15181c; --ink: #e4e7ea; --quiet: #9aa4ae; --line: #333a41; --panel: #1d2126; --heat: 58, 150, 214;
    --warning: #3d2f0c; --warning-ink: #ffd98a; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 68rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .6rem; }
h2 { font-size: 1.3rem; margin: 2.8rem 0 .8rem; }
h3 { font-size: 1rem; margin: 0 0 .5rem; }
p { margin: .5rem 0; }
.first-line { font-size: 1.1rem; }
.banner { background: var(--warning); color: var(--warning-ink); padding: .6rem .9rem; border-radius: .4rem;
  font-weight: 600; }
.note, figcaption, caption { color: var(--quiet); font-size: .875rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1.5rem 2rem; }
figure { margin: 0; }
figure.wide { grid-column: 1 / -1; }
figure svg { width: 100%; height: auto; display: block; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; text-align: right; vertical-align: top; white-space: nowrap; }
thead th { font-weight: 600; border-bottom: 2px solid var(--line); vertical-align: bottom; }
thead th[colspan] { text-align: center; border-bottom: 1px solid var(--line); }
tbody th { font-weight: 600; }
.results { width: 100%; font-size: .875rem; }
.results th, .results td { padding: .35rem .5rem; }
.results thead th, .results .words { white-space: normal; }
.results tbody + tbody tr:first-child > *, .results.lined tbody tr > * { border-top: 1px solid var(--line); }
.results .words { text-align: left; }
.tall { max-height: 40rem; overflow-y: auto; }
.sortable thead th { cursor: pointer; position: sticky; top: 0; background: var(--page); }
.sortable .long { min-width: 13rem; }
.sortable thead th[aria-sort]::after { content: " ▲"; }
.sortable thead th[aria-sort="descending"]::after { content: " ▼"; }
.paper { display: block; color: var(--quiet); font-size: .8125rem; }
.facts { margin-top: 1.4rem; background: var(--panel); border-radius: .4rem; width: 100%; }
.facts th, .facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; padding: .3rem .9rem; }
.facts th { color: var(--quiet); font-weight: 400; width: 11rem; }
.heat { margin-bottom: 1.6rem; }
.heat td { text-align: center; min-width: 3.2rem; background: rgba(var(--heat), var(--share, 0));
  border: 1px solid var(--line); }
.heat td.right { font-weight: 700; }
.heat td.recall { background: none; border: none; text-align: right; }
.heat thead th { border: none; text-align: center; font-weight: 400; }
.heat tbody th { font-weight: 400; }
@media print {
  :root { --page: #ffffff; --ink: #000000; --quiet: #444444; --line: #bbbbbb; --panel: #ffffff; --warning: #ffffff;
    --warning-ink: #000000; color-scheme: light; }
  body { padding: 0; font-size: 10pt; max-width: none; }
  .banner { border: 1px solid #000000; }
  .tall { max-height: none; }
  h2 { break-after: avoid; }
  figure, .keep, tr { break-inside: avoid; }
  .heat td { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
)css";

/// Numbers by their size, with what has none at the end; other texts by the alphabet. A second click turns them round.
constexpr const char* sorting = R"js(<script>
for (const table of document.querySelectorAll("table.sortable"))
  for (const head of table.tHead.rows[0].cells)
    head.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending", body = table.tBodies[0];
      const text = row => row.cells[head.cellIndex].textContent, rows = [...body.rows];
      const numbers = rows.every(row => text(row) === "" || !isNaN(parseFloat(text(row))));
      const compare = (a, b) => numbers ? parseFloat(a) - parseFloat(b) : a.localeCompare(b);
      rows.sort((a, b) => !text(a) - !text(b) || (text(a) && (down ? -1 : 1) * compare(text(a), text(b))));
      body.append(...rows);
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
</script>
)js";

std::string escaped(const std::string& text) { return xml_escaped(text); }

std::string facts_table(const ReportContent& content) {
  std::string rows;
  for (const auto& [name, value] : content.facts)
    rows += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escaped(name), escaped(value));
  return fmt::format("<table class=\"facts\">\n{}</table>\n", rows);
}

std::string notes_list(const ReportContent& content) {
  if (content.notes.empty()) return "";
  std::string items;
  for (const std::string& note : content.notes) items += fmt::format("<li>{}</li>\n", escaped(note));
  return fmt::format("<h2>Notes on the data</h2>\n<ul>\n{}</ul>\n", items);
}

/// Two lines of headings: the sets, and accuracy and loss of each.
std::string results_heading(const std::string& first, const char* second, bool of_tree = false) {
  std::string sets, kinds;
  for (const char* set : {"validation", "test", "training"}) {
    sets += fmt::format("<th colspan=\"2\" scope=\"colgroup\">{}</th>", set);
    kinds += "<th scope=\"col\">accuracy, %</th><th scope=\"col\">loss</th>";
  }
  return fmt::format(
      "<thead>\n<tr><th rowspan=\"2\" scope=\"col\">{}</th><th rowspan=\"2\" "
      "scope=\"col\">{}</th>{}{}{}</tr>\n<tr>{}</tr>\n</thead>\n",
      first, second, of_tree ? "<th rowspan=\"2\" scope=\"col\">test clips</th>" : "", sets,
      of_tree ? "<th rowspan=\"2\" scope=\"col\">largest class alone, %</th>" : "", kinds);
}

std::string means_row(const GridPoint& point, const PaperRow& paper, bool of_tree) {
  std::string row = fmt::format("<th scope=\"row\">{}</th><td>{}</td>", escaped(point.name()), point.trials.size());
  if (of_tree) row += fmt::format("<td>{}</td>", point.test_clips());
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    row += fmt::format("<td>{}", shown(metrics[i], point));
    if (const std::string interval = shown_interval(metrics[i], point); !interval.empty())
      row += fmt::format("<span class=\"paper\">{}</span>", interval);
    if (!paper[i].text.empty()) row += fmt::format("<span class=\"paper\">paper {}</span>", paper[i].text);
    if (!paper[i].aside.empty()) row += fmt::format("<span class=\"paper\">{}</span>", paper[i].aside);
    row += "</td>";
  }
  if (of_tree) row += fmt::format("<td>{}</td>", shown(metrics[2], point.largest_class()));
  return fmt::format("<tr>{}</tr>\n", row);
}

std::string means(const ReportContent& content) {
  std::string rows, notes;
  for (std::size_t i = 0; i < content.points.size(); ++i)
    rows +=
        means_row(content.points[i], content.paper.empty() ? PaperRow{} : content.paper[i], content.results.of_tree);
  for (const std::string& note : content.means_notes) notes += fmt::format("<p class=\"note\">{}</p>\n", escaped(note));
  return fmt::format(
      "<h2>{}</h2>\n<div class=\"scroll\"><table class=\"results lined\">\n{}<tbody>\n{}</tbody>\n</table></div>\n{}",
      escaped(content.results.means_title), results_heading(content.results.rows, "trials", content.results.of_tree),
      rows, notes);
}

std::string trials(const ReportContent& content) {
  std::string groups;
  for (const GridPoint& point : content.points) {
    groups += "<tbody>\n";
    for (const Result& result : point.trials) {
      const bool first = &result == &point.trials.front();
      groups += "<tr>";
      if (first)
        groups +=
            fmt::format("<th scope=\"rowgroup\" rowspan=\"{}\">{}</th>", point.trials.size(), escaped(point.name()));
      groups += fmt::format("<td>{}</td>", result.trial);
      for (const Metric& metric : metrics) groups += fmt::format("<td>{}</td>", shown(metric, result));
      groups += "</tr>\n";
    }
    groups += "</tbody>\n";
  }
  return fmt::format("<h2>{}</h2>\n<div class=\"scroll\"><table class=\"results\">\n{}{}</table></div>\n",
                     escaped(content.results.trials_title), results_heading(content.results.rows, "trial"), groups);
}

std::string text_table(const ReportTable& table) {
  constexpr std::size_t longest_number = 20;
  const auto cells = [&](const std::vector<std::string>& row, const char* scope, const char* others) {
    std::string text;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const char* kind = i == 0 ? "th" : others;
      const bool is_long = table.sortable && characters(row[i]) > longest_number;
      std::string cell = escaped(row[i]);
      if (table.sortable && &row == &table.heading) replace_all(cell, ".", ".<wbr>");  // keys such as training.batch
      text += fmt::format("<{0}{1}{2}>{3}</{0}>", kind, i == 0 ? scope : "",
                          is_long           ? " class=\"words long\""
                          : i < table.words ? " class=\"words\""
                                            : "",
                          cell);
    }
    return fmt::format("<tr>{}</tr>\n", text);
  };
  std::string rows, notes;
  for (const std::vector<std::string>& row : table.rows) rows += cells(row, " scope=\"row\"", "td");
  for (const std::string& note : table.notes) notes += fmt::format("<p class=\"note\">{}</p>\n", escaped(note));
  return fmt::format(
      "<h2>{}</h2>\n<div class=\"scroll{}\"><table class=\"results "
      "lined{}\">\n<thead>\n{}</thead>\n<tbody>\n{}</tbody>\n"
      "</table></div>\n{}",
      escaped(table.title), table.sortable ? " tall" : "", table.sortable ? " sortable" : "",
      cells(table.heading, " scope=\"col\"", "th"), rows, notes);
}

std::string figures(const std::vector<ReportFigure>& list) {
  std::string pictures;
  for (const ReportFigure& figure : list)
    pictures += fmt::format("<figure{}>\n<h3>{}</h3>\n{}\n<figcaption>{}</figcaption>\n</figure>\n",
                            figure.wide ? " class=\"wide\"" : "", escaped(figure.title),
                            figure.svg.substr(figure.svg.find("<svg")), escaped(figure.caption));
  return fmt::format("<div class=\"pair\">\n{}</div>\n", pictures);
}

std::string confusion_row(const ReportConfusion& confusion, std::size_t truth) {
  const std::vector<std::string>& genres = confusion.classes;
  const std::uint32_t* counts = confusion.counts.data() + truth * genres.size();
  double total = 0;
  for (std::size_t i = 0; i < genres.size(); ++i) total += counts[i];
  std::string row = fmt::format("<th scope=\"row\">{}</th>", escaped(genres[truth]));
  for (std::size_t i = 0; i < genres.size(); ++i) {
    const double share = total > 0 ? counts[i] / total : 0;
    row += fmt::format("<td{} style=\"--share:{:.2f}\">{}</td>", i == truth ? " class=\"right\"" : "", 0.75 * share,
                       counts[i]);
  }
  return fmt::format("<tr>{}<td class=\"recall\">{}</td></tr>\n", row, shown(metrics[0], recall(confusion, truth)));
}

std::string confusion_table(const ReportConfusion& confusion) {
  const std::vector<std::string>& genres = confusion.classes;
  std::string heading = "<th></th>", rows;
  for (const std::string& genre : genres) heading += fmt::format("<th scope=\"col\">{}</th>", escaped(genre));
  for (std::size_t truth = 0; truth < genres.size(); ++truth) rows += confusion_row(confusion, truth);
  return fmt::format(
      "<div class=\"keep\">\n<h3>{}</h3>\n<div class=\"scroll\"><table class=\"heat\">\n<thead><tr>{}<th "
      "scope=\"col\">recall, %</th></tr></thead>\n<tbody>\n{}</tbody>\n</table></div>\n</div>\n",
      escaped(confusion.title), heading, rows);
}

}  // namespace

std::string xml_escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

std::string html_page(const std::string& title, const std::string& body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, "
      "initial-scale=1\">\n<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n{}</body>\n"
      "</html>\n",
      escaped(title), style, body);
}

std::string to_html(const ReportContent& content) {
  std::string body = fmt::format("<h1>{}</h1>\n<p class=\"{}\">{}</p>\n", escaped(content.title),
                                 content.synthetic ? "first-line banner" : "first-line", escaped(content.first_line));
  for (const std::string& warning : content.warnings)
    body += fmt::format("<p class=\"banner\">{}</p>\n", escaped(warning));
  body += facts_table(content) + notes_list(content);
  if (content.first_table) body += text_table(*content.first_table);
  if (!content.points.empty()) body += means(content);
  for (const ReportTable& table : content.tables) body += text_table(table);
  if (!content.figures.empty()) body += fmt::format("<h2>{}</h2>\n{}", content.figures_title, figures(content.figures));
  if (!content.curve_figures.empty()) body += "<h2>While it trains</h2>\n" + figures(content.curve_figures);
  if (!content.confusions.empty())
    body +=
        "<h2>Which genres are taken for which</h2>\n<p class=\"note\">Clips of the test set unless they say otherwise, "
        "summed over trials: true "
        "genre by row, answer by column.</p>\n";
  for (const ReportConfusion& confusion : content.confusions) body += confusion_table(confusion);
  if (!content.points.empty()) body += trials(content);
  if (std::ranges::any_of(content.tables, &ReportTable::sortable)) body += sorting;
  return html_page(content.title, body);
}

}  // namespace genretree
