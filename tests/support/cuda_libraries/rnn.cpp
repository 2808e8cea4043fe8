// The twin of kernels/cuda/libraries/rnn.cpp: an LSTM layer from its definition, with sums in double precision.
//   z_q = W_q x_t + R_q h_{t-1} + b_q + b'_q of the gates q = i, f, c, o;  c_t = σ(z_f) c_{t-1} + σ(z_i) tanh(z_c);
//   h_t = σ(z_o) tanh(c_t)
// It also sets cuDNN's traps: a weight space whose matrices lie in no obvious order, with gaps between them; a
// recurrent bias b'_q among them that Keras has not got; a workspace that may not be null, even where none is needed,
// and that holds nothing from call to call; a reserve space that training needs, that backward_data changes and
// backward_weights reads; weight gradients that are added; and an algorithm that is refused only for larger layers.
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/libraries/rnn.hpp"

namespace genretree::cuda {
namespace {

double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

/// The weights of one gate, by pointers into a weight space.
template <class T>
struct GateWeights {
  T *kernel, *recurrent, *bias, *recurrent_bias;
};

/// What is submitted works on a copy of it, which may outlive it.
class HostRnn final : public Rnn {
 public:
  explicit HostRnn(const RnnConfig& config) : config_(config) {
    std::size_t next = gap;
    const auto place = [&](std::size_t size) { return std::exchange(next, next + size + gap); };
    for (Gate& gate : gates_) gate.bias = place(config.units);
    for (std::size_t q = 4; q-- > 0;) gates_[q].recurrent = place(config.units * config.units);
    for (std::size_t& bias : recurrent_biases_) bias = place(config.units);
    for (Gate& gate : gates_) gate.kernel = place(config.units * config.inputs);
    weight_bytes_ = next * sizeof(float);
    if (config.mode == Mode::inference) return;
    workspace_bytes_ = 4 * config.batch * config.units * sizeof(float);
    reserve_bytes_ = config.frames * config.batch * record() * sizeof(float);
  }

  void forward(Mode mode, const float* x, float* y, const Spaces& spaces, Queue& queue) override {
    need_workspace(spaces);
    if (mode == Mode::training) need_reserve(spaces);
    stream_of(queue)->submit([self = *this, mode, x, y, spaces] {
      self.spoil(spaces.workspace);
      self.need_zeros(static_cast<const float*>(spaces.weights));
      float* reserve = mode == Mode::training ? static_cast<float*>(spaces.reserve) : nullptr;
      for (std::size_t b = 0; b < self.config_.batch; ++b) self.forward_row(b, x, y, spaces.weights, reserve);
    });
  }

  void backward_data(const float* y, const float* dy, float* dx, const Spaces& spaces, Queue& queue) override {
    need_workspace(spaces);
    need_reserve(spaces);
    stream_of(queue)->submit([self = *this, y, dy, dx, spaces] {
      (void)y;  // what is needed of it lies in the reserve, as cuDNN may have it too
      self.spoil(spaces.workspace);
      for (std::size_t b = 0; b < self.config_.batch; ++b)
        self.backward_row(b, dy, dx, spaces.weights, static_cast<float*>(spaces.reserve));
    });
  }

  void backward_weights(const float* x, const float* y, void* weight_gradients, const Spaces& spaces,
                        Queue& queue) override {
    need_workspace(spaces);
    need_reserve(spaces);
    stream_of(queue)->submit([self = *this, x, y, weight_gradients, spaces] {
      self.spoil(spaces.workspace);
      self.add_weight_gradients(x, y, static_cast<const float*>(spaces.reserve), static_cast<float*>(weight_gradients));
    });
  }

 private:
  static constexpr std::size_t gap = 5;  ///< floats between the matrices of the weight space, before and after

  /// Numbers that training keeps of a row at a frame: activated gates i, f, c, o, later their dz; and the cell.
  std::size_t record() const { return 5 * config_.units; }

  void need_workspace(const Spaces& spaces) const {
    if (!spaces.workspace) fail("the workspace is null: {}", description(config_));
  }
  void need_reserve(const Spaces& spaces) const {
    if (reserve_bytes_ == 0 || !spaces.reserve) fail("training without a reserve space: {}", description(config_));
  }
  void spoil(void* workspace) const { std::memset(workspace, 0xff, workspace_bytes_); }

  void need_zeros(const float* first_gap) const {
    for (std::size_t e = 0; e < gap; ++e)
      if (first_gap[e] != 0) fail("a gap in the weight space holds {}, not 0: {}", first_gap[e], description(config_));
  }

  template <class T>
  GateWeights<T> weights_of(std::size_t q, T* space) const {
    return {space + gates_[q].kernel, space + gates_[q].recurrent, space + gates_[q].bias,
            space + recurrent_biases_[q]};
  }
  /// Row b at frame t of an array of `width` numbers a row.
  std::size_t at(std::size_t t, std::size_t b, std::size_t width) const { return (t * config_.batch + b) * width; }

