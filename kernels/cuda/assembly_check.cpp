#include <algorithm>
#include <array>
#include <bit>

#include "core/random.hpp"
#include "kernels/checked_device.hpp"
#include "kernels/cuda/assembly_check.hpp"
#include "kernels/cuda/libraries/device.hpp"

namespace genretree::cuda {
namespace {

/// x and y of all scalar functions: y is positive.
struct Numbers {
  std::vector<float> x, y;
};

/// Random ones of many sizes, and those half way between two numbers that a rounding may choose.
Numbers made_up_numbers() {
  Random random({.seed = 1});
  Numbers numbers;
  const auto add = [&](float x) {
    numbers.x.push_back(x);
    numbers.y.push_back(static_cast<float>(std::exp(4 * random.normal())));
  };
  for (int i = 0; i < 8192; ++i) add(static_cast<float>(random.normal() * std::exp(3 * random.normal())));
  for (const std::uint32_t half : {0x00001000u, 0x00008000u})  // of tf32, of bf16
    for (std::uint32_t upper = 0x3f800000; upper < 0x40000000; upper += 0x00010000)
      for (const std::uint32_t sign : {0u, 0x80000000u})
        for (const std::uint32_t beside : {0u, 1u}) add(std::bit_cast<float>(sign | upper | (half - beside)));
  for (const float x : {0.0f, -0.0f, 80.0f, -80.0f}) add(x);
  return numbers;
}

/// The part of the numbers that do not have the expected bits.
template <class Expected>
double part_of_wrong_bits(const std::vector<std::uint32_t>& bits, const Expected& expected) {
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < bits.size(); ++i) wrong += bits[i] != expected(i);
  return static_cast<double>(wrong) / static_cast<double>(bits.size());
}

double worse(double error, double other) { return std::isnan(other) ? HUGE_VAL : std::max(error, other); }

/// The largest relative error of those results that count.
template <class Expected, class Counts>
double relative_error(const std::vector<float>& results, const Expected& expected, const Counts& counts) {
  double error = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!counts(i)) continue;
    const double right = expected(i), difference = std::abs(results[i] - right);
    error = worse(error, right == 0 ? difference : difference / std::abs(right));
  }
  return error;
}

std::vector<OperationCheck> check_scalars(Device& device, const Formulas& formulas) {
  CheckedDevice checked(device);
  const Numbers numbers = made_up_numbers();
  const auto& [x, y] = numbers;
  const std::size_t size = x.size();
  const Buffer<float> device_x = checked.upload(x), device_y = checked.upload(y);
  std::array<Buffer<float>, 5> floats;
  std::array<Buffer<std::uint32_t>, 2> bits;
  for (auto& one : floats) one = checked.buffer<float>(size);
  for (auto& one : bits) one = checked.buffer<std::uint32_t>(size);
  checked.time([&] {
    compute_scalars(device_x.data(), device_y.data(), static_cast<int>(size),
                    {floats[0].data(), floats[1].data(), floats[2].data(), floats[3].data(), floats[4].data(),
                     bits[0].data(), bits[1].data()},
                    stream_of(checked.queue()));
  });
  std::vector<OperationCheck> checks;
  const auto add = [&](const char* wrapper, double error, double allowed) {
    checks.push_back(
        {.operation = wrapper, .error = error, .allowed = allowed, .milliseconds = checked.milliseconds()});
  };
  const std::vector<float> rounded = checked.download(floats[0]), tanh = checked.download(floats[1]),
                           exp = checked.download(floats[2]), log = checked.download(floats[3]),
                           quotient = checked.download(floats[4]);
  std::vector<std::uint32_t> rounded_bits;
  for (const float one : rounded) rounded_bits.push_back(std::bit_cast<std::uint32_t>(one));
  add("to_bf16", part_of_wrong_bits(rounded_bits, [&](std::size_t i) { return formulas.bf16_bits(x[i]) << 16; }), 0);
  add("bf16_pair",
      part_of_wrong_bits(checked.download(bits[0]),
                         [&](std::size_t i) { return formulas.bf16_bits(x[i]) | formulas.bf16_bits(y[i]) << 16; }),
      0);
  add("to_tf32", part_of_wrong_bits(checked.download(bits[1]), [&](std::size_t i) { return formulas.tf32_bits(x[i]); }),
      0);

  // as assembly.hpp and platform.hpp give them; a unit in the last place is at most 2^-23 of a number
  const double unit = std::ldexp(1, -23);
  const auto right_exp = [&](std::size_t i) { return formulas.exp(x[i]); };
  const auto right_log = [&](std::size_t i) { return formulas.log(y[i]); };
  const auto near_one = [&](std::size_t i) { return y[i] >= 0.5f && y[i] <= 2; };
  add("fast_tanh",
      relative_error(
          tanh, [&](std::size_t i) { return formulas.tanh(x[i]); }, [](std::size_t) { return true; }),
      std::ldexp(1, -11));
  add("fast_exp, |x| to 1", relative_error(exp, right_exp, [&](std::size_t i) { return std::abs(x[i]) <= 1; }),
      (2 + 1.173) * unit);
  add("fast_exp, |x| to 80", relative_error(exp, right_exp, [&](std::size_t i) { return std::abs(x[i]) <= 80; }),
      (2 + 1.173 * 80) * unit);
  double absolute = 0;
  for (std::size_t i = 0; i < size; ++i)
    if (near_one(i)) absolute = worse(absolute, std::abs(log[i] - right_log(i)));
  add("fast_log, 0.5 to 2, absolute", absolute, std::exp2(-21.4));
  add("fast_log, elsewhere", relative_error(log, right_log, [&](std::size_t i) { return !near_one(i); }), 3 * unit);
  add("fast_divide",
      relative_error(
          quotient, [&](std::size_t i) { return formulas.divide(x[i], y[i]); }, [](std::size_t) { return true; }),
      2 * unit);
  return checks;
}

