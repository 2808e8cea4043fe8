// What the tests of the operations share: the backends under test, arrays in their memory, and one group of runs with
// random content.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/device.hpp"
#include "kernels/normal_numbers.hpp"
#include "kernels/ops.hpp"

namespace genretree::test {

/// A backend in one of the ways in which it can run on this machine.
struct Variant {
  std::string name;  ///< for the messages of failed checks
  std::function<std::unique_ptr<Backend>()> make;
};
/// What this program tests, in one precision. tests/kernels/variants.cpp: every backend that is built, on each of its
/// targets, and the test counts as skipped if one has nothing to run on here; tests/kernels/cuda/variants.cpp: the
/// emulated GPU in each order.
std::vector<Variant> variants_of(const std::string& precision);

/// Skips the running test for one reason once, however many of its cases have that reason.
void skip_once(const std::string& reason);

/// Calls check(backend) for every variant, in each precision or in one, with its name in the messages of failed checks.
void for_each_backend(const std::function<void(Backend&)>& check);
void for_each_backend(const std::string& precision, const std::function<void(Backend&)>& check);
/// The same for those that can compute the stack. The test counts as skipped if one cannot, and its reason is printed.
void for_each_backend(const StackConfig& stack, const std::function<void(Backend&)>& check);
void for_each_backend(const std::string& precision, const StackConfig& stack,
                      const std::function<void(Backend&)>& check);

/// An array in the memory of a queue's device.
template <class T>
class OnDevice {
 public:
  OnDevice(Queue& queue, std::span<const T> content) : queue_(queue), buffer_(queue.device(), content.size()) {
    buffer_.copy_in(content, queue);
  }
  OnDevice(Queue& queue, const std::vector<T>& content) : OnDevice(queue, std::span<const T>(content)) {}
  /// `size` times the same.
  OnDevice(Queue& queue, std::size_t size, T value) : OnDevice(queue, std::vector<T>(size, value)) {}

  template <class... Extents>
  View<T, sizeof...(Extents)> view(Extents... extents) {
    return buffer_.view(extents...);
  }
  /// What it holds when the queue has done all that it was given.
  std::vector<T> host() const {
    std::vector<T> content(buffer_.size());
    buffer_.copy_out(content, queue_);
    queue_.synchronize();
    return content;
  }

 private:
  Queue& queue_;
  Buffer<T> buffer_;
};

/// What stands in the rows that count, of [R, frames, B, …].
std::vector<float> counted_rows(const std::vector<float>& values, const Group& group, std::size_t frames = 1);

using genretree::normal_numbers;

/// Inputs of one pass over a batch of a group. A dense layer's parameters follow the pass's own.
struct Problem {
  StackConfig stack;
  Group group;
  std::vector<float> parameters, x, dh;  ///< [R, P], [R, T, B, F], [R, T or 1, B, H]
  std::vector<float> masks;              ///< [R, D] or empty
  std::vector<std::int32_t> labels;      ///< [R, B]

  /// Random content. All rows count and all classes are in use until the group is changed.
  Problem(const StackConfig& config, std::size_t runs, std::size_t batch, std::size_t frames, std::size_t classes);

  std::size_t parameter_count() const { return ParameterLayout(stack).size + (stack.outputs() + 1) * group.classes; }
  /// Frames that have an output.
  std::size_t output_frames() const { return stack.sequences ? group.frames : 1; }
  /// Run r alone, in a group of its own.
  Problem alone(std::size_t r) const;
};

/// What stack_forward and stack_backward make of a problem.
struct StackResult {
  std::vector<float> h;          ///< [R, T or 1, B, H]
  std::vector<float> gradients;  ///< [R, P]; what nothing writes is `untouched`
  std::vector<float> dx;         ///< [R, T, B, F] or empty
};
constexpr float untouched = 7777;

StackResult run_stack(Backend& backend, const Problem& problem);
/// h alone.
std::vector<float> run_forward(Backend& backend, const Problem& problem, StackState& state, Mode mode);
/// h alone, in Mode::inference with a state of that kind.
std::vector<float> run_inference(Backend& backend, const Problem& problem);

}  // namespace genretree::test
