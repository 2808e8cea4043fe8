// A lock between processes.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace genretree {

/// Holds flock(2) on a file (made if needed, and left there) until the end of its life or of its process. Where the
/// file system knows no locks, it warns and goes on.
class FileLock {
 public:
  /// Waits for the lock.
  explicit FileLock(const std::filesystem::path& path);
  /// Error with `message` if another process holds the lock: it will end, so that trying again is of use.
  FileLock(const std::filesystem::path& path, const std::string& message);
  /// Nothing if another process holds the lock.
  static std::unique_ptr<FileLock> try_to_take(const std::filesystem::path& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  explicit FileLock(int file) : file_(file) {}
  int file_;
};

}  // namespace genretree
