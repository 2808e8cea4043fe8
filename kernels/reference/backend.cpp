#include <algorithm>

#include "kernels/reference/backend.hpp"
#include "kernels/reference/classify_loss.hpp"
#include "kernels/reference/cnn.hpp"
#include "kernels/reference/dropout_masks.hpp"
#include "kernels/reference/gather.hpp"
#include "kernels/reference/lstm_stack.hpp"
#include "kernels/reference/readout.hpp"
#include "kernels/reference/spectral.hpp"
#include "kernels/reference/update.hpp"

namespace genretree::reference {
namespace {

std::vector<double> widen(std::span<const float> values) { return {values.begin(), values.end()}; }

void narrow(std::span<const double> from, std::span<float> to) {
  std::transform(from.begin(), from.end(), to.begin(), [](double value) { return static_cast<float>(value); });
}

/// The first `rows` of [T, B, F] as doubles.
std::vector<double> widen_rows(View<const float, 3> x, std::size_t rows) {
  std::vector<double> values;
  for (std::size_t t = 0; t < x.shape[0]; ++t)
    for (std::size_t b = 0; b < rows; ++b)
      for (const float value : x[t][b].flat()) values.push_back(value);
  return values;
}

/// A pass's masks, laid out for B rows, as doubles laid out for the first `rows`.
std::vector<double> widen_masks(const StackConfig& pass, std::span<const float> masks, std::size_t batch,
                                std::size_t rows) {
  if (masks.empty()) return {};
  const MaskLayout layout(pass, batch);
  std::vector<double> values(pass.first_mask * rows);
  const auto append = [&](std::size_t offset, std::size_t width) {
    for (std::size_t q = 0; q < 4; ++q) {
      const auto begin = masks.begin() + static_cast<std::ptrdiff_t>(offset + q * batch * width);
      values.insert(values.end(), begin, begin + static_cast<std::ptrdiff_t>(rows * width));
    }
  };
  for (std::size_t layer = 0; layer < pass.layers(); ++layer) {
    append(layout.layers[layer].input_offset, pass.layer_inputs(layer));
    append(layout.layers[layer].recurrent_offset, pass.units[layer]);
  }
  return values;
}

/// The first `rows` of each frame of [T, B, W] from those of [T, rows, W].
void narrow_rows(std::span<const double> from, std::size_t rows, View<float, 3> to) {
  const auto [frames, batch, width] = to.shape;
  for (std::size_t t = 0; t < frames; ++t) narrow(from.subspan(t * rows * width, rows * width), to[t].flat());
}

struct ReferenceSpectralState final : SpectralState {
  explicit ReferenceSpectralState(const SpectralTables& t) : tables(t) {}
  SpectralTables tables;
};

struct ReferenceStackState final : StackState {
  std::vector<StackTrace> runs;
  std::size_t bytes() const override {
    std::size_t values = 0;
    for (const StackTrace& run : runs)
      for (const LayerTrace& layer : run.layers)
        values += layer.inputs.size() + layer.gates.size() + layer.cells.size() + layer.outputs.size();
    return values * sizeof(double);
  }
};

struct ReferenceCnnState final : CnnState {
  std::size_t bytes() const override { return 0; }
};

/// Where the parameters of a run with fewer classes than its group lie in the group's layout: calls visit(place in the
/// run's own layout, place in the group's) for every one that counts.
template <class Visit>
void for_each_parameter(const CnnConfig& config, std::size_t classes, std::size_t group_classes, Visit visit) {
  const CnnLayout own(config, classes), group(config, group_classes);
  for (std::size_t p = 0; p < own.output.kernel.offset; ++p) visit(p, p);
  for (std::size_t u = 0; u <= config.units; ++u)  // the last row is the bias
    for (std::size_t c = 0; c < classes; ++c)
      visit(own.output.kernel.offset + u * classes + c, group.output.kernel.offset + u * group_classes + c);
}

class ReferenceBackend final : public Backend {
 public:
  BackendInfo info() const override { return {"reference", "host", "double", "definition", "fp64", ""}; }
  Device& device() override { return host_device(); }

  std::unique_ptr<SpectralState> make_spectral_state(const SpectralTables& tables) override {
    return std::make_unique<ReferenceSpectralState>(tables);
  }

  void spectral_features(SpectralState& state, View<const float, 1> samples, std::span<const std::size_t> lengths,
                         View<float, 2> out, Queue&) override {
    const SpectralTables& tables = static_cast<ReferenceSpectralState&>(state).tables;
    std::size_t sample = 0, value = 0;
    for (const std::size_t length : lengths) {
      std::vector<double> clip(tables.frames(length) * tables.width());
      reference::spectral_features(tables, samples.flat().subspan(sample, length), clip);
      narrow(clip, out.flat().subspan(value, clip.size()));
      sample += length, value += clip.size();
    }
  }

