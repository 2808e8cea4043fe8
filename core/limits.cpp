#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <sched.h>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "core/limits.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

/// The number that a file begins with; none if there is no such file, or if it holds a word ("max": no limit).
std::optional<std::size_t> number_of(const fs::path& file) {
  std::ifstream stream(file);
  std::size_t number = 0;
  return stream >> number ? std::optional(number) : std::nullopt;
}

/// The number in a variable of the environment; none if it is not set or no number.
std::optional<std::size_t> number_in(const char* variable) {
  const char* value = std::getenv(variable);
  std::size_t number = 0;
  return value && std::istringstream(value) >> number ? std::optional(number) : std::nullopt;
}

/// What a Slurm job was given, on nodes that do not confine it by control groups. Source: sbatch(1).
std::optional<std::size_t> cores_of_slurm_job() {
  const std::optional<std::size_t> asked_for = number_in("SLURM_CPUS_PER_TASK");
  return asked_for ? asked_for : number_in("SLURM_CPUS_ON_NODE");
}
std::optional<std::size_t> memory_of_slurm_job() {
  constexpr std::size_t megabyte = 1 << 20;
  if (const auto on_node = number_in("SLURM_MEM_PER_NODE")) return *on_node * megabyte;
  const auto of_core = number_in("SLURM_MEM_PER_CPU"), cores = cores_of_slurm_job();
  return of_core && cores ? std::optional(*of_core * *cores * megabyte) : std::nullopt;
}

/// The number after `name` in a file of lines "name number".
std::optional<std::size_t> number_after(const std::string& name, const fs::path& file) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    std::string word;
    std::size_t number = 0;
    if (words >> word >> number && word == name) return number;
  }
  return std::nullopt;
}

/// The folders of the control groups that limit `controller` ("memory", "cpu") for this process, from the innermost
/// outwards, for each of them counts. /proc/self/cgroup has lines "number:controllers:path"; version 2 has one tree for
/// all controllers and names none. A container may see a path that its own tree does not have: its limits lie at the
/// root then. Source: cgroups(7).
std::vector<fs::path> groups_of(const std::string& controller, const KernelFiles& kernel) {
  std::vector<fs::path> groups;
  std::ifstream stream(kernel.proc / "self/cgroup");
  for (std::string line; std::getline(stream, line);) {
    std::istringstream parts(line);
    std::string number, controllers, path;
    std::getline(parts, number, ':'), std::getline(parts, controllers, ':'), std::getline(parts, path);
    if (!controllers.empty() && ("," + controllers + ",").find("," + controller + ",") == std::string::npos) continue;
    const fs::path tree = controllers.empty() ? kernel.cgroup : kernel.cgroup / controller;
    for (fs::path group = fs::path(path).relative_path(); !group.empty(); group = group.parent_path())
      groups.push_back(tree / group);
    groups.push_back(tree);
  }
  return groups;
}

/// What a control group leaves of its memory.
std::size_t memory_left(const fs::path& group) {
  struct Names {
    const char *limit, *usage, *caches;
  };
  std::size_t left = unlimited;
  for (const Names& names : {Names{"memory.max", "memory.current", "inactive_file"},                             // v2
                             Names{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}}) {  // v1
    const std::size_t limit = number_of(group / names.limit).value_or(unlimited);
    const std::size_t usage = number_of(group / names.usage).value_or(0);
    const std::size_t kept = usage - std::min(usage, number_after(names.caches, group / "memory.stat").value_or(0));
    left = std::min(left, limit - std::min(limit, kept));
  }
  return left;
}

/// The cores that a control group's CPU quota amounts to: microseconds of each period.
double cores_of_quota(const fs::path& group) {
  double quota = 0, period = 0;
  if (std::ifstream v2(group / "cpu.max"); !(v2 >> quota >> period)) {
    std::ifstream(group / "cpu.cfs_quota_us") >> quota;  // -1: none
    std::ifstream(group / "cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : std::numeric_limits<double>::infinity();
}

}  // namespace

std::size_t available_cores(const KernelFiles& kernel) {
  cpu_set_t affinity;
  double cores = sched_getaffinity(0, sizeof affinity, &affinity) == 0 ? CPU_COUNT(&affinity)
                                                                       : std::thread::hardware_concurrency();
  for (const fs::path& group : groups_of("cpu", kernel)) cores = std::min(cores, std::ceil(cores_of_quota(group)));
  if (const auto slurm = cores_of_slurm_job()) cores = std::min(cores, static_cast<double>(*slurm));
  return static_cast<std::size_t>(std::max(1.0, cores));
}

std::size_t available_memory(const KernelFiles& kernel) {
  std::size_t bytes = unlimited;
  if (const auto kilobytes = number_after("MemAvailable:", kernel.proc / "meminfo")) bytes = *kilobytes * 1024;
  for (const fs::path& group : groups_of("memory", kernel)) bytes = std::min(bytes, memory_left(group));
  if (const auto slurm = memory_of_slurm_job()) bytes = std::min(bytes, *slurm);
  return bytes;
}

}  // namespace genretree
