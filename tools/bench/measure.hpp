// How bench measures: the clock, the FMA peak beside it, and what a measurement leaves behind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/ops.hpp"

namespace genretree::bench {

/// One line of the results.
struct Record {
  std::string name;
  std::string unit;
  std::vector<double> values;  ///< one for each repetition
  /// The same as parts of the fp32 FMA peak measured around each; empty if there is nothing to compare.
  std::vector<double> shares_of_peak;
  std::optional<double> megabytes;  ///< of memory that the work holds
  std::optional<double> gflops;     ///< GFLOP/s reached, of a GPU
};

/// What can be asked for by its name. `measure` leaves Record::name to the caller.
struct Benchmark {
  std::string name;
  std::function<Record()> measure;
};

/// A precision that a backend has on this machine.
struct Precision {
  std::string name;  ///< "fp32", "bf16"
  std::shared_ptr<Backend> backend;
  double tolerance;  ///< of a gradient or an output, as a part of the largest

  /// Operations to compare with the FMA peak, which is that of fp32: none in another precision.
  double beside_peak(double operations) const { return name == "fp32" ? operations : 0; }
};

/// What every benchmark is made from.
struct Setup {
  std::int64_t target;  ///< instruction set
  std::size_t cores;    ///< of the measurements on more than one
  double load;          ///< programs that wanted a core in the minute before; NaN if the system does not say
  std::vector<Precision> precisions;

  const Precision& fp32() const { return precisions.front(); }
};

/// "1core", "2cores"
std::string name_of_cores(std::size_t cores);

/// The processor time of one core, which other programs on the machine disturb less than the wall clock; or the wall
/// time of several cores.
double seconds_of(std::size_t cores, const std::function<void()>& work);

/// Calls work(core) on so many cores at once, on one in this very thread.
void on_cores(std::size_t cores, const std::function<void(std::size_t core)>& work);

/// GFLOP/s of nothing but fp32 multiply-adds on so many cores at once, over some 20 ms.
double peak_gflops(std::int64_t target, std::size_t cores);

double median(std::vector<double> values);

/// max |a - b|; a NaN stays one.
double max_difference(const std::vector<float>& a, const std::vector<float>& b);

/// How often a measurement is repeated; and, where once is too short for the clock, how often the work is done in each.
struct Repetitions {
  std::size_t count;
  std::size_t each = 1;
};

/// Seconds of `work`, done once before to touch all memory. With `operations`, each repetition is compared with the FMA
/// peak measured just before and after.
Record time_work(const Setup& setup, std::size_t cores, const Repetitions& repetitions, double operations,
                 const std::function<void()>& work);

}  // namespace genretree::bench
