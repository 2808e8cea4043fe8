#include <algorithm>
#include <iterator>

#include "experiments/task.hpp"

namespace genretree {
namespace {

std::optional<std::size_t> class_of_clip(const ClassifierTask& task, const FeatureStore& dataset, std::size_t clip) {
  return task.class_of[static_cast<std::size_t>(dataset.labels[clip])];
}

}  // namespace

std::vector<ClassifierTask> tasks_of(const Spec& spec, const std::vector<std::string>& genres) {
  if (spec.tree.empty()) {
    ClassifierTask all{"", genres, {}};
    for (std::size_t genre = 0; genre < genres.size(); ++genre) all.class_of.push_back(genre);
    return {all};
  }
  std::vector<ClassifierTask> tasks;
  for (std::size_t node = 0; node < spec.tree.nodes().size(); ++node) {
    ClassifierTask task{spec.tree.nodes()[node].name, spec.tree.nodes()[node].children, {}};
    for (std::size_t genre = 0; genre < genres.size(); ++genre)
      task.class_of.push_back(spec.tree.child_of(node, genre));
    tasks.push_back(std::move(task));
  }
  return tasks;
}

std::vector<std::int32_t> labels_of(const ClassifierTask& task, const FeatureStore& dataset) {
  std::vector<std::int32_t> labels;
  for (std::size_t clip = 0; clip < dataset.clips(); ++clip)
    labels.push_back(static_cast<std::int32_t>(class_of_clip(task, dataset, clip).value_or(0)));
  return labels;
}

std::vector<std::uint32_t> confusion_of(const ClassifierTask& task, std::span<const std::uint32_t> genres,
                                        std::span<const float> probabilities) {
  const std::size_t classes = task.classes.size();
  std::vector<std::uint32_t> counts(classes * classes, 0);
  for (std::size_t clip = 0; clip < genres.size(); ++clip)
    if (const std::optional<std::size_t> truth = task.class_of[genres[clip]]) {
      const auto own = probabilities.subspan(clip * classes, classes);
      ++counts[*truth * classes + static_cast<std::size_t>(std::ranges::max_element(own) - own.begin())];
    }
  return counts;
}

Split clips_of(const ClassifierTask& task, const FeatureStore& dataset, const Split& split) {
  const auto asked_for = [&](const std::vector<std::uint32_t>& clips) {
    std::vector<std::uint32_t> own;
    std::ranges::copy_if(clips, std::back_inserter(own),
                         [&](std::uint32_t clip) { return class_of_clip(task, dataset, clip).has_value(); });
    return own;
  };
  Split own;
  own.train = asked_for(split.train);
  own.validation = asked_for(split.validation);
  own.test = asked_for(split.test);
  return own;
}

}  // namespace genretree
