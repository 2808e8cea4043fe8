// What the tests of the LSTM operations share: the backends under test, and one group of runs with random content.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/random.hpp"
#include "kernels/ops.hpp"

namespace genretree::test {

/// Calls check(backend) for every backend that is built, in each precision or in one, the CPU's once for each target of
/// this machine, with the backend's name, precision and target in the messages of failed checks.
void for_each_backend(const std::function<void(Backend&)>& check);
void for_each_backend(const std::string& precision, const std::function<void(Backend&)>& check);

/// `size` normal numbers.
std::vector<float> normal_numbers(std::size_t size, std::uint64_t seed, double deviation = 1);

/// Inputs of one batch of a group.
struct Problem {
  StackConfig stack;
  Group group;
  std::vector<float> parameters, x, dh;  ///< [R, P], [R, T, B, F], [R, B, H]
  std::vector<float> masks;              ///< [R, D] or empty
  std::vector<std::int32_t> labels;      ///< [R, B]

  /// Random content. All rows count and all classes are in use until the group is changed.
  Problem(const StackConfig& config, std::size_t runs, std::size_t batch, std::size_t frames, std::size_t classes);

  std::size_t parameter_count() const { return ParameterLayout(stack, group.classes).size; }
  /// Run r alone, in a group of its own.
  Problem alone(std::size_t r) const;
};

/// What stack_forward and stack_backward make of a problem.
struct StackResult {
  std::vector<float> h;          ///< [R, B, H]
  std::vector<float> gradients;  ///< [R, P]; what nothing writes is `untouched`
};
constexpr float untouched = 7777;

StackResult run_stack(Backend& backend, const Problem& problem);
/// h alone, in Mode::inference with a state of that kind.
std::vector<float> run_inference(Backend& backend, const Problem& problem);

}  // namespace genretree::test
