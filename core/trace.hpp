// A timeline: which queue worked on what, from when to when. tools/run_experiment --trace writes it as Chrome's trace
// JSON (core/io/trace_file.hpp).
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <vector>

#include "core/clock.hpp"

namespace genretree {

/// Thread-safe.
class Trace {
 public:
  struct Event {
    std::size_t lane;
    std::string phase;
    double start, seconds;  ///< start: since the trace was made
  };

  /// A row of the timeline; the same name twice is the same row.
  std::size_t add_lane(const std::string& name);
  void add(std::size_t lane, std::string phase, Clock::time_point start, double seconds);

  std::vector<std::string> lanes() const;
  std::vector<Event> events() const;  ///< in the order in which they were added

 private:
  Clock::time_point begin_ = Clock::now();
  mutable std::mutex mutex_;
  std::vector<std::string> lanes_;
  std::vector<Event> events_;
};

}  // namespace genretree
