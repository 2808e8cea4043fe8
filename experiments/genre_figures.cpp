#include <algorithm>
#include <fmt/format.h>

#include "core/text.hpp"
#include "experiments/figures.hpp"
#include "experiments/genre_figures.hpp"
#include "experiments/report_content.hpp"

namespace genretree {
namespace {

// ------------------------------------------------------------------------------------------------------------- scatter

/// Colours of middle lightness, for white and for dark pages, and gnuplot's marks, full and open in turn. Ten genres
/// differ in both; their numbers have no common divisor, so that as many genres as they have pairs look different.
constexpr const char* colours[] = {"#1F83C6", "#D55E00", "#0FA57B", "#C850A0", "#C8920F",
                                   "#7A68D8", "#8C8C8C", "#E0506A", "#2AA7B8", "#9A9A2A"};
constexpr int marks[] = {7, 9, 4, 13, 2, 5, 1, 11, 6, 8, 3};

std::string points_block(const Matrix& scores, std::span<const std::int32_t> labels, std::size_t genre) {
  std::string block = fmt::format("$genre{} << END\n", genre);
  for (std::size_t clip = 0; clip < scores.rows; ++clip)
    if (static_cast<std::size_t>(labels[clip]) == genre)
      block += fmt::format("{:.4f} {:.4f}\n", scores(clip, 0), scores(clip, 1));
  return block + "END\n";
}

// ---------------------------------------------------------------------------------------------------------- similarity

constexpr double cell_width = 58, cell_height = 36, letter = 7.4;

std::string text(double x, double y, const std::string& words, const std::string& attributes) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, attributes, xml_escaped(words));
}

double longest_name(const std::vector<std::string>& genres) {
  std::size_t longest = 0;
  for (const std::string& genre : genres) longest = std::max(longest, characters(printable(genre)));
  return letter * static_cast<double>(longest);
}

}  // namespace

std::string draw_scatter(const PrincipalComponents& components, std::span<const std::int32_t> labels,
                         const std::vector<std::string>& genres, const std::string& heading) {
  const double legend = 60 + longest_name(genres) + letter * 6;
  const auto width = static_cast<std::size_t>(640 + legend),
             height = std::max<std::size_t>(560, 60 + 22 * genres.size());
  const double w = static_cast<double>(width), h = static_cast<double>(height);
  std::string script = fmt::format(
      "set terminal svg size {0},{1} dynamic noenhanced font 'system-ui, sans-serif,14' name 'figure13'\n"
      "set encoding utf8\nunset key\n"
      "set border 3 linecolor rgb '{2}' linewidth 0.8\n"
      "set tics nomirror out scale 0.5 textcolor rgb '{2}'\n"
      "set grid linecolor rgb '#8c8c8c' linewidth 0.3 dashtype 1\n"
      "set xlabel 'first principal component ({3:.1f} % of the variance)' offset 0,0.3 textcolor rgb '{2}'\n"
      "set ylabel 'second principal component ({4:.1f} %)' textcolor rgb '{2}'\n"
      "set lmargin at screen {5:.5f}\nset rmargin at screen {6:.5f}\nset tmargin at screen {7:.5f}\n"
      "set bmargin at screen {8:.5f}\n"
      "set label {9} at screen {5:.5f}, screen {10:.5f} left textcolor rgb '{2}'\n",
      width, height, ink, 100 * components.shares[0], 100 * components.shares[1], 70 / w, 630 / w, 1 - 34 / h, 68 / h,
      gnuplot_quoted(heading), 1 - 16 / h);
  std::string plots;
  for (std::size_t genre = 0; genre < genres.size(); ++genre) {
    const std::string look = fmt::format("pointtype {} linecolor rgb '{}'", marks[genre % std::size(marks)],
                                         colours[genre % std::size(colours)]);
    const auto clips = std::ranges::count(labels, static_cast<std::int32_t>(genre));
    script += points_block(components.scores, labels, genre);
    script += fmt::format(
        "set label {} at screen {:.5f}, screen {:.5f} left textcolor rgb '{}' point {} pointsize 0.9 "
        "offset 1.4,-0.3\n",
        gnuplot_quoted(fmt::format("{} ({})", genres[genre], clips)), 660 / w,
        1 - (50 + 22 * static_cast<double>(genre)) / h, ink, look);
    plots +=
        fmt::format("{}$genre{} using 1:2 with points {} pointsize 0.6 notitle", genre == 0 ? "" : ", ", genre, look);
  }
  std::string svg = draw_script(script + "plot " + plots + "\n", "figure13", "The data set by principal components");
  replace_all(svg, "stroke-width='0.190'", "stroke-width='0.4'");  // of the marks, which gnuplot draws too thin
  return svg;
}

std::string draw_similarity(const Matrix& distances, const std::vector<std::size_t>& order,
                            const std::vector<std::string>& genres, const std::string& heading) {
  const std::size_t n = order.size();
  const double names = longest_name(genres), left = names + 24, top = 40 + 0.72 * names + 12,
               matrix_width = cell_width * static_cast<double>(n), matrix_height = cell_height * static_cast<double>(n),
               largest = *std::ranges::max_element(distances.values);
  const double width = std::max(left + matrix_width + 0.72 * names + 10,
                                letter * static_cast<double>(characters(heading)) + 20),
               height = top + matrix_height + 12;
  std::string body = text(10, 18, printable(heading), "");
  for (std::size_t row = 0; row < n; ++row) {
    const double y = top + cell_height * static_cast<double>(row), middle = y + cell_height / 2 + 5;
    const double head_x = left + cell_width * (static_cast<double>(row) + 0.5), head_y = top - 8;
    const std::string name = printable(genres[order[row]]);
    body += text(left - 8, middle, name, "text-anchor=\"end\"");
    body += text(head_x, head_y, name, fmt::format("transform=\"rotate(-45 {:.1f} {:.1f})\"", head_x, head_y));
    for (std::size_t column = 0; column < n; ++column) {
      const double x = left + cell_width * static_cast<double>(column), distance = distances(order[row], order[column]);
      const double share = row == column || largest == 0 ? 0 : 1 - distance / largest;
      body += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{}\" height=\"{}\" fill=\"#1F83C6\" fill-opacity=\"{:.2f}\" "
          "stroke=\"currentColor\" stroke-opacity=\"0.25\"/>\n",
          x, y, cell_width, cell_height, 0.75 * share);
      body += text(x + cell_width / 2, middle, row == column ? "–" : fmt::format("{:.2f}", distance),
                   "text-anchor=\"middle\"");
    }
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} {1:.0f}\" role=\"img\" fill=\"currentColor\" "
      "font-family=\"system-ui, sans-serif\" font-size=\"14\">\n<title>How similar the genres are</title>\n{2}</svg>\n",
      width, height, body);
}

}  // namespace genretree
