#include "core/worker_pool.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/interrupt.hpp"

namespace genretree {

void run_on_workers(Device& device, std::size_t workers, std::size_t items,
                    const std::function<void(std::size_t, Worker&)>& task) {
  std::atomic<std::size_t> next_item{0};
  std::atomic<bool> failed{false};
  std::exception_ptr first_error;
  std::mutex error_mutex;

  auto work = [&](std::size_t index) {
    try {
      const std::unique_ptr<Queue> queue = device.make_queue();
      Worker worker{index, *queue};
      while (!failed && !stop_requested()) {
        const std::size_t item = next_item++;
        if (item >= items) return;
        task(item, worker);
      }
    } catch (...) {
      const std::lock_guard lock(error_mutex);
      if (!first_error) first_error = std::current_exception();
      failed = true;
    }
  };

  {
    std::vector<std::jthread> threads;
    for (std::size_t index = 0; index < std::min(workers, items); ++index) threads.emplace_back(work, index);
  }  // joins
  if (first_error) std::rethrow_exception(first_error);
}

std::size_t available_cores() {
  cpu_set_t affinity;
  std::size_t cores = sched_getaffinity(0, sizeof affinity, &affinity) == 0 ? static_cast<std::size_t>(CPU_COUNT(&affinity))
                                                                             : std::thread::hardware_concurrency();
  std::ifstream cgroup("/sys/fs/cgroup/cpu.max");  // cgroup v2: "quota period" in microseconds, or "max period"
  std::string quota;
  double period = 0;
  if (cgroup >> quota >> period && quota != "max" && period > 0)
    cores = std::min(cores, static_cast<std::size_t>(std::ceil(std::stod(quota) / period)));
  return std::max<std::size_t>(1, cores);
}

}  // namespace genretree
