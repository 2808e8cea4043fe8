// Dense layer, softmax and cross-entropy of a few rows of each run, and their gradients.
//
// A block takes a row: its warps share the classes and sum the products of a logit in double, lane by lane and then by
// shuffles, always in the same order; the first warp makes probabilities, loss and the logits' gradient of them. These
// gradients [R, rows, C] then make those of the layers and of h, a thread for each number, and CUB sums each run's
// losses. Rows do not meet before that, and runs never do, so each has the same bits whatever lies beside it.
#include "core/rounding.hpp"
#include "kernels/cuda/classify_loss.hpp"
#include "kernels/cuda/group_rows.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/libraries/sums.hpp"
#include "kernels/cuda/run_elements.hpp"
#include "kernels/cuda/warp.hpp"

namespace genretree::cuda {
namespace {

constexpr int row_threads = 128;

/// What all launches are given. classify_row_kernel leaves losses, hits and dlogits for those after it.
struct Work {
  DenseSoftmax layer;
  Loss kind;
  ClassifiedRows batch;
  std::size_t columns;  ///< C
  RunRows runs;
  RunClasses counts;
  std::size_t stride;  ///< from one run's losses and hits to the next run's
  double* losses;      ///< [R, stride] of each row, 0 if it does not count
  std::int32_t* hits;  ///< [R, stride] 1 if the row counts and its most probable class is the label, else 0
  float* dlogits;      ///< [R, rows, C] gradient of the mean loss

  /// How many of the rows count, the first ones.
  __device__ std::uint32_t counted_rows(std::uint32_t r) const {
    const std::size_t all = runs.rows[r], end = batch.first + batch.rows;
    return static_cast<std::uint32_t>(all <= batch.first ? 0 : (all < end ? all : end) - batch.first);
  }
};

/// logits [C] = h [H] · kernel [H, C] + bias [C], the first `classes` of C. All threads of the block.
__device__ void make_logits(const float* h, const float* kernel, const float* bias, int units, int columns, int classes,
                            float* logits) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (int c = warp; c < classes; c += row_threads / 32) {
    double sum = 0;
    for (int u = lane; u < units; u += 32)
      sum += static_cast<double>(h[u]) * kernel[static_cast<std::size_t>(u) * columns + c];
    sum = warp_sum(sum);
    if (lane == 0) logits[c] = static_cast<float>(sum + bias[c]);
  }
}

/// Row blockIdx.x of run blockIdx.y. The logits pass through the probabilities' memory.
__global__ void __launch_bounds__(row_threads) classify_row_kernel(const Work work) {
  const std::uint32_t r = blockIdx.y;
  const std::size_t row = r * work.batch.rows + blockIdx.x;
  double& row_loss = work.losses[r * work.stride + blockIdx.x];
  std::int32_t& hit = work.hits[r * work.stride + blockIdx.x];
  if (blockIdx.x >= work.counted_rows(r)) {
    if (threadIdx.x == 0) row_loss = 0, hit = 0;
    return;
  }
  const int units = static_cast<int>(work.layer.units), columns = static_cast<int>(work.columns),
            classes = work.counts.classes[r];
  float* p = work.batch.probabilities + row * work.columns;
  make_logits(work.batch.h + row * work.layer.units, work.layer.kernel + r * work.layer.stride,
              work.layer.bias + r * work.layer.stride, units, columns, classes, p);
  __syncthreads();
  if (threadIdx.x >= 32) return;

  const int lane = threadIdx.x, label = work.batch.labels[row];
  float largest = -HUGE_VALF;
  for (int c = lane; c < classes; c += 32) largest = std::fmax(largest, p[c]);
  largest = warp_maximum(largest);
  double sum = 0;
  for (int c = lane; c < classes; c += 32) sum += std::exp(static_cast<double>(p[c]) - largest);
  sum = warp_sum(sum);
  // Each class costs its target times -log p. Keras 2 (tensorflow_backend.categorical_crossentropy) clips p: a class
  // whose p is outside the limits has no gradient.
  constexpr double epsilon = 1e-7;
  const double lowest = -std::log(1 - epsilon), highest = -std::log(epsilon), log_sum = std::log(sum) + largest;
  const auto target_of = [&](int c) {
    return work.batch.targets ? work.batch.targets[row * work.columns + c] : c == label ? 1.0f : 0.0f;
  };
  const auto is_clipped = [&](double cost) { return work.kind == Loss::clipped && (cost < lowest || cost > highest); };
  double loss = 0, unclipped = 0;  // unclipped: targets that have a gradient
  for (int c = lane; c < classes; c += 32) {
    const float target = target_of(c);
    const double cost = log_sum - p[c];
    if (target == 0) continue;
    loss += target * (!is_clipped(cost) ? cost : cost < lowest ? lowest : highest);
    if (!is_clipped(cost)) unclipped += target;
  }
  loss = warp_sum(loss);
  const float share = static_cast<float>(warp_sum(unclipped)), rows = static_cast<float>(work.runs.rows[r]);

  float best = -1;
  int best_class = columns;
  float* dlogits = work.dlogits + row * work.columns;
  for (int c = lane; c < columns; c += 32) {
    const float logit = p[c];
    const float probability =
        c < classes ? static_cast<float>(std::exp(static_cast<double>(logit) - largest) / sum) : 0;
    p[c] = probability;
    dlogits[c] = c < classes ? (share * probability - (is_clipped(log_sum - logit) ? 0 : target_of(c))) / rows : 0;
    if (probability > best) best = probability, best_class = c;
  }
  const int first_best = warp_minimum(best == warp_maximum(best) ? best_class : columns);
  if (lane == 0) row_loss = loss, hit = first_best == label;
}

/// Number e of run r's kernel [H, C], then of its bias [C]: adds the rows' gradients in their order.
struct AddLayerGradient {
  Work work;