  void forward_row(std::size_t b, const float* x, float* y, const void* weights, float* reserve) const {
    const std::size_t inputs = config_.inputs, units = config_.units;
    std::vector<double> h(units, 0.0), c(units, 0.0), gates(4 * units);
    for (std::size_t t = 0; t < config_.frames; ++t) {
      for (std::size_t q = 0; q < 4; ++q) {
        const auto gate = weights_of(q, static_cast<const float*>(weights));
        for (std::size_t u = 0; u < units; ++u) {
          double z = double{gate.bias[u]} + gate.recurrent_bias[u];
          for (std::size_t k = 0; k < inputs; ++k) z += double{gate.kernel[u * inputs + k]} * x[at(t, b, inputs) + k];
          for (std::size_t k = 0; k < units; ++k) z += double{gate.recurrent[u * units + k]} * h[k];
          gates[q * units + u] = q == 2 ? std::tanh(z) : sigmoid(z);
        }
      }
      for (std::size_t u = 0; u < units; ++u) {
        c[u] = gates[units + u] * c[u] + gates[u] * gates[2 * units + u];
        h[u] = gates[3 * units + u] * std::tanh(c[u]);
        y[at(t, b, units) + u] = static_cast<float>(h[u]);
      }
      if (!reserve) continue;
      float* kept = reserve + at(t, b, record());
      for (std::size_t e = 0; e < 4 * units; ++e) kept[e] = static_cast<float>(gates[e]);
      for (std::size_t u = 0; u < units; ++u) kept[4 * units + u] = static_cast<float>(c[u]);
    }
  }

  void backward_row(std::size_t b, const float* dy, float* dx, const void* weights, float* reserve) const {
    const std::size_t inputs = config_.inputs, units = config_.units;
    std::vector<double> dh(units, 0.0), dc(units, 0.0), dz(4 * units);
    for (std::size_t t = config_.frames; t-- > 0;) {
      float* kept = reserve + at(t, b, record());
      for (std::size_t u = 0; u < units; ++u) {
        const double i = kept[u], f = kept[units + u], g = kept[2 * units + u], o = kept[3 * units + u];
        const double tanh_c = std::tanh(double{kept[4 * units + u]});
        const double last_c = t > 0 ? reserve[at(t - 1, b, record()) + 4 * units + u] : 0.0;
        const double dh_u = dh[u] + dy[at(t, b, units) + u];
        const double dc_u = dc[u] + dh_u * o * (1 - tanh_c * tanh_c);
        dz[u] = dc_u * g * i * (1 - i);
        dz[units + u] = dc_u * last_c * f * (1 - f);
        dz[2 * units + u] = dc_u * i * (1 - g * g);
        dz[3 * units + u] = dh_u * tanh_c * o * (1 - o);
        dc[u] = dc_u * f;
      }
      for (std::size_t e = 0; e < 4 * units; ++e) kept[e] = static_cast<float>(dz[e]);
      std::vector<double> dx_t(inputs, 0.0);
      std::fill(dh.begin(), dh.end(), 0.0);
      for (std::size_t q = 0; q < 4; ++q) {
        const auto gate = weights_of(q, static_cast<const float*>(weights));
        for (std::size_t u = 0; u < units; ++u) {
          const double d = dz[q * units + u];
          for (std::size_t k = 0; k < inputs; ++k) dx_t[k] += d * gate.kernel[u * inputs + k];
          for (std::size_t k = 0; k < units; ++k) dh[k] += d * gate.recurrent[u * units + k];
        }
      }
      for (std::size_t k = 0; k < inputs; ++k) dx[at(t, b, inputs) + k] = static_cast<float>(dx_t[k]);
    }
  }

  void add_weight_gradients(const float* x, const float* y, const float* reserve, float* gradients) const {
    const std::size_t inputs = config_.inputs, units = config_.units;
    for (std::size_t q = 0; q < 4; ++q) {
      const auto gate = weights_of(q, gradients);
      for (std::size_t u = 0; u < units; ++u) {
        std::vector<double> kernel(inputs, 0.0), recurrent(units, 0.0);
        double bias = 0;
        for (std::size_t t = 0; t < config_.frames; ++t)
          for (std::size_t b = 0; b < config_.batch; ++b) {
            const double d = reserve[at(t, b, record()) + q * units + u];
            bias += d;
            for (std::size_t k = 0; k < inputs; ++k) kernel[k] += d * x[at(t, b, inputs) + k];
            if (t == 0) continue;
            for (std::size_t k = 0; k < units; ++k) recurrent[k] += d * y[at(t - 1, b, units) + k];
          }
        gate.bias[u] += static_cast<float>(bias);
        gate.recurrent_bias[u] += static_cast<float>(bias);
        for (std::size_t k = 0; k < inputs; ++k) gate.kernel[u * inputs + k] += static_cast<float>(kernel[k]);
        for (std::size_t k = 0; k < units; ++k) gate.recurrent[u * units + k] += static_cast<float>(recurrent[k]);
      }
    }
  }

  RnnConfig config_;
  std::array<std::size_t, 4> recurrent_biases_{};  ///< of each gate, in floats from the weight space's start
};

/// The widest layer that the algorithm has; cuDNN's persist_static_small_h ends there in training.
constexpr std::size_t widest_small_layer = 128;

}  // namespace

std::unique_ptr<Rnn> make_rnn(const RnnConfig& config, Queue&) {
  const bool has_it = config.algorithm == RnnAlgorithm::standard ||
                      (config.algorithm == RnnAlgorithm::persist_static_small_h && config.units <= widest_small_layer);
  if (!has_it) throw RnnRefused(config, "the host twin has not got it: NOT_SUPPORTED");
  return std::make_unique<HostRnn>(config);
}

}  // namespace genretree::cuda
