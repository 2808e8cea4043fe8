// Correct kernels give the reference's results in every order, the same bits in each, and nothing is reported.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <future>
#include <vector>

#include "kernels/cuda/assembly.hpp"
#include "tests/kernels/cuda/examples.hpp"
#include "tests/kernels/cuda/random_values.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using emulator::all_orders;
using emulator::Emulator;
using test::random_values;

namespace {

float through_bf16(float value) { return cuda::to_float(cuda::to_bf16(value)); }

/// Runs `kernel(result, stream)` in all orders; the results must have the same bits.
template <class Value, class Kernel>
std::vector<Value> same_in_all_orders(std::size_t size, Kernel kernel) {
  std::vector<Value> first;
  for (Emulator& emulator : all_orders()) {
    std::vector<Value> result(size);
    kernel(result.data(), &emulator);
    if (first.empty()) first = result;
    REQUIRE(result == first);
  }
  return first;
}

}  // namespace

TEST_CASE("A block reduction in which only one warp shuffles at the end is right in all orders") {
  const int blocks = 3, per_block = GENERATE(1, 31, 128, 1000);
  const auto values = random_values(blocks * per_block, 1);
  const auto sums = same_in_all_orders<float>(blocks, [&](float* out, cuda::Stream stream) {
    cuda::block_sums(values.data(), blocks, per_block, out, stream);
  });
  for (int block = 0; block < blocks; ++block) {
    double expected = 0;
    for (int i = 0; i < per_block; ++i) expected += values[block * per_block + i];
    CHECK(sums[block] == Approx(expected).margin(1e-4));
  }
}

TEST_CASE("A histogram by atomics on shared and global memory is right in all orders") {
  const int size = 1000, bins = 37;
  std::vector<int> values(size), expected(bins);
  for (int i = 0; i < size; ++i) {
    values[i] = i * i % 41 - 2;
    if (values[i] >= 0 && values[i] < bins) ++expected[values[i]];
  }
  CHECK(same_in_all_orders<int>(bins, [&](int* out, cuda::Stream stream) {
          cuda::histogram(values.data(), size, bins, out, stream);
        }) == expected);
}

TEST_CASE("A transposed product with two buffers and one barrier a step is right in all orders") {
  const int rows = 19, columns = 33, inner = GENERATE(1, 16, 50);
  const auto left = random_values(rows * inner, 2), right = random_values(columns * inner, 3);
  const auto product = same_in_all_orders<float>(rows * columns, [&](float* out, cuda::Stream stream) {
    cuda::transposed_product(left.data(), right.data(), rows, columns, inner, out, stream);
  });
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      double expected = 0;
      for (int k = 0; k < inner; ++k) expected += double{left[row * inner + k]} * right[column * inner + k];
      REQUIRE(product[row * columns + column] == Approx(expected).margin(1e-5));
    }
  }
}

TEST_CASE("A recurrence by mma with weights in registers agrees with a plain one in all orders") {
  const int steps = GENERATE(1, 2, 16), blocks = 2, rows = blocks * cuda::step_rows, units = cuda::step_units;
  auto weights = random_values(units * units, 4);
  for (float& weight : weights) weight *= 0.2f;
  const auto x = random_values(steps * rows * units, 5);
  const auto h = same_in_all_orders<float>(rows * units, [&](float* out, cuda::Stream stream) {
    cuda::recurrence(weights.data(), x.data(), steps, blocks, out, stream);
  });

  std::vector<double> state(rows * units, 0.0), last = state;
  for (int t = 0; t < steps; ++t) {
    for (double& value : last) value = through_bf16(static_cast<float>(value));
    for (int row = 0; row < rows; ++row) {
      for (int unit = 0; unit < units; ++unit) {
        double sum = x[(t * rows + row) * units + unit];
        for (int k = 0; k < units; ++k) sum += through_bf16(weights[unit * units + k]) * last[row * units + k];
        state[row * units + unit] = std::tanh(sum);
      }
    }
    last = state;
  }
  // one step differs by the sums' rounding; in later ones an h near the middle of two bf16 may round the other way
  CHECK(test::max_difference<float, double>(h, state) < (steps == 1 ? 1e-6 : 5e-3));
}

