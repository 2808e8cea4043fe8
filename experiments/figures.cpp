#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <memory>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "core/error.hpp"
#include "core/text.hpp"
#include "experiments/figures.hpp"

namespace genretree {
namespace {

/// Colours that the colour-blind tell apart (Okabe and Ito), dark enough for white and light enough for dark pages; the
/// line's dashes and marks say the same once more.
struct Look {
  const char *name, *colour;
  int dashes, mark;
};
Look look_of(Curve::Style style) {
  switch (style) {
    case Curve::Style::training:
      return {"training", "#009E73", 2, 9};
    case Curve::Style::validation:
      return {"validation", "#1F83C6", 4, 5};
    case Curve::Style::test:
      return {"test", "#D55E00", 1, 7};
  }
  return {};
}

bool is_finite(double value) { return std::isfinite(value); }
double sd_or_zero(double sd) { return std::isfinite(sd) ? sd : 0; }

double highest(const Plot& plot) {
  double top = 0;
  for (const Curve& curve : plot.curves)
    for (std::size_t i = 0; i < curve.x.size(); ++i)
      if (std::isfinite(curve.mean[i])) top = std::max(top, curve.mean[i] + sd_or_zero(curve.sd[i]));
  return top > 0 ? 1.05 * top : 1;
}

/// A gnuplot data block $NAME of x, mean, lower and upper end of the band.
std::string data_block(const std::string& name, const Curve& curve) {
  std::string block = fmt::format("${} << END\n", name);
  for (std::size_t i = 0; i < curve.x.size(); ++i) {
    const double mean = curve.mean[i], sd = sd_or_zero(curve.sd[i]);
    if (std::isfinite(mean))
      block += fmt::format("{} {} {} {}\n", curve.x[i], mean, std::max(0.0, mean - sd), mean + sd);
  }
  return block + "END\n";
}

/// Names at the right end of the lines, moved apart where the lines meet.
std::string end_labels(const std::vector<Curve>& curves, double top) {
  struct Label {
    double height;
    Look look;
  };
  constexpr double line_height = 0.07;  // in parts of the plot's height
  std::vector<Label> labels;
  for (const Curve& curve : curves) {
    const auto last = std::find_if(curve.mean.rbegin(), curve.mean.rend(), is_finite);
    labels.push_back({*last / top, look_of(curve.style)});
  }
  std::ranges::stable_sort(labels, {}, &Label::height);
  for (std::size_t i = 1; i < labels.size(); ++i)
    labels[i].height = std::max(labels[i].height, labels[i - 1].height + line_height);
  for (double limit = 1; Label & label : std::ranges::subrange(labels.rbegin(), labels.rend())) {
    label.height = std::min(label.height, limit);
    limit = label.height - line_height;
  }
  std::string script;
  for (const Label& label : labels)
    script += fmt::format("set label '{}' at graph 1.015, graph {:.4f} left textcolor rgb '{}'\n", label.look.name,
                          label.height, label.look.colour);
  return script;
}

std::string x_axis(const Plot& plot) {
  if (plot.x_ticks.empty()) return "set xrange [*:*] noextend\n";
  std::string ticks;
  for (const double tick : plot.x_ticks) ticks += fmt::format("{}{}", ticks.empty() ? "" : ", ", tick);
  return fmt::format("set logscale x\nset xtics ({})\nset xrange [{}:{}]\n", ticks, plot.x_ticks.front() / 1.12,
                     plot.x_ticks.back() * 1.12);
}

std::string script_of(const Plot& plot, const std::vector<Curve>& curves) {
  const double top = plot.y_top > 0 ? plot.y_top : highest(plot);
  std::string script = fmt::format(
      "set terminal svg size 520,320 dynamic noenhanced font 'system-ui, sans-serif,14' name '{0}'\n"
      "set border 3 linecolor rgb '{1}' linewidth 0.8\n"
      "set tics nomirror out scale 0.6 textcolor rgb '{1}'\n"
      "set grid ytics linecolor rgb '#8c8c8c' linewidth 0.4 dashtype 1\n"
      "set xlabel '{2}' offset 0,0.5 textcolor rgb '{1}'\n"
      "set ylabel '{3}' textcolor rgb '{1}'\n"
      "set yrange [0:{4}]\n"
      "set rmargin 11\n"
      "unset key\n",
      plot.id, ink, plot.x_label, plot.y_label, top);
  script += x_axis(plot) + end_labels(curves, top);

  std::string bands, lines;
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const Look look = look_of(curves[i].style);
    const std::string name = fmt::format("curve{}", i);
    script += data_block(name, curves[i]);
    bands += fmt::format("{}${} using 1:3:4 with filledcurves fillstyle solid 0.18 noborder linecolor rgb '{}' notitle",
                         bands.empty() ? "" : ", ", name, look.colour);
    lines += fmt::format(", ${} using 1:2 with lines linewidth 2 dashtype {} linecolor rgb '{}' notitle", name,
                         look.dashes, look.colour);
    if (!plot.x_ticks.empty())
      lines += fmt::format(", ${} using 1:2 with points pointtype {} pointsize 0.6 linecolor rgb '{}' notitle", name,
                           look.mark, look.colour);
  }
  return script + "plot " + bands + lines + "\n";
}

constexpr const char* no_gnuplot =
    "gnuplot, which draws the report's figures, is not installed. Install it: apt-get install gnuplot-nox";

struct Output {
  int exit_code;
  std::string text;
};

/// Runs a shell command line and reads what it prints.
Output run_shell(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) fail("cannot start a shell for gnuplot, which draws the report's figures");
  std::string text;
  std::array<char, 1 << 14> part;
  while (const std::size_t size = fread(part.data(), 1, part.size(), pipe)) text.append(part.data(), size);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, std::move(text)};
}

