#include "core/device.hpp"

#include <cstdlib>

#include "core/error.hpp"

namespace genretree {
namespace {

class HostQueue final : public Queue {
 public:
  using Queue::Queue;
  void copy_in(void* device_memory, const void* host, std::size_t bytes) override { copy(device_memory, host, bytes); }
  void copy_out(void* host, const void* device_memory, std::size_t bytes) override { copy(host, device_memory, bytes); }
  void zero(void* device_memory, std::size_t bytes) override {
    if (bytes) std::memset(device_memory, 0, bytes);
  }
  void synchronize() override {}

 private:
  static void copy(void* to, const void* from, std::size_t bytes) {
    if (bytes) std::memcpy(to, from, bytes);
  }
};

class HostDevice final : public Device {
 public:
  void* allocate(std::size_t bytes) override {
    constexpr std::size_t alignment = 128;  // two cache lines: no false sharing between buffers of two workers
    void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (!memory) fail("out of memory: {:.1f} MB were asked for. Use fewer workers (--jobs) or a smaller batch", bytes / 1e6);
    return memory;
  }
  void release(void* memory) noexcept override { std::free(memory); }
  std::unique_ptr<Queue> make_queue() override { return std::make_unique<HostQueue>(*this); }
};

}  // namespace

Device& host_device() {
  static HostDevice device;
  return device;
}

}  // namespace genretree
