// A lock between processes.
#pragma once

#include <filesystem>
#include <string>

namespace genretree {

/// Holds flock(2) on a file (made if needed, and left there) until the end of its life or of its process. Where the
/// file system knows no locks, it warns and goes on.
class FileLock {
 public:
  /// Waits for the lock.
  explicit FileLock(const std::filesystem::path& path);
  /// InputError with `message` if another process holds the lock.
  FileLock(const std::filesystem::path& path, const std::string& message);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int file_;
};

}  // namespace genretree
