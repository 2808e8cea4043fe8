// Files that appear whole or not at all.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace genretree {

/// A file descriptor that closes itself.
class Descriptor {
 public:
  /// `flags` of open(2); Error if the file cannot be opened.
  Descriptor(std::filesystem::path path, int flags);
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator int() const { return number_; }

  /// Writes all of `bytes` at the file's place; Error if the disk is full.
  void write(std::string_view bytes) const;
  /// Flushes to the disk.
  void flush() const;

 private:
  std::filesystem::path path_;
  int number_;
};

/// Calls write(temporary path) for a file beside `path`, flushes it to the disk and renames it to `path`. If `write`
/// throws, or the disk is full, the temporary file is removed and whatever was at `path` before is untouched.
void write_whole(const std::filesystem::path& path, const std::function<void(const std::filesystem::path&)>& write);

/// The same for a text that is at hand.
void write_whole_text(const std::filesystem::path& path, std::string_view text);

/// Finds out, before long work, whether write_whole will be able to write `path`; makes the folder that it lies in.
/// InputError if `path` names no file (empty, a folder, a device); Error if its folder cannot be written to.
void check_writable(const std::filesystem::path& path);

/// Removes what a killed process left of write_whole(path). To be called only while no other process can be writing
/// `path`: under the lock that guards it.
void remove_stale_temporaries(const std::filesystem::path& path);

/// Appends `line` and a newline and flushes it to the disk. If that fails, the file is as before; after a crash it ends
/// with whole lines and at most one cut one, which later lines are not glued to. One writer at a time.
void append_line(const std::filesystem::path& path, std::string_view line);

/// The content of a text file, without a UTF-8 byte-order mark at its start; InputError if it cannot be read.
std::string read_text(const std::filesystem::path& path);

/// Creates the folder (and those above it); Error that says why and what to do if it cannot be written to.
void make_writable_folder(const std::filesystem::path& path);

}  // namespace genretree
