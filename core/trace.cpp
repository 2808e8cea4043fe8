#include <algorithm>
#include <utility>

#include "core/trace.hpp"

namespace genretree {

std::size_t Trace::add_lane(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto known = std::find(lanes_.begin(), lanes_.end(), name);
  if (known != lanes_.end()) return static_cast<std::size_t>(known - lanes_.begin());
  lanes_.push_back(name);
  return lanes_.size() - 1;
}

void Trace::add(std::size_t lane, std::string phase, Clock::time_point start, double seconds) {
  const std::lock_guard lock(mutex_);
  events_.push_back({lane, std::move(phase), std::chrono::duration<double>(start - begin_).count(), seconds});
}

std::vector<std::string> Trace::lanes() const {
  const std::lock_guard lock(mutex_);
  return lanes_;
}

std::vector<Trace::Event> Trace::events() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

}  // namespace genretree
