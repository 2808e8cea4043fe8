// The scratch memory of a queue.
#pragma once

#include <utility>
#include <vector>

#include "core/device.hpp"

namespace genretree::cuda {

/// Grows to the most that was asked for. What a recording works in is kept, also when it has been outgrown.
class Workspace {
 public:
  bool holds(std::size_t bytes) const { return bytes <= memory_.size(); }

  /// `recording`: the work that is given now is recorded.
  void* reserve(std::size_t bytes, Device& device, bool recording) {
    if (!holds(bytes)) {
      Buffer<std::byte> larger(device, bytes);
      std::swap(memory_, larger);
      if (std::exchange(recorded_, false)) outgrown_.push_back(std::move(larger));
    }
    recorded_ |= recording;
    return memory_.data();
  }

 private:
  Buffer<std::byte> memory_;
  bool recorded_ = false;
  std::vector<Buffer<std::byte>> outgrown_;  ///< but recordings work in them
};

}  // namespace genretree::cuda
