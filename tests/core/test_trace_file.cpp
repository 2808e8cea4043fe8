// The timeline: what queues add to it, and the file that it becomes.
#include <barrier>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/io/trace_file.hpp"
#include "core/worker_pool.hpp"
#include "tests/support/support.hpp"
#include "tests/support/timeline.hpp"

using namespace genretree;
namespace fs = std::filesystem;

TEST_CASE("a trace becomes Chrome's trace events: a named thread for each lane, phases in microseconds") {
  Trace trace;
  CHECK(trace.add_lane("worker 0") == 0);
  CHECK(trace.add_lane("ünïcode \"quoted\"\\\n") == 1);
  CHECK(trace.add_lane("worker 0") == 0);
  trace.add(1, "a \"phase\"", Clock::now(), 0.0125);
  const auto events = nlohmann::json::parse(to_chrome_json(trace, "a program")).at("traceEvents");
  REQUIRE(events.size() == 4);
  CHECK(events[0] == nlohmann::json::parse(
                         R"({"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "args": {"name": "a program"}})"));
  CHECK(events[2].at("args").at("name") == "ünïcode \"quoted\"\\\n");
  CHECK(events[3].at("name") == "a \"phase\"");
  CHECK(events[3].at("ph") == "X");
  CHECK(events[3].at("tid") == 1);
  CHECK(events[3].at("dur") == 12500);
  CHECK(events[3].at("ts") >= 0);
}

TEST_CASE("phases of a queue nest, and two workers' phases that run together overlap") {
  Trace trace;
  std::barrier both(2);
  const auto task = [&](std::size_t item, Worker& worker) {
    const Phase outer(worker.queue, fmt::format("item {}", item));
    both.arrive_and_wait();
    for (int i = 0; i < 3; ++i) {
      const Phase step(worker.queue, "step");
      const Phase inner(worker.queue, "inner");
    }
    both.arrive_and_wait();
  };
  run_on_workers(host_device(), 2, 2, task, &trace);
  const test::Timeline timeline = test::parse_timeline(to_chrome_json(trace, "test"));
  CHECK(std::set<std::string>(timeline.lanes.begin(), timeline.lanes.end()) ==
        std::set<std::string>{"worker 0", "worker 1"});
  CHECK(timeline.events.size() == 2 * (1 + 3 * 2));
  CHECK(timeline.crossing().empty());
  CHECK(timeline.overlap("item 0", "item 1"));
  for (const Trace::Event& event : timeline.events) CHECK(event.seconds >= 0);
}

TEST_CASE("phases are kept from trace_to on") {
  const std::unique_ptr<Queue> queue = host_device().make_queue();
  { const Phase phase(*queue, "before the trace"); }
  Trace trace;
  queue->trace_to(trace, "lane");
  { const Phase phase(*queue, "after"); }
  REQUIRE(trace.events().size() == 1);
  CHECK(trace.events()[0].phase == "after");
}

TEST_CASE("a trace file is written when the work is done, and also when it fails") {
  const test::TemporaryFolder folder;
  const fs::path path = folder / "new/trace.json";
  const auto work = [&](Trace* trace) {
    CHECK_FALSE(fs::exists(path));
    trace->add(trace->add_lane("worker 0"), "phase", Clock::now(), 1);
  };
  with_trace_file(path, "test", work);
  CHECK(test::read_timeline(path).phases() == std::set<std::string>{"phase"});

  fs::remove(path);
  const auto failing = [&](Trace* trace) {
    work(trace);
    throw std::runtime_error("it failed");
  };
  CHECK_THROWS_WITH(with_trace_file(path, "test", failing), "it failed");
  CHECK(test::read_timeline(path).phases() == std::set<std::string>{"phase"});

  bool done = false;
  with_trace_file("", "test", [&](Trace* trace) { done = trace == nullptr; });
  CHECK(done);
}

TEST_CASE("a trace file that cannot be written is refused before the work") {
  const test::TemporaryFolder folder;
  bool begun = false;
  CHECK_THROWS_AS(with_trace_file(folder.path(), "test", [&](Trace*) { begun = true; }), InputError);
  CHECK_FALSE(begun);
}
