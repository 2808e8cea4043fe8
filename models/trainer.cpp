#include "models/trainer.hpp"

namespace genretree {

Trainer::Trainer(Backend& backend, Queue& queue, const DeviceDataset& dataset, const Split& split,
                 const ClassifierConfig& classifier, const TrainingConfig& training, const RandomKey& key,
                 std::size_t epochs)
    : own_(std::make_unique<TrainingGroup>(
          backend, queue, dataset, classifier, training,
          GroupSize{1, training_rows(split, training),
                    evaluation_rows(split, window_count(dataset.features().shape[1], classifier.window)),
                    classifier.classes})),
      group_(*own_),
      slot_(group_.enter(dataset, split, classifier.classes, key, epochs)) {}

Trainer::Trainer(TrainingGroup& group, const DeviceDataset& dataset, const Split& split, std::size_t classes,
                 const RandomKey& key, std::size_t epochs)
    : group_(group), slot_(group_.enter(dataset, split, classes, key, epochs)) {}

}  // namespace genretree
