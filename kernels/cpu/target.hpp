// The instruction sets of this machine, by Highway's names, and the choice of a kernel for one of them. Those that are
// never built are named in kernels/CMakeLists.txt (HWY_DISABLED_TARGETS).
#pragma once

#include <cstdint>
#include <hwy/targets.h>
#include <string>
#include <vector>

namespace genretree::cpu {

/// The targets that this build has and this machine runs, best first.
std::vector<std::int64_t> supported_targets();

/// "avx3_dl", "avx2", "neon", …
std::string target_name(std::int64_t target);

std::string lower_case(std::string text);

/// The target of that name (in any case), or the best for "auto". InputError that lists what this machine runs.
std::int64_t find_target(const std::string& name);

/// The entry for `target` in a table made by HWY_EXPORT(function): HWY_DISPATCH_TABLE(function).
template <class Function, std::size_t N>
Function* entry_for(std::int64_t target, Function* const (&table)[N]) {
  if constexpr (N == 1) {
    return table[0];  // one target is built, and Highway keeps no others
  } else {
    hwy::ChosenTarget chosen;
    chosen.Update(target);
    return table[chosen.GetIndex()];
  }
}

}  // namespace genretree::cpu
