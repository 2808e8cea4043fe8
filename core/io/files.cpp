#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <random>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.hpp"
#include "core/io/files.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

constexpr const char* temporary_mark = ".tmp.";

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

/// FILE.tmp.HOST.PID.COUNT: another one whenever the same file is written. The count begins anywhere, for containers may
/// have the same host name and process number.
fs::path temporary_of(const fs::path& path) {
  static std::atomic<unsigned> count{std::random_device()()};
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  return path.string() + fmt::format("{}{}.{}.{}", temporary_mark, host, ::getpid(), count++);
}

bool is_temporary_of(const fs::path& path, const fs::path& candidate) {
  const std::string name = candidate.filename().string(), count = candidate.extension().string();
  return name.starts_with(path.filename().string() + temporary_mark) && count.size() > 1 &&
         std::all_of(count.begin() + 1, count.end(), [](unsigned char c) { return std::isdigit(c); });
}

/// True if the last byte of a file that is not empty is no newline.
bool ends_within_line(int file, off_t size) {
  char last = '\n';
  return size > 0 && ::pread(file, &last, 1, size - 1) == 1 && last != '\n';
}

}  // namespace

Descriptor::Descriptor(fs::path path, int flags)
    : path_(std::move(path)), number_(::open(path_.c_str(), flags | O_CLOEXEC, 0666)) {
  if (number_ < 0) fail("cannot open {}: {}", path_.string(), std::strerror(errno));
}

Descriptor::~Descriptor() { ::close(number_); }

void Descriptor::write(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t written = ::write(number_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0)
      fail("cannot write {}: {}. Free some space, or choose another folder", path_.string(), std::strerror(errno));
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void Descriptor::flush() const {
  if (::fsync(number_) != 0 && errno != EINVAL)  // EINVAL: a file system without fsync
    fail("cannot write {}: {}", path_.string(), std::strerror(errno));
}

void write_whole(const fs::path& path, const std::function<void(const fs::path&)>& write) {
  const fs::path temporary = temporary_of(path);
  try {
    write(temporary);
    Descriptor(temporary, O_RDWR).flush();
    std::error_code error;
    fs::rename(temporary, path, error);
    if (error) fail("cannot write {}: {}. Choose another name", path.string(), error.message());
    Descriptor(folder_of(path), O_RDONLY | O_DIRECTORY).flush();
  } catch (...) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
}

void write_whole_text(const fs::path& path, std::string_view text) {
  write_whole(path,
              [&](const fs::path& temporary) { Descriptor(temporary, O_WRONLY | O_CREAT | O_TRUNC).write(text); });
}

void check_writable(const fs::path& path) {
  if (path.empty()) reject("the name of the file to write is empty. Give one");
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status) || !path.has_filename())
    reject("cannot write {}: it is a folder. Name a file in it", path.string());
  if (fs::exists(status) && !fs::is_regular_file(status))
    reject("cannot write {}: it is there already and no ordinary file. Choose another name", path.string());
  make_writable_folder(folder_of(path));
  const fs::path probe = temporary_of(path);
  if (!std::ofstream(probe)) fail("cannot write {}: {}. Choose another name", path.string(), std::strerror(errno));
  fs::remove(probe, error);
}

void remove_stale_temporaries(const fs::path& path) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_of(path), ignored))
    if (is_temporary_of(path, entry.path())) fs::remove(entry.path(), ignored);
}

void append_line(const fs::path& path, std::string_view line) {
  const Descriptor file(path, O_RDWR | O_CREAT | O_APPEND);
  struct stat before {};
  if (::fstat(file, &before) != 0) fail("cannot read {}: {}", path.string(), std::strerror(errno));
  try {
    file.write(fmt::format("{}{}\n", ends_within_line(file, before.st_size) ? "\n" : "", line));
    file.flush();
  } catch (const Error&) {
    // what is left where this fails too, the next line keeps clear of
    [[maybe_unused]] const int ignored = ::ftruncate(file, before.st_size);
    throw;
  }
}

std::string read_text(const fs::path& path) {
  if (fs::is_directory(path)) reject("{} is a folder, but a file is needed", path.string());
  std::ifstream file(path, std::ios::binary);
  if (!file) reject("cannot read {}: {}", path.string(), std::strerror(errno));
  std::ostringstream content;
  content << file.rdbuf();
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";  // some programs for Windows begin a text with it
  std::string text = content.str();
  if (text.starts_with(byte_order_mark)) text.erase(0, byte_order_mark.size());
  return text;
}

void make_writable_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error || !fs::is_directory(path))
    fail("cannot create the folder {}: {}. Choose another one", path.string(), error.message());
  if (::access(path.c_str(), W_OK) != 0)
    fail("cannot write to the folder {}: {}. Choose another one", path.string(), std::strerror(errno));
}

}  // namespace genretree