  std::unique_ptr<StackState> make_stack_state(const StackConfig&, const Group&, Mode) override {
    return std::make_unique<ReferenceStackState>();
  }

  void dropout_masks(const NetworkConfig& config, const Group& group, std::span<const RandomKey> keys,
                     View<float, 2> masks, Queue&) override {
    for (std::size_t r = 0; r < group.runs; ++r) {
      if (group.rows[r] == 0) continue;
      std::vector<double> values(masks.shape[1]);
      reference::dropout_masks(config, group.batch, keys[r], values);
      narrow(values, masks[r].flat());
    }
  }

  void stack_forward(const StackConfig& config, const Group& group, View<const float, 2> parameters,
                     View<const float, 4> x, View<const float, 2> masks, Mode, StackState& state, View<float, 4> h,
                     Queue&) override {
    std::vector<StackTrace>& runs = static_cast<ReferenceStackState&>(state).runs;
    runs.assign(group.runs, {});
    for (std::size_t r = 0; r < group.runs; ++r) {
      const std::size_t rows = group.rows[r];
      if (rows == 0) continue;
      const std::vector<double> inputs = widen_rows(x[r], rows);
      runs[r] = reference::stack_forward(config, widen(parameters[r].flat()),
                                         view_of(inputs.data(), group.frames, rows, config.inputs),
                                         widen_masks(config, masks[r].flat(), group.batch, rows));
      narrow_rows(runs[r].outputs(config.sequences), rows, h[r]);
    }
  }

  void stack_backward(const StackConfig& config, const Group& group, View<const float, 2> parameters,
                      View<const float, 4>, View<const float, 2> masks, View<const float, 4> dh, StackState& state,
                      View<float, 2> gradients, View<float, 4> dx, Queue&) override {
    for (std::size_t r = 0; r < group.runs; ++r) {
      const std::size_t rows = group.rows[r];
      if (rows == 0) continue;
      const StackTrace& trace = static_cast<ReferenceStackState&>(state).runs[r];
      std::vector<double> result(ParameterLayout(config).size);
      const std::vector<double> inputs = reference::stack_backward(
          config, widen(parameters[r].flat()), widen_masks(config, masks[r].flat(), group.batch, rows), trace,
          widen_rows(dh[r], rows), result);
      narrow(std::span(result).subspan(config.first_parameter), gradients[r].flat().subspan(config.first_parameter));
      if (config.input_gradient) narrow_rows(inputs, rows, dx[r]);
    }
  }

  void copy_columns(const Group& group, const ColumnCopy& copy, View<const float, 4> from, View<float, 4> to,
                    Queue&) override {
    for (std::size_t r = 0; r < group.runs; ++r) reference::copy_columns(copy, r, group.rows[r], from[r], to[r]);
  }

  void readout(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask, std::size_t first_column,
               View<float, 3> out, Queue&) override {
    for (std::size_t r = 0; r < group.runs; ++r)
      reference::readout(kind, r, group.rows[r], y[r], mask, first_column, out[r]);
  }

  void readout_backward(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask,
                        std::size_t first_column, View<const float, 3> dout, View<float, 4> dy, Queue&) override {
    for (std::size_t r = 0; r < group.runs; ++r)
      reference::readout_backward(kind, r, group.rows[r], y[r], mask, first_column, dout[r], dy[r]);
  }

  void classify_loss(const NetworkConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                     View<const float, 3> h, View<const std::int32_t, 2> labels, View<const float, 3> targets,
                     View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
                     View<float, 3> dh, View<float, 2> gradients, Queue&) override {
    const ParameterLayout layout(config, group.classes);
    for (std::size_t r = 0; r < group.runs; ++r) {
      const std::size_t rows = group.rows[r], units = config.dense_inputs(), classes = group.class_counts[r];
      loss[r] = 0, correct[r] = 0;
      if (rows == 0) continue;
      const std::vector<double> outputs = widen(h[r].flat().first(rows * units));
      std::vector<double> kernel, bias = widen(parameters[r].flat().subspan(layout.dense_bias.offset, classes));
      for (std::size_t u = 0; u < units; ++u)
        for (std::size_t c = 0; c < classes; ++c)
          kernel.push_back(parameters(r, layout.dense_kernel.offset + u * group.classes + c));
      std::vector<double> own_targets;
      for (std::size_t b = 0; b < rows && !targets.empty(); ++b)
        for (std::size_t c = 0; c < classes; ++c) own_targets.push_back(targets(r, b, c));
      const Classification result = reference::classify_loss(
          kind, view_of(outputs.data(), rows, units), view_of(kernel.data(), units, classes), bias,
          labels[r].flat().first(rows), view_of(own_targets.empty() ? nullptr : own_targets.data(), rows, classes));
      loss[r] = result.loss, correct[r] = result.correct;
      for (std::size_t b = 0; b < rows; ++b)
        for (std::size_t c = 0; c < group.classes; ++c)
          probabilities(r, b, c) = c < classes ? static_cast<float>(result.probabilities[b * classes + c]) : 0;
      if (dh.empty()) continue;
      narrow(result.dh, dh[r].flat());
      for (std::size_t c = 0; c < group.classes; ++c) {
        const bool used = c < classes;
        for (std::size_t u = 0; u < units; ++u)
          gradients(r, layout.dense_kernel.offset + u * group.classes + c) =
              used ? static_cast<float>(result.dkernel[u * classes + c]) : 0;
        gradients(r, layout.dense_bias.offset + c) = used ? static_cast<float>(result.dbias[c]) : 0;
      }
    }
  }

