// Time that has gone by, for progress lines and reports.
#pragma once

#include <chrono>

namespace genretree {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace genretree
