// Dense layer, softmax and cross-entropy of a few rows, and their gradients.
//
// A block takes a row: its warps share the classes and sum the products of a logit in double, lane by lane and then by
// shuffles, always in the same order; the first warp makes probabilities, loss and the logits' gradient of them. These
// gradients [rows, C] then make those of the layer and of h, a thread for each number, and CUB sums the rows' losses.
// Rows do not meet before that, so a row has the same bits whatever lies beside it.
#include "core/rounding.hpp"
#include "kernels/cuda/classify_loss.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/libraries/sums.hpp"
#include "kernels/cuda/thrust.hpp"
#include "kernels/cuda/warp.hpp"

namespace genretree::cuda {
namespace {

constexpr int row_threads = 128;

/// What classify_row_kernel leaves of each row for the launches after it.
struct RowResults {
  float* dlogits;      ///< [rows, C] of the mean loss
  double* losses;      ///< [rows]
  std::int32_t* hits;  ///< [rows] 1 if the most probable class is the label, else 0
};

/// logits [C] = h · kernel + bias, the classes' part. All threads of the block.
__device__ void make_logits(const DenseSoftmax& layer, const float* h, float* logits) {
  const int units = static_cast<int>(layer.units), classes = static_cast<int>(layer.classes);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (int c = warp; c < classes; c += row_threads / 32) {
    double sum = 0;
    for (int u = lane; u < units; u += 32)
      sum += static_cast<double>(h[u]) * layer.kernel[static_cast<std::size_t>(u) * layer.columns + c];
    sum = warp_sum(sum);
    if (lane == 0) logits[c] = static_cast<float>(sum + layer.bias[c]);
  }
}

/// A row each block. The logits pass through the probabilities' memory.
__global__ void __launch_bounds__(row_threads)
    classify_row_kernel(DenseSoftmax layer, Loss kind, ClassifiedRows batch, RowResults results) {
  const std::size_t row = blockIdx.x;
  float* p = batch.probabilities + row * layer.columns;
  make_logits(layer, batch.h + row * layer.units, p);
  __syncthreads();
  if (threadIdx.x >= 32) return;

  const int lane = threadIdx.x, label = batch.labels[row];
  const int classes = static_cast<int>(layer.classes), columns = static_cast<int>(layer.columns);
  float largest = -HUGE_VALF;
  for (int c = lane; c < classes; c += 32) largest = std::fmax(largest, p[c]);
  largest = warp_maximum(largest);
  double sum = 0;
  for (int c = lane; c < classes; c += 32) sum += std::exp(static_cast<double>(p[c]) - largest);
  sum = warp_sum(sum);
  double loss = std::log(sum) + largest - p[label];
  // Keras 2 (tensorflow_backend.categorical_crossentropy) clips the probability: no gradient outside the limits
  constexpr double epsilon = 1e-7;
  const double lowest = -std::log(1 - epsilon), highest = -std::log(epsilon);
  const bool clipped = kind == Loss::clipped && (loss < lowest || loss > highest);
  if (clipped) loss = loss < lowest ? lowest : highest;
  __syncwarp();  // all have read the label's logit

  float best = -1;
  int best_class = columns;
  float* dlogits = results.dlogits + row * layer.columns;
  for (int c = lane; c < columns; c += 32) {
    const float probability = c < classes ? static_cast<float>(std::exp(static_cast<double>(p[c]) - largest) / sum) : 0;
    p[c] = probability;
    dlogits[c] = clipped ? 0 : (probability - (c == label ? 1.0f : 0.0f)) / static_cast<float>(batch.batch_rows);
    if (probability > best) best = probability, best_class = c;
  }
  const int first_best = warp_minimum(best == warp_maximum(best) ? best_class : columns);
  if (lane == 0) results.losses[row] = loss, results.hits[row] = first_best == label;
}

/// Number e of the layer's kernel [H, C], then of its bias [C]: adds the rows' gradients in their order.
struct AddLayerGradient {
  DenseSoftmax layer;
  const float* h;
  const float* dlogits;
  std::uint32_t rows;

