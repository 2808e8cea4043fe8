#include <cstdlib>
#include <functional>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "kernels/cuda/libraries/workspace.hpp"
#include "tests/support/cuda_libraries/device.hpp"

namespace genretree::cuda {
namespace {

using Work = std::vector<std::function<void()>>;

emulator::Order order = emulator::Order::first_to_last;
std::uint64_t seed = 0;
std::string absence, failure;

/// What a queue would have a GPU's graph do.
struct EmulatedRecording final : Recording {
  Work work;
  bool recorded = false;
};

/// Memory comes from the heap. What is released is kept until every queue of that moment has done its work.
class EmulatedDevice final : public Device {
 public:
  ~EmulatedDevice() override {
    for (const Released& one : released_) std::free(one.memory);
  }

  void* allocate(std::size_t bytes) override {
    // exactly as large as asked for, and full of NaN: AddressSanitizer watches its end, results tell of what was missed
    void* memory = nullptr;
    if (posix_memalign(&memory, 256, bytes)) fail("the emulated GPU has no {} bytes", bytes);
    std::memset(memory, 0xff, bytes);
    return memory;
  }
  void release(void* memory) noexcept override {
    const std::lock_guard lock(mutex_);
    if (queues_.empty())
      std::free(memory);
    else
      released_.push_back({memory, queues_});
  }
  std::unique_ptr<Queue> make_queue() override;
  std::size_t free_memory() const override { return std::size_t{1} << 30; }

  void queue_begins(const Queue* queue) {
    const std::lock_guard lock(mutex_);
    queues_.insert(queue);
  }
  void queue_is_done(const Queue* queue) {
    const std::lock_guard lock(mutex_);
    std::erase_if(released_, [&](Released& one) {
      one.queues.erase(queue);
      if (one.queues.empty()) std::free(one.memory);
      return one.queues.empty();
    });
  }
  void queue_ends(const Queue* queue) {
    queue_is_done(queue);
    const std::lock_guard lock(mutex_);
    queues_.erase(queue);
  }

 private:
  struct Released {
    void* memory;
    std::set<const Queue*> queues;  ///< that may have work with it
  };
  std::mutex mutex_;
  std::set<const Queue*> queues_;
  std::vector<Released> released_;
};

class EmulatedQueue final : public Queue {
 public:
  EmulatedQueue(EmulatedDevice& device, emulator::Order launch_order, std::uint64_t launch_seed)
      : Queue(device), device_(device), emulator_(launch_order, launch_seed) {
    device_.queue_begins(this);
    emulator_.keep_in(&pending_);
  }
  ~EmulatedQueue() override { device_.queue_ends(this); }

  emulator::Emulator& emulator() { return emulator_; }

  void copy_in(void* device_memory, const void* host, std::size_t bytes) override {
    refuse_in_recording("copy_in");
    const auto* begin = static_cast<const std::byte*>(host);
    emulator_.submit([device_memory, staged = std::vector<std::byte>(begin, begin + bytes)] {
      if (!staged.empty()) std::memcpy(device_memory, staged.data(), staged.size());
    });
  }
  void copy_out(void* host, const void* device_memory, std::size_t bytes) override {
    refuse_in_recording("copy_out");
    copy(host, device_memory, bytes);
  }
  void copy(void* to, const void* from, std::size_t bytes) override {
    emulator_.submit([=] {
      if (bytes) std::memcpy(to, from, bytes);
    });
  }
  void zero(void* device_memory, std::size_t bytes) override {
    emulator_.submit([=] {
      if (bytes) std::memset(device_memory, 0, bytes);
    });
  }
  void synchronize() override {
    refuse_in_recording("synchronize");
    for (const auto& one : std::exchange(pending_, {})) one();
    device_.queue_is_done(this);
  }

  void repeat(std::unique_ptr<Recording>& recording, const std::function<void()>& work) override {
    refuse_in_recording("repeat");
    if (!recording) {  // the first time: as it comes
      recording = std::make_unique<EmulatedRecording>();
      return work();
    }
    auto& own = static_cast<EmulatedRecording&>(*recording);
    if (!own.recorded) own.work = record(work);
    own.recorded = true;
    for (const auto& one : own.work) emulator_.submit(one);
  }

  void trace_to(Trace& trace, const std::string& lane) override { trace_ = &trace, lane_ = trace.add_lane(lane); }
  void begin_phase(std::string_view name) override {
    if (trace_ && !recording_)
      emulator_.submit([this, text = std::string(name)] { phases_.push_back({text, Clock::now()}); });
  }
  void end_phase() override {
    if (!trace_ || recording_) return;
    emulator_.submit([this] {
      const auto [name, begin] = phases_.back();
      phases_.pop_back();
      trace_->add(lane_, name, begin, seconds_since(begin));
    });
  }

  void* workspace(std::size_t bytes) {
    if (!workspace_.holds(bytes)) refuse_in_recording("a larger workspace");
    return workspace_.reserve(bytes, device(), recording_);
  }

 private:
  /// What `work` gives, which is not done now.
  Work record(const std::function<void()>& work) {
    struct Ended {  // also by an error
      EmulatedQueue& queue;
      ~Ended() { queue.emulator_.keep_in(&queue.pending_), queue.recording_ = false; }
    } const ended{*this};
    Work recorded;
    recording_ = true;
    emulator_.keep_in(&recorded);
    work();
    return recorded;
  }
  void refuse_in_recording(const char* what) const {
    if (recording_) fail("{} within Queue::repeat, which a GPU cannot record", what);
  }

  EmulatedDevice& device_;
  emulator::Emulator emulator_;
  Work pending_;  ///< given, not done
  bool recording_ = false;
  Workspace workspace_;
  Trace* trace_ = nullptr;
  std::size_t lane_ = 0;
  std::vector<std::pair<std::string, Clock::time_point>> phases_;
};

std::unique_ptr<Queue> EmulatedDevice::make_queue() { return std::make_unique<EmulatedQueue>(*this, order, seed); }

}  // namespace

void emulate(emulator::Order next_order, std::uint64_t next_seed) { order = next_order, seed = next_seed; }

AbsentGpu::AbsentGpu(const std::string& reason) { absence = reason; }
AbsentGpu::~AbsentGpu() { absence.clear(); }
FailingGpu::FailingGpu(const std::string& message) { failure = message; }
FailingGpu::~FailingGpu() { failure.clear(); }

std::string no_device_reason() { return absence; }
std::unique_ptr<Device> make_device() {
  if (!absence.empty()) reject("{}. Use device: cpu", absence);
  if (!failure.empty()) fail("{}", failure);
  return std::make_unique<EmulatedDevice>();
}
SmallerGpu::SmallerGpu(std::size_t shared_bytes) { emulator::most_shared_bytes() = shared_bytes; }
SmallerGpu::~SmallerGpu() { emulator::most_shared_bytes() = emulator::largest_shared_bytes; }
DeviceProperties gpu_properties() {
  return {.name = "emulator",
          .target = "emulated",
          .libraries = "host twins",
          .multiprocessors = 12,
          .shared_bytes = emulator::most_shared_bytes()};
}
Stream stream_of(Queue& queue) { return &static_cast<EmulatedQueue&>(queue).emulator(); }
void* workspace_of(Queue& queue, std::size_t bytes) { return static_cast<EmulatedQueue&>(queue).workspace(bytes); }

}  // namespace genretree::cuda
