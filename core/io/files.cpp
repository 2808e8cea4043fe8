#include "core/io/files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core/error.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

/// A file descriptor that closes itself.
class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags) : number_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (number_ < 0) fail("cannot open {}: {}", path.string(), std::strerror(errno));
  }
  ~Descriptor() { ::close(number_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator int() const { return number_; }

 private:
  int number_;
};

void flush_to_disk(const fs::path& path, int flags) {
  const Descriptor file(path, flags);
  if (::fsync(file) != 0 && errno != EINVAL)  // EINVAL: a file system without fsync
    fail("cannot write {}: {}", path.string(), std::strerror(errno));
}

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

void write_all(int file, std::string_view text, const fs::path& path) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("cannot write {}: {}. Free some space, or choose another folder", path.string(), std::strerror(errno));
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

void write_whole(const fs::path& path, const std::function<void(const fs::path&)>& write) {
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  const fs::path temporary = path.string() + fmt::format(".tmp.{}.{}", host, ::getpid());
  try {
    write(temporary);
    flush_to_disk(temporary, O_RDWR);
    fs::rename(temporary, path);
    flush_to_disk(folder_of(path), O_RDONLY | O_DIRECTORY);
  } catch (...) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
}

void write_whole_text(const fs::path& path, std::string_view text) {
  write_whole(path, [&](const fs::path& temporary) {
    const Descriptor file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    write_all(file, text, path);
  });
}

void append_line(const fs::path& path, std::string_view line) {
  const Descriptor file(path, O_WRONLY | O_CREAT | O_APPEND);
  write_all(file, std::string(line) + '\n', path);
  if (::fsync(file) != 0 && errno != EINVAL) fail("cannot write {}: {}", path.string(), std::strerror(errno));
}

std::string read_text(const fs::path& path) {
  if (fs::is_directory(path)) reject("{} is a folder, but a file is needed", path.string());
  std::ifstream file(path, std::ios::binary);
  if (!file) reject("cannot read {}: {}", path.string(), std::strerror(errno));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void make_writable_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error || !fs::is_directory(path)) fail("cannot create the folder {}: {}. Choose another one", path.string(), error.message());
  if (::access(path.c_str(), W_OK) != 0) fail("cannot write to the folder {}: {}. Choose another one", path.string(), std::strerror(errno));
}

}  // namespace genretree
