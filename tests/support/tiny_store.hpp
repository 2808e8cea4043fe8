// A feature store of random features that a tiny network can learn, for tests of training and experiments.
#pragma once

#include <filesystem>
#include <string>

#include "features/store.hpp"

namespace genretree::test {

struct TinyStoreConfig {
  std::size_t genres = 3, clips_per_genre = 10, frames = 6, coefficients = 4;
  double separation = 1.0;   ///< distance of the genres' means in standard deviations of the noise
  std::size_t shortest = 0;  ///< clips have so many to all frames of sound, in turn; 0: all
};

/// Genres "a", "b", …; tracks "a.00000" …; features are normal noise around a mean of each genre. The same on every
/// call.
FeatureStore tiny_store(const TinyStoreConfig& config = {});

/// An experiment file for the store with the default shape at `path`: a tiny network with dropout, three grid points,
/// two trials.
std::string tiny_experiment(const std::filesystem::path& path);

}  // namespace genretree::test
