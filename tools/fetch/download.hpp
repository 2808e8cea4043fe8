// Downloads that can be cut off: by HTTP ranges, with a checksum at the end.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/progress.hpp"
#include "tools/fetch/addresses.hpp"

namespace genretree {

/// SHA-256 of a file as 64 hex digits.
std::string sha256_of(const std::filesystem::path& path);

/// Downloads the first of `addresses` that works into `folder` and returns the file, whose checksum is right. What is
/// there of an earlier run is continued if there is a checksum to tell that it fits, else it is removed; a server that
/// does not do ranges starts again. A cut connection is tried again a few times, then the next address is. A file with
/// a wrong checksum is kept aside under another name. Error with the reason at each address if none works; Interrupted
/// on a signal, with what came so far saved.
std::filesystem::path download(const std::vector<Address>& addresses, const std::filesystem::path& folder,
                               Progress& progress);

}  // namespace genretree
