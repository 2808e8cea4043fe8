// Where data live and where work runs: a Device owns memory, a Queue is an ordered lane of work on it, a Buffer owns an
// array there.
#pragma once

#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "core/tensor.hpp"
#include "core/trace.hpp"

namespace genretree {

class Device;

/// What a queue keeps of work that it is given again and again (Queue::repeat): nothing on the host, a graph on a GPU.
class Recording {
 public:
  virtual ~Recording() = default;
};

/// An ordered lane of work. Everything given to one queue happens in that order; two queues share read-only data only.
/// A queue is used by one thread at a time. The CPU's runs inline; a GPU's returns at once and `synchronize` waits.
class Queue {
 public:
  explicit Queue(Device& device) : device_(device) {}
  virtual ~Queue() = default;
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  Device& device() const { return device_; }
  /// `host` may be used again at once.
  virtual void copy_in(void* device_memory, const void* host, std::size_t bytes) = 0;
  /// `host` is written when `synchronize` returns, at the latest.
  virtual void copy_out(void* host, const void* device_memory, std::size_t bytes) = 0;
  /// Within the device's memory; the two may not overlap.
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;
  virtual void zero(void* device_memory, std::size_t bytes) = 0;
  /// Waits until everything given so far is done; errors of earlier work appear here at the latest.
  virtual void synchronize() = 0;

  /// Gives the queue what `work` gives it. For one `recording`, null at first, that must be the same each time: the
  /// same operations on the same views with the same values, of a backend, `copy` and `zero`, and no memory may be
  /// taken or released by it. A GPU's queue does the first as it comes, records the second, and from then on puts all
  /// of it on the GPU at once, without calling `work`.
  virtual void repeat(std::unique_ptr<Recording>& recording, const std::function<void()>& work) = 0;

  /// From now on, phases are added to `trace`, which must outlive the queue, as those of the lane `lane`.
  virtual void trace_to(Trace& trace, const std::string& lane) = 0;
  /// What is given between the two is one phase, e.g. "training step". Phases may hold phases.
  virtual void begin_phase(std::string_view name) = 0;
  virtual void end_phase() = 0;

 private:
  Device& device_;
};

/// A phase of a queue, from here to the end of the scope.
class Phase {
 public:
  Phase(Queue& queue, std::string_view name) : queue_(queue) { queue_.begin_phase(name); }
  ~Phase() { queue_.end_phase(); }
  Phase(const Phase&) = delete;
  Phase& operator=(const Phase&) = delete;

 private:
  Queue& queue_;
};

/// Memory and queues of one piece of hardware. Thread-safe.
class Device {
 public:
  virtual ~Device() = default;
  /// At least 64-byte aligned; throws Error with the size that was asked for.
  virtual void* allocate(std::size_t bytes) = 0;
  /// What was given to any queue before may still use it.
  virtual void release(void* memory) noexcept = 0;
  virtual std::unique_ptr<Queue> make_queue() = 0;
  /// Bytes that this process may still take.
  virtual std::size_t free_memory() const = 0;
};

/// The host's memory; its queues run inline.
Device& host_device();
inline bool is_host(const Device& device) { return &device == &host_device(); }

/// Owns an array on a device. Its content is undefined until written.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device& device, std::size_t size)
      : device_(&device), data_(size ? static_cast<T*>(device.allocate(size * sizeof(T))) : nullptr), size_(size) {}
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer() {
    if (data_) device_->release(data_);
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return size_ * sizeof(T); }
  std::span<T> span() { return {data_, size_}; }
  std::span<const T> span() const { return {data_, size_}; }
  template <class... Extents>
  View<T, sizeof...(Extents)> view(Extents... extents) {
    return view_of(data_, extents...);
  }
  template <class... Extents>
  View<const T, sizeof...(Extents)> view(Extents... extents) const {
    return view_of(static_cast<const T*>(data_), extents...);
  }

  void copy_in(std::span<const T> host, Queue& queue) { queue.copy_in(data_, host.data(), host.size_bytes()); }
  void copy_out(std::span<T> host, Queue& queue) const { queue.copy_out(host.data(), data_, host.size_bytes()); }
  void zero(Queue& queue) { queue.zero(data_, bytes()); }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  Device* device_ = nullptr;
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace genretree
