// The host's queue: copies, repeated work, phases on a timeline. tests/kernels/cuda/test_device.cpp has the GPU's.
#include <thread>
#include <vector>

#include "core/device.hpp"
#include "core/trace.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

TEST_CASE("a host queue copies, within memory too, and fills with zeros") {
  const auto queue = host_device().make_queue();
  Buffer<int> first(host_device(), 3), second(host_device(), 3);
  const std::vector<int> values{1, 2, 3};
  std::vector<int> result(3);
  first.copy_in(values, *queue);
  queue->copy(second.data(), first.data(), first.bytes());
  first.zero(*queue);
  second.copy_out(result, *queue);
  queue->synchronize();
  CHECK(result == values);
  CHECK(std::vector<int>(first.span().begin(), first.span().end()) == std::vector<int>{0, 0, 0});
}

TEST_CASE("a host queue copies nothing from and to nowhere") {
  const auto queue = host_device().make_queue();
  Buffer<int> none;
  none.copy_in({}, *queue);
  none.copy_out({}, *queue);
  none.zero(*queue);
  queue->copy(nullptr, nullptr, 0);
  CHECK(none.size() == 0);
}

TEST_CASE("a host queue does repeated work each time, at once, and passes its errors on") {
  const auto queue = host_device().make_queue();
  std::unique_ptr<Recording> recording;
  int done = 0;
  for (int time = 1; time <= 3; ++time) {
    queue->repeat(recording, [&] { ++done; });
    CHECK(done == time);
  }
  CHECK_THROWS_WITH(queue->repeat(recording, [] { reject("no such row"); }), "no such row");
}

TEST_CASE("host memory is aligned, also where it is large enough for huge pages") {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{1000}, std::size_t{5} << 20}) {
    const Buffer<std::byte> buffer(host_device(), bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0);
    CHECK(buffer.bytes() == bytes);
  }
}

TEST_CASE("the phases of a queue: the inner ones are done first and lie within the outer one") {
  Trace trace;
  const auto queue = host_device().make_queue();
  { const Phase before(*queue, "untraced"); }
  queue->trace_to(trace, "worker 1");
  {
    const Phase epoch(*queue, "epoch");
    { const Phase training(*queue, "training step"); }
    const Phase evaluation(*queue, "evaluation");
  }
  const std::vector<Trace::Event> events = trace.events();
  REQUIRE(events.size() == 3);
  const Trace::Event &training = events[0], &evaluation = events[1], &epoch = events[2];
  CHECK(std::string(training.phase) == "training step");
  CHECK(std::string(evaluation.phase) == "evaluation");
  CHECK(std::string(epoch.phase) == "epoch");
  constexpr double rounding = 1e-9;
  CHECK(epoch.start >= 0);
  CHECK(epoch.start <= training.start);
  CHECK(training.start + training.seconds <= evaluation.start + rounding);
  CHECK(evaluation.start + evaluation.seconds <= epoch.start + epoch.seconds + rounding);
}

TEST_CASE("a timeline has a lane for each name, whoever adds to it") {
  Trace trace;
  {
    std::vector<std::jthread> threads;
    for (const char* name : {"queue 0", "queue 1", "queue 0"})
      threads.emplace_back([&trace, name] {
        const auto queue = host_device().make_queue();
        queue->trace_to(trace, name);
        for (int step = 0; step < 50; ++step) const Phase phase(*queue, "step");
      });
  }
  std::vector<std::string> lanes = trace.lanes();
  std::sort(lanes.begin(), lanes.end());
  CHECK(lanes == std::vector<std::string>{"queue 0", "queue 1"});
  std::vector<int> events(2);
  for (const Trace::Event& event : trace.events()) ++events.at(event.lane);
  CHECK(events.at(trace.add_lane("queue 0")) == 100);
  CHECK(events.at(trace.add_lane("queue 1")) == 50);
}
