// What test_kernels tests: every backend that is built, on each of its targets.
#include <algorithm>

#include "kernels/backends.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

namespace genretree::test {

std::vector<Variant> variants_of(const std::string& precision) {
  std::vector<Variant> variants;
  for (const std::string& device : built_backends()) {
    const std::vector<std::string> known = backend_precisions(device);
    if (std::find(known.begin(), known.end(), precision) == known.end()) continue;
    const std::vector<std::string> targets = backend_targets(device, precision);
    if (targets.empty()) skip_once(error_of([&] { make_backend({.device = device}); }));
    for (const std::string& target : targets)
      variants.push_back({device + ", target " + target,
                          [=] { return make_backend({.device = device, .precision = precision, .target = target}); }});
  }
  return variants;
}

}  // namespace genretree::test
