#include <atomic>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/worker_pool.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

TEST_CASE("every item is done once, each worker keeps its queue") {
  for (const std::size_t workers : {1, 3, 8}) {
    std::vector<std::atomic<int>> done(50);
    std::vector<std::atomic<Queue*>> queues(workers);
    std::atomic<bool> changed_queue{false};
    run_on_workers(host_device(), workers, done.size(), [&](std::size_t item, Worker& worker) {
      ++done.at(item);
      Queue* const before = queues.at(worker.index).exchange(&worker.queue);
      if (before && before != &worker.queue) changed_queue = true;
    });
    for (const std::atomic<int>& count : done) CHECK(count == 1);
    CHECK_FALSE(changed_queue);
  }
}

TEST_CASE("one worker takes the items in order") {
  std::vector<std::size_t> order;
  run_on_workers(host_device(), 1, 5, [&](std::size_t item, Worker&) { order.push_back(item); });
  CHECK(order == std::vector<std::size_t>{0, 1, 2, 3, 4});
}

TEST_CASE("an exception ends it and is passed on; no further item is begun") {
  std::atomic<int> begun{0};
  const auto task = [&](std::size_t item, Worker&) {
    ++begun;
    if (item == 3) throw std::runtime_error("item 3");
  };
  CHECK_THROWS_WITH(run_on_workers(host_device(), 1, 100, task), "item 3");
  CHECK(begun == 4);
  CHECK_THROWS_WITH(run_on_workers(host_device(), 4, 100, task), "item 3");
}

namespace {

/// What run_on_workers throws, if anything, when a signal comes during item `last` of ten; a signal cannot be taken
/// back, so it comes to a process of its own. 0: nothing, 1: Interrupted that names the signal, 2: anything else.
int stopped_at(std::size_t last) {
  const pid_t child = fork();
  if (child == 0) {
    stop_on_signals();
    try {
      run_on_workers(host_device(), 1, 10, [&](std::size_t item, Worker&) {
        if (item == last) std::raise(SIGINT);
      });
      _exit(0);
    } catch (const Interrupted& stopped) {
      _exit(std::string(stopped.what()).starts_with(fmt::format("stopped by signal {}", SIGINT)) ? 1 : 2);
    } catch (...) {
      _exit(2);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

}  // namespace

TEST_CASE("a signal that leaves items undone cannot pass for their end") {
  CHECK(stopped_at(3) == 1);
  CHECK(stopped_at(9) == 0);  // during the last one: all are done
}

TEST_CASE("no items are no work, and this process may use a core") {
  run_on_workers(host_device(), 2, 0, [](std::size_t, Worker&) { FAIL("there is no item"); });
  CHECK(available_cores() >= 1);
}
