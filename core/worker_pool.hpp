// The one owner of concurrency: a fixed set of worker threads, each holding a queue of its own.
#pragma once

#include <cstddef>
#include <functional>

#include "core/device.hpp"
#include "core/limits.hpp"  // available_cores: as many workers as make sense

namespace genretree {

/// What a worker lends to the task that it runs.
struct Worker {
  std::size_t index;  ///< 0 … workers - 1
  Queue& queue;
};

/// Runs task(item, worker) for every item 0 … items - 1 on `workers` threads; items are begun in order, so put the
/// longest first. Returns only when all are done. If one throws, or a stop is requested, no further item is begun; the
/// first exception is rethrown, and Interrupted is thrown if a stop left items undone. `trace`, if there is one, gets
/// the phases of each worker's queue as a lane "worker 0", ….
void run_on_workers(Device& device, std::size_t workers, std::size_t items,
                    const std::function<void(std::size_t item, Worker& worker)>& task, Trace* trace = nullptr);

}  // namespace genretree
