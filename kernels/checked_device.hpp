// A queue of a device, to and from whose memory checks copy data.
#pragma once

#include <memory>
#include <vector>

#include "core/clock.hpp"
#include "core/device.hpp"
#include "kernels/normal_numbers.hpp"

namespace genretree {

class CheckedDevice {
 public:
  explicit CheckedDevice(Device& device) : queue_(device.make_queue()) {}

  Queue& queue() { return *queue_; }
  /// Zeros.
  template <class T>
  Buffer<T> buffer(std::size_t size) {
    Buffer<T> memory(queue_->device(), size);
    memory.zero(*queue_);
    return memory;
  }
  template <class T>
  Buffer<T> upload(const std::vector<T>& values) {
    Buffer<T> memory(queue_->device(), values.size());
    memory.copy_in(values, *queue_);
    return memory;
  }
  template <class T>
  std::vector<T> download(const Buffer<T>& memory) {
    std::vector<T> values(memory.size());
    memory.copy_out(values, *queue_);
    queue_->synchronize();
    return values;
  }

  /// Gives `work` to the queue and waits until it is done; the time counts as the operation's.
  template <class Work>
  void time(const Work& work) {
    queue_->synchronize();
    const Clock::time_point start = Clock::now();
    work();
    queue_->synchronize();
    milliseconds_ += 1e3 * seconds_since(start);
  }
  double milliseconds() const { return milliseconds_; }

 private:
  std::unique_ptr<Queue> queue_;
  double milliseconds_ = 0;
};

}  // namespace genretree
