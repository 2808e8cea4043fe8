// A timeline as a file that chrome://tracing and ui.perfetto.dev show.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "core/trace.hpp"

namespace genretree {

/// The trace in the Trace Event Format of Chrome: a process `program` with a thread for each lane, and an event "X"
/// for each phase, in microseconds since the trace was made. Source: "Trace Event Format", Google, the JSON object
/// format.
std::string to_chrome_json(const Trace& trace, const std::string& program);

/// Calls work(trace) and then writes the trace to `path` as a whole, also if `work` throws. With an empty path there
/// is no trace: work(nullptr). InputError or Error before `work` if such a file cannot be written.
void with_trace_file(const std::filesystem::path& path, const std::string& program,
                     const std::function<void(Trace*)>& work);

}  // namespace genretree
