// The gradients of the fused LSTM's weights in single precision: dW [K][4H] = Σ v_t · dz_tᵀ, v_t = [x_t ; h_{t-1}], over
// frames and rows of a run's batch.
//
// A block of threads sums a tile of 80 × 64 over a chunk of 128 frames and all blocks of rows; a thread has 8 × 4 of
// the sums. (80: K is 141 and 160 in the paper's layers.) A stage is a frame of a block of rows: its 8 rows of 80 + 64
// numbers lie in shared memory, twice, so that a stage has one barrier; the next one's are fetched while one is summed.
// First and second four rows lie apart: then neighbouring threads' numbers, 16 bytes each, are neighbours.
//
// Partial sums of the chunks are added in their order. Tiles, chunks and orders depend on the layer's shape and the
// run's rows alone.
//
// With dropout v has a mask for each gate, so a tile has columns of one gate only.
#include "kernels/cuda/fused_fp32_product.hpp"

namespace genretree::cuda::fused_fp32 {
namespace {

constexpr unsigned tile_rows = 80, tile_columns = 64;
constexpr unsigned thread_rows = 8, thread_columns = 4;
constexpr unsigned row_threads = tile_rows / thread_rows, column_threads = tile_columns / thread_columns;
constexpr unsigned tile_threads = row_threads * column_threads;
constexpr unsigned stage_pieces = 2 * (tile_rows + tile_columns);  ///< of four rows
static_assert(stage_pieces <= 2 * tile_threads);

/// Of v, then of dz: first and second four rows.
struct TileShared {
  alignas(16) float stages[2][2][tile_rows + tile_columns][4];
};

struct Products {
  LayerShape shape;
  RunRows rows;
  GradientArguments of;
  unsigned sections;         ///< 4 with dropout, of H columns each; else 1, of 4H
  unsigned section_columns;  ///< H or 4H
  unsigned section_tiles;
};

/// Where a tile lies.
struct Tile {
  unsigned first_row, section, first_column;  ///< the column within the section
};

/// Where a thread finds one of its pieces: four rows of a number of v or dz. Outside the layer it is 0.
struct Piece {
  const float* first = nullptr;  ///< of frame 0 of the first block of rows; null: outside
  unsigned width = 0;            ///< floats of a frame
  bool is_recurrent = false;     ///< of the frame before
  const float* masks = nullptr;  ///< of the first block of rows; null: none

  /// place: of v if less than tile_rows, else of dz.
  __device__ Piece(const Products& products, const Tile& tile, unsigned run, unsigned place, unsigned half) {
    const unsigned inputs = products.shape.inputs, units = products.shape.units;
    if (place >= tile_rows) {
      const unsigned column = tile.first_column + place - tile_rows;
      if (column >= products.section_columns) return;
      point_to(products.of.dz, run, 4 * units, tile.section * products.section_columns + column, half);
      return;
    }
    const unsigned k = tile.first_row + place;
    if (k >= inputs + units) return;
    is_recurrent = k >= inputs;
    if (is_recurrent)
      point_to(products.of.h, run, units, k - inputs, half);
    else
      point_to(products.of.x, run, inputs, k, half);
    if (products.of.masks.data) masks = products.of.masks.of(run) + (4 * k + tile.section) * block_rows + 4 * half;
  }

  __device__ void point_to(PerRun<const float> sequence, unsigned run, unsigned numbers, unsigned number,
                           unsigned half) {
    first = sequence.of(run) + number * block_rows + 4 * half;
    width = numbers * block_rows;
  }

