// Line plots with a band for the spread, drawn by gnuplot as SVG; and what other figures by gnuplot need.
#pragma once

#include <string>
#include <vector>

namespace genretree {

/// One line: mean and standard deviation over x. A mean that is not finite leaves a point out, an sd that is not finite
/// its band.
struct Curve {
  enum class Style { training, validation, test } style = Style::training;
  std::vector<double> x, mean, sd;
};

struct Plot {
  std::string id;     ///< letters and digits; makes the picture's own ids unique on a page
  std::string title;  ///< the picture's name for those who cannot see it
  std::string x_label, y_label;
  std::vector<double> x_ticks;  ///< these, on a logarithmic axis, each with a mark on the lines; empty: a linear axis
  double y_top = 0;             ///< the axis goes from 0 to this; 0: to the highest point of any band
  std::vector<Curve> curves;
};

/// Error if gnuplot is not installed: to be asked before long work.
void check_gnuplot();

/// The picture: 520 by 320, transparent, with text and axes in the page's own colour; the same text for the same plot.
/// Error if gnuplot is missing or fails.
std::string draw(const Plot& plot);

/// Stands for the page's text colour in a script for draw_script.
inline constexpr const char* ink = "#010203";

/// The picture that gnuplot makes of a script, which sets the svg terminal with the name `id`: text and axes take the
/// page's own colour, and no id of it is used by pictures with other names. Error as above.
std::string draw_script(const std::string& script, const std::string& id, const std::string& title);

/// A text as gnuplot's scripts want it, in quotes; what is not printable UTF-8 becomes U+FFFD.
std::string gnuplot_quoted(const std::string& text);

/// The picture as a file of its own, which no page gives a colour: text and axes are dark, and light where the reader
/// prefers dark pages.
std::string standalone(const std::string& svg);

}  // namespace genretree
