#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <utility>

#include "core/error.hpp"
#include "core/io/lock.hpp"
#include "core/progress.hpp"

namespace genretree {
namespace {

int open_lock_file(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0) fail("cannot open the lock file {}: {}", path.string(), std::strerror(errno));
  return file;
}

/// False if another process holds the lock.
bool take(int file, int flags, const std::filesystem::path& path) {
  while (::flock(file, LOCK_EX | flags) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno == EINTR) continue;
    warn(fmt::format("cannot lock {}: {}. Make sure that no other process works on the same files", path.string(),
                     std::strerror(errno)));
    return true;
  }
  return true;
}

}  // namespace

FileLock::FileLock(const std::filesystem::path& path) : file_(open_lock_file(path)) { take(file_, 0, path); }

FileLock::FileLock(const std::filesystem::path& path, const std::string& message) : file_(open_lock_file(path)) {
  if (take(file_, LOCK_NB, path)) return;
  ::close(file_);
  throw Error(message);
}

std::unique_ptr<FileLock> FileLock::try_to_take(const std::filesystem::path& path) {
  std::unique_ptr<FileLock> lock(new FileLock(open_lock_file(path)));
  return take(lock->file_, LOCK_NB, path) ? std::move(lock) : nullptr;
}

FileLock::~FileLock() { ::close(file_); }

}  // namespace genretree
