#include <algorithm>
#include <archive.h>
#include <archive_entry.h>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <stdlib.h>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "tools/fetch/unpack.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

using Reader = std::unique_ptr<archive, decltype(&archive_read_free)>;
using Writer = std::unique_ptr<archive, decltype(&archive_write_free)>;

[[noreturn]] void reject_damaged(const fs::path& path, archive* reader) {
  reject("cannot unpack {}, which is damaged or no archive: {}. Remove it and fetch it again", path.string(),
         archive_error_string(reader));
}

Reader open_archive(const fs::path& path) {
  constexpr std::size_t block = 1 << 18;
  Reader reader(archive_read_new(), &archive_read_free);
  archive_read_support_filter_all(reader.get());
  archive_read_support_format_all(reader.get());
  if (archive_read_open_filename(reader.get(), path.c_str(), block) != ARCHIVE_OK) reject_damaged(path, reader.get());
  return reader;
}

/// The entry's path, if it is harmless.
fs::path checked_path(archive_entry* entry, const fs::path& archive) {
  const char* name = archive_entry_pathname(entry);
  const fs::path path = fs::path(name ? name : "").lexically_normal();
  const auto type = archive_entry_filetype(entry);
  const bool climbs = std::find(path.begin(), path.end(), "..") != path.end();
  const bool link = archive_entry_hardlink(entry) || (type != AE_IFREG && type != AE_IFDIR);
  if (path.empty() || path.is_absolute() || climbs || link)
    reject("the archive {} holds '{}', which {}. Nothing was unpacked. Do not trust this archive", archive.string(),
           name ? name : "", link ? "is neither a file nor a folder" : "would land outside the folder");
  return path;
}

void copy_content(archive* reader, archive* writer, const fs::path& archive, const fs::path& target) {
  const void* data = nullptr;
  std::size_t size = 0;
  la_int64_t offset = 0;
  for (;;) {
    throw_if_stop_requested();
    const int got = archive_read_data_block(reader, &data, &size, &offset);
    if (got == ARCHIVE_EOF) return;
    if (got != ARCHIVE_OK) reject_damaged(archive, reader);
    if (archive_write_data_block(writer, data, size, offset) < ARCHIVE_OK)
      fail("cannot write {}: {}. Free some space and run the same command again", target.string(),
           archive_error_string(writer));
  }
}

void extract_into(const fs::path& archive, const fs::path& folder, Progress& progress) {
  const Reader reader = open_archive(archive);
  const Writer writer(archive_write_disk_new(), &archive_write_free);
  archive_write_disk_set_options(writer.get(), ARCHIVE_EXTRACT_TIME);
  std::size_t files = 0;
  for (;;) {
    archive_entry* entry = nullptr;
    const int got = archive_read_next_header(reader.get(), &entry);
    if (got == ARCHIVE_EOF) break;
    if (got < ARCHIVE_WARN) reject_damaged(archive, reader.get());
    const fs::path path = checked_path(entry, archive);
    if (path.filename().string().starts_with("._")) continue;
    const fs::path target = folder / path;
    const bool is_folder = archive_entry_filetype(entry) == AE_IFDIR;
    archive_entry_set_pathname(entry, target.c_str());
    archive_entry_set_perm(entry, is_folder ? 0755 : 0644);
    if (archive_write_header(writer.get(), entry) < ARCHIVE_WARN)
      fail("cannot write {}: {}", target.string(), archive_error_string(writer.get()));
    copy_content(reader.get(), writer.get(), archive, target);
    if (archive_write_finish_entry(writer.get()) < ARCHIVE_WARN)
      fail("cannot write {}: {}. Free some space and run the same command again", target.string(),
           archive_error_string(writer.get()));
    if (!is_folder) progress.show(0, fmt::format("unpacking: {} files", ++files));
  }
}

void move_all(const fs::path& from, const fs::path& to) {
  for (const fs::directory_entry& top : fs::directory_iterator(from))
    if (const fs::path target = to / top.path().filename(); fs::exists(target))
      reject("{} is there already. Remove it, or choose another folder", target.string());
  for (const fs::directory_entry& top : fs::directory_iterator(from))
    fs::rename(top.path(), to / top.path().filename());
}

/// A new folder in `folder`, whose name nothing there has.
fs::path make_folder_in(const fs::path& folder) {
  std::string name = (folder / "unpacking.XXXXXX").string();
  if (!mkdtemp(name.data()))
    fail("cannot make a folder in {}: {}. Choose another folder", folder.string(), std::strerror(errno));
  return name;
}

}  // namespace

void unpack(const fs::path& archive, const fs::path& folder, Progress& progress) {
  const fs::path beside = make_folder_in(folder);
  try {
    extract_into(archive, beside, progress);
    move_all(beside, folder);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(beside, ignored);
    throw;
  }
  fs::remove_all(beside);
  progress.clear(0);
}

}  // namespace genretree
