// What differs between the runs of a group and is small enough to be an argument of a kernel, so that one launch does
// the work of all runs. A kernel's arguments may have 4 KB.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/ops.hpp"

namespace genretree::cuda {

/// Runs that a launch has room for.
inline constexpr std::size_t most_grouped_runs = 128;

/// Group::rows, by value.
struct RunRows {
  std::uint16_t rows[most_grouped_runs];
};
/// Group::class_counts, by value.
struct RunClasses {
  std::uint16_t classes[most_grouped_runs];
};

/// Throw Error if there are more runs than most_grouped_runs, or a number of a run is above 65,535.
RunRows run_rows(const Group& group);
RunClasses run_classes(const Group& group);

}  // namespace genretree::cuda
