#include <algorithm>

#include "models/group_weights.hpp"

namespace genretree {
namespace {

/// The layer whose width is the class count.
ParameterLayout::Tensor dense_kernel(const ClassifierConfig& classifier) {
  return classifier.cnn ? CnnLayout(*classifier.cnn, classifier.classes).output.kernel
                        : ParameterLayout(classifier.stack, classifier.classes).dense_kernel;
}

/// Copies one vector of parameters to the layout of another class count. Only the dense layer differs, which is the
/// last: its kernel [H, C] and bias [C] are H + 1 rows of C numbers, of which both layouts have the first.
void copy_parameters(const ClassifierConfig& classifier, const float* from, float* to, std::size_t to_classes) {
  const auto [offset, units, classes] = dense_kernel(classifier);
  std::copy_n(from, offset, to);
  for (std::size_t row = 0; row <= units; ++row)
    std::copy_n(from + offset + row * classes, std::min(classes, to_classes), to + offset + row * to_classes);
}

}  // namespace

GroupWeights::GroupWeights(std::size_t runs, const ClassifierConfig& largest, Device& device)
    : largest_(largest),
      parameter_count_(largest.parameter_count()),
      parameters_(device, runs * parameter_count_),
      moments_(device, runs * 2 * parameter_count_),
      steps_(device, runs) {}

void GroupWeights::zero(Queue& queue) {
  parameters_.zero(queue);
  moments_.zero(queue);
  steps_.zero(queue);
}

void GroupWeights::put(std::size_t run, std::size_t classes, const RunWeights& weights, Queue& queue) {
  ClassifierConfig own = largest_;
  own.classes = classes;
  const std::size_t count = own.parameter_count();
  std::vector<float> parameters(parameter_count_, 0.0f), moments(2 * parameter_count_, 0.0f);
  copy_parameters(own, weights.parameters.data(), parameters.data(), largest_.classes);
  for (std::size_t m = 0; m < 2; ++m)
    copy_parameters(own, &weights.moments[m * count], &moments[m * parameter_count_], largest_.classes);
  queue.copy_in(&steps_.data()[run], &weights.step, sizeof weights.step);
  queue.copy_in(this->parameters()[run].data, parameters.data(), parameters.size() * sizeof(float));
  queue.copy_in(this->moments()[run].data, moments.data(), moments.size() * sizeof(float));
}

RunWeights GroupWeights::get(std::size_t run, std::size_t classes, Queue& queue) const {
  std::vector<float> parameters(parameter_count_), moments(2 * parameter_count_);
  RunWeights weights;
  queue.copy_out(&weights.step, &steps_.data()[run], sizeof weights.step);
  queue.copy_out(parameters.data(), parameters_.data() + run * parameters.size(), parameters.size() * sizeof(float));
  queue.copy_out(moments.data(), moments_.data() + run * moments.size(), moments.size() * sizeof(float));
  queue.synchronize();
  if (classes == largest_.classes) return {weights.step, std::move(parameters), std::move(moments)};

  ClassifierConfig own = largest_;
  own.classes = classes;
  const std::size_t count = own.parameter_count();
  weights.parameters.resize(count);
  weights.moments.resize(2 * count);
  copy_parameters(largest_, parameters.data(), weights.parameters.data(), classes);
  for (std::size_t m = 0; m < 2; ++m)
    copy_parameters(largest_, &moments[m * parameter_count_], &weights.moments[m * count], classes);
  return weights;
}

void GroupWeights::copy_from(const GroupWeights& other, Queue& queue) {
  queue.copy(parameters_.data(), other.parameters_.data(), parameters_.bytes());
  queue.copy(moments_.data(), other.moments_.data(), moments_.bytes());
  queue.copy(steps_.data(), other.steps_.data(), steps_.bytes());
}

}  // namespace genretree
