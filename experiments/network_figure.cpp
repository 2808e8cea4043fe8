#include <algorithm>
#include <fmt/format.h>

#include "core/text.hpp"
#include "experiments/network_figure.hpp"
#include "experiments/report_content.hpp"

namespace genretree {
namespace {

constexpr double letter = 7.4, line_height = 18, padding = 10, arrow = 26, gap = 28;
constexpr std::size_t most_in_a_row = 4;

struct Network {
  std::string title, below;  ///< a node's name, and its children; empty for a single classifier
  std::vector<NetworkLayer> layers;

  std::size_t parameters() const {
    std::size_t sum = 0;
    for (const NetworkLayer& layer : layers) sum += layer.parameters;
    return sum;
  }
};

std::vector<Network> networks_of(const Spec& spec, std::size_t genres) {
  if (spec.tree.empty()) return {{"", "", network_layers(spec.stack, spec.features.frames, genres)}};
  std::vector<Network> networks;
  for (const TreeNode& node : spec.tree.nodes())
    networks.push_back({printable(node.name), printable(join(node.children)),
                        network_layers(spec.stack, spec.features.frames, node.children.size())});
  return networks;
}

std::vector<std::string> lines_of(const NetworkLayer& layer) {
  std::vector<std::string> lines = {layer.name, layer.shape};
  if (layer.parameters > 0) lines.push_back(fmt::format("{} parameters", thousands(layer.parameters)));
  return lines;
}

double height_of(const NetworkLayer& layer) {
  return line_height * static_cast<double>(lines_of(layer).size()) + padding;
}

double height_of(const Network& network) {
  double height = (network.title.empty() ? 0 : 2.3) * line_height;
  for (const NetworkLayer& layer : network.layers) height += height_of(layer) + arrow;
  return height;
}

double width_of(const std::vector<Network>& networks) {
  std::size_t longest = 0;
  for (const Network& network : networks) {
    longest = std::max({longest, characters(network.title), characters(network.below)});
    for (const NetworkLayer& layer : network.layers)
      for (const std::string& line : lines_of(layer)) longest = std::max(longest, characters(line));
  }
  return letter * static_cast<double>(longest) + 2 * padding;
}

std::string text(double x, double y, const std::string& words, const char* attributes = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\"{}>{}</text>\n", x, y, attributes, xml_escaped(words));
}

constexpr const char *bold = " font-weight=\"600\"", *quiet = " fill-opacity=\"0.8\"";

std::string box(const NetworkLayer& layer, double middle, double top, double width) {
  const std::vector<std::string> lines = lines_of(layer);
  std::string svg = fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"5\" fill=\"#1F83C6\" "
      "fill-opacity=\"0.12\" stroke=\"#1F83C6\"/>\n",
      middle - width / 2, top, width, height_of(layer));
  for (std::size_t i = 0; i < lines.size(); ++i)
    svg += text(middle, top + line_height * static_cast<double>(i + 1), lines[i], i == 0 ? bold : quiet);
  return svg;
}

std::string arrow_down(double x, double top) {
  return fmt::format(
      "<path d=\"M{0:.1f} {1:.1f}V{2:.1f}M{3:.1f} {4:.1f}L{0:.1f} {2:.1f}L{5:.1f} {4:.1f}\" fill=\"none\" "
      "stroke=\"currentColor\" stroke-width=\"1.2\"/>\n",
      x, top + 2, top + arrow - 3, x - 4, top + arrow - 8, x + 4);
}

std::string column(const Network& network, double middle, double top, double width) {
  std::string svg;
  if (!network.title.empty()) {
    svg += text(middle, top + 0.8 * line_height, network.title, bold);
    svg += text(middle, top + 1.8 * line_height, network.below, quiet);
    top += 2.3 * line_height;
  }
  for (const NetworkLayer& layer : network.layers) {
    svg += box(layer, middle, top, width);
    top += height_of(layer);
    if (&layer != &network.layers.back()) svg += arrow_down(middle, top);
    top += arrow;
  }
  return svg + text(middle, top - 0.3 * line_height, fmt::format("{} in all", thousands(network.parameters())), quiet);
}

}  // namespace

std::vector<NetworkLayer> network_layers(const StackConfig& stack, std::size_t frames, std::size_t classes) {
  const ParameterLayout layout(stack, classes);
  std::vector<NetworkLayer> layers = {{"input", fmt::format("{} × {}", frames, stack.inputs)}};
  for (std::size_t i = 0; i < stack.layers(); ++i) {
    const ParameterLayout::Layer& layer = layout.layers[i];
    const bool is_last = i + 1 == stack.layers();  // of which only the output after the last frame goes on
    layers.push_back({fmt::format("LSTM {}", stack.units[i]),
                      is_last ? fmt::format("{}", stack.units[i]) : fmt::format("{} × {}", frames, stack.units[i]),
                      layer.kernel.size() + layer.recurrent.size() + layer.bias.size()});
  }
  layers.push_back(
      {"dense, softmax", fmt::format("{}", classes), layout.dense_kernel.size() + layout.dense_bias.size()});
  return layers;
}

std::string draw_network(const Spec& spec, const std::vector<std::string>& genres, const std::string& heading) {
  const std::vector<Network> networks = networks_of(spec, genres.size());
  const std::size_t columns = std::min(networks.size(), most_in_a_row), rows = (networks.size() - 1) / columns + 1;
  const double box_width = width_of(networks), row_height = height_of(networks.front()) + gap;
  const double width = std::max(static_cast<double>(columns) * (box_width + gap),
                                letter * static_cast<double>(characters(heading)) + 2 * padding);
  const double top = 2 * line_height;
  std::string body = text(width / 2, line_height, printable(heading));
  std::size_t parameters = 0;
  for (std::size_t i = 0; i < networks.size(); ++i) {
    const std::size_t in_this_row = std::min(columns, networks.size() - i / columns * columns);
    const double place = static_cast<double>(i % columns) - (static_cast<double>(in_this_row) - 1) / 2;
    body += column(networks[i], width / 2 + place * (box_width + gap),
                   top + static_cast<double>(i / columns) * row_height, box_width);
    parameters += networks[i].parameters();
  }
  double height = top + static_cast<double>(rows) * row_height - gap + padding;
  if (networks.size() > 1) {
    body += text(width / 2, height, fmt::format("{} networks, {} parameters", networks.size(), thousands(parameters)));
    height += line_height;
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} {1:.0f}\" role=\"img\" fill=\"currentColor\" "
      "font-family=\"system-ui, sans-serif\" font-size=\"14\" text-anchor=\"middle\">\n<title>The network</title>\n{2}"
      "</svg>\n",
      width, height, body);
}

}  // namespace genretree
