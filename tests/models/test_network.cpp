// A network in several passes: its gradients against the slope of its own loss, every precision of the CPU against the
// definition, and what must hold by symmetry.
#include <cmath>

#include "kernels/backends.hpp"
#include "kernels/normal_numbers.hpp"
#include "kernels/reference/backend.hpp"
#include "models/network.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

constexpr float untouched = 7777;

/// A batch of a group of runs with random content.
struct Problem {
  ClassifierConfig classifier;
  Group group;
  std::vector<float> parameters, x;  ///< [R, P], [R, T, B, F]
  std::vector<std::int32_t> labels;  ///< [R, B]
  std::vector<float> targets = {};   ///< [R, B, C] or empty
  std::vector<RandomKey> keys;       ///< [R]

  Problem(const NetworkConfig& network, std::size_t runs, std::size_t batch, std::size_t frames, std::size_t classes,
          std::uint64_t seed = 2)
      : classifier{network, classes},
        group{runs,
              batch,
              frames,
              classes,
              std::vector(runs, static_cast<std::uint32_t>(batch)),
              std::vector(runs, static_cast<std::uint32_t>(classes))},
        parameters(normal_numbers(runs * classifier.parameter_count(), 1, 0.5)),
        x(normal_numbers(runs * frames * batch * network.inputs, seed)) {
    for (std::size_t row = 0; row < runs * batch; ++row) labels.push_back(static_cast<std::int32_t>(row % 2));
    for (std::size_t r = 0; r < runs; ++r)
      keys.push_back({.seed = 4, .trial = static_cast<std::uint32_t>(r), .use = RandomUse::dropout});
  }
  std::size_t parameter_count() const { return classifier.parameter_count(); }
};

struct Answer {
  std::vector<float> probabilities, gradients;  ///< [R, B, C], [R, P]; what nothing writes is `untouched`
  std::vector<double> loss;                     ///< [R]
};

Answer run(Backend& backend, const Problem& p, Mode mode) {
  const auto queue = backend.device().make_queue();
  const auto network = make_network(p.classifier, p.group, mode, backend);
  const auto on_device = [&]<class T>(const std::vector<T>& content) {
    Buffer<T> buffer(backend.device(), content.size());
    buffer.copy_in(content, *queue);
    return buffer;
  };
  const auto [runs, batch, frames, classes, rows, class_counts] = p.group;
  Answer answer{std::vector<float>(runs * batch * classes), std::vector<float>(p.parameters.size(), untouched),
                std::vector<double>(runs)};
  Buffer<float> parameters = on_device(p.parameters), x = on_device(p.x), targets = on_device(p.targets),
                probabilities = on_device(answer.probabilities), gradients = on_device(answer.gradients);
  Buffer<std::int32_t> labels = on_device(p.labels), correct(backend.device(), runs);
  Buffer<double> loss = on_device(answer.loss);
  const Batch views{p.group,
                    parameters.view(runs, p.parameter_count()),
                    x.view(runs, frames, batch, p.classifier.inputs()),
                    labels.view(runs, batch),
                    p.targets.empty() ? View<float, 3>{} : targets.view(runs, batch, classes),
                    probabilities.view(runs, batch, classes),
                    loss.view(runs),
                    correct.view(runs)};
  if (mode == Mode::training)
    network->step(views, Loss::logits, p.keys, gradients.view(runs, p.parameter_count()), *queue);
  else
    network->evaluate(views, Loss::logits, *queue);
  probabilities.copy_out(answer.probabilities, *queue);
  gradients.copy_out(answer.gradients, *queue);
  loss.copy_out(answer.loss, *queue);
  queue->synchronize();
  return answer;
}

NetworkConfig stack(std::vector<std::size_t> units) { return StackConfig{.inputs = 3, .units = std::move(units)}; }
NetworkConfig with(NetworkConfig network, bool bidirectional, Readout readout, double layer_dropout = 0,
                   double cell_dropout = 0, bool standardise = false) {
  network.bidirectional = bidirectional, network.readout = readout, network.layer_dropout = layer_dropout;
  network.dropout = network.recurrent_dropout = cell_dropout, network.standardise = standardise;
  return network;
}

