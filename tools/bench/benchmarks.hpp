// Everything that bench can measure; one function for each file of this folder. The benchmarks refer to the setup.
#pragma once

#include <vector>

#include "tools/bench/measure.hpp"

namespace genretree::bench {

std::vector<Benchmark> machine_benchmarks(const Setup& setup);   // machine.cpp
std::vector<Benchmark> training_benchmarks(const Setup& setup);  // training.cpp
std::vector<Benchmark> cnn_benchmarks(const Setup& setup);       // cnn.cpp
std::vector<Benchmark> piece_benchmarks(const Setup& setup);     // pieces.cpp
std::vector<Benchmark> scaling_benchmarks(const Setup& setup);   // scaling.cpp
std::vector<Benchmark> grid_benchmarks(const Setup& setup);      // grid.cpp
std::vector<Benchmark> feature_benchmarks(const Setup& setup);   // features.cpp
std::vector<Benchmark> gpu_benchmarks(const Setup& setup);       // gpu.cpp: of the cuda backend, in place of all others

/// One core, and all of the setup's if it has more.
inline std::vector<std::size_t> core_counts(const Setup& setup) {
  return setup.cores == 1 ? std::vector<std::size_t>{1} : std::vector<std::size_t>{1, setup.cores};
}

}  // namespace genretree::bench