/// The SVG that gnuplot makes of a script. Where that fails, a second run fetches the messages, which would be mixed
/// with the picture in one stream.
std::string run_gnuplot(const std::string& script) {
  // through a file: the curves of a thousand epochs are longer than a command line may be; one in memory: a container's
  // folders may all be read-only
  const int memory = memfd_create("gnuplot", 0);
  if (memory < 0) fail("cannot keep a script for gnuplot in memory: {}", std::strerror(errno));
  const std::unique_ptr<FILE, int (*)(FILE*)> file(fdopen(memory, "w"), fclose);
  if (!file || fwrite(script.data(), 1, script.size(), file.get()) != script.size() || fflush(file.get()) != 0)
    fail("cannot keep a script for gnuplot in memory: {}", std::strerror(errno));
  const auto command = [&](const char* streams) {
    return fmt::format("LC_ALL=C gnuplot -d {} </dev/fd/{}", streams, fileno(file.get()));
  };
  Output output = run_shell(command("2>/dev/null"));
  if (output.exit_code == 127) fail("{}", no_gnuplot);
  if (output.exit_code != 0 || output.text.rfind("<?xml", 0) != 0)
    fail("gnuplot failed (exit code {}): {}", output.exit_code, run_shell(command("2>&1 >/dev/null")).text);
  return std::move(output.text);
}

/// Text and axes take the colour of the page around them, no id stands twice on a page with several pictures, and the
/// picture has a name instead of gnuplot's names of its parts. What is replaced has signs that are in no name on a
/// picture and in no image in it.
std::string for_any_page(std::string svg, const std::string& id, const std::string& title) {
  for (const char* page_colour : {" color=\"black\"", " color=\"white\"", " color=\"gray\""})
    replace_all(svg, page_colour, "");
  for (const char* spelling : {"rgb(  1,   2,   3)", "rgb(1,2,3)"}) replace_all(svg, spelling, "currentColor");
  replace_all(svg, "='black'", "='currentColor'");
  replace_all(svg, "=\"black\"", "=\"currentColor\"");
  const std::string part = fmt::format("<title>{}_plot_", id);
  for (std::size_t at = 0; (at = svg.find(part, at)) != std::string::npos;)
    svg.erase(at, svg.find("</title>", at) + std::strlen("</title>") - at);
  replace_all(svg, fmt::format("<title>{}</title>", id), fmt::format("<title>{}</title>", title));
  for (const char* before : {"id='", "id=\"", "'#", "(#"})
    for (const char* own_id : {"gnuplot_canvas", "gpDot", "gpPt", "textbox", "greybox"})
      replace_all(svg, fmt::format("{}{}", before, own_id), fmt::format("{}{}_{}", before, id, own_id));
  return svg;
}

}  // namespace

void check_gnuplot() {
  if (run_shell("command -v gnuplot").exit_code != 0) fail("{}", no_gnuplot);
}

std::string draw(const Plot& plot) {
  std::vector<Curve> curves;
  for (const Curve& curve : plot.curves)
    if (std::ranges::any_of(curve.mean, is_finite)) curves.push_back(curve);
  if (curves.empty()) fail("the figure {} has nothing to show", plot.id);
  return draw_script(script_of(plot, curves), plot.id, plot.title);
}

std::string draw_script(const std::string& script, const std::string& id, const std::string& title) {
  return for_any_page(run_gnuplot(script), id, title);
}

std::string gnuplot_quoted(const std::string& text) {
  std::string quoted = printable(text);
  replace_all(quoted, "'", "''");
  return "'" + quoted + "'";
}

std::string standalone(const std::string& svg) {
  const std::size_t end = svg.find('>', svg.find("<svg")) + 1;
  return svg.substr(0, end) +
         "\n<style>:root { color: #1d2126; } @media (prefers-color-scheme: dark) { :root { color: #e4e7ea; } "
         "}</style>" +
         svg.substr(end);
}

}  // namespace genretree
