#include <limits>
#include <vector>

#include "core/error.hpp"
#include "kernels/cuda/group_rows.hpp"

namespace genretree::cuda {
namespace {

void narrow(const std::vector<std::uint32_t>& values, std::size_t runs, const char* what, std::uint16_t* narrowed) {
  if (runs > most_grouped_runs)
    fail("a group has {} runs, but a launch on the GPU has room for at most {}. Use smaller groups", runs,
         most_grouped_runs);
  constexpr std::uint32_t most = std::numeric_limits<std::uint16_t>::max();
  for (std::size_t r = 0; r < runs; ++r) {
    if (values[r] > most)
      fail("run {} of a group has {} {}, but the cuda backend takes at most {}. Use fewer", r, values[r], what, most);
    narrowed[r] = static_cast<std::uint16_t>(values[r]);
  }
}

}  // namespace

RunRows run_rows(const Group& group) {
  RunRows result{};
  narrow(group.rows, group.runs, "rows in a batch", result.rows);
  return result;
}

RunClasses run_classes(const Group& group) {
  RunClasses result{};
  narrow(group.class_counts, group.runs, "classes", result.classes);
  return result;
}

}  // namespace genretree::cuda
