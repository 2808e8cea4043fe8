#include <cctype>

#include "core/error.hpp"
#include "core/text.hpp"
#include "kernels/cpu/target.hpp"

namespace genretree::cpu {

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::vector<std::int64_t> supported_targets() { return hwy::SupportedAndGeneratedTargets(); }

std::string target_name(std::int64_t target) { return lower_case(hwy::TargetName(target)); }

std::int64_t find_target(const std::string& name) {
  const std::vector<std::int64_t> targets = supported_targets();
  if (name == "auto") return targets.front();
  std::vector<std::string> names;
  for (const std::int64_t target : targets) {
    names.push_back(target_name(target));
    if (names.back() == lower_case(name)) return target;
  }
  reject("target '{}' is not an instruction set that this build has and this machine runs; use auto or one of: {}{}",
         name, join(names), did_you_mean(name, names));
}

}  // namespace genretree::cpu
