// Files that appear whole or not at all.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace genretree {

/// Calls write(temporary path) for a file beside `path`, flushes it to the disk and renames it to `path`. If `write` throws, or the disk is full,
/// the temporary file is removed and whatever was at `path` before is untouched.
void write_whole(const std::filesystem::path& path, const std::function<void(const std::filesystem::path&)>& write);

/// The same for a text that is at hand.
void write_whole_text(const std::filesystem::path& path, std::string_view text);

/// Appends `line` and a newline in one write and flushes it to the disk: after a crash the file ends with whole lines and at most one cut one.
void append_line(const std::filesystem::path& path, std::string_view line);

/// The content of a text file; InputError if it cannot be read.
std::string read_text(const std::filesystem::path& path);

/// Creates the folder (and those above it); Error that says why and what to do if it cannot be written to.
void make_writable_folder(const std::filesystem::path& path);

}  // namespace genretree
