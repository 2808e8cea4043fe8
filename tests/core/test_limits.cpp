#include <cstdlib>
#include <sched.h>

#include "core/io/files.hpp"
#include "core/limits.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
namespace fs = std::filesystem;

namespace {

/// The kernel's files as some machine has them.
class Machine {
 public:
  /// `groups`: the content of /proc/self/cgroup.
  explicit Machine(const std::string& groups) {
    for (const char* of_slurm : {"CPUS_PER_TASK", "CPUS_ON_NODE", "MEM_PER_NODE", "MEM_PER_CPU"})
      ::unsetenv(fmt::format("SLURM_{}", of_slurm).c_str());  // the test itself may be a Slurm job
    write("proc/self/cgroup", groups);
    write("proc/meminfo", "MemTotal:        9000000 kB\nMemAvailable:    8000000 kB\n");
  }
  void write(const std::string& path, const std::string& text) {
    fs::create_directories((folder_ / path).parent_path());
    write_whole_text(folder_ / path, text);
  }
  std::size_t memory() const { return available_memory({folder_ / "proc", folder_ / "cgroup"}); }
  std::size_t cores() const { return available_cores({folder_ / "proc", folder_ / "cgroup"}); }

 private:
  test::TemporaryFolder folder_;
};

constexpr std::size_t machine_memory = 8000000ull * 1024;

/// What the test itself may run on.
std::size_t affinity() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<std::size_t>(CPU_COUNT(&set)) : 1;
}

}  // namespace

TEST_CASE("without limits the machine's free memory and the affinity count") {
  Machine machine("0::/\n");
  CHECK(machine.memory() == machine_memory);
  CHECK(machine.cores() == affinity());
  machine.write("cgroup/memory.max", "max\n");
  machine.write("cgroup/memory.current", "5000\n");
  machine.write("cgroup/cpu.max", "max 100000\n");
  CHECK(machine.memory() == machine_memory);
  CHECK(machine.cores() == affinity());
}

TEST_CASE("control groups, version 2: the tightest of all groups around the process counts, without its caches") {
  Machine machine("0::/system.slice/job_7/step\n");
  machine.write("cgroup/system.slice/memory.max", "9000000\n");
  machine.write("cgroup/system.slice/memory.current", "2000000\n");
  machine.write("cgroup/system.slice/job_7/memory.max", "max\n");
  CHECK(machine.memory() == 7000000);
  machine.write("cgroup/system.slice/job_7/step/memory.max", "1000000\n");
  machine.write("cgroup/system.slice/job_7/step/memory.current", "700000\n");
  machine.write("cgroup/system.slice/job_7/step/memory.stat", "anon 500000\nactive_file 1\ninactive_file 100000\n");
  CHECK(machine.memory() == 400000);
  machine.write("cgroup/system.slice/job_7/step/memory.current", "1200000\n");  // may be above for a moment
  CHECK(machine.memory() == 0);
  machine.write("cgroup/other/memory.max", "1\n");
  machine.write("cgroup/system.slice/job_7/step/memory.max", "max\n");
  CHECK(machine.memory() == 7000000);

  machine.write("cgroup/system.slice/job_7/cpu.max", "50000 100000\n");
  CHECK(machine.cores() == 1);
  machine.write("cgroup/system.slice/job_7/cpu.max", "99900000 100000\n");
  CHECK(machine.cores() == std::min<std::size_t>(affinity(), 999));
  machine.write("cgroup/cpu.max", "100000 100000\n");
  CHECK(machine.cores() == 1);
}

TEST_CASE("control groups, version 1: each controller has a tree of its own") {
  Machine machine("9:name=systemd:/\n4:memory:/box/7\n2:cpuacct,cpu:/share\n0::/\n");
  machine.write("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");  // the kernel's "no limit"
  machine.write("cgroup/memory/memory.usage_in_bytes", "5000\n");
  machine.write("cgroup/cpu/share/cpu.cfs_quota_us", "-1\n");
  machine.write("cgroup/cpu/share/cpu.cfs_period_us", "100000\n");
  CHECK(machine.memory() == machine_memory);
  CHECK(machine.cores() == affinity());
  machine.write("cgroup/memory/box/7/memory.limit_in_bytes", "300000\n");
  machine.write("cgroup/memory/box/7/memory.usage_in_bytes", "120000\n");
  machine.write("cgroup/memory/box/7/memory.stat", "inactive_file 1\ntotal_inactive_file 20000\n");
  machine.write("cgroup/cpu/share/cpu.cfs_quota_us", "80000\n");
  CHECK(machine.memory() == 200000);
  CHECK(machine.cores() == 1);
}

TEST_CASE("a Slurm job uses the cores that it asked for, though its node may let it see all") {
  Machine machine("");
  ::setenv("SLURM_CPUS_PER_TASK", "1", 1);
  CHECK(machine.cores() == 1);
  ::setenv("SLURM_CPUS_PER_TASK", "99999", 1);
  CHECK(machine.cores() == affinity());
  ::unsetenv("SLURM_CPUS_PER_TASK");
  ::setenv("SLURM_CPUS_ON_NODE", "1", 1);  // set without --cpus-per-task too
  CHECK(machine.cores() == 1);
  ::setenv("SLURM_MEM_PER_CPU", "3", 1);
  CHECK(machine.memory() == 3 << 20);
  ::setenv("SLURM_MEM_PER_NODE", "2", 1);
  CHECK(machine.memory() == 2 << 20);
  for (const char* set : {"SLURM_CPUS_ON_NODE", "SLURM_MEM_PER_CPU", "SLURM_MEM_PER_NODE"}) ::unsetenv(set);
}

TEST_CASE("a container whose path is that of its host finds its limits at the root of the tree") {
  Machine machine("4:memory:/docker/0123abcd\n");
  machine.write("cgroup/memory/memory.limit_in_bytes", "300000\n");
  machine.write("cgroup/memory/memory.usage_in_bytes", "100000\n");
  CHECK(machine.memory() == 200000);
}
