// The fused LSTM forward in bf16: a block of threads takes eight rows of a run through all frames, while the weights stay
// where they are nearest.
//
// A warp computes 16 units. In each frame it multiplies their weights with v = [x_t; h_{t-1}], which lies in shared
// memory as bf16 [I + H][8 rows], by one tile of 16 × 8 for each gate. A lane then holds i, f, c and o of two units in
// two rows: it makes the cells' new states in its registers, where they stay for all frames in single precision, and
// writes h to the other of two buffers, for the next frame. So one barrier a frame is enough: who writes a buffer has
// passed the barrier after which the others have done with it.
//
// The weights of all steps along k are kept in registers if the shape has an instance for it (16 registers a step);
// else as many steps as fit lie in shared memory and the rest is read from the second-level cache in each frame. The
// order of the sums is the same.
//
// A wide input is multiplied for all frames beforehand, at the rate of a large product, and its tiles are what the sums
// begin with (`projected`); a narrow one joins the recurrent product. What the next frame needs of the input is fetched
// while this one is computed. With dropout each gate has a v of its own, masked in its own way.
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
  std::size_t weights_stride;
  const float* bias;  ///< [4H] of run 0
  std::size_t bias_stride;
  const std::uint32_t* inputs;
  const float4* projected;
  Masks masks;
  std::uint32_t* h;
  Outputs outputs;
  Saved saved;
  unsigned shared_steps;  ///< steps along k whose weights lie in shared memory, if not in registers
};

/// tanh by one instruction, and the sigmoid by it.
__device__ inline float gate_of(float z, float hard_slope) {
  if (hard_slope > 0) return fminf(fmaxf(hard_slope * z + 0.5f, 0.0f), 1.0f);
  return 0.5f * fast_tanh(0.5f * z) + 0.5f;
}

/// The recurrent masks of a lane's cells, [gate][2·(unit half) + row].
struct CellMasks {
  float of[gates][4];
};

/// Eight rows of input k of the block's run as gate q gets them with dropout.
__device__ inline uint4 masked_input(const Arguments& of, unsigned q, unsigned k, uint4 rows) {
  const Layer& layer = of.layer;
  const float* const masks = of.masks.input + blockIdx.y * of.masks.stride + k;  // [4, B, F] from [0, 0, k] on
  const auto mask = [&](unsigned r) {
    const unsigned row = blockIdx.x * block_rows + r;
    return k < layer.features && row < layer.batch ? masks[(q * layer.batch + row) * std::size_t{layer.features}] : 0;
  };
  const auto pair = [&](std::uint32_t numbers, unsigned r) {
    return bf16_pair(low_of(numbers) * mask(r), high_of(numbers) * mask(r + 1));
  };
  return make_uint4(pair(rows.x, 0), pair(rows.y, 2), pair(rows.z, 4), pair(rows.w, 6));
}

/// Writes what the backward pass needs of a lane's four cells. `place`: of the warp, in the frames before it.
__device__ inline void keep_frame(const Saved& saved, std::size_t place, unsigned lane,
                                  const float (&activated)[gates][4], const float (&cell)[4]) {
#pragma unroll
  for (unsigned half = 0; half < 2; ++half) {
    const auto pair = [&](unsigned q) { return kept_gates(activated[q][2 * half], activated[q][2 * half + 1]); };
    saved.gates[place * 64 + half * 32 + lane] = make_uint4(pair(0), pair(1), pair(2), pair(3));
  }
  saved.cells[place * 32 + lane] = make_uint2(bf16_pair(cell[0], cell[1]), bf16_pair(cell[2], cell[3]));
}