/// One of each way through the passes.
const std::vector<NetworkConfig> networks = {
    with(stack({3, 2}), true, Readout::mean_max),
    with(stack({3, 2, 3}), false, Readout::last, 0.4),
    with(stack({3, 2}), true, Readout::last),
    with(stack({3, 2}), false, Readout::mean),
    with(stack({4}), false, Readout::max),
    with(stack({4}), false, Readout::last, 0.4),
    with(stack({3}), true, Readout::max, 0.4),
    with(stack({3, 2}), false, Readout::mean_max, 0, 0.3, true),
    with(stack({3, 2}), true, Readout::mean_max, 0.4, 0.3, true),
};

/// The tensors that are trained.
std::vector<ParameterLayout::Tensor> tensors(const ClassifierConfig& classifier) {
  const ParameterLayout layout(classifier.stack, classifier.classes);
  std::vector<ParameterLayout::Tensor> all;
  for (const ParameterLayout::Layer& layer : layout.layers)
    all.insert(all.end(), {layer.kernel, layer.recurrent, layer.bias});
  all.insert(all.end(), {layout.dense_kernel, layout.dense_bias});
  return all;
}

TEST_CASE("a network's gradient is the slope of its loss, for every parameter") {
  const auto definition = reference::make_backend();
  for (const NetworkConfig& network : networks) {
    // clips in which no step makes another frame the largest: a maximum has a slope only between such changes
    Problem p(network, 1, 3, 3, 3, 6);
    INFO((network.bidirectional ? "bidirectional" : "forward")
         << ", readout " << static_cast<int>(network.readout) << ", layer dropout " << network.layer_dropout);
    p.targets = {0.7f, 0.2f, 0.1f, 0, 1, 0, 0.25f, 0.25f, 0.5f};
    const std::vector<float> gradient = run(*definition, p, Mode::training).gradients;
    const auto loss_at = [&](std::size_t k, float value) {
      const float saved = std::exchange(p.parameters[k], value);
      const double loss = run(*definition, p, Mode::training).loss[0] / 3;  // of three rows
      p.parameters[k] = saved;
      return loss;
    };
    // what goes from pass to pass is rounded to float, so that steps cannot be small: two of them cancel their errors of
    // second order (Richardson)
    const auto slope = [&](std::size_t k) {
      const auto difference = [&](float step) {
        const float above = p.parameters[k] + step, below = p.parameters[k] - step;
        return (loss_at(k, above) - loss_at(k, below)) / (static_cast<double>(above) - static_cast<double>(below));
      };
      constexpr float step = 0.03f;
      return (4 * difference(step / 2) - difference(step)) / 3;
    };
    for (std::size_t k = 0; k < network.constants(); ++k) CHECK(gradient[k] == untouched);
    const bool has_dropout = network.has_any_dropout();  // in training, and only there
    CHECK((run(*definition, p, Mode::training).loss != run(*definition, p, Mode::inference).loss) == has_dropout);
    for (const ParameterLayout::Tensor& tensor : tensors(p.classifier)) {
      std::vector<double> expected;
      for (std::size_t k = 0; k < tensor.size(); ++k) expected.push_back(slope(tensor.offset + k));
      const double difference =
          test::relative_difference<float, double>(std::span(gradient).subspan(tensor.offset, tensor.size()), expected);
      CHECK(difference < 1e-3);
    }
  }
}

/// |a - b| / |b|, by the Euclidean norm: where rounding makes another frame the largest, a few numbers are far off.
double distance(std::span<const float> a, std::span<const float> b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / norm);
}

TEST_CASE("the CPU computes networks as the definition does, of several runs with rows and classes of their own") {
  const auto definition = reference::make_backend();
  for (const auto& [precision, tolerance] : {std::pair{"fp32", 1e-5}, std::pair{"bf16", 2e-2}}) {
    if (std::ranges::count(backend_precisions("cpu"), precision) == 0) continue;
    const auto backend = make_backend({.device = "cpu", .precision = precision});
    for (NetworkConfig network : networks) {
      network.inputs = 13;
      for (std::size_t& units : network.units) units *= 8;
      Problem p(network, 3, 7, 9, 4);
      p.parameters = normal_numbers(p.parameters.size(), 1, 0.2);
      p.group.rows = {7, 2, 5}, p.group.class_counts = {4, 2, 3};
      INFO(precision << (network.bidirectional ? ", bidirectional" : ", forward") << ", readout "
                     << static_cast<int>(network.readout) << ", layer dropout " << network.layer_dropout);
      const bool finds_maximum = network.readout == Readout::max || network.readout == Readout::mean_max;
      const Answer expected = run(*definition, p, Mode::training), got = run(*backend, p, Mode::training);
      for (std::size_t r = 0; r < 3; ++r) {
        const auto counted = [&](const Answer& answer) {
          return std::span(answer.probabilities).subspan(r * 7 * 4, p.group.rows[r] * 4);
        };
        CHECK(test::relative_difference(counted(got), counted(expected)) < tolerance);
        CHECK(got.loss[r] == Approx(expected.loss[r]).epsilon(tolerance));
        for (const ParameterLayout::Tensor& tensor : tensors(p.classifier)) {
          const auto part = [&](const Answer& answer) {
            return std::span(answer.gradients).subspan(r * p.parameter_count() + tensor.offset, tensor.size());
          };
          CHECK(distance(part(got), part(expected)) < (finds_maximum ? 10 : 1) * tolerance);
        }
      }
      if (network.has_any_dropout()) continue;
      const Answer inferred = run(*backend, p, Mode::inference);
      CHECK(test::relative_difference<double, double>(inferred.loss, got.loss) < 1e-6);
    }
  }
}

