// The fused LSTM in single precision, backward through time: the mirror image of the forward kernel.
//
// A block of threads takes 8 rows of a run from the last frame to the first. In each it makes dz_t, the gradients of
// the gates' sums, from what the forward pass saved and from dh_t and dc_t, which stay in registers; dz_t lies in
// shared memory, [4][H + 1][8] (the row more keeps the gates' banks apart), twice, so that a step has one barrier.
// Then dh_{t-1} = U dz_t and dx_t = W dz_t. What the next step reads of the saved numbers is fetched before that.
//
// Outputs of the products come in sets of H: h, then the inputs by H. A group of 2 H threads computes a set; with few
// units, several groups compute several sets side by side. In a group four neighbours share two outputs, one for the
// columns of each gate, and fold their sums by shuffles; so dropout's masks, which differ from gate to gate, come in
// before the folding. Then thread n has numbers 4 n to 4 n + 3 of the set [H][8], in the first group dh of the very
// cells that it has the saved numbers of.
#include "kernels/cuda/fused_fp32_product.hpp"
#include "kernels/cuda/hard_slope.hpp"

namespace genretree::cuda::fused_fp32 {
namespace {

struct Backward {
  LayerShape shape;
  RunRows rows;
  BackwardArguments of;
  int weight_rows, shared_rows;
  unsigned groups;
  float hard_slope;
};

using Cells = Rows<4>;  // of one unit: what a thread of the first group owns

/// dσ/dz where σ(z) = `activated`; a clipped gate has none.
__device__ inline float activation_slope(float activated, float hard_slope) {
  if (hard_slope > 0) return activated <= 0 || activated >= 1 ? 0 : hard_slope;
  return activated * (1 - activated);
}

/// What a step needs of the thread's cells from memory. The cell of the frame before is the next step's.
struct StepNumbers {
  Cells gates[4] = {}, previous_cell = {}, dh = {};

  /// saved: the thread's place in frame t; above: in dh of that frame, or null.
  __device__ void fetch(const float* saved, const float* above, unsigned t, std::size_t width) {
    for (unsigned gate = 0; gate < 4; ++gate) gates[gate] = load_rows<4>(saved + gate * width);
    previous_cell = t > 0 ? load_rows<4>(saved - width) : Cells{};  // the fifth of the frame before
    if (above) dh = load_rows<4>(above);
  }
};

/// dz_t of the thread's cells, i, f, c, o. dh: of h_t; dc: from what comes of later frames to that of the frame before.
struct CellGradients {
  Cells of[4];