  std::unique_ptr<CnnState> make_cnn_state(const CnnConfig&, const Group&, Mode) override {
    return std::make_unique<ReferenceCnnState>();
  }

  void cnn_step(const CnnConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                View<const float, 4> x, View<const std::int32_t, 2> labels, std::span<const RandomKey> keys, CnnState&,
                View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
                View<float, 2> gradients, Queue&) override {
    for (std::size_t r = 0; r < group.runs; ++r) {
      loss[r] = 0, correct[r] = 0;
      const std::size_t rows = group.rows[r], classes = group.class_counts[r];
      if (rows == 0) continue;
      std::vector<double> own(CnnLayout(config, classes).size);
      for_each_parameter(config, classes, group.classes,
                         [&](std::size_t to, std::size_t from) { own[to] = parameters(r, from); });
      const std::vector<double> inputs = widen_rows(x[r], rows);
      const CnnResult result =
          cnn(config, classes, kind, own, view_of(inputs.data(), group.frames, rows, config.bands),
              labels[r].flat().first(rows), keys.empty() ? std::vector<double>() : cnn_masks(config, rows, keys[r]));
      loss[r] = result.loss, correct[r] = result.correct;
      for (std::size_t b = 0; b < rows; ++b)
        for (std::size_t c = 0; c < group.classes; ++c)
          probabilities(r, b, c) = c < classes ? static_cast<float>(result.probabilities[b * classes + c]) : 0;
      if (gradients.empty()) continue;
      std::ranges::fill(gradients[r].flat(), 0.0f);
      for_each_parameter(config, classes, group.classes, [&](std::size_t from, std::size_t to) {
        gradients(r, to) = static_cast<float>(result.gradients[from]);
      });
    }
  }

  void cnn_evaluate(const CnnConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                    View<const float, 4> x, View<const std::int32_t, 2> labels, CnnState& state,
                    View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
                    Queue& queue) override {
    cnn_step(config, group, kind, parameters, x, labels, {}, state, probabilities, loss, correct, {}, queue);
  }

  void update(const Optimiser& optimiser, const Group& group, View<const float, 1> rates, View<std::int64_t, 1> steps,
              View<float, 2> parameters, View<const float, 2> gradients, View<float, 3> moments, View<float, 1>,
              Queue&) override {
    for (std::size_t r = 0; r < group.runs; ++r) {
      if (group.rows[r] == 0) continue;
      std::vector<double> p = widen(parameters[r].flat()), m = widen(moments[r][0].flat()),
                          v = widen(moments[r][1].flat());
      reference::update(optimiser, rates.empty() ? 1 : rates[r], ++steps[r], p, widen(gradients[r].flat()), m, v);
      narrow(p, parameters[r].flat()), narrow(m, moments[r][0].flat()), narrow(v, moments[r][1].flat());
    }
  }

  void gather(const Group& group, View<const float, 3> features, View<const std::int32_t, 2> labels,
              View<const BatchRow, 2> rows, View<const float, 2> constants, double smoothing, View<float, 4> x,
              View<std::int32_t, 2> y, View<float, 3> targets, Queue&) override {
    const std::size_t numbers = constants.empty() ? 0 : 2 * features.shape[2];
    for (std::size_t r = 0; r < group.runs; ++r)
      reference::gather(group.rows[r], features, labels[r], rows[r].flat(), constants[r].flat().first(numbers),
                        smoothing, group.class_counts[r], x[r], y[r], targets[r]);
  }
};

}  // namespace

std::unique_ptr<Backend> make_backend() { return std::make_unique<ReferenceBackend>(); }

}  // namespace genretree::reference
