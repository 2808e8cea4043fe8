// What the emulated programs test: the cuda backend, with blocks, warps and lanes in each order, or in one under
// the race check.
#include <algorithm>

#include "kernels/cuda/backend.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/cuda_libraries/device.hpp"

namespace genretree::test {

std::vector<Variant> variants_of(const std::string& precision) {
  using emulator::Order;
  const std::vector<std::string> known = cuda::precisions();
  if (std::find(known.begin(), known.end(), precision) == known.end()) return {};
  std::vector<std::pair<std::string, Order>> orders{{"random", Order::random}};
  // the race check finds a race in whatever order the threads have run
  if (!emulator::checks_races())
    orders.insert(orders.end(), {{"first to last", Order::first_to_last}, {"last to first", Order::last_to_first}});
  std::vector<Variant> variants;
  for (const auto& [name, order] : orders)
    variants.push_back({"emulated cuda, order " + name, [=, order = order] {
                          cuda::emulate(order, 1);
                          return cuda::make_backend({.device = "cuda", .precision = precision});
                        }});
  return variants;
}

}  // namespace genretree::test
