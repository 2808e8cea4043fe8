#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "core/text.hpp"
#include "experiments/fields.hpp"
#include "experiments/figures.hpp"
#include "experiments/search_figures.hpp"

namespace genretree {
namespace {

constexpr const char* best_colour = "#D55E00";

/// A candidate in the figures, the worst first.
struct Point {
  std::size_t candidate;
  double value, sd;  ///< accuracy in percent, or loss
  double share;      ///< 0: the worst, 1: the best value
  bool best, last_rung;

  /// From grey to blue, each visible on white and on dark pages; the good ones stand out.
  std::string colour() const {
    if (best) return best_colour;
    const auto mix = [&](int from, int to) {
      return static_cast<int>(std::lround(from + share * share * (to - from)));
    };
    return fmt::format("#{:02x}{:02x}{:02x}", mix(0xb0, 0x17), mix(0xba, 0x75), mix(0xc3, 0xb8));
  }
};

/// Where values lie, and what stands there.
struct Axis {
  std::string name;
  std::vector<double> places;                         ///< of the values, 0 … 1
  std::vector<std::pair<double, std::string>> ticks;  ///< at 0 … 1
  bool few = false;                                   ///< different values, each with a tick
};

// ----------------------------------------------------------------------------------------------------------------- axes

/// 1, 2 and 5 times powers of ten from `low` to `high`, or of 10 alone if these are many.
std::vector<double> logarithmic_ticks(double low, double high) {
  std::vector<double> ticks;
  const bool many = high / low > 200;
  for (int power = static_cast<int>(std::floor(std::log10(low))); std::pow(10, power) <= high * 1.0001; ++power)
    for (const double digit : {1.0, 2.0, 5.0})
      if (const double tick = digit * std::pow(10, power);
          tick >= low * 0.9999 && tick <= high * 1.0001 && (!many || digit == 1))
        ticks.push_back(tick);
  return ticks;
}

std::vector<double> linear_ticks(double low, double high) {
  const double rough = (high - low) / 4, power = std::pow(10, std::floor(std::log10(rough)));
  const double step = power * (rough / power < 1.5 ? 1 : rough / power < 3.5 ? 2 : rough / power < 7.5 ? 5 : 10);
  std::vector<double> ticks;
  for (double tick = std::ceil(low / step - 1e-9) * step; tick <= high + 1e-9 * step; tick += step)
    ticks.push_back(std::abs(tick) < 1e-9 * step ? 0 : tick);
  return ticks;
}

std::string tick_text(double value) { return fmt::format("{:.4g}", value); }

Axis number_axis(const std::string& name, const std::vector<double>& values, bool log) {
  std::vector<double> distinct = values;
  std::ranges::sort(distinct);
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  const double low = distinct.front(), high = distinct.back();
  const auto place = [&](double value) {
    if (high == low) return 0.5;
    return log ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  };
  Axis axis{name, {}, {}, distinct.size() <= 6};
  for (const double value : values) axis.places.push_back(place(value));
  const std::vector<double> ticks = axis.few ? distinct : log ? logarithmic_ticks(low, high) : linear_ticks(low, high);
  for (const double tick : ticks) axis.ticks.emplace_back(place(tick), tick_text(tick));
  return axis;
}

/// The parts of "[{lstm: 128}, {dense: softmax}]": "lstm: 128" and "dense: softmax"
std::vector<std::string> parts_of(std::string text) {
  std::erase_if(text, [](char c) { return std::string_view("[]{}\"").find(c) != std::string_view::npos; });
  std::vector<std::string> parts = {""};
  for (const char c : text)
    if (c == ',')
      parts.emplace_back();
    else if (c != ' ' || !parts.back().empty())
      parts.back() += c;
  return parts;
}

std::string cut(const std::string& text, std::size_t longest) {
  return characters(text) <= longest ? text : fmt::format("{}…", first_characters(text, longest - 1));
}

/// The texts without the parts at their ends that all have, and cut.
std::vector<std::string> short_texts(const std::vector<std::string>& texts) {
  std::vector<std::vector<std::string>> all;
  for (const std::string& text : texts) all.push_back(parts_of(text));
  const auto same_end = [&] {
    return all.size() > 1 && std::ranges::all_of(all, [&](const auto& parts) {
             return parts.size() > 1 && parts.back() == all.front().back();
           });
  };
  while (same_end())
    for (std::vector<std::string>& parts : all) parts.pop_back();
  std::vector<std::string> found;
  for (const std::vector<std::string>& parts : all) {
    found.push_back(cut(join(parts), 20));
  }
  return found;
}

Axis word_axis(const std::string& name, const std::vector<std::string>& values) {
  std::vector<std::string> distinct = values;
  std::ranges::sort(distinct);
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  const auto place = [&](std::size_t i) {
    return distinct.size() == 1 ? 0.5 : static_cast<double>(i) / static_cast<double>(distinct.size() - 1);
  };
  Axis axis{name, {}, {}, true};
  for (const std::string& value : values)
    axis.places.push_back(
        place(static_cast<std::size_t>(std::ranges::lower_bound(distinct, value) - distinct.begin())));
  const std::vector<std::string> shown = short_texts(distinct);
  for (std::size_t i = 0; i < distinct.size(); ++i) axis.ticks.emplace_back(place(i), shown[i]);
  return axis;
}

Axis key_axis(const SearchPlan& plan, std::size_t key, const std::vector<Point>& points) {
  std::vector<std::string> texts;
  std::vector<double> numbers;
  for (const Point& point : points) {
    texts.push_back(plan.candidates[point.candidate].values[key]);
    YamlValue value;
    value.kind = YamlValue::Kind::scalar, value.text = texts.back();
    double number = 0;
    if (read_real(value, number)) numbers.push_back(number);
  }
  return numbers.size() == texts.size()
             ? number_axis(plan.keys[key], numbers, std::ranges::count(plan.logarithmic, plan.keys[key]) > 0)
             : word_axis(plan.keys[key], texts);
}

std::vector<Point> points_of(const SearchResults& results) {
  const SearchPlan& plan = results.plan;
  const bool by_loss = plan.by == SearchSpec::By::validation_loss;
  std::vector<Point> points;
  for (const Standing& standing : results.standings) {
    const auto [mean, sd] = by_loss ? standing.loss : standing.accuracy;
    if (!std::isfinite(mean)) continue;
    const double scale = by_loss ? 1 : 100;
    points.push_back(
        {standing.candidate, scale * mean, scale * sd, 1, points.empty(), standing.trials >= plan.rungs.back().trials});
  }
  if (points.empty()) return points;
  const auto [low, high] = std::ranges::minmax(points, {}, &Point::value);
  for (Point& point : points)
    if (high.value > low.value) {
      point.share = (point.value - low.value) / (high.value - low.value);
      if (by_loss) point.share = 1 - point.share;
    }
  std::ranges::reverse(points);
  return points;
}

std::string value_name(const SearchPlan& plan) {
  return plan.by == SearchSpec::By::validation_loss ? "validation loss" : "validation accuracy (%)";
}

// ------------------------------------------------------------------------------------------------------------- pictures

/// The last part of a key, unless another key ends so too.
std::string short_name(const std::vector<std::string>& keys, const std::string& key) {
  const auto end_of = [](const std::string& path) { return path.substr(path.rfind('.') + 1); };
  const bool alone = std::ranges::count(keys, end_of(key), end_of) == 1;
  return alone ? end_of(key) : key;
}

/// Moves lines apart that would lie on each other, by so much of an axis at most.
double apart(std::size_t i, double most) { return most * (static_cast<double>(i * 5 % 13) / 6 - 1); }

ReportFigure parallel_figure(const SearchPlan& plan, const std::vector<Point>& points, std::vector<Axis> axes) {
  std::vector<double> values;
  for (const Point& point : points) values.push_back(point.value);
  for (Axis& axis : axes) axis.name = short_name(plan.keys, axis.name);
  axes.push_back(number_axis(plan.by == SearchSpec::By::validation_loss ? "loss" : "accuracy (%)", values, false));
  const bool staggered = axes.size() > 5;
  const std::size_t longest = 150 / axes.size();  // letters between two axes
  std::string script = fmt::format(
      "set terminal svg size 1040,{} dynamic noenhanced font 'system-ui, sans-serif,13' name 'parallel'\n"
      "unset border\nunset key\nunset tics\nset xrange [-0.35:{}]\nset yrange [-0.04:{}]\n"
      "set lmargin 2\nset rmargin 2\nset tmargin 0\nset bmargin 0\n",
      staggered ? 440 : 420, static_cast<double>(axes.size()) - 0.75, staggered ? 1.2 : 1.12);
  for (std::size_t a = 0; a < axes.size(); ++a) {
    const bool last = a + 1 == axes.size();
    script += fmt::format(
        "set arrow from {0},0 to {0},1 nohead front linecolor rgb '{1}' linewidth 1\n"
        "set label {2} at {0},{3} center front textcolor rgb '{1}'\n",
        a, ink, gnuplot_quoted(axes[a].name), staggered && a % 2 == 1 ? 1.15 : 1.07);
    for (const auto& [place, text] : axes[a].ticks)
      script += fmt::format("set label {} at {},{:.4f} {} front font ',11' textcolor rgb '{}'\n",
                            gnuplot_quoted(cut(text, longest)), static_cast<double>(a) + (last ? 0.03 : -0.03), place,
                            last ? "left" : "right", ink);
  }
  std::string plots;
  for (std::size_t i = 0; i < points.size(); ++i) {
    script += fmt::format("$line{} << END\n", i);
    for (std::size_t a = 0; a < axes.size(); ++a)
      script += fmt::format("{} {:.4f}\n", a, axes[a].places[i] + (a + 1 < axes.size() ? apart(i, 0.02) : 0));
    script += "END\n";
    const double width = points[i].best ? 3 : points.size() > 30 || !points[i].last_rung ? 1 : 1.7;
    plots += fmt::format("{}$line{} with lines linewidth {} linecolor rgb '{}' notitle", i ? ", " : "", i, width,
                         points[i].colour());
  }
  const std::string caption = fmt::format(
      "A line for each candidate, orange for the best, of the others the bluer the better. {}Lines are moved apart a "
      "little where values are the same.",
      std::ranges::all_of(points, &Point::last_rung) ? "" : "Thin: stopped before the last rung. ");
  std::string svg = draw_script(script + "plot " + plots + "\n", "parallel", "Parallel coordinates of all candidates");
  replace_all(svg, "<text>",  // the page's colour around letters, which lie on the lines
              "<text style=\"paint-order:stroke;stroke:var(--page,Canvas);stroke-width:4px;stroke-linejoin:round\">");
  return {"parallel.svg", "All keys", caption, svg, true};
}

ReportFigure scatter_figure(const SearchPlan& plan, const std::vector<Point>& points, const Axis& axis,
                            std::size_t number) {
  const std::string id = fmt::format("scatter{}", number), value = value_name(plan);
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const Point& point : points) {
    const double sd = std::isfinite(point.sd) ? point.sd : 0;
    low = std::min(low, point.value - sd), high = std::max(high, point.value + sd);
  }
  if (plan.by == SearchSpec::By::validation_accuracy) low = std::max(low, 0.0);
  const double margin = high > low ? 0.05 * (high - low) : 1;
  std::vector<std::string> ticks;
  std::size_t letters = 0;
  for (const auto& [place, text] : axis.ticks) letters += characters(text);
  for (const auto& [place, text] : axis.ticks) ticks.push_back(fmt::format("{} {:.4f}", gnuplot_quoted(text), place));
  std::string script = fmt::format(
      "set terminal svg size 520,320 dynamic noenhanced font 'system-ui, sans-serif,14' name '{0}'\n"
      "set border 3 linecolor rgb '{1}' linewidth 0.8\n"
      "set tics nomirror out scale 0.6 textcolor rgb '{1}'\n"
      "set grid ytics linecolor rgb '#8c8c8c' linewidth 0.4 dashtype 1\n"
      "set xlabel {2} offset 0,0.3 textcolor rgb '{1}'\nset ylabel '{3}' textcolor rgb '{1}'\n"
      "set xrange [-0.08:1.08]\nset yrange [{4}:{5}]\nset xtics ({6})\n{7}unset key\n",
      id, ink, gnuplot_quoted(axis.name), value, low - margin, high + margin, join(ticks),
      letters > 50 ? "set xtics rotate by 20 right\n" : "");
  std::string plots;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Point& point = points[i];
    const double x = axis.places[i] + (axis.few ? apart(i, 0.02) : 0);
    script += fmt::format("$point{} << END\n{:.4f} {}\nEND\n", i, x, point.value);
    if (point.sd > 0) {
      script += fmt::format("$bar{0} << END\n{1:.4f} {2}\n{1:.4f} {3}\nEND\n", i, x, point.value - point.sd,
                            point.value + point.sd);
      plots += fmt::format("{}$bar{} with lines linewidth 1 linecolor rgb '{}' notitle", plots.empty() ? "" : ", ", i,
                           point.colour());
    }
    plots += fmt::format("{}$point{} with points pointtype {} pointsize {} linewidth 1.4 linecolor rgb '{}' notitle",
                         plots.empty() ? "" : ", ", i, point.last_rung ? 7 : 6, point.best ? 0.9 : 0.6, point.colour());
  }
  const bool bars = std::ranges::any_of(points, [](const Point& point) { return point.sd > 0; });
  const std::string caption = fmt::format(
      "{}{}", bars ? "Means over trials, bars of one standard deviation to either side. " : "",
      std::ranges::all_of(points, &Point::last_rung) ? "Orange: the best." : "Open: stopped before the last rung.");
  return {id + ".svg", axis.name, caption,
          draw_script(script + "plot " + plots + "\n", id, fmt::format("{} against {}", value, axis.name))};
}

}  // namespace

std::vector<ReportFigure> search_figures(const SearchResults& results) {
  const SearchPlan& plan = results.plan;
  const std::vector<Point> points = points_of(results);
  if (points.size() < 2) return {};
  std::vector<Axis> axes;
  for (std::size_t key = 0; key < plan.keys.size(); ++key) axes.push_back(key_axis(plan, key, points));
  std::vector<ReportFigure> figures = {parallel_figure(plan, points, axes)};
  for (std::size_t key = 0; key < axes.size(); ++key)
    figures.push_back(scatter_figure(plan, points, axes[key], key + 1));
  return figures;
}

}  // namespace genretree