  __device__ CellGradients(const StepNumbers& step, const Cells& cell, const Cells& dh, Cells& dc, float hard_slope) {
    for (unsigned row = 0; row < 4; ++row) {
      const float i = step.gates[0].at[row], f = step.gates[1].at[row], g = step.gates[2].at[row],
                  o = step.gates[3].at[row], tanh_c = std::tanh(cell.at[row]);
      const float dh_t = dh.at[row] + step.dh.at[row];
      const float dc_t = dc.at[row] + dh_t * o * (1 - tanh_c * tanh_c);
      of[0].at[row] = dc_t * g * activation_slope(i, hard_slope);
      of[1].at[row] = dc_t * step.previous_cell.at[row] * activation_slope(f, hard_slope);
      of[2].at[row] = dc_t * i * (1 - g * g);
      of[3].at[row] = dh_t * tanh_c * activation_slope(o, hard_slope);
      dc.at[row] = dc_t * f;
    }
  }
};

/// From a thread's sums of two outputs and 8 rows over one gate's columns to four rows of one output over all.
__device__ inline Cells fold_gates(const float (&sums)[2][8]) {
  float rows[8];
  for (unsigned row = 0; row < 8; ++row) rows[row] = fold(sums[0][row], sums[1][row], 2);
  Cells folded;
  for (unsigned row = 0; row < 4; ++row) folded.at[row] = fold(rows[row], rows[row + 4], 1);
  return folded;
}

/// Threads: `groups` times 2 of each unit.
template <int register_rows, bool dropout>
__global__ void __launch_bounds__(backward_threads(register_rows), 1) backward_kernel(Backward arguments) {
  const LayerShape& shape = arguments.shape;
  const BackwardArguments& of = arguments.of;
  const unsigned block = blockIdx.x, run = blockIdx.y, counted = arguments.rows.rows[run];
  if (block * block_rows >= counted) return;
  const unsigned inputs = shape.inputs, units = shape.units, frames = shape.frames;
  const unsigned group = threadIdx.x / (2 * units), thread = threadIdx.x % (2 * units), gate = thread % 4;
  const bool has_cells = group == 0;
  const std::size_t width = units * block_rows, steps = std::size_t{block} * frames;

  // what is the block's of each array, from the thread's place on
  const unsigned place = 4 * thread, unit = thread / 2, first_row = block * block_rows + place % block_rows;
  const float* const saved = of.saved.of(run) + steps * saved_numbers * width + place;
  const float* const above = of.dh.data ? of.dh.of(run) + steps * width + place : nullptr;
  float* const dz = of.dz.of(run) + steps * 4 * width + place;
  const float* masks = nullptr;  // of the thread's gate and row 0, [K][4][8]
  if constexpr (dropout)
    masks = of.masks.of(run) + std::size_t{block} * (inputs + units) * 4 * block_rows + gate * block_rows;

  const unsigned gate_size = (units + 1) * block_rows;
  float* const buffers = &dynamic_shared<float>();
  const ThreadWeights<register_rows> weights(of.weights.of(run), reinterpret_cast<float2*>(buffers + 8 * gate_size),
                                             arguments.shared_rows);

  Cells dh{}, dc{}, cell{};
  StepNumbers now;
  float bias_gradients[4] = {};
  if (has_cells) {
    const unsigned last = frames - 1;
    const float* const saved_last = saved + last * saved_numbers * width;
    cell = load_rows<4>(saved_last + 4 * width);
    now.fetch(saved_last, above ? above + last * width : nullptr, last, width);
    if (of.dlast.data)
      for (unsigned row = 0; row < 4; ++row)
        if (first_row + row < counted) dh.at[row] = of.dlast.of(run)[(first_row + row) * units + unit];
  }

  for (unsigned t = frames; t-- > 0;) {
    float* const shared_dz = buffers + t % 2 * 4 * gate_size;
    if (has_cells) {
      const CellGradients gradients(now, cell, dh, dc, arguments.hard_slope);
      cell = now.previous_cell;
      for (unsigned q = 0; q < 4; ++q) {
        store_rows(shared_dz + q * gate_size + place, gradients.of[q]);
        store_rows(dz + (std::size_t{t} * 4 + q) * width, gradients.of[q]);
        const Cells& rows = gradients.of[q];
        bias_gradients[q] += (rows.at[0] + rows.at[1]) + (rows.at[2] + rows.at[3]);
      }
    }
    __syncthreads();
    if (has_cells && t > 0)
      now.fetch(saved + (t - 1) * saved_numbers * width, above ? above + (t - 1) * width : nullptr, t - 1, width);

    for (int first = 0; first < arguments.weight_rows; first += static_cast<int>(units)) {
      const unsigned set = static_cast<unsigned>(first) / units * arguments.groups + group;
      float sums[2][8] = {};
      weights.template multiply<false, block_rows>(sums, first, first + static_cast<int>(units),
                                                   shared_dz + gate * gate_size);
      // of the inputs' sets the last may be wider than what is left of them
      const unsigned first_output = thread / 4 * 2, input = (set - 1) * units;
      const unsigned left = set == 0 ? units : input < inputs ? inputs - input : 0;
      const unsigned k = (set == 0 ? inputs : input) + first_output;
      if constexpr (dropout) {
        for (unsigned output = 0; output < 2; ++output)
          for (unsigned row = 0; row < 8; ++row)
            sums[output][row] *= first_output + output < left ? masks[(k + output) * 4 * block_rows + row] : 0;
      }
      const Cells folded = fold_gates(sums);
      if (set == 0)
        dh = folded;
      else if (unit < left)
        store_rows(of.dx.of(run) + (steps + t) * inputs * block_rows + input * block_rows + place, folded);
    }
  }

  for (unsigned q = 0; q < 4; ++q) {
    const float both_halves = bias_gradients[q] + __shfl_xor_sync(0xffffffff, bias_gradients[q], 1);
    if (has_cells && thread % 2 == 0) of.dbias.of(run)[(std::size_t{block} * 4 + q) * units + unit] = both_halves;
  }
}

template <bool dropout>
auto kernel_with(unsigned register_rows) {
  constexpr auto rows = backward_register_rows;
  return register_rows == rows[0]   ? backward_kernel<rows[0], dropout>
         : register_rows == rows[1] ? backward_kernel<rows[1], dropout>
                                    : backward_kernel<rows[2], dropout>;
}

}  // namespace

void backward(const LayerShape& shape, const BlockPlan& plan, const RunRows& rows, const BackwardArguments& arguments,
              Stream stream) {
  const auto kernel = (arguments.masks.data ? kernel_with<true> : kernel_with<false>)(plan.register_rows);
  launch(kernel, dim3(shape.blocks(), shape.runs), plan.threads, plan.shared_bytes(), stream,
         Backward{shape, rows, arguments, static_cast<int>(plan.weight_rows), static_cast<int>(plan.shared_rows),
                  plan.groups, hard_slope(shape.gate)});
}

}  // namespace genretree::cuda::fused_fp32