  __device__ void operator()(std::uint32_t e) const {
    const std::uint32_t columns = static_cast<std::uint32_t>(layer.columns), u = e / columns, c = e % columns;
    if (c >= layer.classes) return;
    float sum = 0;
    if (u == layer.units) {
      for (std::uint32_t b = 0; b < rows; ++b) sum += dlogits[b * columns + c];
      layer.dbias[c] += sum;
    } else {
      for (std::uint32_t b = 0; b < rows; ++b) sum = std::fma(h[b * layer.units + u], dlogits[b * columns + c], sum);
      layer.dkernel[e] += sum;
    }
  }
};

/// Number e of dh [rows, H].
struct HiddenGradient {
  DenseSoftmax layer;
  const float* dlogits;
  float* dh;

  __device__ void operator()(std::uint32_t e) const {
    const std::uint32_t units = static_cast<std::uint32_t>(layer.units), b = e / units, u = e % units;
    float sum = 0;
    for (std::size_t c = 0; c < layer.classes; ++c)
      sum = std::fma(layer.kernel[u * layer.columns + c], dlogits[b * layer.columns + c], sum);
    dh[e] = sum;
  }
};

}  // namespace

void classify_rows(const DenseSoftmax& layer, Loss kind, const ClassifiedRows& batch, double* loss,
                   std::int32_t* correct, Queue& queue) {
  constexpr std::size_t alignment = 256;  // of each array in the workspace
  const std::size_t rows = batch.rows, losses = round_up(rows * layer.columns * sizeof(float), alignment),
                    hits = losses + round_up(rows * sizeof(double), alignment),
                    sums = hits + round_up(rows * sizeof(std::int32_t), alignment);
  std::byte* workspace = static_cast<std::byte*>(workspace_of(queue, sums + sum_scratch_bytes(rows)));
  const RowResults results{reinterpret_cast<float*>(workspace), reinterpret_cast<double*>(workspace + losses),
                           reinterpret_cast<std::int32_t*>(workspace + hits)};
  const Stream stream = stream_of(queue);
  launch(classify_row_kernel, static_cast<unsigned>(rows), row_threads, 0, stream, layer, kind, batch, results);
  add_sum(results.losses, rows, loss, workspace + sums, queue);
  add_sum(results.hits, rows, correct, workspace + sums, queue);
  if (!batch.dh) return;
  for_each_index((layer.units + 1) * layer.columns,
                 AddLayerGradient{layer, batch.h, results.dlogits, static_cast<std::uint32_t>(rows)}, stream);
  for_each_index(rows * layer.units, HiddenGradient{layer, results.dlogits, batch.dh}, stream);
}

void classify_loss(const StackConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                   View<const float, 3> h, View<const std::int32_t, 2> labels, View<float, 3> probabilities,
                   View<double, 1> loss, View<std::int32_t, 1> correct, View<float, 3> dh, View<float, 2> gradients,
                   Queue& queue) {
  const ParameterLayout layout(config, group.classes);
  queue.zero(loss.data, loss.size() * sizeof(double));
  queue.zero(correct.data, correct.size() * sizeof(std::int32_t));
  for (std::size_t r = 0; r < group.runs; ++r) {
    if (group.rows[r] == 0) continue;
    DenseSoftmax layer{parameters[r].data + layout.dense_kernel.offset,
                       parameters[r].data + layout.dense_bias.offset,
                       nullptr,
                       nullptr,
                       config.outputs(),
                       group.classes,
                       group.class_counts[r]};
    if (!dh.empty()) {
      layer.dkernel = gradients[r].data + layout.dense_kernel.offset;
      layer.dbias = gradients[r].data + layout.dense_bias.offset;
      queue.zero(layer.dkernel, layout.dense_kernel.size() * sizeof(float));
      queue.zero(layer.dbias, layout.dense_bias.size() * sizeof(float));
    }
    classify_rows(layer, kind,
                  {group.rows[r], group.rows[r], h[r].data, labels[r].data, probabilities[r].data, dh[r].data},
                  &loss[r], &correct[r], queue);
  }
}

}  // namespace genretree::cuda
