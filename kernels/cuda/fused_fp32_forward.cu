// The fused LSTM in single precision, forward: a block of threads takes 8 rows of a run through all frames of a layer.
//
// v_t = [x_t ; h_{t-1}] lies in shared memory, [K][8], twice: while a step reads one, what the next one needs is
// written to the other, so that a step has one barrier. The cells' states never leave the registers, and weights lie
// as near as there is room (BlockPlan).
//
// The threads of a unit are neighbours. Even ones sum gates i and f of all 8 rows, odd ones c and o; with few units, S
// such pairs split the sum over k. Then they fold their parts and exchange gates by shuffles, so that each has all
// four gates of 4 / S rows, and makes those cells. Thread n thereby has numbers n · 4 / S and the following of any
// array [H][8], so what it writes is coalesced without further ado.
//
// With dropout each gate has its own v, made as numbers enter the shared memory: [K][4][8].
#include "kernels/cuda/fused_fp32_product.hpp"
#include "kernels/cuda/hard_slope.hpp"

namespace genretree::cuda::fused_fp32 {
namespace {

constexpr int prefetched = 2;  ///< pieces of x that a thread fetches while a step computes; others come at its end

struct Forward {
  LayerShape shape;
  RunRows rows;
  ForwardArguments of;
  int weight_rows, shared_rows;
  float hard_slope;
};

/// By the special function unit. fast_exp's error of (2 + 1.17 |z|) ulp becomes, through the slope σ (1 - σ), at most
/// 1e-7 in a gate; where fast_divide says 0, σ(z) is less than 2e-38.
struct Sigmoid {
  __device__ float operator()(float z) const { return fast_divide(1, 1 + fast_exp(-z)); }
};

struct HardSigmoid {
  float slope;
  __device__ float operator()(float z) const { return fminf(fmaxf(multiply_add(z, slope, 0.5f), 0.0f), 1.0f); }
};

/// A step of a thread's cells.
template <int cells>
struct CellStep {
  Rows<cells> saved[saved_numbers], h;

  /// sums: of i, f, c, o. c: the cells' states, from those of the frame before to those of this one.
  template <class Activation>
  __device__ CellStep(const Rows<cells> (&sums)[4], Rows<cells>& c, Activation activate) {
    for (int cell = 0; cell < cells; ++cell) {
      const float i = activate(sums[0].at[cell]), f = activate(sums[1].at[cell]);
      const float g = std::tanh(sums[2].at[cell]), o = activate(sums[3].at[cell]);
      c.at[cell] = multiply_add(f, c.at[cell], i * g);
      h.at[cell] = o * std::tanh(c.at[cell]);
      saved[0].at[cell] = i, saved[1].at[cell] = f, saved[2].at[cell] = g, saved[3].at[cell] = o;
    }
    saved[4] = c;
  }
};

/// One of the two buffers of v, [k][versions][8].
template <bool dropout>
struct StepInputs {
  static constexpr unsigned versions = dropout ? 4 : 1;
  float* v;
  const float* masks;  ///< [K][4][8] of the block; dropout only

  /// v of `count` rows, from place `place` of [K][8] on.
  template <int count>
  __device__ void write(unsigned place, const Rows<count>& values) const {
    const unsigned k = place / block_rows, row = place % block_rows;
    for (unsigned version = 0; version < versions; ++version) {
      const unsigned to = (k * versions + version) * block_rows + row;
      Rows<count> masked = values;
      if constexpr (dropout) {
        const Rows<count> mask = load_rows<count>(masks + to);
        for (int i = 0; i < count; ++i) masked.at[i] *= mask.at[i];
      }
      store_rows(v + to, masked);
    }
  }
};

/// A thread's pieces of x, four rows of an input each. What `fetch` asks for while a step computes, `write` puts into
/// the next step's v.
template <bool dropout>
struct InputPieces {
  const float* x;   ///< [T][I][8] of the block
  unsigned pieces;  ///< of a frame
  Rows<4> fetched[prefetched] = {};

  __device__ Rows<4> at(unsigned t, unsigned piece) const {
    return load_rows<4>(x + (std::size_t{t} * pieces + piece) * 4);
  }
  __device__ void fetch(unsigned t) {
    unrolled<prefetched>([&](int i) {
      const unsigned piece = threadIdx.x + i * blockDim.x;
      if (piece < pieces) fetched[i] = at(t, piece);
    });
  }
  __device__ void write(unsigned t, const StepInputs<dropout>& to) const {
    unrolled<prefetched>([&](int i) {
      const unsigned piece = threadIdx.x + i * blockDim.x;
      if (piece < pieces) to.write(4 * piece, fetched[i]);
    });
    for (unsigned piece = threadIdx.x + prefetched * blockDim.x; piece < pieces; piece += blockDim.x)
      to.write(4 * piece, at(t, piece));
  }
};

/// The sums of the gates' inputs of a thread's cells, i, f, c, o, out of those of two gates and 8 rows.
template <int splits>
struct CellGates {
  static constexpr int cells = 4 / splits;
  Rows<cells> of[4];

