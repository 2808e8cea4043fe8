#include <fmt/format.h>
#include <iterator>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/io/trace_file.hpp"
#include "core/progress.hpp"

namespace genretree {
namespace {

/// A JSON string. Names are UTF-8, of which only these characters must be escaped.
std::string quoted(const std::string& text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      json += '\\', json += c;
    else if (static_cast<unsigned char>(c) < 0x20)
      json += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      json += c;
  }
  return json + '"';
}

/// An event "M", which names something.
std::string name_event(const char* what, std::size_t thread, const std::string& name) {
  return fmt::format(R"({{"ph":"M","name":"{}","pid":1,"tid":{},"args":{{"name":{}}}}})", what, thread, quoted(name));
}

void write_trace(const std::filesystem::path& path, const Trace& trace, const std::string& program) {
  write_whole_text(path, to_chrome_json(trace, program));
}

}  // namespace

std::string to_chrome_json(const Trace& trace, const std::string& program) {
  std::string json = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n" + name_event("process_name", 0, program);
  const std::vector<std::string> lanes = trace.lanes();
  for (std::size_t lane = 0; lane < lanes.size(); ++lane) json += ",\n" + name_event("thread_name", lane, lanes[lane]);
  for (const auto& [lane, phase, start, seconds] : trace.events())
    fmt::format_to(std::back_inserter(json),
                   ",\n{{\"ph\":\"X\",\"name\":{},\"pid\":1,\"tid\":{},\"ts\":{:.3f},\"dur\":{:.3f}}}", quoted(phase),
                   lane, 1e6 * start, 1e6 * seconds);
  return json + "\n]}\n";
}

void with_trace_file(const std::filesystem::path& path, const std::string& program,
                     const std::function<void(Trace*)>& work) {
  if (path.empty()) return work(nullptr);
  check_writable(path);
  Trace trace;
  try {
    work(&trace);
  } catch (...) {
    try {
      write_trace(path, trace, program);
    } catch (const Error& error) {
      warn(error.what());  // what `work` failed of is told by its own error
    }
    throw;
  }
  write_trace(path, trace, program);
}

}  // namespace genretree
