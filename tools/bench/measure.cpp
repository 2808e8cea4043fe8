#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <fmt/format.h>
#include <numeric>

#include "core/worker_pool.hpp"
#include "kernels/cpu/fma_peak.hpp"
#include "tools/bench/measure.hpp"

namespace genretree::bench {

std::string name_of_cores(std::size_t cores) { return cores == 1 ? "1core" : fmt::format("{}cores", cores); }

double seconds_of(std::size_t cores, const std::function<void()>& work) {
  if (cores == 1) {
    const std::clock_t start = std::clock();
    work();
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  }
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void on_cores(std::size_t cores, const std::function<void(std::size_t core)>& work) {
  if (cores == 1)
    work(0);
  else
    run_on_workers(host_device(), cores, cores, [&](std::size_t core, Worker&) { work(core); });
}

double peak_gflops(std::int64_t target, std::size_t cores) {
  constexpr std::size_t rounds = 10'000'000;
  std::vector<double> operations(cores);
  const double seconds = seconds_of(cores, [&] {
    on_cores(cores, [&](std::size_t core) { operations[core] = cpu::run_multiply_adds(target, rounds); });
  });
  return std::accumulate(operations.begin(), operations.end(), 0.0) / seconds / 1e9;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

double max_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0;
  for (std::size_t k = 0; k < a.size(); ++k) {
    const double difference = std::abs(a[k] - b[k]);
    worst = difference > worst || std::isnan(difference) ? difference : worst;
  }
  return worst;
}

Record time_work(const Setup& setup, std::size_t cores, const Repetitions& repetitions, double operations,
                 const std::function<void()>& work) {
  work();
  Record record{.unit = "s"};
  for (std::size_t i = 0; i < repetitions.count; ++i) {
    const double peak_before = operations > 0 ? peak_gflops(setup.target, cores) : 0;
    const double seconds = seconds_of(cores, [&] {
      for (std::size_t k = 0; k < repetitions.each; ++k) work();
    });
    record.values.push_back(seconds / static_cast<double>(repetitions.each));
    if (operations <= 0) continue;
    const double peak = (peak_before + peak_gflops(setup.target, cores)) / 2;
    record.shares_of_peak.push_back(operations / record.values.back() / 1e9 / peak);
  }
  return record;
}

}  // namespace genretree::bench
