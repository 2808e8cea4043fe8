// A folder for what a benchmark reads and writes.
#pragma once

#include <cstdlib>
#include <filesystem>

#include "core/error.hpp"

namespace genretree::bench {

/// A new empty folder, removed with all in it at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() : path_((std::filesystem::temp_directory_path() / "genretree-bench-XXXXXX").string()) {
    if (!::mkdtemp(path_.data()))
      fail("cannot make a temporary folder like {}. Set TMPDIR to a place with room", path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::filesystem::path path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace genretree::bench