namespace {

/// d = A·B + c as the fragments of 32 lanes give it, against the plain product; Wrapper is one mma.
struct Product {
  int depth;
  std::vector<float> a, b, c, d;
};

template <class Body>
void on_one_warp(Body body) {
  Emulator emulator;
  emulator.run(1, 32, 0, [&] { body(emulator::lane_index() / 4, emulator::lane_index() % 4); });
}

void check(const Product& product) {
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      double expected = product.c[row * 8 + column];
      for (int k = 0; k < product.depth; ++k)
        expected += double{product.a[row * product.depth + k]} * product.b[k * 8 + column];
      REQUIRE(product.d[row * 8 + column] == static_cast<float>(expected));
    }
  }
}

Product random_product(int depth, float (*round)(float)) {
  Product product{depth, random_values(16 * depth, 6), random_values(depth * 8, 7), random_values(16 * 8, 8),
                  std::vector<float>(16 * 8)};
  for (auto* matrix : {&product.a, &product.b})
    for (float& value : *matrix) value = round(value);
  return product;
}

void load_c(const Product& product, int group, int member, float (&c)[4]) {
  for (int i = 0; i < 4; ++i) c[i] = product.c[(group + 8 * (i / 2)) * 8 + 2 * member + i % 2];
}
void store_d(Product& product, int group, int member, const float (&c)[4]) {
  for (int i = 0; i < 4; ++i) product.d[(group + 8 * (i / 2)) * 8 + 2 * member + i % 2] = c[i];
}

}  // namespace

TEST_CASE("The twins of mma multiply as the layouts of the PTX ISA say") {
  SECTION("m16n8k16, bf16") {
    Product p = random_product(16, through_bf16);
    on_one_warp([&](int group, int member) {
      const auto a = [&](int row, int k) { return cuda::bf16_pair(p.a[row * 16 + k], p.a[row * 16 + k + 1]); };
      const auto b = [&](int k) { return cuda::bf16_pair(p.b[k * 8 + group], p.b[(k + 1) * 8 + group]); };
      const int k = 2 * member;
      float c[4];
      load_c(p, group, member, c);
      cuda::mma_bf16(c, {a(group, k), a(group + 8, k), a(group, k + 8), a(group + 8, k + 8)}, {b(k), b(k + 8)});
      store_d(p, group, member, c);
    });
    check(p);
  }
  SECTION("m16n8k8, bf16") {
    Product p = random_product(8, through_bf16);
    on_one_warp([&](int group, int member) {
      const auto a = [&](int row, int k) { return cuda::bf16_pair(p.a[row * 8 + k], p.a[row * 8 + k + 1]); };
      const int k = 2 * member;
      float c[4];
      load_c(p, group, member, c);
      cuda::mma_bf16(c, {a(group, k), a(group + 8, k)},
                     {cuda::bf16_pair(p.b[k * 8 + group], p.b[(k + 1) * 8 + group])});
      store_d(p, group, member, c);
    });
    check(p);
  }
  SECTION("m16n8k8, tf32") {
    Product p = random_product(8, [](float value) { return std::bit_cast<float>(cuda::to_tf32(value)); });
    on_one_warp([&](int group, int member) {
      const auto a = [&](int row, int k) { return cuda::to_tf32(p.a[row * 8 + k]); };
      const auto b = [&](int k) { return cuda::to_tf32(p.b[k * 8 + group]); };
      float c[4];
      load_c(p, group, member, c);
      cuda::mma_tf32(c, {a(group, member), a(group + 8, member), a(group, member + 4), a(group + 8, member + 4)},
                     {b(member), b(member + 4)});
      store_d(p, group, member, c);
    });
    check(p);
  }
}

