// What an extraction has finished so far: a file of records that survives a kill at any moment.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "core/io/files.hpp"
#include "core/io/lock.hpp"

namespace genretree {

/// The features of one finished clip, as they stand in the store.
struct FinishedClip {
  std::string key;              ///< what clip, in what state
  std::int32_t length = 0;      ///< frames before padding or cutting
  std::uint64_t checksum = 0;   ///< Audio::checksum
  std::vector<float> features;  ///< [frames, width]
};

/// An append-only file. Each record is its payload's size (uint32), the payload's XXH3-64 and the payload; the first
/// one holds `header`, the others a clip each. A last record that was cut off is dropped; a file with another header is
/// started anew. One process at a time: a second one gets an InputError.
class Journal {
 public:
  /// Opens or makes the file, and hands every clip that stands in it to `take`.
  Journal(std::filesystem::path path, const std::string& header, const std::function<void(FinishedClip)>& take);

  /// Thread-safe.
  void append(const FinishedClip& clip);
  /// The work is done: deletes the file.
  void remove();

 private:
  void append_record(const std::string& payload);

  std::filesystem::path path_;
  FileLock lock_;
  std::mutex mutex_;
  Descriptor file_;
};

}  // namespace genretree
