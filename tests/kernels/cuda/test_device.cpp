// The frame of the CUDA backend: what core/device.hpp promises of copies, memory, repeated work and phases, and the
// workspace. On the emulated GPU, whose queues do nothing before they are told to synchronize; in a build with the
// backend itself on the GPU, if there is one.
#include <numeric>
#include <optional>
#include <thread>

#include "core/device.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "tests/kernels/cuda/examples.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using Catch::Contains;

namespace {

std::vector<float> counting(std::size_t size, float first) {
  std::vector<float> values(size);
  std::iota(values.begin(), values.end(), first);
  return values;
}

std::vector<float> on_host(const Buffer<float>& buffer, Queue& queue) {
  std::vector<float> values(buffer.size());
  buffer.copy_out(values, queue);
  queue.synchronize();
  return values;
}

/// Null, and a skipped test, where there is no GPU.
std::unique_ptr<Device> find_device() {
  const std::string reason = cuda::no_device_reason();
  if (reason.empty()) return cuda::make_device();
  test::skip(reason);
  return nullptr;
}

/// Sums of each 8 of 16 numbers, by a kernel.
struct Sums {
  Buffer<float> values, sums;
  explicit Sums(Device& device) : values(device, 16), sums(device, 2) {}
  void give(Queue& queue) { cuda::block_sums(values.data(), 2, 8, sums.data(), cuda::stream_of(queue)); }
};

}  // namespace

TEST_CASE("what was copied in may change on the host at once, and what was copied out is there after synchronize") {
  const auto device = find_device();
  if (!device) return;
  const auto queue = device->make_queue();
  Buffer<float> first(*device, 3), second(*device, 3);
  std::vector<float> host{1, 2, 3}, early(3);
  first.copy_in(host, *queue);
  host = {7, 7, 7};
  queue->copy(second.data(), first.data(), first.bytes());
  first.copy_out(early, *queue);
  first.zero(*queue);  // after the copies, by the order of the queue
  CHECK(on_host(second, *queue) == std::vector<float>{1, 2, 3});
  CHECK(early == std::vector<float>{1, 2, 3});
  CHECK(on_host(first, *queue) == std::vector<float>{0, 0, 0});
}

TEST_CASE("copies of nothing do nothing") {
  const auto device = find_device();
  if (!device) return;
  const auto queue = device->make_queue();
  Buffer<float> none;
  none.copy_in({}, *queue);
  none.copy_out({}, *queue);
  none.zero(*queue);
  queue->copy(nullptr, nullptr, 0);
  queue->synchronize();
  CHECK(none.size() == 0);
}

TEST_CASE("memory may be released while any queue has work with it") {
  const auto device = find_device();
  if (!device) return;
  const auto writer = device->make_queue(), reader = device->make_queue();
  Buffer<float> result(*device, 1000), result_of_reader(*device, 1000);
  const std::vector<float> values = counting(1000, 1);
  {
    Buffer<float> released(*device, 1000), shared(*device, 1000);
    shared.copy_in(values, *writer);
    writer->synchronize();
    released.copy_in(values, *writer);
    writer->copy(result.data(), released.data(), released.bytes());
    reader->copy(result_of_reader.data(), shared.data(), shared.bytes());
  }
  const Buffer<float> taken_next(*device, 1000), and_next(*device, 1000);  // would lie there, full of NaN
  CHECK(on_host(result, *writer) == values);
  CHECK(on_host(result_of_reader, *reader) == values);
}

TEST_CASE("repeated work comes as it is given, is recorded, and is then done without being given") {
  const auto device = find_device();
  if (!device) return;
  const auto queue = device->make_queue();
  Sums sums(*device);
  Buffer<float> total(*device, 2);
  std::unique_ptr<Recording> recording;
  int given = 0;
  for (int time = 1; time <= 4; ++time) {
    const std::vector<float> values = counting(16, static_cast<float>(100 * time));
    sums.values.copy_in(values, *queue);
    total.zero(*queue);
    queue->repeat(recording, [&] {
      ++given;
      sums.give(*queue);
      queue->copy(total.data(), sums.sums.data(), sums.sums.bytes());
      queue->zero(sums.sums.data(), sums.sums.bytes());
    });
    CHECK(given == std::min(time, 2));
    // Σ of 8 numbers from 100 time, and from 100 time + 8
    const float expected = 800.0f * static_cast<float>(time) + 28;
    CHECK(on_host(total, *queue) == std::vector<float>{expected, expected + 64});
    CHECK(on_host(sums.sums, *queue) == std::vector<float>{0, 0});
  }
}

TEST_CASE("two recordings of one queue are apart, and may be put after each other without waiting") {
  const auto device = find_device();
  if (!device) return;
  const auto queue = device->make_queue();
  Buffer<float> a(*device, 4), b(*device, 4), c(*device, 4);
  std::unique_ptr<Recording> forward, onward;
  for (int time = 0; time < 3; ++time) {
    const std::vector<float> values = counting(4, static_cast<float>(time));
    a.copy_in(values, *queue);
    c.zero(*queue);
    queue->repeat(forward, [&] { queue->copy(b.data(), a.data(), a.bytes()); });
    queue->repeat(onward, [&] { queue->copy(c.data(), b.data(), b.bytes()); });
    CHECK(on_host(c, *queue) == values);
  }
}

#ifdef GENRETREE_CUDA_EMULATED  // on a GPU such work is given as it comes, for ever, with a warning