/// Steps of k in registers, all of them, or 0: in memory. `masked`: with dropout, each gate multiplies its own v.
template <int steps, bool projects, bool masked>
__global__ void __launch_bounds__(steps > 0 ? 256 : 512, 1) forward_kernel(Arguments of) {
  const Layer& layer = of.layer;
  const unsigned run = blockIdx.y, block = blockIdx.x;
  if (block * block_rows >= layer.runs.rows[run]) return;
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, group = lane / 4, member = lane % 4;
  const unsigned H = layer.units, T = layer.frames, warps = H / tile;
  const unsigned I = projects ? 0 : layer.inputs, K = I + H, k_steps = K / tile;
  const std::size_t part = std::size_t{run} * gridDim.x + block;  // of this block in sequences and tiles
  constexpr unsigned versions = masked ? gates : 1;

  // two buffers of v, [version][K][8 rows] in pairs, then weights
  std::uint32_t* const shared = &dynamic_shared<std::uint32_t>();
  const unsigned version_size = K * 4, buffer_size = versions * version_size;
  uint4* const shared_weights = reinterpret_cast<uint4*>(shared + 2 * buffer_size);

  const std::size_t step_size = std::size_t{warps} * gates * 32;
  const uint4* const weights = of.weights + run * of.weights_stride + (warp * gates * 32 + lane);
  uint4 kept[steps > 0 ? steps : 1][gates];
  if constexpr (steps > 0) {
#pragma unroll
    for (int k = 0; k < steps; ++k)
#pragma unroll
      for (unsigned q = 0; q < gates; ++q) kept[k][q] = weights[k * step_size + q * 32];
  } else {
    for (unsigned k = 0; k < of.shared_steps; ++k)
      for (unsigned q = 0; q < gates; ++q)
        shared_weights[k * step_size + (warp * gates + q) * 32 + lane] = weights[k * step_size + q * 32];
  }

  float bias[gates][2];
  CellMasks masks;
#pragma unroll
  for (unsigned q = 0; q < gates; ++q)
#pragma unroll
    for (unsigned half = 0; half < 2; ++half) {
      const unsigned unit = warp * tile + group + 8 * half;
      bias[q][half] = of.bias[run * of.bias_stride + q * H + unit];
      if constexpr (masked)
        for (unsigned r = 0; r < 2; ++r) {
          const unsigned row = block * block_rows + 2 * member + r;
          masks.of[q][2 * half + r] =
              row < layer.batch
                  ? of.masks.recurrent[run * of.masks.stride + (q * layer.batch + row) * std::size_t{H} + unit]
                  : 0;
        }
    }

  // a row of v is 16 bytes, which thread k < I copies for each frame; beyond blockDim in turns
  const uint4* const inputs = projects ? nullptr : reinterpret_cast<const uint4*>(of.inputs) + part * T * I;
  const float4* const products = projects ? of.projected + part * T * step_size + (warp * gates * 32 + lane) : nullptr;
  const auto put_input = [&](std::uint32_t* buffer, unsigned k, uint4 rows) {
#pragma unroll 1  // else all masks are kept in registers, which spill
    for (unsigned version = 0; version < versions; ++version)
      reinterpret_cast<uint4*>(buffer + version * version_size)[k] = masked ? masked_input(of, version, k, rows) : rows;
  };
  for (unsigned i = threadIdx.x; i < H * 4; i += blockDim.x)
    for (unsigned version = 0; version < versions; ++version) shared[version * version_size + I * 4 + i] = 0;
  float4 begin[gates];  // what the sums of the next frame begin with
  if constexpr (projects) {
#pragma unroll
    for (unsigned q = 0; q < gates; ++q) begin[q] = products[q * 32];
  } else {
    for (unsigned k = threadIdx.x; k < I; k += blockDim.x) put_input(shared, k, inputs[k]);
  }

  float cell[4] = {};  // [2·(unit half) + row]
  float h[4] = {};
  for (unsigned t = 0; t < T; ++t) {
    __syncthreads();
    const std::uint32_t* const now = shared + (t % 2) * buffer_size;
    std::uint32_t* const next = shared + ((t + 1) % 2) * buffer_size;
    const bool goes_on = t + 1 < T;
    uint4 fetched{};
    if constexpr (!projects)
      if (goes_on && threadIdx.x < I) fetched = inputs[(t + 1) * std::size_t{I} + threadIdx.x];

    float sums[gates][4];
#pragma unroll
    for (unsigned q = 0; q < gates; ++q) {
      if constexpr (projects) {
        sums[q][0] = begin[q].x + bias[q][0], sums[q][1] = begin[q].y + bias[q][0];
        sums[q][2] = begin[q].z + bias[q][1], sums[q][3] = begin[q].w + bias[q][1];
        if (goes_on) begin[q] = products[(t + 1) * step_size + q * 32];
      } else {
        sums[q][0] = sums[q][1] = bias[q][0];
        sums[q][2] = sums[q][3] = bias[q][1];
      }
    }
    const auto multiply = [&](unsigned k, const uint4(&a)[gates]) {
      std::uint32_t b[2];
#pragma unroll
      for (unsigned q = 0; q < gates; ++q) {
        if (q < versions) load_transposed(b, now + q * version_size + (k * tile + lane % tile) * 4);
        mma_bf16(sums[q], {a[q].x, a[q].y, a[q].z, a[q].w}, b);
      }
    };
    if constexpr (steps > 0) {
#pragma unroll
      for (int k = 0; k < steps; ++k) multiply(k, kept[k]);
    } else {
      for (unsigned k = 0; k < k_steps; ++k) {
        uint4 a[gates];
#pragma unroll
        for (unsigned q = 0; q < gates; ++q)
          a[q] = k < of.shared_steps ? shared_weights[k * step_size + (warp * gates + q) * 32 + lane]
                                     : weights[k * step_size + q * 32];
        multiply(k, a);
      }
    }

    float activated[gates][4];
#pragma unroll
    for (unsigned e = 0; e < 4; ++e) {
      const float i = gate_of(sums[0][e], layer.hard_slope), f = gate_of(sums[1][e], layer.hard_slope),
                  c = fast_tanh(sums[2][e]), o = gate_of(sums[3][e], layer.hard_slope);
      cell[e] = f * cell[e] + i * c;
      h[e] = o * fast_tanh(cell[e]);
      activated[0][e] = i, activated[1][e] = f, activated[2][e] = c, activated[3][e] = o;
    }

#pragma unroll
    for (unsigned half = 0; half < 2; ++half) {
      const unsigned pair = (warp * tile + group + 8 * half) * 4 + member;  // in [H][4 pairs]
      const std::uint32_t unmasked = bf16_pair(h[2 * half], h[2 * half + 1]);
#pragma unroll
      for (unsigned version = 0; version < versions; ++version)
        next[version * version_size + I * 4 + pair] =
            masked ? bf16_pair(low_of(unmasked) * masks.of[version][2 * half],
                               high_of(unmasked) * masks.of[version][2 * half + 1])
                   : unmasked;
      if (of.h) of.h[(part * T + t) * H * 4 + pair] = unmasked;
    }
    if (of.outputs.h && t >= of.outputs.first_frame) {
      const unsigned first = of.outputs.first_frame;
      float* const frame = of.outputs.h + (std::size_t{run} * (T - first) + t - first) * layer.batch * H;
#pragma unroll
      for (unsigned e = 0; e < 4; ++e) {
        const unsigned row = block * block_rows + 2 * member + e % 2, unit = warp * tile + group + 8 * (e / 2);
        if (row < layer.batch) frame[std::size_t{row} * H + unit] = h[e];
      }
    }
    if (of.saved.gates) keep_frame(of.saved, (part * T + t) * warps + warp, lane, activated, cell);
    if constexpr (!projects) {
      if (goes_on && threadIdx.x < I) put_input(next, threadIdx.x, fetched);
      for (unsigned k = threadIdx.x + blockDim.x; goes_on && k < I; k += blockDim.x)
        put_input(next, k, inputs[(t + 1) * std::size_t{I} + k]);
    }
  }
}