TEST_CASE("Roundings of the twins: bf16 to even, tf32 away from zero, NaN stays") {
  const auto bits = [](std::uint32_t pattern) { return std::bit_cast<float>(pattern); };
  CHECK(cuda::to_bf16(bits(0x3f808000)).bits == 0x3f80);  // half way: to even
  CHECK(cuda::to_bf16(bits(0x3f818000)).bits == 0x3f82);
  CHECK(cuda::to_bf16(bits(0x3f808001)).bits == 0x3f81);
  CHECK(cuda::bf16_pair(1, -2) == 0xc0003f80);
  CHECK(std::isnan(cuda::to_float(cuda::to_bf16(bits(0x7f800001)))));
  CHECK(cuda::to_tf32(bits(0x3f801000)) == 0x3f802000);  // half way: away
  CHECK(cuda::to_tf32(bits(0xbf800fff)) == 0xbf800000);
}

TEST_CASE("Shuffles and votes give each lane what CUDA says, in all orders") {
  for (Emulator& emulator : all_orders()) {
    std::vector<int> up(64), down(64), across(64), one(64), segment(64), votes(64);
    emulator.run(1, 64, 0, [&] {
      const int i = threadIdx.x, lane = emulator::lane_index();
      up[i] = __shfl_up_sync(0xffffffff, i, 3);
      down[i] = __shfl_down_sync(0xffffffff, i, 3, 16);
      across[i] = __shfl_xor_sync(0xffffffff, i, 5);
      one[i] = __shfl_sync(0xffffffff, i, 40);        // lane 40 % 32
      segment[i] = __shfl_sync(0xffffffff, i, 2, 8);  // lane 2 of each 8
      if (lane % 3 == 0) {
        constexpr unsigned thirds = 0x49249249;
        votes[i] = __ballot_sync(thirds, lane < 6) == 0b1001 && __any_sync(thirds, lane == 30) &&
                   !__any_sync(thirds, 0) && __all_sync(thirds, 1) && !__all_sync(thirds, lane);
      }
    });
    for (int i = 0; i < 64; ++i) {
      const int lane = i % 32, warp = i - lane;
      CHECK(up[i] == (lane < 3 ? i : i - 3));
      CHECK(down[i] == (lane % 16 > 12 ? i : i + 3));
      CHECK(across[i] == warp + (lane ^ 5));
      CHECK(one[i] == warp + 8);
      CHECK(segment[i] == i - i % 8 + 2);
      CHECK(votes[i] == (lane % 3 == 0));
    }
  }
}

TEST_CASE("Indices of blocks and threads cover grids of three dimensions once") {
  for (Emulator& emulator : all_orders(1)) {
    std::vector<int> visits(2 * 3 * 4 * 5 * 6 * 7);
    emulator.run(dim3(2, 3, 4), dim3(5, 6, 7), 0, [&] {
      const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
      const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
      ++visits[block * 210 + thread];
    });
    CHECK(visits == std::vector<int>(visits.size(), 1));
  }
}

TEST_CASE("Host threads emulate side by side, each its own launches") {
  const auto values = random_values(1000, 9);
  const auto sum = [&] {
    Emulator emulator;
    float result = 0;
    for (int i = 0; i < 20; ++i) cuda::block_sums(values.data(), 1, 1000, &result, &emulator);
    return result;
  };
  auto other = std::async(std::launch::async, sum);
  CHECK(sum() == other.get());
}

TEST_CASE("What emulation costs: a switch from fiber to fiber, a long sequence", "[.cost]") {
  const auto seconds_of = [](auto&& work) {
    const std::clock_t start = std::clock();  // processor time: others' load does not count
    work();
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  };
  for (const int threads : {32, 256, 1024}) {
    Emulator emulator;
    const double seconds = seconds_of([&] { cuda::pass_barriers(threads, 1'000'000 / threads, &emulator); });
    std::printf("%4d threads: %.1f ns a switch\n", threads, 1e9 * seconds / static_cast<double>(emulator.switches()));
  }
  const int steps = 1293, units = cuda::step_units, rows = cuda::step_rows;
  const auto weights = random_values(units * units, 4), x = random_values(steps * rows * units, 5);
  std::vector<float> h(rows * units);
  Emulator emulator;
  const double seconds = seconds_of([&] { cuda::recurrence(weights.data(), x.data(), steps, 1, h.data(), &emulator); });
  std::printf("a recurrence of %d steps, one block of 128 threads: %.2f s\n", steps, seconds);
}
