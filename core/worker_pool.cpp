#include <algorithm>
#include <atomic>
#include <exception>
#include <fmt/format.h>
#include <mutex>
#include <thread>
#include <vector>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/worker_pool.hpp"

namespace genretree {

void run_on_workers(Device& device, std::size_t workers, std::size_t items,
                    const std::function<void(std::size_t, Worker&)>& task, Trace* trace) {
  std::atomic<std::size_t> next_item{0}, done{0};
  std::atomic<bool> failed{false};
  std::exception_ptr first_error;
  std::mutex error_mutex;

  const auto keep_errors = [&](const auto& work) {
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(error_mutex);
      if (!first_error) first_error = std::current_exception();
      failed = true;
    }
  };
  const auto do_items = [&](Worker& worker) {
    while (!failed && !stop_requested()) {
      const std::size_t item = next_item++;
      if (item >= items) return;
      task(item, worker);
      ++done;
    }
  };
  const auto work = [&](std::size_t index) {
    keep_errors([&] {
      const std::unique_ptr<Queue> queue = device.make_queue();
      Worker worker{index, *queue};
      if (trace) queue->trace_to(*trace, fmt::format("worker {}", index));
      keep_errors([&] { do_items(worker); });
      if (trace) queue->synchronize();  // a GPU's phases are known then, also those of an item that failed
    });
  };

  {
    std::vector<std::jthread> threads;
    for (std::size_t index = 0; index < std::min(workers, items); ++index) threads.emplace_back(work, index);
  }  // joins
  if (first_error) std::rethrow_exception(first_error);
  if (done < items) throw_if_stop_requested();
}

}  // namespace genretree