/// The same clips heard backwards, by a network with its two directions changed for one another.
Problem mirrored(const Problem& p) {
  const auto& [runs, batch, frames, classes, rows, class_counts] = p.group;
  Problem mirror = p;
  const std::size_t frame = batch * p.classifier.inputs();
  for (std::size_t t = 0; t < frames; ++t)
    std::copy_n(p.x.begin() + static_cast<std::ptrdiff_t>((frames - 1 - t) * frame), frame,
                mirror.x.begin() + static_cast<std::ptrdiff_t>(t * frame));
  const auto copy = [&](const ParameterLayout::Tensor& from, const ParameterLayout::Tensor& to, bool halves_change) {
    const std::size_t half = halves_change ? from.rows / 2 : 0;  // a row for each output of the layer below
    for (std::size_t row = 0; row < from.rows; ++row)
      std::copy_n(
          p.parameters.begin() + static_cast<std::ptrdiff_t>(from.offset + row * from.columns), from.columns,
          mirror.parameters.begin() + static_cast<std::ptrdiff_t>(to.offset + (row + half) % from.rows * from.columns));
  };
  const ParameterLayout layout(p.classifier.stack, classes);
  for (std::size_t l = 0; l < layout.layers.size(); ++l) {
    const ParameterLayout::Layer &from = layout.layers[l], &to = layout.layers[l ^ 1];
    copy(from.kernel, to.kernel, l >= 2);
    copy(from.recurrent, to.recurrent, false);
    copy(from.bias, to.bias, false);
  }
  copy(layout.dense_kernel, layout.dense_kernel, true);
  return mirror;
}

TEST_CASE("a clip heard backwards by a network with its directions changed has the same probabilities") {
  const std::unique_ptr<Backend> backends[] = {reference::make_backend(), make_backend({.device = "cpu"})};
  for (const auto& backend : backends)
    for (const Readout readout : {Readout::last, Readout::mean, Readout::max, Readout::mean_max}) {
      const Problem p(with(stack({3, 2}), true, readout), 1, 5, 6, 3);
      const std::vector<float> forwards = run(*backend, p, Mode::inference).probabilities;
      Problem mirror = mirrored(p);
      const auto difference = [&] {
        return test::max_difference<float, float>(run(*backend, mirror, Mode::inference).probabilities, forwards);
      };
      CHECK(difference() < 1e-6);
      mirror.parameters = p.parameters;
      CHECK(difference() > 1e-3);  // the directions hear different things
    }
}

TEST_CASE("a network in passes of one layer each is the plain one, as are readouts of a single frame") {
  const std::unique_ptr<Backend> backends[] = {reference::make_backend(), make_backend({.device = "cpu"})};
  for (const auto& backend : backends) {
    const auto difference = [&](const NetworkConfig& a, const NetworkConfig& b, std::size_t frames) {
      return test::max_difference<float, float>(
          run(*backend, Problem(a, 2, 5, frames, 3), Mode::inference).probabilities,
          run(*backend, Problem(b, 2, 5, frames, 3), Mode::inference).probabilities);
    };
    CHECK(difference(with(stack({3, 4, 2}), false, Readout::last, 0.5), stack({3, 4, 2}), 6) < 1e-6);
    for (const Readout readout : {Readout::mean, Readout::max}) {
      CHECK(difference(with(stack({3, 4, 2}), false, readout), stack({3, 4, 2}), 1) < 1e-6);
      CHECK(difference(with(stack({3, 4, 2}), false, readout), stack({3, 4, 2}), 6) > 1e-3);
    }
  }
}

}  // namespace
}  // namespace genretree
