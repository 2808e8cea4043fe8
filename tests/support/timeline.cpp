#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/io/files.hpp"
#include "tests/support/support.hpp"
#include "tests/support/timeline.hpp"

namespace genretree::test {
namespace {

/// Whole nanoseconds, which is what a clock gives.
std::int64_t nanoseconds(double seconds) { return static_cast<std::int64_t>(std::llround(1e9 * seconds)); }
std::int64_t begin_of(const Trace::Event& event) { return nanoseconds(event.start); }
std::int64_t end_of(const Trace::Event& event) { return nanoseconds(event.start) + nanoseconds(event.seconds); }

bool overlap_in_time(const Trace::Event& a, const Trace::Event& b) {
  return begin_of(a) < end_of(b) && begin_of(b) < end_of(a);
}

bool holds(const Trace::Event& outer, const Trace::Event& inner) {
  return begin_of(outer) <= begin_of(inner) && end_of(inner) <= end_of(outer);
}

}  // namespace

std::set<std::string> Timeline::phases() const {
  std::set<std::string> names;
  for (const Trace::Event& event : events) names.insert(event.phase);
  return names;
}

std::vector<std::string> Timeline::crossing() const {
  std::vector<std::string> found;
  for (auto a = events.begin(); a != events.end(); ++a)
    for (auto b = a + 1; b != events.end(); ++b)
      if (a->lane == b->lane && overlap_in_time(*a, *b) && !holds(*a, *b) && !holds(*b, *a))
        found.push_back(a->phase + " and " + b->phase);
  return found;
}

bool Timeline::overlap(const std::string& phase, const std::string& other) const {
  return std::ranges::any_of(events, [&](const Trace::Event& a) {
    return a.phase == phase && std::ranges::any_of(events, [&](const Trace::Event& b) {
             return b.phase == other && a.lane != b.lane && overlap_in_time(a, b);
           });
  });
}

Timeline parse_timeline(const std::string& json) {
  Timeline timeline;
  const auto document = nlohmann::json::parse(json);
  for (const auto& event : document.at("traceEvents")) {
    const std::string kind = event.at("ph"), name = event.at("name");
    const std::size_t lane = event.at("tid");
    REQUIRE(event.at("pid") == 1);
    if (kind == "M" && name == "thread_name") {
      REQUIRE(lane == timeline.lanes.size());
      timeline.lanes.push_back(event.at("args").at("name"));
    } else if (kind == "X") {
      REQUIRE(lane < timeline.lanes.size());
      const double start = event.at("ts"), length = event.at("dur");
      timeline.events.push_back({lane, name, start / 1e6, length / 1e6});
    } else {
      REQUIRE((kind == "M" && name == "process_name"));
    }
  }
  return timeline;
}

Timeline read_timeline(const std::filesystem::path& path) { return parse_timeline(read_text(path)); }

}  // namespace genretree::test