  __device__ void operator()(std::uint32_t r, std::uint32_t e) const {
    if (work.runs.rows[r] == 0) return;
    const std::uint32_t columns = static_cast<std::uint32_t>(work.columns), u = e / columns, c = e % columns,
                        units = static_cast<std::uint32_t>(work.layer.units), rows = work.counted_rows(r);
    const float* h = work.batch.h + r * work.batch.rows * units;
    const float* dlogits = work.dlogits + r * work.batch.rows * columns;
    const bool used = c < work.counts.classes[r];
    float sum = 0;
    if (used && u == units) {
      for (std::uint32_t b = 0; b < rows; ++b) sum += dlogits[b * columns + c];
    } else if (used) {
      for (std::uint32_t b = 0; b < rows; ++b) sum = std::fma(h[b * units + u], dlogits[b * columns + c], sum);
    }
    float& gradient = (u == units ? work.layer.dbias + c : work.layer.dkernel + e)[r * work.layer.stride];
    gradient = (work.batch.first == 0 ? 0 : gradient) + sum;
  }
};

/// Number e of run r's dh [rows, H].
struct HiddenGradient {
  Work work;

  __device__ void operator()(std::uint32_t r, std::uint32_t e) const {
    const std::uint32_t units = static_cast<std::uint32_t>(work.layer.units), b = e / units, u = e % units;
    if (b >= work.counted_rows(r)) return;
    const std::size_t row = r * work.batch.rows + b;
    const float* weights = work.layer.kernel + r * work.layer.stride + u * work.columns;
    const float* dlogits = work.dlogits + row * work.columns;
    float sum = 0;
    for (int c = 0; c < work.counts.classes[r]; ++c) sum = std::fma(weights[c], dlogits[c], sum);
    work.batch.dh[row * units + u] = sum;
  }
};

}  // namespace

void classify_rows(const Group& group, const DenseSoftmax& layer, Loss kind, const ClassifiedRows& batch, double* loss,
                   std::int32_t* correct, Queue& queue) {
  const std::size_t rows = group.runs * batch.rows, stride = round_up(batch.rows, sum_alignment),
                    hits = group.runs * stride * sizeof(double),
                    dlogits = hits + group.runs * stride * sizeof(std::int32_t),
                    sums = round_up(dlogits + rows * group.classes * sizeof(float), 256);
  std::byte* workspace = static_cast<std::byte*>(workspace_of(queue, sums + sum_scratch_bytes(group.runs)));
  const Work work{layer,
                  kind,
                  batch,
                  group.classes,
                  run_rows(group),
                  run_classes(group),
                  stride,
                  reinterpret_cast<double*>(workspace),
                  reinterpret_cast<std::int32_t*>(workspace + hits),
                  reinterpret_cast<float*>(workspace + dlogits)};
  const Stream stream = stream_of(queue);
  launch(classify_row_kernel, dim3(static_cast<unsigned>(batch.rows), static_cast<unsigned>(group.runs)), row_threads,
         0, stream, work);
  add_sums(work.losses, group.runs, batch.rows, stride, loss, workspace + sums, queue);
  add_sums(work.hits, group.runs, batch.rows, stride, correct, workspace + sums, queue);
  if (!batch.dh) return;
  for_each_of_runs(group.runs, (layer.units + 1) * group.classes, AddLayerGradient{work}, stream);
  for_each_of_runs(group.runs, batch.rows * layer.units, HiddenGradient{work}, stream);
}

void classify_loss(const NetworkConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                   View<const float, 3> h, View<const std::int32_t, 2> labels, View<const float, 3> targets,
                   View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct, View<float, 3> dh,
                   View<float, 2> gradients, Queue& queue) {
  const ParameterLayout layout(config, group.classes);
  queue.zero(loss.data, loss.size() * sizeof(double));
  queue.zero(correct.data, correct.size() * sizeof(std::int32_t));
  DenseSoftmax layer{parameters.data + layout.dense_kernel.offset,
                     parameters.data + layout.dense_bias.offset,
                     nullptr,
                     nullptr,
                     config.dense_inputs(),
                     layout.size};
  if (!dh.empty()) {
    layer.dkernel = gradients.data + layout.dense_kernel.offset;
    layer.dbias = gradients.data + layout.dense_bias.offset;
  }
  classify_rows(group, layer, kind, {0, group.batch, h.data, labels.data, probabilities.data, dh.data, targets.data},
                loss.data, correct.data, queue);
}

}  // namespace genretree::cuda
