// Archives to folders.
#pragma once

#include <filesystem>

#include "core/progress.hpp"

namespace genretree {

/// Unpacks an archive of any kind that libarchive reads into `folder`: what lies at its top appears there whole or not
/// at all. Only files and folders with relative paths that stay inside are accepted (no "..", no links), and "._*"
/// files, which macOS adds, are passed over. InputError if the archive is damaged, holds anything else, or something of
/// the same name is there already.
void unpack(const std::filesystem::path& archive, const std::filesystem::path& folder, Progress& progress);

}  // namespace genretree
