// The fused LSTM backward in bf16, the mirror of fused_bf16_forward.cu: a block of threads takes eight rows of a run back
// through all frames, a warp 16 units, a lane the same cells as forward, so that it reads what it has saved.
//
// In each frame a lane makes the gradients dz of its cells' four gates of dh and dc, which it holds in its registers,
// and puts them into shared memory as bf16 [4H][8 rows]. After the barrier the warp multiplies its units' recurrent
// weights with them: a sum for each gate, because each has a dropout mask of its own, and because four sums wait less
// for each other than one. They are the dh of the frame before. Two buffers take turns, as forward.
//
// What the frame before has saved is fetched while this one is computed. Sums of dz over the frames, the gradient of the
// bias, stay in registers.
#include <algorithm>
#include <iterator>

#include "kernels/cuda/assembly.hpp"
#include "kernels/cuda/fused_bf16.hpp"
#include "kernels/cuda/fused_gates.hpp"

namespace genretree::cuda::fused_bf16 {
namespace {

struct Arguments {
  Layer layer;
  const uint4* weights;
  Masks masks;
  Saved saved;
  const float* dh_last;
  const float4* dh;
  std::uint32_t* dz;
  float* dbias;
  unsigned shared_steps;  ///< steps along k whose weights lie in shared memory, if not in registers
};

/// What the forward pass has saved of a lane's four cells in a frame: pairs of each unit's two rows.
struct Frame {
  uint4 gates[2];      ///< i, f, c, o of units u and u + 8
  uint2 cells_before;  ///< states that the frame began with
  float4 dh;           ///< from the layer above
};

/// The derivative of a gate's function where it has this value.
__device__ inline float slope(float gate, float hard_slope) {
  if (hard_slope > 0) return gate > 0 && gate < 1 ? hard_slope : 0.0f;
  return gate * (1 - gate);
}

/// Number r of a pair.
__device__ inline float number_of(std::uint32_t pair, int r) { return r == 0 ? low_of(pair) : high_of(pair); }

/// Steps of k of one gate in registers, H/16, or 0: weights of any number in memory.
template <int gate_steps>
__global__ void __launch_bounds__(gate_steps > 0 ? 32 * gate_steps : 512, 1) backward_kernel(Arguments of) {
  const Layer& layer = of.layer;
  const unsigned run = blockIdx.y, block = blockIdx.x;
  if (block * block_rows >= layer.runs.rows[run]) return;
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, group = lane / 4, member = lane % 4;
  const unsigned H = gate_steps > 0 ? gate_steps * tile : layer.units, T = layer.frames, warps = H / tile;
  const std::size_t part = std::size_t{run} * gridDim.x + block;  // of this block in sequences

  // two buffers of dz, [4H][8 rows] in pairs, then weights
  std::uint32_t* const shared = &dynamic_shared<std::uint32_t>();
  const unsigned buffer_size = gates * H * 4;
  uint4* const shared_weights = reinterpret_cast<uint4*>(shared + 2 * buffer_size);

  const unsigned step_size = warps * 32;  // weights of a step along k, in uint4
  const uint4* const weights = of.weights + (std::size_t{run} * gates * warps * step_size + warp * 32 + lane);
  uint4 kept[gate_steps > 0 ? gates * gate_steps : 1];
  if constexpr (gate_steps > 0) {
#pragma unroll
    for (int k = 0; k < static_cast<int>(gates) * gate_steps; ++k) kept[k] = weights[k * step_size];
  } else {
    for (unsigned k = 0; k < of.shared_steps; ++k)
      shared_weights[k * step_size + warp * 32 + lane] = weights[k * step_size];
  }

  const unsigned unit[2] = {warp * tile + group, warp * tile + group + 8};
  const unsigned first_row = block * block_rows + 2 * member;
  float dh[4] = {}, dc[4] = {};  // [2·(unit half) + row]
  if (of.dh_last) {
#pragma unroll
    for (unsigned e = 0; e < 4; ++e)
      if (const unsigned row = first_row + e % 2; row < layer.runs.rows[run])
        dh[e] = of.dh_last[(std::size_t{run} * layer.batch + row) * H + unit[e / 2]];
  }
  const auto cells_of = [&](unsigned t) { return of.saved.cells[((part * T + t) * warps + warp) * 32 + lane]; };
  const auto fetch = [&](unsigned t) {
    Frame frame{};  // before the first frame all states are 0
    const std::size_t place = (part * T + t) * warps + warp;
    frame.gates[0] = of.saved.gates[place * 64 + lane];
    frame.gates[1] = of.saved.gates[place * 64 + 32 + lane];
    if (t > 0) frame.cells_before = cells_of(t - 1);
    if (of.dh) frame.dh = of.dh[place * 32 + lane];
    return frame;
  };

  float dbias[gates][2] = {};
  uint2 cells = cells_of(T - 1);
  Frame frame = fetch(T - 1);
  for (unsigned t = T; t-- > 0;) {
    Frame before{};
    if (t > 0) before = fetch(t - 1);
    std::uint32_t* const now = shared + (t % 2) * buffer_size;
    const float from_above[4] = {frame.dh.x, frame.dh.y, frame.dh.z, frame.dh.w};
#pragma unroll
    for (unsigned half = 0; half < 2; ++half) {
      const uint4 saved = frame.gates[half];
      float dz[gates][2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const unsigned e = 2 * half + r;
        const float i = gate_of_pair(saved.x, r), f = gate_of_pair(saved.y, r), c = gate_of_pair(saved.z, r),
                    o = gate_of_pair(saved.w, r), state = number_of(half == 0 ? cells.x : cells.y, r),
                    state_before = number_of(half == 0 ? frame.cells_before.x : frame.cells_before.y, r);
        const float dh_now = dh[e] + from_above[e], out = fast_tanh(state);
        const float dstate = dc[e] + dh_now * o * (1 - out * out);
        dz[0][r] = dstate * c * slope(i, layer.hard_slope);
        dz[1][r] = dstate * state_before * slope(f, layer.hard_slope);
        dz[2][r] = dstate * i * (1 - c * c);
        dz[3][r] = dh_now * out * slope(o, layer.hard_slope);
        dc[e] = dstate * f;
      }
#pragma unroll
      for (unsigned q = 0; q < gates; ++q) {
        dbias[q][half] += dz[q][0] + dz[q][1];
        const unsigned pair = (q * H + unit[half]) * 4 + member;
        const std::uint32_t rounded = bf16_pair(dz[q][0], dz[q][1]);
        now[pair] = rounded;
        of.dz[(part * T + t) * gates * H * 4 + pair] = rounded;
      }
    }
    cells = frame.cells_before;
    frame = before;
    __syncthreads();
    if (t == 0) break;

    float sums[gates][4] = {};
    const auto multiply = [&](unsigned q, unsigned k, const uint4& a) {
      std::uint32_t b[2];
      load_transposed(b, now + (k * tile + lane % tile) * 4);
      mma_bf16(sums[q], {a.x, a.y, a.z, a.w}, b);
    };
    if constexpr (gate_steps > 0) {
#pragma unroll
      for (int k = 0; k < gate_steps; ++k)
#pragma unroll
        for (unsigned q = 0; q < gates; ++q) multiply(q, q * gate_steps + k, kept[q * gate_steps + k]);
    } else {
#pragma unroll
      for (unsigned q = 0; q < gates; ++q)
#pragma unroll 1
        for (unsigned k = q * warps; k < (q + 1) * warps; ++k)
          multiply(q, k,
                   k < of.shared_steps ? shared_weights[k * step_size + warp * 32 + lane] : weights[k * step_size]);
    }
#pragma unroll
    for (unsigned e = 0; e < 4; ++e) {
      const unsigned row = first_row + e % 2;
      float sum = 0;
#pragma unroll
      for (unsigned q = 0; q < gates; ++q) {
        float mask = 1;
        if (of.masks.recurrent && row < layer.batch)
          mask = of.masks.recurrent[run * of.masks.stride + (q * layer.batch + row) * std::size_t{H} + unit[e / 2]];
        sum = fmaf(sums[q][e], mask, sum);
      }
      dh[e] = sum;
    }
  }

  // a lane has the sums of two rows: those of its group's four lanes make all eight
#pragma unroll
  for (unsigned q = 0; q < gates; ++q)
#pragma unroll
    for (unsigned half = 0; half < 2; ++half) {
      float sum = dbias[q][half];
      sum += __shfl_xor_sync(0xffffffff, sum, 1);
      sum += __shfl_xor_sync(0xffffffff, sum, 2);
      if (member == 0) of.dbias[part * gates * H + q * H + unit[half]] = sum;
    }
}

using Kernel = void (*)(Arguments);
struct Instance {
  unsigned units;  ///< 0: any
  Kernel kernel;
};
const Instance instances[] = {{16, backward_kernel<1>},
                              {32, backward_kernel<2>},
                              {64, backward_kernel<4>},
                              {128, backward_kernel<8>},
                              {0, backward_kernel<0>}};

}  // namespace

void backward(const Layer& layer, unsigned runs, const uint4* weights, const Masks& masks, const Saved& saved,
              const float* dh_last, const float4* dh, std::uint32_t* dz, float* dbias, Stream stream) {
  const auto fits = [&](const Instance& one) { return one.units == 0 || one.units == layer.units; };
  const Instance& instance = *std::find_if(std::begin(instances), std::end(instances), fits);
  Arguments arguments{layer, weights, masks, saved, dh_last, dh, dz, dbias, 0};
  const unsigned warps = layer.units / tile, k_steps = gates * warps;
  std::size_t shared = 2 * std::size_t{gates} * layer.units * block_rows * sizeof(bf16);
  if (instance.units == 0) {
    const std::size_t step_bytes = std::size_t{warps} * 32 * sizeof(uint4);
    arguments.shared_steps =
        static_cast<unsigned>(std::min<std::size_t>(k_steps, (layer.shared_bytes - shared) / step_bytes));
    shared += arguments.shared_steps * step_bytes;
  }
  launch(instance.kernel, dim3(layer.blocks(), runs), warps * 32, shared, stream, arguments);
}

}  // namespace genretree::cuda::fused_bf16
