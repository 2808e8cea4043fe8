#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/progress.hpp"
#include "core/text.hpp"

namespace genretree {
namespace {

constexpr auto redraw_interval = std::chrono::milliseconds(100);
constexpr auto log_interval = std::chrono::seconds(30);

std::size_t terminal_width(std::FILE* stream) {
  winsize size{};
  return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(std::FILE* stream) : stream_(stream), terminal_(isatty(fileno(stream)) != 0) {}

Progress::~Progress() {
  if (terminal_) erase();
}

void Progress::erase() {
  for (; drawn_ > 0; --drawn_) fmt::print(stream_, "\x1b[1A\x1b[2K");  // cursor up, clear the line
  std::fflush(stream_);
}

void Progress::draw() {
  erase();
  const std::size_t width = terminal_width(stream_);
  for (const std::string& line : lines_) {
    if (line.empty()) continue;
    fmt::print(stream_, "{}\n", first_characters(line, width - 1));
    ++drawn_;
  }
  std::fflush(stream_);
  last_draw_ = Clock::now();
}

void Progress::show(std::size_t slot, std::string text) {
  const std::lock_guard lock(mutex_);
  if (slot >= lines_.size()) lines_.resize(slot + 1), printed_.resize(slot + 1, Clock::now());
  lines_[slot] = std::move(text);
  const auto now = Clock::now();
  if (terminal_) {
    if (now - last_draw_ >= redraw_interval) draw();
  } else if (now - printed_[slot] >= log_interval) {
    fmt::print(stream_, "{}\n", lines_[slot]);
    std::fflush(stream_);
    printed_[slot] = now;
  }
}

void Progress::clear(std::size_t slot) {
  const std::lock_guard lock(mutex_);
  if (slot >= lines_.size()) return;
  lines_[slot].clear();
  if (terminal_) draw();
}

void Progress::message(const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (terminal_) erase();
  fmt::print(stream_, "{}\n", text);
  if (terminal_) draw();
  std::fflush(stream_);
}

void warn(const std::string& text) { fmt::print(stderr, "warning: {}\n", text); }

}  // namespace genretree