  template <bool dropout>
  __device__ Rows<4> at(const LayerShape& shape, unsigned block, unsigned t) const {
    if (!first || (is_recurrent && t == 0)) return {};
    const std::size_t frame = std::size_t{block} * shape.frames + t - is_recurrent;
    Rows<4> numbers = load_rows<4>(first + frame * width);
    if constexpr (dropout) {
      if (!masks) return numbers;
      const float* const of_block = masks + std::size_t{block} * (shape.inputs + shape.units) * 4 * block_rows;
      const Rows<4> mask = load_rows<4>(of_block);
      for (unsigned row = 0; row < 4; ++row) numbers.at[row] *= mask.at[row];
    }
    return numbers;
  }
};

/// Block (tile, chunk, run).
template <bool dropout>
__global__ void __launch_bounds__(tile_threads, 3) products_kernel(Products products) {
  const LayerShape& shape = products.shape;
  const unsigned run = blockIdx.z, chunk = blockIdx.y, counted = products.rows.rows[run];
  if (counted == 0) return;
  const unsigned column_tiles = products.sections * products.section_tiles, column_tile = blockIdx.x % column_tiles;
  const Tile tile{blockIdx.x / column_tiles * tile_rows, column_tile / products.section_tiles,
                  column_tile % products.section_tiles * tile_columns};
  const unsigned first_frame = chunk * chunk_frames, end_frame = min(first_frame + chunk_frames, shape.frames);
  const unsigned blocks = (counted + block_rows - 1) / block_rows, stages = blocks * (end_frame - first_frame);
  auto& shared = dynamic_shared<TileShared>();

  // a thread's pieces of a stage: the last threads have one less
  const bool has_second = threadIdx.x + tile_threads < stage_pieces;
  const unsigned pieces[] = {threadIdx.x, has_second ? threadIdx.x + tile_threads : threadIdx.x};
  const Piece sources[] = {Piece(products, tile, run, pieces[0] / 2, pieces[0] % 2),
                           Piece(products, tile, run, pieces[1] / 2, pieces[1] % 2)};
  Rows<4> fetched[2];
  unsigned block = 0, t = first_frame;  // of the stage that comes next
  const auto fetch = [&] {
    for (unsigned i = 0; i < 2; ++i) fetched[i] = sources[i].template at<dropout>(shape, block, t);
    if (++t == end_frame) t = first_frame, ++block;
  };
  const auto put = [&](unsigned stage) {
    auto& numbers = shared.stages[stage % 2];
    store_rows(numbers[pieces[0] % 2][pieces[0] / 2], fetched[0]);
    if (has_second) store_rows(numbers[pieces[1] % 2][pieces[1] / 2], fetched[1]);
  };

  const unsigned row_thread = threadIdx.x / column_threads, column_thread = threadIdx.x % column_threads;
  float sums[thread_rows][thread_columns] = {};
  fetch();
  put(0);
  for (unsigned stage = 0; stage < stages; ++stage) {
    __syncthreads();
    if (stage + 1 < stages) fetch();
    for (unsigned half = 0; half < 2; ++half) {
      const auto& numbers = shared.stages[stage % 2][half];
      Rows<4> dz[thread_columns];
      unrolled<thread_columns>([&](int j) {
        dz[j] = load_rows<4>(numbers[tile_rows + column_thread + static_cast<unsigned>(j) * column_threads]);
      });
      unrolled<thread_rows>([&](int i) {
        const Rows<4> v = load_rows<4>(numbers[row_thread + static_cast<unsigned>(i) * row_threads]);
        unrolled<thread_columns>([&](int j) {
          unrolled<4>([&](int row) { sums[i][j] = multiply_add(v.at[row], dz[j].at[row], sums[i][j]); });
        });
      });
    }
    if (stage + 1 < stages) put(stage + 1);
  }

  const unsigned depth = shape.inputs + shape.units;
  float* const partial = products.of.partial_sums.of(run) + std::size_t{chunk} * depth * 4 * shape.units;
  unrolled<thread_rows>([&](int i) {
    unrolled<thread_columns>([&](int j) {
      const unsigned k = tile.first_row + row_thread + static_cast<unsigned>(i) * row_threads;
      const unsigned column = tile.first_column + column_thread + static_cast<unsigned>(j) * column_threads;
      if (k < depth && column < products.section_columns)
        partial[std::size_t{k} * 4 * shape.units + tile.section * products.section_columns + column] = sums[i][j];
    });
  });
}

constexpr unsigned sum_threads = 256;

/// Block (e, run): 256 numbers of kernel, recurrent kernel and bias, [K + 1][4H].
__global__ void __launch_bounds__(sum_threads) sums_kernel(LayerShape shape, RunRows rows, GradientArguments of) {
  const unsigned run = blockIdx.y, counted = rows.rows[run];
  const unsigned columns = 4 * shape.units, depth = shape.inputs + shape.units;
  const unsigned e = blockIdx.x * sum_threads + threadIdx.x, k = e / columns, column = e % columns;
  if (counted == 0 || k > depth) return;
  const bool is_bias = k == depth;
  const float* const parts = is_bias ? of.dbias.of(run) + column : of.partial_sums.of(run) + e;
  const std::size_t stride = is_bias ? columns : std::size_t{depth} * columns;
  const unsigned count =
      is_bias ? (counted + block_rows - 1) / block_rows : (shape.frames + chunk_frames - 1) / chunk_frames;
  float sum = 0;
  for (unsigned part = 0; part < count; ++part) sum += parts[part * stride];
  const LayerOffsets& offsets = of.offsets;
  const std::size_t to = is_bias            ? offsets.bias + column
                         : k < shape.inputs ? offsets.kernel + e
                                            : offsets.recurrent + (e - std::size_t{shape.inputs} * columns);
  of.gradients.of(run)[to] = sum;
}

}  // namespace

void gradients(const LayerShape& shape, const RunRows& rows, const GradientArguments& arguments, Stream stream) {
  const bool dropout = arguments.masks.data != nullptr;
  Products products{shape, rows, arguments, dropout ? 4u : 1u, dropout ? shape.units : 4 * shape.units, 0};
  products.section_tiles = blocks_of(products.section_columns, tile_columns);
  const unsigned tiles = blocks_of(shape.depth(), tile_rows) * products.sections * products.section_tiles;
  launch(dropout ? products_kernel<true> : products_kernel<false>, dim3(tiles, shape.chunks(), shape.runs),
         tile_threads, sizeof(TileShared), stream, products);
  const std::size_t numbers = std::size_t{shape.depth() + 1} * 4 * shape.units;
  launch(sums_kernel, dim3(blocks_of(numbers, sum_threads), shape.runs), sum_threads, 0, stream, shape, rows,
         arguments);
}

}  // namespace genretree::cuda::fused_fp32
