#pragma once

#include "core/device.hpp"

namespace genretree {

/// Makes `buffer` at least this large; what was in it is lost. What was given to any queue may still use the old one.
template <class T>
void grow(Buffer<T>& buffer, Device& device, std::size_t size) {
  if (buffer.size() < size) buffer = Buffer<T>(device, size);
}

}  // namespace genretree