  __device__ explicit CellGates(float (&sums)[2][8]) {
    // splits: half of the rows stay each time
    for (int kept = 4, distance = splits; distance > 1; kept /= 2, distance /= 2)
      for (int gate = 0; gate < 2; ++gate)
        for (int row = 0; row < kept; ++row) sums[gate][row] = fold(sums[gate][row], sums[gate][row + kept], distance);
    // neighbours: the even one has the lower rows, of which it lacks c and o
    const bool odd = threadIdx.x % 2;
    for (int gate = 0; gate < 2; ++gate)
      for (int row = 0; row < cells; ++row) {
        const float lower = sums[gate][row], upper = sums[gate][row + cells];
        const float received = __shfl_xor_sync(0xffffffff, odd ? lower : upper, 1);
        of[gate].at[row] = odd ? received : lower;
        of[gate + 2].at[row] = odd ? upper : received;
      }
  }
};

/// Where a thread's cells are.
struct CellPlace {
  unsigned run, block, unit, first_row;  ///< the row in the batch
  unsigned at;                           ///< in [H][8]
};

/// Writes what is wanted of a step.
template <int cells>
__device__ inline void write_results(const Forward& arguments, const CellPlace& place, unsigned t,
                                     const CellStep<cells>& step) {
  const ForwardArguments& of = arguments.of;
  const LayerShape& shape = arguments.shape;
  const std::size_t width = shape.units * block_rows, frame = std::size_t{place.block} * shape.frames + t;
  if (of.h.data) store_rows(of.h.of(place.run) + frame * width + place.at, step.h);
  if (of.saved.data)
    for (unsigned n = 0; n < saved_numbers; ++n)
      store_rows(of.saved.of(place.run) + (frame * saved_numbers + n) * width + place.at, step.saved[n]);
  if (of.last_h.data && t + 1 == shape.frames)
    for (unsigned cell = 0; cell < cells; ++cell)
      if (place.first_row + cell < arguments.rows.rows[place.run])
        of.last_h.of(place.run)[(place.first_row + cell) * shape.units + place.unit] = step.h.at[cell];
}

/// Threads: 2 · splits of each unit.
template <int splits, int register_rows, bool dropout>
__global__ void __launch_bounds__(forward_threads(register_rows, dropout), 1) forward_kernel(Forward arguments) {
  const LayerShape& shape = arguments.shape;
  const ForwardArguments& of = arguments.of;
  const unsigned block = blockIdx.x, run = blockIdx.y, counted = arguments.rows.rows[run];
  if (block * block_rows >= counted) return;
  constexpr unsigned cells = 4 / splits, number = StepInputs<dropout>::versions * block_rows;
  const unsigned inputs = shape.inputs, units = shape.units, frames = shape.frames, thread = threadIdx.x;
  const unsigned unit = thread / (2 * splits), split = thread / 2 % splits, first_gate = thread % 2 * 2;
  const CellPlace place{run, block, unit, block * block_rows + thread * cells % block_rows, thread * cells};

  const unsigned buffer_size = static_cast<unsigned>(arguments.weight_rows) * splits * number;
  float* const buffers = &dynamic_shared<float>();
  const ThreadWeights<register_rows> weights(of.weights.of(run), reinterpret_cast<float2*>(buffers + 2 * buffer_size),
                                             arguments.shared_rows);
  const float* masks = dropout ? of.masks.of(run) + std::size_t{block} * (inputs + units) * number : nullptr;
  const auto step_inputs = [&](unsigned t) { return StepInputs<dropout>{buffers + t % 2 * buffer_size, masks}; };
  InputPieces<dropout> x{of.x.of(run) + std::size_t{block} * frames * inputs * block_rows, inputs * block_rows / 4};
  float bias[2];  // with which the first split's sums begin
  for (unsigned gate = 0; gate < 2; ++gate)
    bias[gate] = split == 0 ? of.bias.of(run)[(first_gate + gate) * units + unit] : 0;

  for (unsigned i = thread; i < 2 * buffer_size; i += blockDim.x) buffers[i] = 0;
  __syncthreads();
  x.fetch(0);
  x.write(0, step_inputs(0));

  Rows<cells> c{};
  for (unsigned t = 0; t < frames; ++t) {
    __syncthreads();
    if (t + 1 < frames) x.fetch(t + 1);

    float sums[2][8];
    for (int gate = 0; gate < 2; ++gate)
      for (int row = 0; row < 8; ++row) sums[gate][row] = bias[gate];
    const float* v = step_inputs(t).v + split * number + (dropout ? first_gate * block_rows : 0);
    weights.template multiply<dropout, splits * number>(sums, 0, arguments.weight_rows, v);
    const CellGates<splits> gates(sums);

    CellStep<cells> step = arguments.hard_slope > 0 ? CellStep<cells>(gates.of, c, HardSigmoid{arguments.hard_slope})
                                                    : CellStep<cells>(gates.of, c, Sigmoid{});
    for (unsigned cell = 0; cell < cells; ++cell)
      if (place.first_row + cell >= counted) step.h.at[cell] = 0;
    write_results(arguments, place, t, step);
    if (t + 1 < frames) {
      step_inputs(t + 1).write(inputs * block_rows + place.at, step.h);
      x.write(t + 1, step_inputs(t + 1));
    }
  }
}

template <int splits, bool dropout>
auto kernel_with(unsigned register_rows) {
  constexpr auto rows = forward_register_rows(dropout);
  return register_rows == rows[0]   ? forward_kernel<splits, rows[0], dropout>
         : register_rows == rows[1] ? forward_kernel<splits, rows[1], dropout>
                                    : forward_kernel<splits, rows[2], dropout>;
}

}  // namespace

void forward(const LayerShape& shape, const BlockPlan& plan, const RunRows& rows, const ForwardArguments& arguments,
             Stream stream) {
  const bool dropout = arguments.masks.data != nullptr;
  const auto kernel = plan.lanes == 2 ? (dropout ? kernel_with<1, true> : kernel_with<1, false>)(plan.register_rows)
                                      : (dropout ? kernel_with<4, true> : kernel_with<4, false>)(plan.register_rows);
  launch(kernel, dim3(shape.blocks(), shape.runs), plan.threads, plan.shared_bytes(), stream,
         Forward{shape, rows, arguments, static_cast<int>(plan.weight_rows), static_cast<int>(plan.shared_rows),
                 hard_slope(shape.gate)});
}

}  // namespace genretree::cuda::fused_fp32
