// What this process may use of the machine: its affinity, the free memory, and the limits of the control groups
// (containers, batch jobs, system services) that it is in.
#pragma once

#include <cstddef>
#include <filesystem>

namespace genretree {

/// Where the kernel tells it; tests lay folders of their own here.
struct KernelFiles {
  std::filesystem::path proc = "/proc", cgroup = "/sys/fs/cgroup";
};

/// Cores that this process may use (its affinity, its control groups' CPU quotas and what a Slurm job was given counted
/// in), at least 1.
std::size_t available_cores(const KernelFiles& kernel = {});

/// Bytes that this process may still take: MemAvailable, and what its control groups and Slurm leave (caches that can
/// be dropped counted as free).
std::size_t available_memory(const KernelFiles& kernel = {});

}  // namespace genretree
