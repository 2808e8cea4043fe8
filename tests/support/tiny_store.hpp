// A feature store of random features that a tiny network can learn, for tests of training and experiments.
#pragma once

#include "features/store.hpp"

namespace genretree::test {

struct TinyStoreConfig {
  std::size_t genres = 3, clips_per_genre = 10, frames = 6, coefficients = 4;
  double separation = 1.0;  ///< distance of the genres' means in standard deviations of the noise
};

/// Genres "a", "b", …; tracks "a.00000" …; features are normal noise around a mean of each genre. The same on every
/// call.
FeatureStore tiny_store(const TinyStoreConfig& config = {});

}  // namespace genretree::test