TEST_CASE("what a GPU cannot record is refused, and the queue can still be used") {
  const auto device = find_device();
  if (!device) return;
  const auto queue = device->make_queue();
  Buffer<float> buffer(*device, 2);
  std::vector<float> host{1, 2};
  const auto recorded = [&](const std::function<void()>& work) {
    std::unique_ptr<Recording> recording;
    queue->repeat(recording, [] {});
    queue->repeat(recording, work);
  };
  CHECK_THROWS_WITH(recorded([&] { buffer.copy_in(host, *queue); }), Contains("copy_in"));
  CHECK_THROWS_WITH(recorded([&] { buffer.copy_out(host, *queue); }), Contains("copy_out"));
  CHECK_THROWS_WITH(recorded([&] { queue->synchronize(); }), Contains("synchronize"));
  CHECK_THROWS_WITH(recorded([&] { cuda::workspace_of(*queue, 100); }), Contains("workspace"));
  CHECK_THROWS_WITH(recorded([&] { recorded([] {}); }), Contains("repeat"));
  buffer.copy_in(host, *queue);
  CHECK(on_host(buffer, *queue) == host);
}

#endif

TEST_CASE("the workspace grows, and what was given before still has the old one") {
  const auto device = find_device();
  if (!device) return;
  const auto queue = device->make_queue();
  Sums sums(*device);
  sums.values.copy_in(counting(16, 0), *queue);
  auto* small = static_cast<float*>(cuda::workspace_of(*queue, 2 * sizeof(float)));
  CHECK(reinterpret_cast<std::uintptr_t>(small) % 256 == 0);
  cuda::block_sums(sums.values.data(), 2, 8, small, cuda::stream_of(*queue));
  queue->copy(sums.sums.data(), small, 2 * sizeof(float));
  auto* large = static_cast<float*>(cuda::workspace_of(*queue, 5000));
  CHECK(reinterpret_cast<std::uintptr_t>(large) % 256 == 0);
  queue->zero(large, 5000);
  CHECK(cuda::workspace_of(*queue, 8) == large);
  CHECK(on_host(sums.sums, *queue) == std::vector<float>{28, 92});
}

TEST_CASE("what was recorded keeps its workspace when a larger one is asked for") {
  const auto device = find_device();
  if (!device) return;
  const auto queue = device->make_queue();
  constexpr std::size_t bytes = 1 << 20, size = bytes / sizeof(float);
  Buffer<float> source(*device, size), result(*device, size);
  std::unique_ptr<Recording> recording;
  const auto through_workspace = [&](float first) {
    const std::vector<float> values = counting(size, first);
    source.copy_in(values, *queue);
    result.zero(*queue);
    queue->repeat(recording, [&] {
      void* workspace = cuda::workspace_of(*queue, bytes);
      queue->copy(workspace, source.data(), bytes);
      queue->copy(result.data(), workspace, bytes);
    });
    CHECK(on_host(result, *queue) == values);
  };
  for (const float first : {1.0f, 2.0f, 3.0f}) through_workspace(first);
  queue->zero(cuda::workspace_of(*queue, 2 * bytes), 2 * bytes);
  queue->synchronize();
  Buffer<float> next(*device, size);  // lies where the first workspace would be free
  const std::vector<float> untouched = counting(size, 100);
  next.copy_in(untouched, *queue);
  through_workspace(4);
  CHECK(on_host(next, *queue) == untouched);
}

TEST_CASE("phases stand on the timeline when the queue has come past them, the inner within the outer") {
  const auto device = find_device();
  if (!device) return;
  Trace trace;
  const auto queue = device->make_queue();
  queue->trace_to(trace, "queue 0");
  Sums sums(*device);
  sums.values.zero(*queue);
  {
    const Phase step(*queue, "step");
    {
      const Phase forward(*queue, "forward");
      sums.give(*queue);
    }
    const Phase update(*queue, "update");
    sums.give(*queue);
  }
  CHECK(trace.events().empty());
  queue->synchronize();
  const std::vector<Trace::Event> events = trace.events();
  REQUIRE(events.size() == 3);
  CHECK(trace.lanes() == std::vector<std::string>{"queue 0"});
  const Trace::Event &forward = events[0], &update = events[1], &step = events[2];
  CHECK(std::string(forward.phase) == "forward");
  CHECK(std::string(update.phase) == "update");
  CHECK(std::string(step.phase) == "step");
  constexpr double rounding = 2e-6;  // a GPU's clock ticks twice in a microsecond
  CHECK(step.start <= forward.start);
  CHECK(forward.start + forward.seconds <= update.start + rounding);
  CHECK(update.start + update.seconds <= step.start + step.seconds + rounding);
}

TEST_CASE("two queues on two threads, each with repeated work of its own") {
  const auto device = find_device();
  if (!device) return;
  Trace trace;
  std::optional<std::vector<float>> results[2];
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 2; ++thread)
      threads.emplace_back([&, thread] {
        const auto queue = device->make_queue();
        queue->trace_to(trace, "queue " + std::to_string(thread));
        Sums sums(*device);
        std::unique_ptr<Recording> recording;
        for (int time = 0; time < 20; ++time) {
          const Phase step(*queue, "step");
          sums.values.copy_in(counting(16, static_cast<float>(thread + time)), *queue);
          queue->repeat(recording, [&] { sums.give(*queue); });
          const Buffer<float> released(*device, 100);
        }
        results[thread] = on_host(sums.sums, *queue);
      });
  }
  for (int thread = 0; thread < 2; ++thread) {
    const float expected = 28 + 8 * (static_cast<float>(thread) + 19);
    CHECK(results[thread] == std::vector<float>{expected, expected + 64});
  }
  CHECK(trace.lanes().size() == 2);
  CHECK(trace.events().size() == 40);
}
