// Plots: what gnuplot is asked for comes out, the same each time, fit for light and dark pages.
#include <cmath>
#include <stdlib.h>

#include "core/error.hpp"
#include "experiments/figures.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

Plot three_curves() {
  const std::vector<double> x = {5, 10, 400};
  return {"figure11",
          "Accuracy",
          "epochs",
          "accuracy (%)",
          x,
          100,
          {{Curve::Style::training, x, {60, 90, 100}, {3, 2, 0}},
           {Curve::Style::validation, x, {40, 45, 50}, {2, 3, 4}},
           {Curve::Style::test, x, {39, 44, 49}, {2, 3, 4}}}};
}

TEST_CASE("a plot shows its lines, marks, bands, labels and ticks", "[figures]") {
  const std::string svg = draw(three_curves());
  CHECK_THAT(svg, Catch::StartsWith("<?xml"));
  CHECK_THAT(svg, Catch::EndsWith("</svg>\n\n") || Catch::EndsWith("</svg>\n"));
  for (const char* text : {"<title>Accuracy</title>", ">training<", ">validation<", ">test<", ">epochs<",
                           ">accuracy (%)<", "> 5<", "> 10<", "> 400<"}) {
    INFO(text);
    CHECK_THAT(svg, Catch::Contains(text));
  }
  CHECK(count(svg, "<polygon") >= 3);
  CHECK(count(svg, "<use xlink:href='#figure11_gpPt") >= 9);
}

TEST_CASE("the same plot is the same text, and takes its colours from the page", "[figures]") {
  const std::string svg = draw(three_curves());
  CHECK(svg == draw(three_curves()));
  CHECK_THAT(svg, Catch::Contains("currentColor"));
  CHECK_THAT(svg, !Catch::Contains("black") && !Catch::Contains("rgb(1,2,3)"));
  Plot other = three_curves();
  other.id = "figure12";
  const std::string second = draw(other);
  CHECK(count(second, "id='figure12_gpPt") > 0);
  CHECK(count(second, "_plot_") == count(second, "id=\"figure12_plot_"));
  CHECK(count(second, "figure11") == 0);  // no id stands in both
}

TEST_CASE("labels of lines that end together stay apart", "[figures]") {
  const std::string svg = draw(three_curves());  // validation ends at 50, test at 49 of 100
  const auto height = [&](const std::string& label) {
    const std::size_t at = svg.find("<text>" + label), move = svg.rfind("translate(", at);
    REQUIRE(at != std::string::npos);
    double x = 0, y = 0;
    REQUIRE(std::sscanf(svg.c_str() + move, "translate(%lf,%lf)", &x, &y) == 2);
    return y;
  };
  CHECK(height("test") - height("validation") >= 14);  // downwards, at least the size of the letters
}

TEST_CASE("values that are missing or not finite leave gaps, not text", "[figures]") {
  Plot plot = three_curves();
  plot.y_top = 0;
  plot.curves[0].mean[1] = INFINITY;
  plot.curves[1].mean = {NAN, NAN, NAN};  // no validation set
  plot.curves[2].sd = {NAN, NAN, NAN};    // one trial
  const std::string svg = draw(plot);
  CHECK_THAT(svg, Catch::Contains(">test<") && Catch::Contains(">training<") && !Catch::Contains(">validation<"));
  CHECK_THAT(svg, !Catch::Contains("nan") && !Catch::Contains("inf"));
  plot.curves.resize(2);
  plot.curves.erase(plot.curves.begin());
  CHECK_THROWS_WITH(draw(plot), "the figure figure11 has nothing to show");
}

TEST_CASE("curves of thousands of epochs are drawn, though their script is longer than a command line", "[figures]") {
  Curve curve{Curve::Style::test, {}, {}, {}};
  for (int epoch = 1; epoch <= 10000; ++epoch) curve.x.push_back(epoch);
  curve.mean.assign(curve.x.size(), 1.5);
  curve.sd.assign(curve.x.size(), 0.1);
  CHECK_THAT(draw({"long", "Loss", "epochs", "loss", {}, 0, {curve}}), Catch::Contains(">test<"));
}

TEST_CASE("a single grid point is a plot too", "[figures]") {
  const Plot plot = {"one", "Loss", "epochs", "loss", {5}, 0, {{Curve::Style::test, {5}, {1.5}, {0.1}}}};
  CHECK_THAT(draw(plot), Catch::Contains("<use xlink:href='#one_gpPt"));
}

TEST_CASE("without gnuplot the error says how to get it", "[figures]") {
  const std::string path = getenv("PATH");
  setenv("PATH", "/nonexistent", 1);
  CHECK_THROWS_WITH(draw(three_curves()), Catch::Contains("gnuplot") && Catch::Contains("apt-get install gnuplot-nox"));
  CHECK_THROWS_WITH(check_gnuplot(), Catch::Contains("apt-get install gnuplot-nox"));
  setenv("PATH", path.c_str(), 1);
  CHECK_NOTHROW(check_gnuplot());
}

}  // namespace
}  // namespace genretree
