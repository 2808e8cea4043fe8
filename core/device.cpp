#include <cstdlib>
#include <sys/mman.h>
#include <utility>
#include <vector>

#include "core/device.hpp"
#include "core/error.hpp"
#include "core/limits.hpp"
#include "core/rounding.hpp"

namespace genretree {
namespace {

class HostQueue final : public Queue {
 public:
  using Queue::Queue;
  void copy_in(void* device_memory, const void* host, std::size_t bytes) override {
    copy_bytes(device_memory, host, bytes);
  }
  void copy_out(void* host, const void* device_memory, std::size_t bytes) override {
    copy_bytes(host, device_memory, bytes);
  }
  void copy(void* to, const void* from, std::size_t bytes) override { copy_bytes(to, from, bytes); }
  void zero(void* device_memory, std::size_t bytes) override {
    if (bytes) std::memset(device_memory, 0, bytes);
  }
  void synchronize() override {}
  void repeat(std::unique_ptr<Recording>&, const std::function<void()>& work) override { work(); }

  void trace_to(Trace& trace, const std::string& lane) override { trace_ = &trace, lane_ = trace.add_lane(lane); }
  void begin_phase(std::string_view name) override {
    if (trace_) phases_.push_back({std::string(name), Clock::now()});
  }
  void end_phase() override {
    if (!trace_) return;
    auto& [name, begin] = phases_.back();
    trace_->add(lane_, std::move(name), begin, seconds_since(begin));
    phases_.pop_back();
  }

 private:
  static void copy_bytes(void* to, const void* from, std::size_t bytes) {
    if (bytes) std::memcpy(to, from, bytes);
  }

  Trace* trace_ = nullptr;
  std::size_t lane_ = 0;
  std::vector<std::pair<std::string, Clock::time_point>> phases_;  ///< that have begun, the outer ones first
};

class HostDevice final : public Device {
 public:
  void* allocate(std::size_t bytes) override {
    constexpr std::size_t huge_page = 2 << 20;
    // two cache lines: no false sharing between buffers of two workers
    const std::size_t alignment = bytes < 2 * huge_page ? 128 : huge_page;
    const std::size_t rounded = round_up(bytes, alignment);
    void* memory = std::aligned_alloc(alignment, rounded);
#ifdef MADV_HUGEPAGE
    // activations of a thousand steps in pages of 4 KB would miss the address cache all the time; only a hint, so that
    // its failure does not matter
    if (memory && alignment == huge_page) madvise(memory, rounded, MADV_HUGEPAGE);
#endif
    if (!memory)
      fail("out of memory: {:.1f} MB were asked for. Use fewer workers (--jobs) or a smaller batch", bytes / 1e6);
    return memory;
  }
  void release(void* memory) noexcept override { std::free(memory); }
  std::unique_ptr<Queue> make_queue() override { return std::make_unique<HostQueue>(*this); }
  std::size_t free_memory() const override { return available_memory(); }
};

}  // namespace

Device& host_device() {
  static HostDevice device;
  return device;
}

}  // namespace genretree
