#include <algorithm>
#include <fmt/format.h>

#include "core/text.hpp"
#include "experiments/report_content.hpp"
#include "experiments/tree_figure.hpp"

namespace genretree {
namespace {

constexpr double letter = 7.6, line_height = 17, padding = 10, gap = 14, level_height = 112;

/// A name with the lines below it.
std::vector<std::string> lines_of(const std::string& name, const std::vector<std::string>& below) {
  std::vector<std::string> lines = {name};
  lines.insert(lines.end(), below.begin(), below.end());
  return lines;
}

double width_of(const std::vector<std::string>& lines) {
  std::size_t longest = 0;
  for (const std::string& line : lines) longest = std::max(longest, characters(line));
  return letter * static_cast<double>(longest) + 2 * padding;
}

double height_of(const std::vector<std::string>& lines) {
  return line_height * static_cast<double>(lines.size()) + padding;
}

/// Genres stand side by side in columns of one width, in the order in which the tree reaches them; a node stands above
/// the middle of its genres, and a level below its parent.
class Drawing {
 public:
  Drawing(const GenreTree& tree, const TreeLabels& labels) : tree_(tree), labels_(labels) {
    for (std::size_t genre = 0; genre < tree.genres().size(); ++genre)
      column_ = std::max(column_, width_of(genre_lines(genre)));
    for (std::size_t node = 0; node < tree.nodes().size(); ++node)
      column_ =
          std::max(column_, (width_of(node_lines(node)) + gap) / static_cast<double>(tree.genres_below(node).size()));
    place(tree.path(0).front().node, 0);
  }

  std::string svg(const std::string& title) const {
    const double width = column_ * static_cast<double>(genres_placed_), height = bottom_ + padding;
    return fmt::format(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" "
        "height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} {1:.0f}\" role=\"img\" fill=\"currentColor\" "
        "font-family=\"system-ui, sans-serif\" font-size=\"13\" text-anchor=\"middle\">\n<title>{2}</title>\n{3}{4}"
        "</svg>\n",
        width, height, xml_escaped(title), edges_, boxes_);
  }

 private:
  std::vector<std::string> node_lines(std::size_t node) const {
    return lines_of(tree_.nodes()[node].name, labels_.nodes[node]);
  }
  std::vector<std::string> genre_lines(std::size_t genre) const {
    return lines_of(tree_.genres()[genre], labels_.genres[genre]);
  }

  /// Draws what lies below a node, then the node; returns the middle of it.
  double place(std::size_t node, std::size_t depth) {
    const std::size_t first = genres_placed_;
    const double top = padding + level_height * static_cast<double>(depth);
    std::vector<double> middles;
    for (const std::string& child : tree_.nodes()[node].children) {
      const auto genre = std::ranges::find(tree_.genres(), child);
      const auto below = std::ranges::find(tree_.nodes(), child, &TreeNode::name);
      middles.push_back(genre != tree_.genres().end()
                            ? place_genre(static_cast<std::size_t>(genre - tree_.genres().begin()), top + level_height)
                            : place(static_cast<std::size_t>(below - tree_.nodes().begin()), depth + 1));
    }
    const double middle = column_ * static_cast<double>(first + genres_placed_) / 2,
                 bottom = top + height_of(node_lines(node));
    for (const double child : middles)
      edges_ += fmt::format(
          "<path d=\"M{0:.1f} {1:.1f}C{0:.1f} {2:.1f} {3:.1f} {2:.1f} {3:.1f} {4:.1f}\" fill=\"none\" "
          "stroke=\"currentColor\" stroke-opacity=\"0.55\"/>\n",
          middle, bottom, (bottom + top + level_height) / 2, child, top + level_height);
    box(node_lines(node), middle, top, true);
    return middle;
  }

  double place_genre(std::size_t genre, double top) {
    const double middle = column_ * (static_cast<double>(genres_placed_++) + 0.5);
    box(genre_lines(genre), middle, top, false);
    return middle;
  }

  void box(const std::vector<std::string>& lines, double middle, double top, bool framed) {
    const double width = width_of(lines), height = height_of(lines);
    if (framed)
      boxes_ += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"5\" fill=\"#1F83C6\" "
          "fill-opacity=\"0.12\" stroke=\"#1F83C6\"/>\n",
          middle - width / 2, top, width, height);
    for (std::size_t i = 0; i < lines.size(); ++i)
      boxes_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\"{}>{}</text>\n", middle,
                            top + line_height * static_cast<double>(i + 1),
                            i == 0 ? " font-weight=\"600\"" : " fill-opacity=\"0.8\"", xml_escaped(lines[i]));
    bottom_ = std::max(bottom_, top + height);
  }

  const GenreTree& tree_;
  const TreeLabels& labels_;
  double column_ = 0, bottom_ = 0;
  std::size_t genres_placed_ = 0;
  std::string edges_, boxes_;
};

}  // namespace

std::string draw_tree(const GenreTree& tree, const std::string& title, const TreeLabels& labels) {
  return Drawing(tree, labels).svg(title);
}

}  // namespace genretree
