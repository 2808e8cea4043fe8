// The machine's limits: multiply-adds, and bytes from and to memory.
#include <algorithm>
#include <fmt/format.h>
#include <unistd.h>

#include "core/limits.hpp"
#include "kernels/cpu/memory_speed.hpp"
#include "tools/bench/benchmarks.hpp"

namespace genretree::bench {
namespace {

Record fma_peak(const Setup& setup, std::size_t cores) {
  Record record{.unit = "GFLOP/s"};
  for (std::size_t i = 0; i < 20; ++i) record.values.push_back(peak_gflops(setup.target, cores));
  return record;
}

enum class Access { read, triad };

/// Bytes that all arrays of a measurement have together: four times the last cache, so that little of them is found
/// there, but no more than a quarter of the free memory.
std::size_t memory_bytes() {
  const auto cache = static_cast<std::size_t>(std::max(0L, sysconf(_SC_LEVEL3_CACHE_SIZE)));
  return std::min(std::max<std::size_t>(4 * cache, 512 << 20), available_memory() / 4);
}

/// Half of a second-level cache.
std::size_t cache_bytes() { return static_cast<std::size_t>(std::max(512L << 10, sysconf(_SC_LEVEL2_CACHE_SIZE))) / 2; }

/// GB/s of all cores together over arrays of `bytes` in all, each core with its own part: one array to read, three for
/// the triad.
Record bandwidth(const Setup& setup, std::size_t cores, std::size_t bytes, Access access) {
  const std::size_t arrays = access == Access::read ? 1 : 3, unit = cpu::memory_speed_round;
  const std::size_t size = bytes / sizeof(float) / arrays / cores / unit * unit;
  const std::size_t moved = size * sizeof(float) * arrays * cores;
  const std::size_t rounds = std::max<std::size_t>(1, (std::size_t{1} << 30) / moved);
  std::vector<std::vector<float>> memory(cores);
  on_cores(cores, [&](std::size_t core) { memory[core].assign(arrays * size, 1); });
  std::vector<float> sums(cores);  // or nothing would have to be read
  const auto go_through = [&](std::size_t core) {
    float* data = memory[core].data();
    for (std::size_t round = 0; round < rounds; ++round) {
      if (access == Access::read)
        sums[core] = cpu::read_all(setup.target, data, size);
      else
        cpu::triad(setup.target, data + size, data + 2 * size, 0.5f, data, size);
    }
  };
  Record record{.unit = "GB/s", .megabytes = static_cast<double>(moved) / 1e6};
  for (std::size_t i = 0; i < 5; ++i) {
    const double seconds = seconds_of(cores, [&] { on_cores(cores, go_through); });
    record.values.push_back(static_cast<double>(moved * rounds) / seconds / 1e9);
  }
  return record;
}

}  // namespace

std::vector<Benchmark> machine_benchmarks(const Setup& setup) {
  std::vector<Benchmark> all;
  for (const std::size_t cores : core_counts(setup)) {
    const std::string suffix = name_of_cores(cores);
    all.push_back({"fma_peak/" + suffix, [&setup, cores] { return fma_peak(setup, cores); }});
    for (const auto& [name, access] : {std::pair{"read", Access::read}, {"triad", Access::triad}})
      all.push_back({fmt::format("memory/{}/{}", name, suffix),
                     [&setup, cores, access = access] { return bandwidth(setup, cores, memory_bytes(), access); }});
  }
  all.push_back({"memory/L2_read/1core", [&setup] { return bandwidth(setup, 1, cache_bytes(), Access::read); }});
  return all;
}

}  // namespace genretree::bench
