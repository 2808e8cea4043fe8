// Line plots with a band for the spread, drawn by gnuplot as SVG.
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

}  // namespace genretree
