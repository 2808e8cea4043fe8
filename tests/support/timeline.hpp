// What a trace file holds, and what must be true of any.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "core/trace.hpp"

namespace genretree::test {

struct Timeline {
  std::vector<std::string> lanes;
  std::vector<Trace::Event> events;  ///< in seconds, as a Trace has them

  std::set<std::string> phases() const;
  /// "NAME and NAME" for two phases of one lane of which neither holds the other although they overlap.
  std::vector<std::string> crossing() const;
  /// Whether two phases of these names ever run at the same time in different lanes.
  bool overlap(const std::string& phase, const std::string& other) const;
};

/// Reads what with_trace_file wrote, strictly: a missing field, or an event in a lane without a name, fails the test.
Timeline parse_timeline(const std::string& json);
Timeline read_timeline(const std::filesystem::path& path);

}  // namespace genretree::test
