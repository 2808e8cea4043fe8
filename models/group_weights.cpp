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
  const View<float, 2> own_moments = moments()[run];
  const std::size_t count = weights.parameters.size();
  queue.copy_in(&steps_.data()[run], &weights.step, sizeof weights.step);
  put_parameters(parameters()[run], classes, weights.parameters, queue);
  for (std::size_t m = 0; m < 2; ++m)
    put_parameters(own_moments[m], classes, std::span(weights.moments).subspan(m * count, count), queue);
}

RunWeights GroupWeights::get(std::size_t run, std::size_t classes, Queue& queue) const {
  RunWeights weights;
  queue.copy_out(&weights.step, &steps_.data()[run], sizeof weights.step);
  weights.parameters = parameters_of(parameters_.view(runs(), parameter_count_)[run], classes, queue);
  for (std::size_t m = 0; m < 2; ++m) {
    const std::vector<float> moment = parameters_of(moments_.view(runs(), 2, parameter_count_)[run][m], classes, queue);
    weights.moments.insert(weights.moments.end(), moment.begin(), moment.end());
  }
  return weights;
}

std::vector<float> GroupWeights::parameters_of(View<const float, 1> place, std::size_t classes, Queue& queue) const {
  std::vector<float> all(parameter_count_);
  queue.copy_out(all.data(), place.data, all.size() * sizeof(float));
  queue.synchronize();
  if (classes == largest_.classes) return all;
  ClassifierConfig own = largest_;
  own.classes = classes;
  std::vector<float> parameters(own.parameter_count());
  copy_parameters(largest_, all.data(), parameters.data(), classes);
  return parameters;
}

void GroupWeights::put_parameters(View<float, 1> place, std::size_t classes, std::span<const float> parameters,
                                  Queue& queue) const {
  ClassifierConfig own = largest_;
  own.classes = classes;
  std::vector<float> all(parameter_count_, 0.0f);
  copy_parameters(own, parameters.data(), all.data(), largest_.classes);
  queue.copy_in(place.data, all.data(), all.size() * sizeof(float));
}

void GroupWeights::copy_from(const GroupWeights& other, Queue& queue) {
  queue.copy(parameters_.data(), other.parameters_.data(), parameters_.bytes());
  queue.copy(moments_.data(), other.moments_.data(), moments_.bytes());
  queue.copy(steps_.data(), other.steps_.data(), steps_.bytes());
}

}  // namespace genretree