/// Errors as parts of Σ |term| of each sum. The hardware aligns the terms of a sum to the largest one and cuts what
/// falls below 24 or more bits, some terms at a time; so each may lose 2^-24 of the largest. Source: Fasi, Higham,
/// Mikaitis, Pranesh, "Numerical behavior of NVIDIA tensor cores", 2021.
OperationCheck check_mma(Device& device, const Formulas& formulas, const char* name, Mma kind) {
  CheckedDevice checked(device);
  const int inner = inner_of(kind);
  const auto round = [&](float value) {
    return std::bit_cast<float>(kind == Mma::tf32_k8 ? formulas.tf32_bits(value) : formulas.bf16_bits(value) << 16);
  };
  Random random({.seed = 2});
  const auto numbers = [&](int size) {
    std::vector<float> values(size);
    for (float& value : values) value = round(static_cast<float>(random.normal()));
    return values;
  };
  const std::vector<float> a = numbers(mma_rows * inner), b = numbers(inner * mma_columns),
                           c = numbers(mma_rows * mma_columns);
  const Buffer<float> device_a = checked.upload(a), device_b = checked.upload(b), device_c = checked.upload(c);
  Buffer<float> device_d = checked.buffer<float>(c.size());
  OperationCheck check{.operation = name, .allowed = std::ldexp(1, -22)};
  checked.time([&] {
    compute_mma(kind, device_a.data(), device_b.data(), device_c.data(), device_d.data(), stream_of(checked.queue()));
  });
  check.milliseconds = checked.milliseconds();
  const std::vector<float> d = checked.download(device_d);
  for (int row = 0; row < mma_rows; ++row)
    for (int column = 0; column < mma_columns; ++column) {
      double sum = c[row * mma_columns + column], magnitudes = std::abs(sum);
      for (int k = 0; k < inner; ++k) {
        const double term = double{a[row * inner + k]} * b[k * mma_columns + column];
        sum += term, magnitudes += std::abs(term);
      }
      check.error = worse(check.error, std::abs(d[formulas.place(row, column)] - sum) / magnitudes);
    }
  return check;
}

/// To nearest, ties to even.
std::uint32_t nearest_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value), kept = bits >> 16, rest = bits & 0xffff;
  return kept + (rest > 0x8000 || (rest == 0x8000 && kept % 2 == 1));
}

/// To nearest, ties away from zero.
std::uint32_t nearest_tf32(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value), rest = bits & 0x1fff;
  return bits - rest + (rest >= 0x1000 ? 0x2000 : 0);
}

OperationCheck check_transposed(Device& device, const Formulas& formulas) {
  CheckedDevice checked(device);
  std::vector<std::uint32_t> pairs;  // number i is i
  for (std::uint32_t i = 0; i < transposed_words; ++i) pairs.push_back(2 * i | (2 * i + 1) << 16);
  const Buffer<std::uint32_t> device_pairs = checked.upload(pairs);
  Buffer<std::uint32_t> device_loaded = checked.buffer<std::uint32_t>(transposed_words);
  OperationCheck check{.operation = "load_transposed"};
  checked.time([&] { compute_transposed(device_pairs.data(), device_loaded.data(), stream_of(checked.queue())); });
  check.milliseconds = checked.milliseconds();
  check.error = part_of_wrong_bits(checked.download(device_loaded), [&](std::size_t i) {
    const int lane = static_cast<int>(i / 2), k = 8 * static_cast<int>(i % 2) + 2 * (lane % 4), column = lane / 4;
    return static_cast<std::uint32_t>(formulas.transposed(k, column)) |
           static_cast<std::uint32_t>(formulas.transposed(k + 1, column)) << 16;
  });
  return check;
}

}  // namespace

Formulas::Formulas() : bf16_bits(nearest_bf16), tf32_bits(nearest_tf32) {}

std::vector<OperationCheck> check_assembly(Device& device, const Formulas& formulas) {
  std::vector<OperationCheck> checks = check_scalars(device, formulas);
  checks.push_back(check_mma(device, formulas, "mma_bf16, inner 16", Mma::bf16_k16));
  checks.push_back(check_mma(device, formulas, "mma_bf16, inner 8", Mma::bf16_k8));
  checks.push_back(check_mma(device, formulas, "mma_tf32", Mma::tf32_k8));
  checks.push_back(check_transposed(device, formulas));
  return checks;
}

}  // namespace genretree::cuda
