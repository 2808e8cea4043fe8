// Live lines on a terminal; plain, rare lines in a log.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <mutex>
#include <string>
#include <vector>

namespace genretree {

/// A block of live lines at the bottom of a terminal, redrawn in place at most ten times a second, with permanent
/// messages above. Where the stream is no terminal, each live line is printed at most every 30 seconds. Thread-safe.
class Progress {
 public:
  explicit Progress(std::FILE* stream = stderr);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Sets live line `slot` (0 is the topmost).
  void show(std::size_t slot, std::string text);
  /// Removes live line `slot`.
  void clear(std::size_t slot);
  /// Prints a permanent line.
  void message(const std::string& text);
  bool on_terminal() const { return terminal_; }

 private:
  using Clock = std::chrono::steady_clock;
  void erase();
  void draw();

  std::FILE* stream_;
  bool terminal_;
  std::mutex mutex_;
  std::vector<std::string> lines_;
  std::vector<Clock::time_point> printed_;
  std::size_t drawn_ = 0;
  Clock::time_point last_draw_{};
};

/// Prints "warning: …" to standard error.
void warn(const std::string& text);

}  // namespace genretree
