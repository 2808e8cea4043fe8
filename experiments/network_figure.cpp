#include <algorithm>
#include <fmt/format.h>

#include "core/text.hpp"
#include "experiments/network_figure.hpp"
#include "experiments/plan.hpp"
#include "experiments/report_content.hpp"
#include "models/model_file.hpp"

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
  const auto layers = [&](std::size_t classes) {
    return network_layers(classifier_of(spec, classes), spec.features.frames);
  };
  if (spec.tree.empty()) return {{"", "", layers(genres)}};
  std::vector<Network> networks;
  for (const TreeNode& node : spec.tree.nodes())
    networks.push_back({printable(node.name), printable(join(node.children)), layers(node.children.size())});
  return networks;
}

/// What stands below the networks.
std::vector<std::string> footer_of(const Spec& spec, const std::vector<Network>& networks, std::size_t genres) {
  if (spec.learned_tree_epochs > 0)
    return {"The tree is learned from the answers of this network.", "Each of its nodes has such a network too, with",
            fmt::format("{} parameters for each child in the last layer.",
                        thousands(networks.front().layers.back().parameters / genres))};
  if (networks.size() == 1) return {};
  std::size_t parameters = 0;
  for (const Network& network : networks) parameters += network.parameters();
  return {fmt::format("{} networks, {} parameters", networks.size(), thousands(parameters))};
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

// -------------------------------------------------------------------------------------------------------------- layers

std::string shape_of(const CnnConfig::Image& image) {
  return fmt::format("{} × {} × {}", image.rows, image.columns, image.channels);
}

std::size_t parameters_of(const CnnLayout::Layer& layer) { return layer.kernel.size() + layer.bias.size(); }

void add_cnn(std::vector<NetworkLayer>& layers, const CnnConfig& cnn, const CnnLayout& layout) {
  layers.push_back({fmt::format("image of {}", count_of(cnn.channels, "channel")), shape_of(cnn.image(0))});
  if (cnn.standardise)
    layers.push_back({"standardise, not trained", shape_of(cnn.image(0)), layout.mean.size() + layout.scale.size()});
  for (std::size_t s = 0; s < cnn.stages.size(); ++s) {
    const auto [filters, pool] = cnn.stages[s];
    layers.push_back({fmt::format("conv {0} ({1} × {1}), ReLU, pool {2} × {2}", filters, CnnConfig::kernel, pool),
                      shape_of(cnn.image(s + 1)), parameters_of(layout.stages[s])});
  }
  layers.push_back({"dense, ReLU", fmt::format("{}", cnn.units), parameters_of(layout.hidden)});
  layers.push_back({"dense, softmax", "", parameters_of(layout.output)});
}

void add_stack(std::vector<NetworkLayer>& layers, const NetworkConfig& stack, std::size_t frames,
               const ParameterLayout& layout) {
  if (stack.standardise)
    layers.push_back({"standardise, not trained", fmt::format("{} × {}", frames, stack.inputs), stack.constants()});
  for (std::size_t i = 0; i < stack.layers(); ++i) {
    std::size_t parameters = 0;
    for (std::size_t direction = 0; direction < stack.directions(); ++direction) {
      const ParameterLayout::Layer& layer = layout.layers[i * stack.directions() + direction];
      parameters += layer.kernel.size() + layer.recurrent.size() + layer.bias.size();
    }
    // where only the output after the last frame goes on
    const bool is_end = i + 1 == stack.layers() && stack.readout == Readout::last;
    layers.push_back(
        {fmt::format("{} {}", stack.bidirectional ? "bidirectional LSTM" : "LSTM", stack.units[i]),
         is_end ? fmt::format("{}", stack.layer_outputs(i)) : fmt::format("{} × {}", frames, stack.layer_outputs(i)),
         parameters});
  }
  if (stack.readout != Readout::last)
    layers.push_back({fmt::format("{} over time", describe(stack.readout)), fmt::format("{}", stack.dense_inputs())});
  layers.push_back({"dense, softmax", "", layout.dense_kernel.size() + layout.dense_bias.size()});
}

}  // namespace

std::vector<NetworkLayer> network_layers(const ClassifierConfig& classifier, std::size_t frames) {
  std::vector<NetworkLayer> layers = {
      {"input", fmt::format("{} × {}", classifier.row_frames(frames), classifier.inputs())}};
  if (classifier.cnn)
    add_cnn(layers, *classifier.cnn, CnnLayout(*classifier.cnn, classifier.classes));
  else
    add_stack(layers, classifier.stack, classifier.row_frames(frames),
              ParameterLayout(classifier.stack, classifier.classes));
  layers.back().shape = fmt::format("{}", classifier.classes);
  return layers;
}

std::string draw_network(const Spec& spec, const std::vector<std::string>& genres, const std::string& heading) {
  const std::vector<Network> networks = networks_of(spec, genres.size());
  const std::size_t columns = std::min(networks.size(), most_in_a_row), rows = (networks.size() - 1) / columns + 1;
  const double box_width = width_of(networks), row_height = height_of(networks.front()) + gap;
  const std::vector<std::string> footer = footer_of(spec, networks, genres.size());
  std::size_t longest_line = characters(heading);
  for (const std::string& line : footer) longest_line = std::max(longest_line, characters(line));
  const double width = std::max(static_cast<double>(columns) * (box_width + gap),
                                letter * static_cast<double>(longest_line) + 2 * padding);
  const double top = 2 * line_height;
  std::string body = text(width / 2, line_height, printable(heading));
  for (std::size_t i = 0; i < networks.size(); ++i) {
    const std::size_t in_this_row = std::min(columns, networks.size() - i / columns * columns);
    const double place = static_cast<double>(i % columns) - (static_cast<double>(in_this_row) - 1) / 2;
    body += column(networks[i], width / 2 + place * (box_width + gap),
                   top + static_cast<double>(i / columns) * row_height, box_width);
  }
  double height = top + static_cast<double>(rows) * row_height - gap + padding;
  for (const std::string& line : footer) {
    body += text(width / 2, height, line);
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
