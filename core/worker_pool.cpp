#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <fstream>
#include <mutex>
#include <sched.h>
#include <thread>
#include <vector>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/worker_pool.hpp"

namespace genretree {

void run_on_workers(Device& device, std::size_t workers, std::size_t items,
                    const std::function<void(std::size_t, Worker&)>& task) {
  std::atomic<std::size_t> next_item{0}, done{0};
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
        ++done;
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
  if (done < items) throw_if_stop_requested();
}

std::size_t available_cores() {
  cpu_set_t affinity;
  double cores = sched_getaffinity(0, sizeof affinity, &affinity) == 0 ? CPU_COUNT(&affinity)
                                                                       : std::thread::hardware_concurrency();
  // cgroup v2: "quota period" in microseconds, or "max period"; "max", which is no number, sets no limit
  std::ifstream cgroup("/sys/fs/cgroup/cpu.max");
  double quota = 0, period = 0;
  if (cgroup >> quota >> period && period > 0) cores = std::min(cores, std::ceil(quota / period));
  return static_cast<std::size_t>(std::max(1.0, cores));
}

}  // namespace genretree