using Kernel = void (*)(Arguments);
struct Instance {
  unsigned steps;
  bool projects, masked;
  Kernel kernel;
};

/// What is compiled: 16, 32, 64 and 128 units with a narrow input of one or two tiles or a projected one, and anything.
const Instance instances[] = {
    {2, false, false, forward_kernel<2, false, false>},   {3, false, false, forward_kernel<3, false, false>},
    {4, false, false, forward_kernel<4, false, false>},   {5, false, false, forward_kernel<5, false, false>},
    {6, false, false, forward_kernel<6, false, false>},   {9, false, false, forward_kernel<9, false, false>},
    {10, false, false, forward_kernel<10, false, false>}, {1, true, false, forward_kernel<1, true, false>},
    {2, true, false, forward_kernel<2, true, false>},     {4, true, false, forward_kernel<4, true, false>},
    {8, true, false, forward_kernel<8, true, false>},     {0, false, false, forward_kernel<0, false, false>},
    {0, true, false, forward_kernel<0, true, false>},     {0, false, true, forward_kernel<0, false, true>},
};

const Instance& instance_for(unsigned steps, bool projects, bool masked, unsigned threads) {
  const auto fits = [&](const Instance& one) {
    return one.projects == projects && one.masked == masked &&
           (one.steps == 0 || (one.steps == steps && threads <= 256));
  };
  return *std::find_if(std::begin(instances), std::end(instances), fits);
}

}  // namespace

void forward(const Layer& layer, unsigned runs, const uint4* weights, const float* parameters, const Tensors& tensors,
             const std::uint32_t* inputs, const float4* projected, const Masks& masks, std::uint32_t* h,
             const Outputs& outputs, const Saved& saved, Stream stream) {
  const bool projects = projected, masked = masks.recurrent;
  const unsigned threads = layer.units / tile * 32, input_steps = layer.inputs / tile,
                 k_steps = layer.units / tile + (projects ? 0 : input_steps);
  const std::size_t step_size = std::size_t{layer.units} / tile * gates * 32;  // in uint4
  const Instance& instance = instance_for(k_steps, projects, masked, threads);
  Arguments arguments{layer,
                      weights,
                      (input_steps + layer.units / tile) * step_size,
                      parameters + tensors.bias,
                      tensors.stride,
                      inputs,
                      projected,
                      masks,
                      h,
                      outputs,
                      saved,
                      0};
  if (projects) arguments.weights += input_steps * step_size;
  std::size_t shared = 2 * (masked ? gates : 1) * k_steps * tile * block_rows * sizeof(bf16);
  if (instance.steps == 0) {
    const std::size_t step_bytes = step_size * sizeof(uint4);
    arguments.shared_steps =
        static_cast<unsigned>(std::min<std::size_t>(k_steps, (layer.shared_bytes - shared) / step_bytes));
    shared += arguments.shared_steps * step_bytes;
  }
  launch(instance.kernel, dim3(layer.blocks(), runs), threads, shared, stream, arguments);
}

}  // namespace genretree::cuda::fused_bf16
